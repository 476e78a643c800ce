"""Every key of the configuration, changed on a store that is there: refused or taken, as the README's table says."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamlearn import assemble, settings
from streamlearn.edges.sqlite.store import SqliteStore
from streamlearn.errors import CannotStart, ConfigurationError
from streamlearn.service import restore, snapshot
from streamlearn.service.metrics import Measurements
from tests.end_to_end.daemon_process import append
from tests.recovery.test_rebuild import Desk, truth, x
from tests.test_docs import section
from tests.test_settings import BESIDE, OTHER, get

KAFKA = ("log.kind=kafka",)
# A value that can be run with, where the one of `test_settings` cannot.
VALUE = {
    "log.kind": "kafka",
    "features.names": "a,b",
    "model.loss": "softmax",
    "model.classes": "ham,spam",
    "model.hidden": "3",
    "model.shape": "4",
    "model.vocabulary": "99",
    "regularity.regularizer": "l1",
    "regularity.free": "a",
    "regularity.parameters": "2.*",
    "features.standardise": "false",
    "features.river": "river.preprocessing:StandardScaler",
}
BUILT_WITH = {"model.loss": "logistic", "model.classes": (False, True), "model.shape": 3}  # where the data decided
NETWORK = ("training.steps_per_label=1",)


def plain(inputs: int, outputs: int) -> Any:
    """A factory of a user's."""
    import torch

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = torch.nn.Linear(inputs, outputs)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.body(x.to(self.body.weight.dtype))  # type: ignore[no-any-return]

    return Plain()


def table() -> dict[str, str]:
    """Key → what the README says of changing it; "" for all others."""
    text = section("Another configuration on the same store")
    said = {}
    for line in text.splitlines():
        if line.startswith("| `"):
            keys, meaning = line.strip("| ").split(" | ")
            said |= dict.fromkeys(re.findall(r"`([\w.]+)`", keys), meaning)
    return said


TABLE = table()
REFUSED = [key for key, meaning in TABLE.items() if meaning.startswith("refused")]
OF_A_BROKER = [key for key, told in BESIDE.items() if KAFKA[0] in told]  # in `test_waiting` and `test_overload`
ELSEWHERE = ["store.path", "kafka.settings", *OF_A_BROKER]
TAKEN = [key for key in settings.TYPES if key not in REFUSED and key not in ELSEWHERE]


def of(key: str) -> str:
    return VALUE.get(key, OTHER[key][0].strip('"'))


def base(key: str) -> tuple[str, ...]:
    """What has to be said for the key to mean anything, without the key itself."""
    if key == "name":
        return KAFKA
    told = tuple(each for each in BESIDE.get(key, ()) if not each.startswith(f"{key}="))
    if key == "features.kind":
        return ("model.kind=tests.recovery.test_changed_configuration:plain",)
    return (*told, *NETWORK) if told else ()


def test_every_key_that_the_table_names_is_one() -> None:
    assert set(TABLE) <= set(settings.TYPES)
    assert len(REFUSED) > 10


def tokens(desk: Desk) -> bool:
    return desk.told.features.kind == "tokens"


def feed(desk: Desk, first: int, count: int) -> None:
    """Events, and labels of some of them with their features."""
    for i in range(first, first + count):
        values = list(x(i).values())
        features = [i % 7, 1 + i % 5] if tokens(desk) else values if desk.told.model.shape else x(i)
        append(desk.data / f"{desk.told.topics.events}.jsonl", {"id": f"e{i}", "x": features})
        if i % 4 == 0:
            append(desk.data / f"{desk.told.topics.labels}.jsonl", {"id": f"e{i}", "y": truth(i), "x": features})


def changed(desk: Desk, key: str) -> None:
    desk.told = settings.read(None, {}, (f"log.path={desk.data}", *base(key), f"{key}={of(key)}"))


@pytest.mark.parametrize("key", TAKEN)
def test_a_change_that_is_free_is_taken_and_learning_goes_on(key: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path, *base(key))
    feed(desk, 0, 60)
    before = desk.run().state
    if key == "log.path":
        desk.data = desk.data.rename(tmp_path / "elsewhere")
        desk.told = settings.read(None, {}, (f"log.path={desk.data}",))
    elif key == "regularity.origin":
        (tmp_path / "origin").mkdir()
        origin = Desk(tmp_path / "origin")
        feed(origin, 0, 60)
        origin.run()
        desk.told = replace(desk.told, regularity=replace(desk.told.regularity, origin=str(origin.store)))
    else:
        changed(desk, key)
        default = settings.read(None, {}, (f"log.path={desk.data}", *base(key)))
        assert get(default, key) != get(desk.told, key) or key == "kafka.client"
    feed(desk, 60, 40)
    after = desk.run().state
    assert before.labels + 10 == after.labels
    assert after.fit is not None
    assert np.isfinite(after.fit.theta).all()
    assert 0 == after.skipped


@pytest.mark.parametrize("key", REFUSED)
def test_a_change_that_is_not_free_is_refused_in_one_line_that_names_both_values(key: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path, *(told for told in base(key) if told not in KAFKA))
    if key == "model.shape":
        desk.told = replace(desk.told, model=replace(desk.told.model, shape=(3,)))
    feed(desk, 0, 60)
    desk.run()
    store = SqliteStore(desk.store, read_only=True)
    saved = store.load()
    store.close()
    before = BUILT_WITH.get(key, get(desk.told, key))
    if key in ("name", "topics.candidates"):  # as a daemon on Kafka would have written it
        stored = snapshot.unpack(restore.Snapshot, saved.snapshot)
        log = (("log.kind", "kafka"), (key, before))
        saved = replace(saved, snapshot=snapshot.pack(replace(stored, log=log)))
    changed(desk, key)
    after = get(desk.told, key)
    pipeline = assemble.pipeline(desk.told, lambda ids: {}, Measurements())
    with pytest.raises(ConfigurationError) as refused:
        restore.put_back(pipeline, saved)
    text = str(refused.value)
    assert text.isprintable(), "one line"
    assert "start once with --rebuild" in text
    assert key in text
    assert repr(after) in text or key in ("model.hidden", "model.shape")
    assert repr(before) in text or key == "model.hidden"


def test_another_store_is_refused_by_the_log(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.rounds(2)
    desk.told = replace(desk.told, store=replace(desk.told.store, path=str(tmp_path / "other.db")))
    with pytest.raises(CannotStart, match=r"was written by another store.* --rebuild"):
        desk.run()
