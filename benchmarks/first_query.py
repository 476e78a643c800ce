"""The first queries of a new user, against random ones: test loss × 1000 after 1, 2 and 5 labels of their own.

On the streams of `many_users.py`: the users who have most labels are new, their labels are what can be asked for, one at a
time; the others' labels have trained what is shared. α is chosen on these, as there. A query is the unlabeled example with
the largest score under the new user's model, whose prior is that of the deviation (every direction alike), of the
personality (directions that users have in common, with room beside them) or those directions alone, refitted after each answer:

    SLD          the expected square of ∇ℓ·θ̇_u (66)–(67), with the tangent that a user inherits (98)
    leverage     the variance of the outputs under the user's covariance, times the loss's curvature
    V-optimal    by how much the mean variance over all that could be asked for falls, by one label
    random       the same ones in all kinds, five orders of them

Prints a Markdown table a set: mean over seeds ± standard error, and in brackets the difference from random ± its own.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from many_users import ALPHAS, SETS, Stream, around, prior_of, shared_only
from numpy.typing import NDArray

from streamlearn.core.losses import Array
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Data
from streamlearn.core.users import deviation_l2
from streamlearn.core.users.deviation import Deviation, Prior, Shared
from streamlearn.core.users.groups import Groups, grouped

SEEDS, AFTER, ORDERS, DIRECTIONS = range(20), (0, 1, 2, 5), 5, 3
KINDS = ("deviation, L2", "personality", "3 directions alone")
NAMES = ("personalities", "digits", "chicks")


class Asking(NamedTuple):
    """What a score may look at: of the one user's model and what it was told, and the rows X that can be asked for."""

    of: Shared
    prior: Prior | None
    told: Data
    own: Deviation
    X: Array

    def curvature(self, X: Array) -> Array:
        """Of the loss at the user's outputs, (n,)."""
        model, theta = self.of.model, self.of.theta + self.own.delta
        return np.asarray(model.loss.curvature(model.outputs(theta, X))[:, 0, 0])

    def covariance(self) -> Array:
        """Of the outputs at all rows, (n, n): of θ_u = θ₀ + A v, v ~ N(0, I/α), and the labels that were told."""
        size, prior = self.of.model.size, self.prior
        A = np.eye(size) if prior is None else np.hstack([prior.directions, prior.spread * np.eye(size)])
        told, J = self.told.X @ A, self.X @ A
        weighted = (self.told.w * self.curvature(self.told.X))[:, None] * told
        return np.asarray(J @ np.linalg.solve(told.T @ weighted + self.of.precision * np.eye(A.shape[1]), J.T))


def sld(asking: Asking) -> Array:
    theta, tangent = asking.own.added(asking.of.theta, asking.of.log_tangent)
    f, f_dot = asking.of.model.response(theta, tangent, asking.X)
    return asking.of.model.loss.fisher_quadratic(f, f_dot)


def leverage(asking: Asking) -> Array:
    return asking.curvature(asking.X) * np.diag(asking.covariance())


def v_optimal(asking: Asking) -> Array:
    c, K = asking.curvature(asking.X), asking.covariance()
    return np.asarray(c @ K**2 / (1.0 / np.maximum(c, 1e-12) + np.diag(K)))


SCORES: dict[str, Callable[[Asking], Array]] = {"SLD": sld, "leverage": leverage, "V-optimal": v_optimal}


def run(stream: Stream, seed: int) -> dict[tuple[str, str], Array]:
    """(kind, way of asking) → test loss after each of AFTER labels, the mean over new users."""
    tested = np.isin(np.arange(len(stream.labels)), stream.test.user)
    new = np.flatnonzero((stream.labels == stream.labels.max()) & tested)
    old = _part(stream.train, ~np.isin(stream.train.user, new))
    found: dict[tuple[str, str], Array] = {}
    for kind in KINDS:
        of, prior = chosen(stream.model, old, kind, np.random.default_rng(seed))
        for name, score in SCORES.items():
            paths = [asked(stream, of, prior, u, score) for u in new]
            found[kind, name] = np.mean(paths, axis=0)
        rng = np.random.default_rng(seed)
        blind = partial(_random, rng)
        paths = [asked(stream, of, prior, u, blind) for u in new for _ in range(ORDERS)]
        found[kind, "random"] = np.mean(paths, axis=0)
    return found


def _random(rng: np.random.Generator, asking: Asking) -> Array:
    return rng.random(len(asking.X))


def asked(stream: Stream, of: Shared, prior: Prior | None, user: int, score: Callable[[Asking], Array]) -> list[float]:
    pool, test, model = stream.train.of(user), stream.test.of(user), stream.model
    left, told, losses = list(range(len(pool.y))), list[int](), list[float]()
    own: Deviation | None = Deviation(np.zeros(model.size), np.zeros(model.size))
    for count in range(max(AFTER) + 1):
        assert own is not None
        if count in AFTER:
            losses.append(float(model.loss.value(model.outputs(of.theta + own.delta, test.X), test.y).mean()))
        known = Data(pool.X[told], pool.y[told], pool.w[told])
        told.append(left.pop(int(np.argmax(score(Asking(of, prior, known, own, pool.X[left]))))))
        own = deviation_l2.solve(of, Data(pool.X[told], pool.y[told], pool.w[told]), prior)
    return losses


def shared(model: Linear, groups: Groups, alpha: float, kind: str) -> tuple[Shared, Prior | None]:
    everybody = shared_only(model, groups, alpha)
    alone, of = kind == KINDS[2], Shared(model, everybody.theta, everybody.log_tangent, alpha)
    return of, None if kind == KINDS[0] else prior_of(model, groups, alpha, of.theta, DIRECTIONS, not alone)


def chosen(model: Linear, groups: Groups, kind: str, rng: np.random.Generator) -> tuple[Shared, Prior | None]:
    """What is shared, α by the least loss on a fifth of the labels that are left out."""
    held_out = rng.random(len(groups.user)) < 0.2
    first, second = (_part(groups, at) for at in (~held_out, held_out))

    def loss(alpha: float) -> float:
        of, prior = shared(model, first, alpha, kind)
        thetas = around(model, first, alpha, of.theta, prior)
        return float(model.loss.value(second.outputs(model, thetas), second.data.y).mean())

    return shared(model, groups, float(min(ALPHAS, key=loss)), kind)


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
