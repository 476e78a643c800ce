"""The first queries of a new user, against random ones: test loss × 1000 after 1, 2 and 5 labels of their own.

On the streams of `many_users.py`: the users who have most labels are new, their labels are what can be asked for, one at a
time; the others' labels have trained what is shared. α is chosen on these, as there. A query is the unlabeled example with
the largest score under the new user's model, whose prior is that of the deviation (every direction alike) or of the
personality (a few directions), refitted after each answer:

    SLD          the expected square of ∇ℓ·θ̇_u (66)–(67), with the tangent that a user inherits (98)
    leverage     the variance of the outputs under the user's covariance, times the loss's curvature
    V-optimal    by how much the mean variance over all that could be asked for falls, by one label
    random       the same ones in both kinds, five orders of them

Prints a Markdown table a set: mean over seeds ± standard error, and in brackets the difference from random ± its own.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from many_users import ALPHAS, DIRECTIONS, SETS, Stream, around, shared_only
from numpy.typing import NDArray

from streamlearn.core.losses import Array
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Data
from streamlearn.core.users import personality
from streamlearn.core.users.groups import Groups, grouped
from streamlearn.core.users.personality import Shared, State

SEEDS, AFTER, ORDERS = range(20), (0, 1, 2, 5), 5
KINDS, NAMES = ("deviation, L2", "personality"), ("personalities", "digits", "chicks")


class Asking(NamedTuple):
    """What a score may look at: of the one user's model, and the rows X that can be asked for."""

    model: Linear
    of: Shared
    state: State
    X: Array

    def curvature(self) -> Array:
        return self.model.loss.curvature(self.model.outputs(personality.theta(self.of, self.state), self.X))[:, 0, 0]

    def covariance(self) -> Array:
        """Of the outputs at all rows, (n, n)."""
        J = self.X @ self.of.directions
        return np.asarray(J @ self.state.covariance @ J.T)


def sld(asking: Asking) -> Array:
    theta, tangent = (part(asking.of, asking.state) for part in (personality.theta, personality.log_tangent))
    f, f_dot = asking.model.response(theta, tangent, asking.X)
    return asking.model.loss.fisher_quadratic(f, f_dot)


def leverage(asking: Asking) -> Array:
    return asking.curvature() * np.diag(asking.covariance())


def v_optimal(asking: Asking) -> Array:
    c, K = asking.curvature(), asking.covariance()
    return np.asarray(c @ K**2 / (1.0 / np.maximum(c, 1e-12) + np.diag(K)))


SCORES: dict[str, Callable[[Asking], Array]] = {"SLD": sld, "leverage": leverage, "V-optimal": v_optimal}


def run(stream: Stream, seed: int) -> dict[tuple[str, str], Array]:
    """(kind, way of asking) → test loss after each of AFTER labels, the mean over new users."""
    tested = np.isin(np.arange(len(stream.labels)), stream.test.user)
    new = np.flatnonzero((stream.labels == stream.labels.max()) & tested)
    old = _part(stream.train, ~np.isin(stream.train.user, new))
    found: dict[tuple[str, str], Array] = {}
    for kind in KINDS:
        of, regularity = chosen(stream.model, old, kind, np.random.default_rng(seed))
        for name, score in SCORES.items():
            paths = [asked(stream, of, regularity, u, score) for u in new]
            found[kind, name] = np.mean(paths, axis=0)
        rng = np.random.default_rng(seed)
        blind = partial(_random, rng)
        paths = [asked(stream, of, regularity, u, blind) for u in new for _ in range(ORDERS)]
        found[kind, "random"] = np.mean(paths, axis=0)
    return found


def _random(rng: np.random.Generator, asking: Asking) -> Array:
    return rng.random(len(asking.X))


def asked(stream: Stream, of: Shared, regularity: float, user: int, score: Callable[[Asking], Array]) -> list[float]:
    pool, test, model = stream.train.of(user), stream.test.of(user), stream.model
    left, told, state = list(range(len(pool.y))), [], personality.init(of, regularity)
    losses = []
    for count in range(max(AFTER) + 1):
        if count in AFTER:
            losses.append(float(model.loss.value(model.outputs(personality.theta(of, state), test.X), test.y).mean()))
        told.append(left.pop(int(np.argmax(score(Asking(model, of, state, pool.X[left]))))))
        own = Data(pool.X[told], pool.y[told], pool.w[told])
        state, info = personality.step(state, model, of, own, regularity)
        assert info.ok
    return losses


def shared(model: Linear, groups: Groups, alpha: float, kind: str) -> Shared:
    everybody = shared_only(model, groups, alpha)
    directions = np.eye(model.size)
    if kind == "personality":
        deviations = around(model, groups, alpha, everybody.theta) - everybody.theta
        directions = personality.directions(deviations, groups.sums(groups.data.w), DIRECTIONS)
    return Shared(everybody.theta, everybody.log_tangent, directions, groups.weight)


def chosen(model: Linear, groups: Groups, kind: str, rng: np.random.Generator) -> tuple[Shared, float]:
    """What is shared, and λ, by the least loss on a fifth of the labels that are left out."""
    held_out = rng.random(len(groups.user)) < 0.2
    first, second = (_part(groups, at) for at in (~held_out, held_out))

    def loss(alpha: float) -> float:
        of, regularity = shared(model, first, alpha, kind), alpha / first.weight
        thetas = np.tile(of.theta, (groups.count, 1))
        for u in np.unique(first.user):
            state, info = personality.step(personality.init(of, regularity), model, of, first.of(u), regularity)
            assert info.ok
            thetas[u] = personality.theta(of, state)
        return float(model.loss.value(second.outputs(model, thetas), second.data.y).mean())

    alpha = float(min(ALPHAS, key=loss))
    return shared(model, groups, alpha, kind), alpha / groups.weight


def _part(groups: Groups, at: NDArray[np.bool_]) -> Groups:
    data = groups.data
    return grouped(Data(data.X[at], data.y[at], data.w[at]), groups.user[at], groups.count)


def main() -> None:
    began = time.perf_counter()
    for name in NAMES:
        found = []
        for seed in SEEDS:
            found.append(run(SETS[name](np.random.default_rng(seed)), seed))
            print(f"{name} {seed} {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
        print(f"\n| {name}: own labels | " + " | ".join(map(str, AFTER)) + " |")
        print("| --- |" + " --- |" * len(AFTER))
        for kind, way in found[0]:
            runs, blind = (1000.0 * np.array([each[kind, w] for each in found]) for w in (way, "random"))
            cells = [_cell(runs[:, i], blind[:, i]) for i in range(len(AFTER))]
            print(f"| {kind}: {way} | " + " | ".join(cells) + " |", flush=True)


def _cell(values: Array, blind: Array) -> str:
    root = np.sqrt(len(values))
    less = values - blind
    text = f"{values.mean():.0f} ± {values.std(ddof=1) / root:.0f}"
    return text + (f" ({less.mean():+.0f} ± {less.std(ddof=1) / root:.0f})" if less.any() else "")


if __name__ == "__main__":
    main()
