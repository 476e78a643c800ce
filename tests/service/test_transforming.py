"""`features.river`: what a transformer makes of events is what the model knows of them, and nothing it does ends a daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from river import preprocessing

from streamlearn import assemble, settings
from streamlearn.edges import plugins
from streamlearn.errors import CannotStart, ConfigurationError
from streamlearn.service import restore
from streamlearn.service.ports import EVENTS, LABELS, REJECTED, Record
from tests.laws import logs
from tests.laws.logs import Trial
from tests.service import transformers

HERE = "tests.service.transformers"


def trial(name: str, *told: str) -> Trial:
    return logs.trial(settings.read(None, {}, (f"features.river={HERE}:{name}", "queries.budget=1", *told)))


def feed(here: Trial, role: str, *values: dict[str, Any]) -> None:
    first = here.store.load().number * 1000
    here.poll(
        [Record(role, 0, first + i, first + i + 1, None, json.dumps(each).encode()) for i, each in enumerate(values)]
    )


def kept(here: Trial) -> np.ndarray[Any, Any]:
    examples = here.pipeline.state.examples
    return examples.X[: len(examples)]


def test_a_label_that_comes_later_meets_the_features_that_were_scored() -> None:
    here, scaler, expected = trial("scaled"), preprocessing.StandardScaler(), []
    for i in range(30):
        x = {"a": float(i * i), "b": float(i % 4)}
        scaler.learn_one(x)
        expected.append(list(scaler.transform_one(x).values()))
        feed(here, EVENTS, {"id": i, "x": x | {"text": "left out"}})
    feed(here, LABELS, *({"id": i, "y": i % 4 > 1} for i in range(30)))
    assert ["a", "b"] == here.pipeline.state.columns.names
    np.testing.assert_array_equal(kept(here), expected)
    fit = here.pipeline.state.published
    assert fit is not None
    assert abs(fit.theta[2]) > abs(fit.theta[1])


def test_a_label_with_features_of_its_own_is_learned_of_once() -> None:
    here, scaler = trial("scaled"), preprocessing.StandardScaler()
    for value in (1.0, 5.0):
        scaler.learn_one({"a": value})
    feed(here, EVENTS, {"id": 0, "x": {"a": 1.0}})
    feed(here, LABELS, {"id": 0, "y": True, "x": {"a": 1.0}}, {"id": 1, "y": False, "x": {"a": 5.0}})
    assert scaler.transform_one({"a": 5.0})["a"] == kept(here)[1, 0]


def test_words_are_learned_and_one_that_is_absent_is_zero() -> None:
    here = trial("words")
    bodies = ["you won a prize" if i % 3 == 0 else "see you later today" for i in range(60)]
    feed(here, EVENTS, *({"id": i, "x": {"body": body}} for i, body in enumerate(bodies)))
    feed(here, LABELS, *({"id": i, "y": "prize" in body} for i, body in enumerate(bodies)))
    fit, names = here.pipeline.state.published, here.pipeline.state.columns.names
    assert fit is not None
    assert sorted({word for body in bodies for word in body.split() if len(word) > 1}) == sorted(names)
    theta = dict(zip(names, fit.theta[1:], strict=True))
    assert theta["prize"] > 0.1
    assert theta["later"] < -0.1
    assert 0.0 == kept(here)[1, names.index("prize")]


def test_an_array_is_a_map_of_places() -> None:
    here = trial("scaled")
    feed(here, EVENTS, {"id": 0, "x": [1.0, 2.0]})
    assert ["x0", "x1"] == here.pipeline.state.columns.names


def test_columns_do_not_depend_on_the_order_in_which_a_transformer_names_them() -> None:
    here = trial("turned")
    feed(here, EVENTS, {"id": 0, "x": {"b": 1.0, "c": 2.0, "a": 3.0}})
    assert ["a", "b", "c"] == here.pipeline.state.columns.names


def test_an_event_on_which_it_fails_is_rejected_and_the_next_is_not() -> None:
    here = trial("ratio")
    events = [{"a": 1.0, "b": 0.0}, {"a": 1.0}, {"a": 1.0, "b": 2.0}]
    feed(here, EVENTS, *({"id": i, "x": x} for i, x in enumerate(events)))
    rejected = [json.loads(message.value)["reason"] for message in here.published if message.role == REJECTED]
    assert rejected == [
        "features.river failed on x: ZeroDivisionError: float division by zero",
        "features.river failed on x: KeyError: 'b'",
    ]
    assert 1 == here.pipeline.ledger.count


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("by_label", "learns from labels (TargetAgg), which events have none of; name a transformer that learns"),
        ("not_saved", "cannot be saved ("),
        ("no_transformer", "makes no transformer (TypeError"),
        ("nothing", "cannot be loaded (AttributeError"),
    ],
)
def test_what_is_no_transformer_of_events_is_refused_in_one_line(name: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        plugins.transformer(f"{HERE}:{name}")
    text = str(refused.value)
    assert text.startswith(f"features.river {HERE}:{name} {said}")
    assert text.isprintable()


def test_every_daemon_has_a_transformer_of_its_own() -> None:
    here, other = trial("scaled"), trial("scaled")
    feed(here, EVENTS, *({"id": i, "x": {"a": float(i)}} for i in range(9)))
    feed(other, EVENTS, {"id": 0, "x": {"a": 5.0}})
    assert not transformers.scaled["StandardScaler"].counts
    feed(other, LABELS, {"id": 0, "y": True})
    assert 0.0 == kept(other)[0, 0]  # the first of its own


def test_a_transformer_that_cannot_be_read_is_said_and_not_run_over(tmp_path: Path) -> None:
    here = trial("scaled")
    transforming = here.pipeline.standing.transforming
    assert transforming is not None
    held = transforming.kept()
    broken = type(held)(held.name, held.pickled[:-9])
    with pytest.raises(CannotStart, match=r"start with the versions of before; .* --rebuild"):
        transforming.restore(broken)


def test_who_only_reads_a_store_runs_no_pickle() -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return exec, ("raise SystemExit('it ran')",)

    here = trial("scaled")
    assert here.pipeline.standing.transforming is not None
    here.pipeline.standing.transforming._transformer = Bomb()  # type: ignore[assignment]
    here.poll([])
    reader = logs.trial(settings.read(None, {}, ()))
    restore.put_back(reader.pipeline, here.store.load(), for_reading=True)
    daemon = assemble.pipeline(settings.read(None, {}, ()), here.store.recall, here.pipeline.standing.measurements)
    with pytest.raises(ConfigurationError, match=r"features\.river is ''; the store was built with"):
        restore.put_back(daemon, here.store.load())
