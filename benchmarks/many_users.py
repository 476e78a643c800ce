"""Kinds of many users: the test loss of a user by how many labels they have, of the kinds of `core/users` and of two peers.

The peers are one model for all ("shared only") and one for each user alone ("own only"). Users are dealt their numbers of
labels at random; their test examples are others. λ is chosen alike for all kinds: of a grid of α = λW the one whose models,
trained without a random fifth of all labels, have the least mean loss on it; then all labels are trained on with this α.
What a kind has besides is fixed, or learned from the labels as the daemon does (`core/users/together.py`): one, three or eight
directions of personalities (or three alone); of Gamma–normal the shape 1.5, its rates learned; of hierarchy the precision of
what is shared learned; a precision of 0.01 of the other parameters that λ does not reach.
Columns and targets are standardised.

    personalities   200 users who differ along two directions of 13, and a little by themselves; tests are without noise
    noisy users     the same, but the labels of every third user are eight times as noisy as those of the others
    digits          200 users who are shown scikit-learn's digits (20 principal columns, half of the images for tests) and say
                    whether the digit is large: from 3, 4, 5, 6 or 7 on, each as they mean it; every third says the opposite of
                    what they mean a quarter of the time, but not in tests
    chicks          river's ChickWeights: 50 chicks, weight by time, time² and diet

Prints a Markdown table a set: the mean loss × 1000 (half a square; a log-loss for digits), over seeds ± its standard error.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamlearn.core import newton
from streamlearn.core.losses import Array, Logistic, Squared
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Data, Objective
from streamlearn.core.users import deviation_l2, hierarchy, personality, together
from streamlearn.core.users.deviation import Prior, Shared
from streamlearn.core.users.groups import Groups, grouped

SEEDS, USERS, COLUMNS = range(10), 200, 12
LABELS, CHICK_LABELS, TESTS = (0, 1, 2, 5, 10, 20, 50), (0, 1, 2, 4, 8), 50
ALPHAS = np.geomspace(1e-2, 1e3, 11)
ANCHOR = 0.01


class Stream(NamedTuple):
    """train: everybody's labels; test: other examples of each user; labels (U,): how many a user has in train."""

    model: Linear
    train: Groups
    test: Groups
    labels: NDArray[np.intp]


def personalities(rng: np.random.Generator, noisy: float = 1.0) -> Stream:
    axes = np.linalg.qr(rng.normal(size=(COLUMNS + 1, 2)))[0] * [1.5, 0.8]
    own = rng.normal(size=(USERS, 2)) @ axes.T + 0.1 * rng.normal(size=(USERS, COLUMNS + 1))
    thetas = rng.normal(size=COLUMNS + 1) / np.sqrt(COLUMNS) + own
    labels = rng.permutation(np.resize(LABELS, USERS))
    noise = np.where(np.arange(USERS) % 3 == 0, noisy, 1.0) * 0.4

    def examples(user: NDArray[np.intp], noise: Array) -> Data:
        X = np.column_stack([np.ones(len(user)), rng.normal(size=(len(user), COLUMNS))])
        y = (X * thetas[user]).sum(axis=1) + noise[user] * rng.normal(size=len(user))
        return Data(X, y, np.ones(len(user)))

    train, test = np.repeat(np.arange(USERS), labels), np.repeat(np.arange(USERS), TESTS)
    return standardised(examples(train, noise), train, examples(test, 0.0 * noise), test, labels)


def noisy_users(rng: np.random.Generator) -> Stream:
    return personalities(rng, 8.0)


def digits(rng: np.random.Generator) -> Stream:
    from sklearn.datasets import load_digits

    pixels, digit = load_digits(return_X_y=True)
    pixels = pixels - pixels.mean(axis=0)
    scores = pixels @ np.linalg.svd(pixels, full_matrices=False)[2][:20].T
    X = np.column_stack([np.ones(len(digit)), scores / scores.std(axis=0)])
    order, labels, least = (
        rng.permutation(len(digit)),
        rng.permutation(np.resize(LABELS, USERS)),
        rng.integers(3, 8, USERS),
    )
    flips = np.where(np.arange(USERS) % 3 == 0, 0.25, 0.0)

    def examples(user: NDArray[np.intp], images: NDArray[np.intp], flips: Array) -> Data:
        shown = rng.choice(images, len(user))
        means = digit[shown] >= least[user]
        return Data(X[shown], (means ^ (rng.random(len(user)) < flips[user])).astype(float), np.ones(len(user)))

    train, test = np.repeat(np.arange(USERS), labels), np.repeat(np.arange(USERS), TESTS)
    half = len(order) // 2
    return Stream(
        Linear(Logistic(), 1, X.shape[1]),
        grouped(examples(train, order[:half], flips), train, USERS),
        grouped(examples(test, order[half:], 0.0 * flips), test, USERS),
        labels,
    )


def chicks(rng: np.random.Generator) -> Stream:
    from river.datasets import ChickWeights

    rows = list(ChickWeights())
    user = np.unique([x["chick"] for x, _ in rows], return_inverse=True)[1]
    when, diet = (np.array([x[name] for x, _ in rows], dtype=float) for name in ("time", "diet"))
    X = np.column_stack([np.ones(len(rows)), when, when**2, *(diet == d for d in (2, 3, 4))])
    X[:, 1:] = (X[:, 1:] - X[:, 1:].mean(axis=0)) / X[:, 1:].std(axis=0)  # of events, which are seen without labels
    y = np.array([weight for _, weight in rows], dtype=float)
    count = int(user.max()) + 1
    labels, trained = rng.permutation(np.resize(CHICK_LABELS, count)), np.zeros(len(rows), dtype=bool)
    for u in range(count):
        trained[rng.permutation(np.flatnonzero(user == u))[: labels[u]]] = True
    labels = np.bincount(user[trained], minlength=count)  # some chicks were weighed twice only
    train, test = (Data(X[at], y[at], np.ones(at.sum())) for at in (trained, ~trained))
    return standardised(train, user[trained], test, user[~trained], labels)


def standardised(
    train: Data, user: NDArray[np.intp], test: Data, test_user: NDArray[np.intp], labels: NDArray[np.intp]
) -> Stream:
    mean, scale = train.y.mean(), train.y.std()
    train, test = (replace(each, y=(each.y - mean) / scale) for each in (train, test))
    model = Linear(Squared(), 1, train.X.shape[1])
    return Stream(model, grouped(train, user, len(labels)), grouped(test, test_user, len(labels)), labels)


def shared_only(model: Linear, groups: Groups, alpha: float) -> newton.State:
    found, info = newton.step(newton.init(model.size), Objective(model, ANCHOR), groups.data, alpha / groups.weight)
    assert info.ok
    return found


def around(model: Linear, groups: Groups, alpha: float, origin: Array, prior: Prior | None = None) -> Array:
    """Every user's own optimum under ½α‖θ_u − origin‖², or the prior in its place."""
    of, thetas = Shared(model, origin, np.zeros_like(origin), alpha), np.tile(origin, (groups.count, 1))
    for u in np.unique(groups.user):
        own = deviation_l2.solve(of, groups.of(u), prior)
        assert own is not None
        thetas[u] += own.delta
    return thetas


def of_shared(model: Linear, groups: Groups, alpha: float) -> Array:
    return np.tile(shared_only(model, groups, alpha).theta, (groups.count, 1))


def of_own(model: Linear, groups: Groups, alpha: float) -> Array:
    return around(model, groups, alpha, np.zeros(model.size))


def of_deviation(model: Linear, groups: Groups, alpha: float) -> Array:
    return around(model, groups, alpha, shared_only(model, groups, alpha).theta)


def prior_of(model: Linear, groups: Groups, alpha: float, origin: Array, directions: int, spread: bool = True) -> Prior:
    """How these users differ from the origin."""
    deviations, counts = around(model, groups, alpha, origin) - origin, groups.sums(groups.data.w)
    prior = personality.prior(deviations, counts, directions)
    assert prior is not None
    return prior if spread else Prior(prior.directions * np.sqrt(model.size / (prior.directions**2).sum()), 0.0)


def of_personality(model: Linear, groups: Groups, alpha: float, directions: int, spread: bool = True) -> Array:
    origin = shared_only(model, groups, alpha).theta
    return around(model, groups, alpha, origin, prior_of(model, groups, alpha, origin, directions, spread))


def at_once(model: Linear, groups: Groups, alpha: float, kind: str) -> Array:
    names = tuple(map(str, range(groups.count)))
    alpha = max(alpha, hierarchy.least(model.size)) if kind == "hierarchy" else alpha  # as in the daemon
    found = together.SOLVERS[kind](Objective(model, ANCHOR), groups, names, alpha / groups.weight)
    assert found is not None
    return found.thetas


Kind = Callable[[Linear, Groups, float], Array]
KINDS: dict[str, Kind] = {
    "shared only": of_shared,
    "own only": of_own,
    "deviation, L2": of_deviation,
    "personality, 1": partial(of_personality, directions=1),
    "personality, 3": partial(of_personality, directions=3),
    "personality, 8": partial(of_personality, directions=8),
    "3 directions alone": partial(of_personality, directions=3, spread=False),
    "hierarchy": partial(at_once, kind="hierarchy"),
    "gamma-normal": partial(at_once, kind="gamma-normal"),
}
SETS: dict[str, Callable[[np.random.Generator], Stream]] = {
    "personalities": personalities,
    "noisy users": noisy_users,
    "digits": digits,
    "chicks": chicks,
}


def errors(kind: Kind, stream: Stream, rng: np.random.Generator) -> tuple[dict[int, float], float]:
    """Test loss by a user's number of labels, and the α that was chosen."""
    model, train, held_out = stream.model, stream.train, rng.random(len(stream.train.user)) < 0.2
    first, second = (_part(train, at) for at in (~held_out, held_out))
    alpha = min(ALPHAS, key=lambda a: float(_losses(model, kind(model, first, a), second).mean()))
    of_each = _losses(model, kind(model, train, alpha), stream.test)
    labels = stream.labels[stream.test.user]
    return {int(n): float(of_each[labels == n].mean()) for n in np.unique(labels)}, float(alpha)


def _losses(model: Linear, thetas: Array, groups: Groups) -> Array:
    return model.loss.value(groups.outputs(model, thetas), groups.data.y)


def _part(groups: Groups, at: NDArray[np.bool_]) -> Groups:
    data = groups.data
    return grouped(Data(data.X[at], data.y[at], data.w[at]), groups.user[at], groups.count)


def main() -> None:
    began = time.perf_counter()
    for name, of in SETS.items():
        kinds = [kind for kind in KINDS if kind != "gamma-normal" or name != "digits"]
        found: dict[str, list[tuple[dict[int, float], float]]] = {kind: [] for kind in kinds}
        for seed in SEEDS:
            stream = of(np.random.default_rng(seed))
            for kind in kinds:  # the same labels are held out for all
                found[kind].append(errors(KINDS[kind], stream, np.random.default_rng(1000 + seed)))
            print(f"{name} {seed} {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
        table(name, found)


def table(name: str, found: dict[str, list[tuple[dict[int, float], float]]]) -> None:
    columns = sorted({n for runs in found.values() for each, _ in runs for n in each})
    print(f"\n| {name}: labels of a user | " + " | ".join(map(str, columns)) + " | median α |")
    print("| --- |" + " --- |" * (len(columns) + 1))
    for kind, runs in found.items():
        cells = []
        for n in columns:
            values = 1000.0 * np.array([each[n] for each, _ in runs if n in each])
            cells.append(f"{values.mean():.0f} ± {values.std(ddof=1) / np.sqrt(len(values)):.0f}")
        print(f"| {kind} | " + " | ".join(cells) + f" | {np.median([alpha for _, alpha in runs]):.2g} |", flush=True)


if __name__ == "__main__":
    main()
