"""What a store that is built from the log holds, against the one that it replaces; on an embedded log, without a process."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest

from streamlearn import assemble, settings
from streamlearn.edges.memory import ManualClock
from streamlearn.edges.sqlite.backup import backup
from streamlearn.errors import CannotStart
from streamlearn.service.health import Health
from streamlearn.service.metrics import Measurements
from streamlearn.service.pipeline import Pipeline
from tests.end_to_end.daemon_process import append, lines

EXACT = ("features.standardise=false", "regularity.learn=false", "regularity.fixed=0.05")
DAY_S = 86_400.0


@final
class Desk:
    """A folder with a log and a store, and a clock. The labeler answers three of four queries, a poll later."""

    def __init__(self, folder: Path, *told: str) -> None:
        self.data, self.clock, self._fed = folder / "data", ManualClock(1.7e9), 0
        self.told = settings.read(None, {}, (f"log.path={self.data}", "queries.budget=0.2", *told))
        self.packed = 1  # events a line
        self.store, self._answered = self.data / "streamlearn.db", set[str]()

    def feed(self, events: int) -> None:
        made = [{"id": f"e{i}", "x": x(i)} for i in range(self._fed, self._fed + events)]
        parts = [made[at : at + self.packed] for at in range(0, events, self.packed)]
        append(self.data / "events.jsonl", *(part if self.packed > 1 else part[0] for part in parts))
        self._fed += events

    def answer(self) -> None:
        for id in self.asked():
            if id not in self._answered and int(id[1:]) % 4:
                append(self.data / "labels.jsonl", {"id": id, "y": truth(int(id[1:]))})
            self._answered.add(id)

    def asked(self) -> list[str]:
        return [query["id"] for query in lines(self.data / "queries.jsonl")]

    def run(self) -> Pipeline:
        """A daemon until it has read everything; its pipeline as it ended."""
        daemon = assemble.daemon(self.told, Health(), Measurements(), lambda seconds: False, self.clock, 0.0)
        try:
            daemon.start()
            while daemon.turn():
                self.clock.advance(1.0)
            daemon.drain()
        finally:
            daemon.close()
        return daemon.pipeline

    def rebuild(self) -> Pipeline:
        """A store built from the log, as a daemon finds it that has nothing more to read."""
        assemble.rebuild(self.told, Health(), Measurements(), lambda seconds: False, self.clock)
        return self.run()

    def rounds(self, count: int) -> Pipeline:
        for _ in range(count):
            self.feed(40)
            self.run()
            self.answer()
            self.clock.advance(60.0)
        return self.run()


def x(i: int) -> dict[str, float]:
    chance = random.Random(i)
    return {name: chance.gauss(0, 1) for name in ("a", "b", "c")}


def truth(i: int) -> bool:
    return x(i)["a"] - x(i)["b"] + 0.3 * random.Random(-i).gauss(0, 1) > 0.2


def held(pipeline: Pipeline) -> dict[str, Any]:
    """What has to be the same, whatever the order was."""
    ledger, selector, kept = pipeline.ledger, pipeline.standing.asking.selector, pipeline.state.examples
    return {
        "events": ledger.count,
        "labels": {id: kept.y[serial - kept.first] for id, serial in ledger.labeled.items()},
        "pending": {(entry.id, entry.reason, round(entry.expires, 2)) for entry in ledger.pending.values()},
        "waiting": set(ledger.waiting),
        "known": set(ledger.known),
        "issued": (selector.issued, selector.audits, selector.outstanding),
    }


def progressive(pipeline: Pipeline) -> float:
    """The mean loss of labels before they were learned: it tells after which others each was."""
    return pipeline.state.progress.mean or 0.0


def theta(pipeline: Pipeline) -> Any:
    assert pipeline.state.published is not None
    return pipeline.state.published.theta


@pytest.mark.parametrize("packed", [1, 8])
def test_with_an_exact_solver_a_fixed_regularity_and_raw_features_the_model_is_the_same(
    tmp_path: Path, packed: int
) -> None:
    desk = Desk(tmp_path, *EXACT)
    desk.packed = packed
    before = desk.rounds(8)
    asked = desk.asked()
    after = desk.rebuild()
    assert held(before) == held(after)
    np.testing.assert_allclose(theta(after), theta(before), rtol=1e-7, atol=1e-9)
    assert asked == desk.asked(), "nothing is published"


def test_with_everything_learned_from_the_data_the_model_is_close(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    before, after = desk.rounds(10), desk.rebuild()
    assert held(before) == held(after)
    fits = before.state.published, after.state.published
    assert fits[0] is not None
    assert fits[1] is not None
    assert 0.8 < fits[1].regularity / fits[0].regularity < 1.25
    assert abs(progressive(after) / progressive(before) - 1.0) < 1e-3, "labels were learned when they had been"
    assert float(np.linalg.norm(theta(after) - theta(before))) < 0.1 * float(np.linalg.norm(theta(before)))


def test_what_was_passed_over_is_not_asked_about_and_nothing_is_caught_up(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "queries.outstanding=1000")
    desk.rounds(5)
    before = desk.asked()
    desk.rebuild()
    desk.feed(100)
    desk.run()
    new = desk.asked()[len(before) :]
    assert all(int(id[1:]) >= 200 for id in new)
    assert 10 <= len(new) <= 20, "a fifth of a hundred events"
    issued = [sum(int(id[1:]) < 200 + n for id in new) for n in range(101)]
    assert all(count <= np.ceil(0.2 * n) + 1 for n, count in enumerate(issued))


def test_events_that_came_after_the_last_commit_are_asked_about_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.rounds(3)
    desk.feed(100)  # the daemon is away
    desk.store.unlink()
    after = desk.rebuild()
    assert 220 == after.ledger.count
    asked = desk.asked()
    assert len(asked) == len(set(asked))
    assert 10 <= sum(int(id[1:]) >= 120 for id in asked) <= 20


def test_labels_find_what_was_asked_about_though_the_events_are_gone(tmp_path: Path) -> None:
    desk = Desk(tmp_path, *EXACT)
    before = desk.rounds(6)
    (desk.data / "events.jsonl").write_bytes(b"")
    after = desk.rebuild()
    expected, actual = held(before), held(after)
    assert {key: expected[key] for key in ("labels", "pending", "issued")} == {
        key: actual[key] for key in ("labels", "pending", "issued")
    }
    assert set(desk.asked()) == actual["known"]
    np.testing.assert_allclose(theta(after), theta(before), rtol=1e-7, atol=1e-9)


def test_labels_that_were_replaced_given_with_features_or_forgotten_are_what_they_were(tmp_path: Path) -> None:
    desk = Desk(tmp_path, *EXACT)
    append(desk.data / "labels.jsonl", *({"id": f"warm{i}", "y": truth(i), "x": x(i)} for i in range(10)))
    desk.rounds(4)
    asked = desk.asked()
    labels = [
        {"id": asked[1], "y": None},
        {"id": next(id for id in asked if int(id[1:]) % 4 == 0), "y": None},  # it is pending
        {"id": "warm3", "y": None},
        {"id": "warm4", "y": not truth(4)},
        {"id": "e2", "y": truth(2)},  # it was not asked about, or answered: given anew
        {"id": "e999", "y": True},  # its event has not come
    ]
    append(desk.data / "labels.jsonl", *labels)
    before, after = desk.run(), desk.rebuild()
    assert held(before) == held(after)
    assert "e999" in after.ledger.waiting
    assert asked[1] not in after.ledger.labeled.keys() | after.ledger.pending.keys()
    np.testing.assert_allclose(theta(after), theta(before), rtol=1e-7, atol=1e-9)


def test_queries_that_expired_are_not_waited_for(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.rounds(3)
    desk.clock.advance(2.0 * DAY_S)
    desk.feed(1)
    assert held(desk.run())["pending"] == held(desk.rebuild())["pending"]
    assert not held(desk.run())["issued"][2] > 1


def test_an_old_copy_of_the_store_is_refused_and_the_log_takes_it_further(tmp_path: Path) -> None:
    desk = Desk(tmp_path, *EXACT)
    desk.rounds(2)
    backup(desk.store, tmp_path / "copy.db")
    before = desk.rounds(2)
    content = [path.read_bytes() for path in sorted(desk.data.glob("*.jsonl"))]
    (tmp_path / "copy.db").rename(desk.store)
    with pytest.raises(CannotStart, match=r"an old copy; put the store of before back, or .* --rebuild"):
        desk.run()
    assert content == [path.read_bytes() for path in sorted(desk.data.glob("*.jsonl"))], "no output is cut"
    assert held(before) == held(desk.rebuild())


def test_a_copy_of_the_last_commit_goes_on_where_it_was(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    before = desk.rounds(3)
    backup(desk.store, tmp_path / "copy.db")
    desk.store.write_bytes(b"damaged")
    (tmp_path / "copy.db").rename(desk.store)
    assert held(before) == held(desk.run())


def test_queries_of_two_partitions_are_taken_in_the_order_in_which_they_were_asked(tmp_path: Path) -> None:
    """As partitions are read one after the other, the topic's order is not theirs."""
    desk = Desk(tmp_path, *EXACT)
    before = desk.rounds(6)
    path = desk.data / "queries.jsonl"
    queries = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(queries[1::2] + queries[::2]))
    after = desk.rebuild()
    assert held(before) == held(after)
    rounds = [{id: ordinal // 40 for id, ordinal in each.ledger.known.items()} for each in (before, after)]
    assert rounds[0] == rounds[1], "within a poll, where nothing tells them apart, they may come in another order"
    np.testing.assert_allclose(theta(after), theta(before), rtol=1e-7, atol=1e-9)


def test_a_query_that_cannot_be_read_keeps_nothing_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(tmp_path)
    before = desk.rounds(3)
    path = desk.data / "queries.jsonl"
    path.write_bytes(b'{"id": 7}\nnot JSON\n' + path.read_bytes())
    after = desk.rebuild()
    assert held(before)["labels"] == held(after)["labels"]
    assert 2 == sum("a query cannot be read" in record.message for record in caplog.records)


def test_the_positions_of_before_are_in_the_trace(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.rounds(2)
    trace = json.loads((desk.data / ".published").read_bytes())
    assert {"events", "labels"} >= {role for role, _, _ in trace["positions"]}
    assert (desk.data / "events.jsonl").stat().st_size in [next for _, _, next in trace["positions"]]


def test_no_label_is_lost_where_labels_before_it_are_gone_and_none_may_wait(tmp_path: Path) -> None:
    """Queries then name more labels than there are, and a label before its event would be rejected."""
    desk = Desk(tmp_path, *EXACT, "labels.wait=0")
    before = desk.rounds(8)
    path = desk.data / "labels.jsonl"
    given = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(given[len(given) // 2 :]))
    after = held(desk.rebuild())["labels"]
    assert {json.loads(line)["id"]: json.loads(line)["y"] for line in given[len(given) // 2 :]} == after
    assert after.items() <= held(before)["labels"].items()


def test_where_the_queries_are_gone_nothing_that_was_passed_over_is_asked_about(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "queries.outstanding=1000")
    desk.rounds(5)
    (desk.data / "queries.jsonl").write_bytes(b"")
    after = desk.rebuild()
    assert (200, (0, 0, 0), []) == (after.ledger.count, held(after)["issued"], desk.asked())
    assert len(after.ledger.labeled) > 10, "labels find the events"


def test_with_a_transformer_the_model_is_close(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "features.river=river.preprocessing:StandardScaler")
    before, after = desk.rounds(8), desk.rebuild()
    assert held(before) == held(after)
    assert float(np.linalg.norm(theta(after) - theta(before))) < 0.2 * float(np.linalg.norm(theta(before)))
