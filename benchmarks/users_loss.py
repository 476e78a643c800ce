"""What a model of one's own is worth: the loss on unseen data of 200 made-up users by how many labels each has.

Users' weights are what all have in common and a personality, of the size 0.7 in every weight or in a fifth of them; classes are
drawn by the logistic model. λ is tuned as labels come. Loss against the true probabilities; of deviations, what it differs from
one model for all; mean ± standard error over seeds.
"""

from __future__ import annotations

import math

import numpy as np

from streamlearn.learner import columns, deviation, learner, settings, state
from streamlearn.learner.learner import Labeled
from streamlearn.settings import read

USERS, FEATURES, SEEDS, UNSEEN, SIZE = 200, 10, 5, 100, 0.7
LABELS = (0, 1, 2, 5, 10, 20, 50)
KINDS = {"none": (), "l2": ("users.kind=deviation",), "l1": ("users.kind=deviation", "users.penalty=l1")}


def losses(seed: int, sparse: bool) -> dict[str, list[float]]:
    """The mean loss of users with so many labels each, by kind; the last one is of the truth itself."""
    rng = np.random.default_rng(seed)
    own = SIZE * rng.normal(size=(USERS, FEATURES))
    if sparse:
        own *= math.sqrt(5.0) * (rng.random(own.shape) < 0.2)
    weights, intercepts = rng.normal(size=FEATURES) + own, SIZE * rng.normal(size=USERS)
    counts = np.resize(LABELS, USERS)
    whose = rng.permutation(np.repeat(np.arange(USERS), counts))
    X = rng.normal(size=(len(whose), FEATURES))
    y = rng.random(len(whose)) < 1.0 / (1.0 + np.exp(-(np.einsum("nd,nd->n", X, weights[whose]) + intercepts[whose])))
    unseen = rng.normal(size=(USERS, UNSEEN, FEATURES))
    true = np.einsum("und,ud->un", unseen, weights) + intercepts[:, None]
    p = 1.0 / (1.0 + np.exp(-true))
    found = {"truth": (np.logaddexp(0.0, true) - p * true).mean(axis=1)}
    for kind, keys in KINDS.items():
        told = settings.from_configuration(read(None, {}, keys))
        here = state.init(told, columns.State(), "", ())
        known, encoded = columns.encode(here.columns, X.tolist())
        here = learner.observe(here, known, encoded.rows)
        for user, x, label in zip(whose, X, y, strict=True):
            here = learner.step(here, told, Labeled(x, bool(label), 1.0, False, 0, str(user) if keys else ""))
        here = learner.settle(here, told)
        fit, mean = here.published, np.empty(USERS)
        assert fit is not None
        for user in range(USERS):
            theirs = deviation.of_user(here, told, fit, str(user))
            theta = fit.theta if theirs is None else theirs.added(fit.theta, fit.log_tangent)[0]
            f = fit.model.outputs(theta, fit.frame.design(unseen[user]))[:, 0]
            mean[user] = (np.logaddexp(0.0, f) - p[user] * f).mean()
        found[kind] = mean
    return {kind: [float(mean[counts == count].mean()) for count in LABELS] for kind, mean in found.items()}


def main() -> None:
    print("labels a user ", *(f"{count:>13}" for count in LABELS))
    for sparse in (False, True):
        runs = [losses(seed, sparse) for seed in range(SEEDS)]
        for kind in runs[0]:
            each = np.array([run[kind] for run in runs])
            if kind in ("l2", "l1"):
                each = each - np.array([run["none"] for run in runs])
            mean, error = each.mean(axis=0), each.std(axis=0, ddof=1) / math.sqrt(SEEDS)
            text = (f"{m:+.3f} ± {e:.3f}" for m, e in zip(mean, error, strict=True))
            print(f"{'a fifth' if sparse else 'all':7} {kind:6}", *text, flush=True)


if __name__ == "__main__":
    main()
