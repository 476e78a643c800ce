"""A scorer that has nothing but what was published says to the last bit what the daemon says while no query is pending."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamlearn import loading
from streamlearn.edges import model_files
from streamlearn.errors import CannotLoad
from streamlearn.learner import inverse
from streamlearn.learner.split import draws
from streamlearn.service.blocks import BLOCK
from streamlearn.service.model_snapshot import ModelSnapshot
from streamlearn.service.scorer import Scorer
from tests.end_to_end.daemon_process import lines
from tests.end_to_end.test_models import CASES, daemon, feed

EVENTS = 60
STRATEGIES = ("informed", "uncertainty", "v-optimality", "ssi", "committee", "leverage", "sld", "flip", "random")
PAIRS = [
    *(("logistic", name) for name in STRATEGIES),
    *(("softmax", name) for name in ("informed", "si-unlabeled", "decisive")),
    *(("squared", name) for name in ("leverage", "sti", "sld-residual")),
    ("mlp", "v-optimality"),
    ("embedding-bag", "informed"),
]


def published(folder: Path, case: str, *told: str) -> tuple[ModelSnapshot, list[Any], list[dict[str, Any]]]:
    """The newest model of a daemon, and events that came after it, with what that daemon has said of them."""
    own, x_of, y_of = CASES[case]
    draw = random.Random(7)
    usual = ("topics.models=models", "topics.predictions=predictions", "models.every_s=1e-9", "queries.budget=0.1")
    running = daemon(folder, *own, *usual, *told)
    running.start()
    running.pipeline.standing.asking.paused = True
    for topic, count in (("labels", 60), ("events", BLOCK), ("labels", 2)):
        xs = [x_of(i, draw) for i in range(count)]
        feed(folder, topic, [{"id": f"{topic}{count}-{i}", "x": x, "y": y_of(x)} for i, x in enumerate(xs)])
        while running.turn():
            pass
    for _ in range(40):  # a network goes on until it rests
        running.turn()
    events = [x_of(i, draw) for i in range(EVENTS)]
    feed(folder, "events", [{"id": f"e{i}", "x": x} for i, x in enumerate(events)])
    running.turn()
    running.close()
    return model_files.read(folder / "models.jsonl"), events, lines(folder / "predictions.jsonl")[-EVENTS:]


def scored(scorer: Scorer, events: list[Any]) -> tuple[list[float], list[bool]]:
    judged = scorer.score(events, draws([f"e{i}" for i in range(len(events))], 0).random)
    assert {} == judged.reasons
    return judged.scores.tolist(), scorer.passes(judged).tolist()


@pytest.mark.parametrize(("case", "strategy"), PAIRS)
def test_scores_are_the_daemons_to_the_last_bit(case: str, strategy: str, tmp_path: Path) -> None:
    model, events, said = published(tmp_path, case, "models.for_scorers=true", f"queries.strategy={strategy}")
    assert {model.version} == {each["model_version"] for each in said}
    scorer = loading.scorer(model)
    assert strategy == scorer.snapshot.strategy
    scores, passes = scored(scorer, events)
    assert [each["score"] for each in said] == scores
    assert [score >= scorer.threshold for score in scores] == passes
    assert 0.05 * EVENTS < sum(passes) < 0.95 * EVENTS, "a loose quantile"
    predicted = loading.predictor(model).predict(events)
    assert [each["prediction"] for each in said] == predicted


def test_of_a_networks_last_layer_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inverse, "NETWORK_MOST", 0)
    model, events, said = published(tmp_path, "mlp", "models.for_scorers=true", "queries.strategy=leverage")
    assert model.scoring is not None
    assert model.scoring.last is not None
    assert None is model.scoring.whole.base_covariance
    assert [each["score"] for each in said] == scored(loading.scorer(model), events)[0]


@pytest.mark.parametrize(
    ("strategy", "inverse_there", "recent", "references"),
    [("uncertainty", False, 0, 0), ("leverage", True, 0, 0), ("informed", True, 100, 0), ("ssi", True, 0, 62)],
)
def test_there_is_in_it_what_the_strategy_looks_at_and_no_more(
    strategy: str, inverse_there: bool, recent: int, references: int, tmp_path: Path
) -> None:
    model, _, _ = published(tmp_path, "logistic", "models.for_scorers=true", f"queries.strategy={strategy}")
    assert model.scoring is not None
    seen = model.scoring.whole
    assert inverse_there == (seen.base_covariance is not None)
    assert recent == (0 if seen.recent is None else len(seen.recent))
    assert references == (0 if seen.references is None else len(seen.references.y))
    assert BLOCK <= np.nanmax(model.scoring.features.count) <= 62 + BLOCK


def test_a_model_that_is_not_for_scorers_is_refused(tmp_path: Path) -> None:
    model, _, _ = published(tmp_path, "logistic")
    with pytest.raises(CannotLoad, match=r"without models\.for_scorers = true"):
        loading.scorer(model)
