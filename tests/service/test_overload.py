"""Events that come faster than they are scored: what is skipped, how that adapts, and what it leaves alone."""

from __future__ import annotations

import json
from dataclasses import replace

from streamlearn import assemble
from streamlearn.config import Configuration, Kafka, Queries
from streamlearn.edges.memory import ManualClock, MemoryLog, MemorySink, MemorySource, MemoryStore
from streamlearn.service import overload
from streamlearn.service.daemon import Daemon, Ports
from streamlearn.service.health import Health
from streamlearn.service.metrics import Measurements
from streamlearn.service.ports import EVENTS, LABELS, POLL_RECORDS, QUERIES, Record

BUDGET, BACKLOG = 0.2, 500
QUERY = Queries(budget=BUDGET, audit_share=0.5, outstanding=10**6)
TOLD = replace(Configuration(), kafka=Kafka(overload="sample", backlog=BACKLOG), queries=QUERY)


class Desk:
    """A log and a store that outlive daemons."""

    def __init__(self, told: Configuration = TOLD) -> None:
        self.told, self.log, self.store, self.measurements = told, MemoryLog(), MemoryStore("s"), Measurements()
        self.sent = 0

    def started(self) -> Daemon:
        ports = Ports(MemorySource(self.log, waits=False), MemorySink(self.log), self.store, ManualClock(1e9))
        daemon = assemble.daemon_on(ports, self.told, Health(), self.measurements, lambda _: False, poll_timeout_s=0.0)
        daemon.start()
        return daemon

    def events(self, count: int) -> None:
        for _ in range(count):
            value = {"id": f"e{self.sent}", "x": [self.sent % 7 - 3.0, self.sent % 11 - 5.0]}
            self.log.append(EVENTS, json.dumps(value).encode())
            self.sent += 1

    def labels(self, first: int, count: int) -> None:
        for i in range(first, first + count):
            self.log.append(LABELS, json.dumps({"id": f"w{i}", "y": i % 2 == 0, "x": [i % 5, 1.0]}).encode())

    def value(self, name: str) -> float:
        (value,) = self.measurements.snapshot()[name].values()
        return value


def records(count: int) -> list[Record]:
    return [Record(EVENTS, i % 3, i, i + 1, b"k", b"v") for i in range(count)]


def kept(taken: list[Record]) -> set[int]:
    return {record.offset for record in taken if not record.skipped}


def test_the_share_is_even_reproducible_and_nested_and_places_stay():
    half, tenth = (overload.sample(records(20_000), 7, share) for share in (0.5, 0.1))
    assert half == overload.sample(records(20_000), 7, 0.5)
    assert kept(half) != kept(overload.sample(records(20_000), 8, 0.5))
    assert kept(tenth) < kept(half)
    for part in range(10):  # ± four standard deviations
        part_of_log = range(2000 * part, 2000 * (part + 1))
        assert abs(len(kept(half).intersection(part_of_log)) - 1000) < 90
        assert abs(len(kept(tenth).intersection(part_of_log)) - 200) < 54
    assert [(r.role, r.partition, r.offset, r.next) for r in records(20_000)] == [tuple(r[:4]) for r in tenth]
    assert {None} == {record.value for record in tenth if record.skipped}


def test_labels_are_never_skipped():
    labels = [record._replace(role=LABELS) for record in records(1000)]
    assert labels == overload.sample(labels, 0, 1e-9)


def test_the_share_follows_the_events_unread():
    assert 1.0 == overload.share({(EVENTS, 0): 100, (LABELS, 0): 10**6}, 100)
    assert 0.25 == overload.share({(EVENTS, 0): 100, (EVENTS, 1): 300}, 100)
    assert 1.0 == overload.share({(EVENTS, 0): 10**9}, 0)


def test_overload_is_left_behind_smoothly_and_everything_is_read_again_then():
    """Twice as many events come as are read in a turn: the lag settles at twice the backlog."""
    desk = Desk()
    daemon = desk.started()
    lags, shares = [], []
    for turn in range(60):
        if turn < 40:
            desk.events(2 * POLL_RECORDS)
        daemon.turn()
        lags.append(unread(desk))
        shares.append(daemon.pipeline.standing.share)
    settled = lags[20:40]
    assert max(settled) <= 8 * BACKLOG
    assert lags[-1] == 0
    assert 1.0 == shares[-1]
    rises = [shares[i + 1] - shares[i] for i in range(40, 59)]
    assert min(rises) >= 0.0, "it comes back without swinging"
    before = desk.value("streamlearn_skipped_total")
    desk.events(300)
    daemon.turn()
    assert before == desk.value("streamlearn_skipped_total")
    assert desk.sent == daemon.pipeline.ledger.count + before


def unread(desk: Desk) -> int:
    return len(desk.log.inputs[EVENTS]) - desk.store.load().positions.get((EVENTS, 0), 0)


def test_what_is_skipped_earns_no_budget_and_audits_say_their_chance_in_the_whole_stream():
    desk = Desk()
    desk.labels(0, 40)
    daemon = desk.started()
    desk.events(30_000)
    asked = 0
    while desk.store.load().positions.get((EVENTS, 0), 0) < desk.sent:
        share = daemon.pipeline.standing.share
        daemon.turn()
        issued = [json.loads(value) for value in desk.log.values(QUERIES)]
        assert len(issued) <= BUDGET * daemon.pipeline.ledger.count + 1
        for query in issued[asked:]:
            expected = BUDGET * 0.5 * share if query["reason"] == "audit" else 1.0
            assert expected == query["probability"]
        asked = len(issued)
    read, skipped = daemon.pipeline.ledger.count, desk.value("streamlearn_skipped_total")
    assert (desk.sent, True) == (read + skipped, skipped > 20_000)
    assert asked > 0.9 * BUDGET * read
    audits = [json.loads(value)["probability"] for value in desk.log.values(QUERIES) if b'"audit"' in value]
    # Weighed by their chances audits stand for the whole stream: ± four standard deviations.
    assert abs(sum(1 / each for each in audits) - desk.sent) < 4 * sum(each**-2 for each in audits) ** 0.5


def test_the_share_is_committed_so_that_a_kill_changes_no_decision():
    told, outcomes = TOLD, []
    for kills in (False, True):
        desk = Desk(told)
        desk.events(8000)
        daemon = desk.started()
        for _ in range(6):
            if kills:
                daemon = desk.started()
            daemon.turn()
        outcomes.append((sorted(daemon.pipeline.ledger.known), desk.log.values(QUERIES), desk.store.load().positions))
    assert outcomes[0] == outcomes[1]
    assert 500 < len(outcomes[0][0]) < 8000


def test_without_leave_nothing_is_skipped():
    desk = Desk(replace(TOLD, kafka=Kafka()))
    desk.events(5000)
    daemon = desk.started()
    while daemon.turn():
        pass
    assert (5000, 0.0) == (daemon.pipeline.ledger.count, desk.value("streamlearn_skipped_total"))


def test_a_store_that_was_overloaded_skips_nothing_once_that_is_not_allowed_any_more():
    desk = Desk()
    desk.events(8000)
    daemon = desk.started()
    daemon.turn()
    assert daemon.pipeline.standing.share < 1.0
    desk.told = replace(TOLD, kafka=Kafka())
    assert 1.0 == desk.started().pipeline.standing.share
