"""Data sets whose rows are of users: another seed is other users, or other rows of theirs to test on.

Users come as often as chance has it, some a hundred times as often as others, so that a few have many labels in the end and
many have few or none; of each `TESTS` more rows are set aside. Only of `chicks` the groups are real.

tastes          60 users like a thing of 8 features or not: a taste that all share, two directions along which they differ,
                and a little of their own; the answer is drawn by its probability
personalities   the same of 12 features, with values that have noise in the stream and none in the tests
readers         60 users see scikit-learn's digits (20 principal columns, half of the images for tests) and say whether the
                digit is large: from 3, 4, 5, 6 or 7 on, each as they mean it
chicks          river's ChickWeights: 50 chicks, the weight by time, time² and diet; a third of the weighings for tests
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.losses import Array
from streamlearn.evaluation.rows import Answer, Dataset

USERS, EVENTS, TESTS = 60, 2000, 30
DIRECTIONS: Final = np.array([1.5, 0.8])  # how far users differ along each
LITTLE, SPREAD_OF_ACTIVITY, NOISE, SHARPNESS = 0.1, 1.2, 0.4, 2.0
CHICKS_ASIDE = 1.0 / 3.0
GROUPED: Final = ("tastes", "personalities", "readers", "chicks")


def tastes(seed: int) -> Dataset:
    draws = np.random.default_rng([seed, 1])
    user, tested = _visits(draws)
    X, outputs = _outputs(draws, user, 8)
    likes = draws.random(len(user)) < 1.0 / (1.0 + np.exp(-SHARPNESS * outputs))
    return _dataset("tastes", X, ["likes" if each else "dislikes" for each in likes], user, tested)


def personalities(seed: int) -> Dataset:
    draws = np.random.default_rng([seed, 2])
    user, tested = _visits(draws)
    X, outputs = _outputs(draws, user, 12)
    values = outputs + np.where(tested, 0.0, NOISE) * draws.normal(size=len(user))
    return _dataset("personalities", X, values.round(4).tolist(), user, tested)


def readers(seed: int) -> Dataset:
    from sklearn.datasets import load_digits  # a heavy import

    draws = np.random.default_rng([seed, 3])
    pixels, digit = load_digits(return_X_y=True)
    pixels = pixels - pixels.mean(axis=0)
    columns = pixels @ np.linalg.svd(pixels, full_matrices=False)[2][:20].T
    user, tested = _visits(draws)
    images, half = draws.permutation(len(digit)), len(digit) // 2
    shown = np.where(tested, draws.choice(images[half:], len(user)), draws.choice(images[:half], len(user)))
    large = digit[shown] >= draws.integers(3, 8, USERS)[user]
    return _dataset("readers", columns[shown], ["large" if each else "small" for each in large], user, tested)


def chicks(seed: int) -> Dataset:
    from river.datasets import ChickWeights  # a heavy import

    rows = list(ChickWeights())
    user = np.unique([x["chick"] for x, _ in rows], return_inverse=True)[1]
    when, diet = (np.array([x[name] for x, _ in rows], dtype=float) for name in ("time", "diet"))
    X = np.column_stack([when, when**2, *(diet == each for each in (2, 3, 4))])
    tested, draws = np.zeros(len(rows), dtype=bool), np.random.default_rng([seed, 4])
    for each in range(int(user.max()) + 1):
        own = draws.permutation(np.flatnonzero(user == each))
        tested[own[: max(1, round(CHICKS_ASIDE * len(own)))]] = True
    return _dataset("chicks", X, [float(weight) for _, weight in rows], user, tested)


def _visits(draws: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Whose each row is, and which are aside."""
    activity = np.exp(SPREAD_OF_ACTIVITY * draws.normal(size=USERS))
    user = np.concatenate(
        [draws.choice(USERS, EVENTS, p=activity / activity.sum()), np.repeat(np.arange(USERS), TESTS)]
    )
    return user, np.arange(len(user)) >= EVENTS


def _outputs(draws: np.random.Generator, user: NDArray[np.intp], width: int) -> tuple[Array, Array]:
    """Features, and what each row's user makes of them."""
    axes = np.linalg.qr(draws.normal(size=(width + 1, len(DIRECTIONS))))[0] * DIRECTIONS
    own = draws.normal(size=(USERS, len(DIRECTIONS))) @ axes.T + LITTLE * draws.normal(size=(USERS, width + 1))
    thetas = draws.normal(size=width + 1) / np.sqrt(width) + own
    X = draws.normal(size=(len(user), width))
    return X, thetas[user, 0] + (X * thetas[user, 1:]).sum(axis=1)


def _dataset(
    name: str, X: Array, ys: list[Answer] | list[str] | list[float], user: NDArray[np.intp], tested: NDArray[np.bool_]
) -> Dataset:
    xs, users = tuple(row.tolist() for row in X.round(4)), tuple(f"user-{each}" for each in user)
    return Dataset(
        name, xs, tuple(ys), not isinstance(ys[0], str), users=users, aside=tuple(np.flatnonzero(tested).tolist())
    )
