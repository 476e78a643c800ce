"""The daemon's loop on memory edges: the order of a commit, what an idle turn does, and when it commits on a quiet stream."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import final

import pytest

from streamlearn import assemble
from streamlearn.config import Configuration, Queries, Training
from streamlearn.core import sgdf
from streamlearn.edges.memory import ManualClock, MemoryLog, MemorySink, MemorySource, MemoryStore
from streamlearn.errors import Unavailable
from streamlearn.service import restore
from streamlearn.service.daemon import COMMIT_AGAIN_S, SETTLE_MOST_S, Daemon, Ports
from streamlearn.service.health import DEAD_AFTER_S, Health
from streamlearn.service.metrics import Measurements
from streamlearn.service.patience import PAUSE_LEAST_S, PAUSE_MOST_S
from streamlearn.service.ports import (
    EVENTS,
    LABELS,
    QUERIES,
    Commit,
    Inherited,
    Position,
    Record,
    Remembered,
    Saved,
    Sink,
    Skip,
    Source,
    Store,
)

DAY_S = 86_400.0
TOLD = replace(Configuration(), queries=Queries(budget=0.5, expire_s=3600.0))


@final
class Told:
    """What the store and the sink were asked to do, in order; each may be away for a number of calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.away: dict[str, int] = {}

    def __call__(self, name: str) -> None:
        if self.away.get(name, 0) > 0:
            self.away[name] -= 1
            raise Unavailable(f"{name} is away")
        self.calls.append(name)


@final
class NotingStore(Store):
    def __init__(self, store: MemoryStore, told: Told) -> None:
        self._store, self._told = store, told

    def load(self) -> Saved:
        return self._store.load()

    def commit(self, commit: Commit) -> None:
        self._told("commit")
        self._store.commit(commit)

    def recall(self, ids: object) -> dict[str, Remembered]:
        return self._store.recall(ids)  # type: ignore[arg-type]

    def of_user(self, user: str) -> list[str]:
        return self._store.of_user(user)

    def clear_outbox(self) -> None:
        self._told("clear")
        self._store.clear_outbox()

    def close(self) -> None:
        self._told("close store")


@final
class NotingSink(Sink):
    def __init__(self, sink: MemorySink, told: Told) -> None:
        self._sink, self._told = sink, told

    def open(self, store_id: str, saved_number: int, replaces: str | None = None) -> int | None:
        self._told("open")
        return self._sink.open(store_id, saved_number, replaces)

    def inherit(self) -> Inherited:
        return self._sink.inherit()

    def ends(self) -> dict[str, int]:
        return self._sink.ends()

    def publish(self, commit: Commit) -> None:
        self._told("publish")
        self._sink.publish(commit)

    def close(self) -> None:
        self._told("close sink")
        self._sink.close()


@final
class Desk:
    """A log, a store and a clock that outlive daemons."""

    def __init__(self) -> None:
        self.log, self.store, self.clock, self.told = MemoryLog(), MemoryStore(), ManualClock(1e9), Told()
        self.health, self.measurements, self.pauses = Health(), Measurements(), list[float]()
        self.turns = 10**9  # until asked to stop
        self.configuration = TOLD

    def daemon(self, pause: Callable[[float], bool] | None = None) -> Daemon:
        ports = Ports(
            MemorySource(self.log, waits=False),
            NotingSink(MemorySink(self.log), self.told),
            NotingStore(self.store, self.told),
            self.clock,
        )
        told = self.configuration, self.health, self.measurements
        return assemble.daemon_on(ports, *told, pause or self._pause, poll_timeout_s=0.0)

    def started(self) -> Daemon:
        daemon = self.daemon()
        daemon.start()
        self.told.calls.clear()
        return daemon

    def events(self, first: int, count: int) -> None:
        for i in range(first, first + count):
            self.log.append(EVENTS, json.dumps({"id": f"e{i}", "x": [i % 3, i % 7]}).encode())

    def batches(self, count: int, size: int) -> None:
        """So many records of `size` events each, which are those of `events(0, count * size)`."""
        for i in range(count):
            values = [{"id": f"e{j}", "x": [j % 3, j % 7]} for j in range(i * size, (i + 1) * size)]
            self.log.append(EVENTS, json.dumps(values).encode())

    def labels(self, first: int, count: int) -> None:
        for i in range(first, first + count):
            self.log.append(LABELS, json.dumps({"id": f"e{i}", "y": i % 3 == 0}).encode())

    def measured(self, name: str, *labels: str) -> float:
        return self.measurements.snapshot()[name].get(labels, 0.0)

    def queries(self) -> list[str]:
        return [json.loads(value)["id"] for value in self.log.values(QUERIES)]

    def _pause(self, seconds: float) -> bool:
        if seconds:
            self.pauses.append(seconds)
            self.clock.advance(seconds)
            return False
        self.turns -= 1
        return self.turns < 0


def test_the_store_is_written_before_anything_is_published() -> None:
    desk = Desk()
    daemon = desk.started()
    desk.events(0, 10)
    assert 10 == daemon.turn()
    assert ["commit", "publish", "clear"] == desk.told.calls
    assert 1 == daemon.number == desk.store.load().number
    assert desk.queries() == list(daemon.pipeline.ledger.pending)
    assert {(EVENTS, 0): 10} == desk.store.load().positions


def test_a_commit_closes_between_records_when_they_hold_more_events_than_it_takes() -> None:
    desk, single = Desk(), Desk()
    daemon = desk.started()
    desk.batches(5, 400)
    assert [3, 2, 0] == [daemon.turn() for _ in range(3)]
    assert 2 == daemon.number
    assert {(EVENTS, 0): 5} == desk.store.load().positions
    other = single.started()
    single.events(0, 2000)
    while other.turn():
        ...
    assert single.queries() == desk.queries()
    assert restore.digest(other.pipeline) == restore.digest(daemon.pipeline)


def test_what_was_polled_and_not_dealt_with_is_lag_and_is_read_again_after_a_kill() -> None:
    desk = Desk()
    daemon = desk.started()
    desk.batches(5, 400)
    daemon.turn()
    assert {(EVENTS, 0): 3} == desk.store.load().positions
    assert 2 == desk.measured("streamlearn_lag", "events", "0")
    again = desk.started()  # the one before is never heard of again
    assert 2 == again.turn()
    assert 2000 == again.pipeline.ledger.count
    assert 0 == desk.measured("streamlearn_lag", "events", "0")
    assert 0 == desk.measured("streamlearn_rejected_total", "events", "duplicate")


def test_a_turn_in_which_nothing_came_commits_nothing() -> None:
    desk = Desk()
    daemon = desk.started()
    assert 0 == daemon.turn()
    desk.events(0, 10)
    daemon.turn()
    desk.told.calls.clear()
    assert 0 == daemon.turn()
    assert [] == desk.told.calls


def test_an_idle_turn_learns_what_waits_for_a_cut_to_fill_and_commits_it() -> None:
    desk = Desk()
    daemon = desk.started()
    desk.events(0, 400)
    daemon.turn()
    desk.labels(0, 203)
    daemon.turn()
    assert daemon.pipeline.state.unfitted > 0
    desk.told.calls.clear()
    daemon.turn()
    assert 0 == daemon.pipeline.state.unfitted
    assert ["commit", "publish", "clear"] == desk.told.calls
    again = desk.daemon()
    again.start()
    assert restore.digest(daemon.pipeline) == restore.digest(again.pipeline)


def test_expired_queries_are_committed_though_nothing_came() -> None:
    desk = Desk()
    daemon = desk.started()
    desk.events(0, 10)
    daemon.turn()
    asked = len(desk.store.load().pending)
    assert asked > 0
    desk.clock.advance(3600.0)
    daemon.turn()
    assert [] == desk.store.load().pending
    assert {(): float(asked)} == desk.measurements.snapshot()["streamlearn_queries_expired_total"]


@pytest.mark.parametrize("ahead_s", [DAY_S, 1e9])
def test_queries_that_were_asked_by_a_clock_that_was_ahead_expire_once_it_is_put_right(ahead_s: float) -> None:
    desk = Desk()
    desk.clock.set(1e9 + ahead_s)
    desk.events(0, 10)
    desk.started().turn()
    asked = len(desk.store.load().pending)
    assert asked > 0
    desk.clock.set(1e9)
    daemon = desk.started()
    daemon.turn()
    assert {1e9 + 3600.0} == {entry.expires for entry in desk.store.load().pending}
    assert asked == len(desk.store.load().pending)
    again = desk.started()
    assert restore.take(again.pipeline) == desk.store.load().snapshot
    assert list(again.pipeline.ledger.pending) == list(daemon.pipeline.ledger.pending)
    desk.clock.advance(3600.0)
    again.turn()
    assert [] == desk.store.load().pending
    desk.events(10, 100)
    again.turn()
    assert {1e9 + 7200.0} == {entry.expires for entry in desk.store.load().pending}


def test_a_clock_that_jumps_a_day_ahead_lets_queries_expire_and_their_labels_still_count() -> None:
    desk = Desk()
    daemon = desk.started()
    desk.events(0, 10)
    daemon.turn()
    asked = desk.queries()
    for now in (1e9 + DAY_S, 1e9 - DAY_S, 1e9):
        desk.clock.set(now)
        daemon.turn()
        assert [] == desk.store.load().pending
    for id in asked:
        desk.log.append(LABELS, json.dumps({"id": id, "y": True}).encode())
    desk.log.append(EVENTS, json.dumps({"id": asked[0], "x": [0, 0]}).encode())  # once more
    daemon.turn()
    assert sorted(asked) == sorted(daemon.pipeline.ledger.labeled)
    assert asked == desk.queries()


def test_on_a_quiet_stream_it_commits_again_so_that_its_trace_in_the_log_does_not_expire() -> None:
    desk = Desk()
    daemon = desk.started()
    desk.clock.advance(COMMIT_AGAIN_S)
    daemon.turn()
    assert [] == desk.told.calls  # nothing was ever committed: there is no trace to keep
    desk.events(0, 1)
    desk.labels(0, 1)
    daemon.turn()
    number = daemon.number
    desk.clock.advance(COMMIT_AGAIN_S - 1.0)
    daemon.turn()
    assert number == daemon.number
    desk.clock.advance(1.0)
    daemon.turn()
    assert number + 1 == daemon.number


@pytest.mark.parametrize("wrong", [-1e7, 1e7])
def test_putting_the_wall_clock_right_neither_delays_nor_hastens_that(wrong: float) -> None:
    desk = Desk()
    daemon = desk.started()
    desk.log.append(LABELS, json.dumps({"id": "a", "y": True, "x": [1, 2]}).encode())
    daemon.turn()
    number = daemon.number
    desk.clock.set(1e9 + wrong)
    daemon.turn()
    assert number == daemon.number
    desk.clock.advance(COMMIT_AGAIN_S)
    daemon.turn()
    assert number + 1 == daemon.number


def test_what_was_committed_and_not_published_is_published_at_the_start() -> None:
    desk = Desk()
    desk.events(0, 10)
    desk.told.away["publish"] = 10**9

    class Killed(Exception):
        """The process ends here."""

    def killed(seconds: float) -> bool:
        raise Killed

    daemon = desk.daemon(killed)
    daemon.start()
    with pytest.raises(Killed):
        daemon.turn()
    assert [] == desk.queries()
    assert 1 == desk.store.load().number
    desk.told.away.clear()
    desk.told.calls.clear()
    again = desk.daemon()
    again.start()
    assert ["open", "publish", "clear"] == desk.told.calls
    assert desk.queries() == list(again.pipeline.ledger.pending) != []
    assert 0 == again.turn()
    assert 1 == again.number


def test_the_worlds_faults_are_waited_out_with_growing_pauses(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    daemon = desk.started()
    desk.events(0, 10)
    desk.told.away = {"commit": 12}
    caplog.set_level(logging.INFO)
    daemon.turn()
    told = [(each.__dict__.get("action"), each.__dict__.get("part")) for each in caplog.records]
    assert [("unavailable", "store")] * 12 + [("back", "store")] == [each for each in told if each[0] != "starved"]
    assert PAUSE_LEAST_S == desk.pauses[0]
    assert PAUSE_MOST_S == desk.pauses[-1]
    assert sorted(desk.pauses) == desk.pauses
    assert 12 == len(desk.pauses)
    assert {} == desk.health.readiness()
    assert 1 == daemon.number


def test_after_a_failed_publication_the_sink_is_opened_again_first() -> None:
    desk = Desk()
    daemon = desk.started()
    desk.events(0, 10)
    desk.told.away = {"publish": 2}
    daemon.turn()
    assert ["commit", "open", "open", "publish", "clear"] == desk.told.calls
    assert len(desk.queries()) == len({*desk.queries()}) == len(daemon.pipeline.ledger.pending)


def test_a_run_drains_and_closes_everything() -> None:
    desk = Desk()
    desk.events(0, 400)
    desk.labels(0, 203)
    desk.turns = 1
    daemon = desk.daemon()
    assert daemon.run()
    assert 0 == daemon.pipeline.state.unfitted
    assert ["close sink", "close store"] == desk.told.calls[-2:]
    assert {(EVENTS, 0): 400, (LABELS, 0): 203} == desk.store.load().positions
    again = desk.daemon()
    again.start()
    assert restore.digest(daemon.pipeline) == restore.digest(again.pipeline)


def test_a_run_that_is_stopped_while_the_log_is_away_says_so_and_the_next_one_publishes() -> None:
    desk = Desk()
    desk.events(0, 10)
    desk.told.away = {"publish": 10**9}
    assert not desk.daemon(pause=bool).run()
    assert ["close sink", "close store"] == desk.told.calls[-2:]
    assert [] == desk.queries()
    desk.told.away, desk.turns = {}, 1
    assert desk.daemon().run()
    assert len(desk.queries()) == len({*desk.queries()}) > 0


def test_each_label_counts_once_however_often_the_daemon_is_started_anew() -> None:
    desk = Desk()
    for i in range(8):
        daemon = desk.started()
        desk.events(30 * i, 30)
        daemon.turn()
        desk.labels(30 * i, 20)
        daemon.turn()
    assert (240, 160) == (daemon.pipeline.ledger.count, daemon.pipeline.state.labels)
    assert len(desk.queries()) == len({*desk.queries()})


@final
class MovingSource(Source):
    """Says once that it had to move."""

    def __init__(self, source: MemorySource, skips: dict[Position, Skip]) -> None:
        self._source, self.skips = source, skips

    def open(self, positions: dict[Position, int]) -> None:
        self._source.open(positions)

    def poll(self, timeout_s: float) -> list[Record]:
        return self._source.poll(timeout_s)

    def lag(self) -> dict[Position, int]:
        return self._source.lag()

    def skipped(self) -> dict[Position, Skip]:
        skips, self.skips = self.skips, {}
        return skips

    def close(self) -> None: ...


def test_where_reading_was_moved_to_is_committed_and_counted_and_what_was_read_there_counts_on() -> None:
    desk = Desk()
    source = MovingSource(MemorySource(desk.log, waits=False), {(LABELS, 0): Skip(7, None)})
    ports = Ports(source, MemorySink(desk.log), desk.store, desk.clock)
    daemon = assemble.daemon_on(ports, TOLD, desk.health, desk.measurements, lambda _: False, poll_timeout_s=0.0)
    daemon.start()
    daemon.turn()
    assert {(LABELS, 0): 7} == desk.store.load().positions
    desk.events(0, 3)
    source.skips = {(EVENTS, 0): Skip(2, 2)}  # what is read comes from behind it
    daemon.turn()
    assert {(LABELS, 0): 7, (EVENTS, 0): 3} == desk.store.load().positions
    assert {("events",): 2.0, ("labels",): 0.0} == desk.measurements.snapshot()["streamlearn_lost_total"]
    assert 2 == daemon.number
    daemon.turn()
    assert 2 == daemon.number


def test_that_no_event_can_be_chosen_by_its_score_is_warned_of_once_each_time(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    daemon = desk.started()

    caplog.set_level(logging.INFO)

    def warnings() -> list[str]:
        found = [each for each in caplog.records if getattr(each, "action", "") == "starved"]
        said = [f"{each.levelname} {each.getMessage()}" for each in found]
        caplog.clear()
        return said

    assert (0.0, []) == (desk.measured("streamlearn_starved"), warnings())
    desk.events(0, 40)
    daemon.turn()
    desk.events(40, 40)
    daemon.turn()
    assert 1.0 == desk.measured("streamlearn_starved")
    assert [
        "INFO no event is chosen by its score: there is no model yet: it takes labels of two classes, or values"
    ] == warnings()
    desk.labels(0, 80)
    daemon.turn()
    assert (0.0, []) == (desk.measured("streamlearn_starved"), warnings())
    desk.events(80, 400)
    daemon.turn()
    assert 1.0 == desk.measured("streamlearn_starved")
    capped = "100 queries are not answered, as many as queries.outstanding allows"
    assert [f"WARNING no event is chosen by its score: {capped}"] == warnings()
    desk.labels(80, 400)
    daemon.turn()
    assert 0.0 == desk.measured("streamlearn_starved")


STEPS_OF_A_ROUND = 512


def unsettled() -> Desk:
    """Of a model that steps train, which has labels, and of which a round is due."""
    desk = Desk()
    desk.configuration = replace(TOLD, training=Training(solver="sgdf"))
    daemon = desk.started()
    desk.events(0, 40)
    desk.labels(0, 40)
    daemon.turn()
    return desk


def test_a_long_round_of_steps_is_no_standstill(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = unsettled()
    daemon, ages = desk.started(), list[float]()
    step = sgdf.step

    def slow(*given: object) -> object:
        desk.clock.advance(DEAD_AFTER_S / 2)
        ages.append(desk.health.age(desk.clock.monotonic()))
        return step(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(sgdf, "step", slow)
    daemon.turn()
    assert len(ages) == STEPS_OF_A_ROUND
    assert max(ages) < DEAD_AFTER_S


def test_a_round_that_is_under_way_when_it_is_asked_to_stop_is_given_up_and_the_next_start_takes_it_up_again() -> None:
    desk, other = unsettled(), unsettled()
    daemon, number = desk.started(), desk.store.load().number
    asked = iter([False] * 100 + [True])
    daemon.turn(lambda: next(asked))
    assert list(asked) == []
    assert number == desk.store.load().number
    again, undisturbed = desk.started(), other.started()
    for each in (again, undisturbed):
        each.turn()
    assert number + 1 == desk.store.load().number
    assert restore.digest(again.pipeline) == restore.digest(undisturbed.pipeline)


def test_what_of_a_round_of_steps_would_hold_up_the_end_is_left_to_the_next_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = unsettled()
    daemon, number = desk.started(), desk.store.load().number
    step = sgdf.step

    def slow(*given: object) -> object:
        desk.clock.advance(1.0)
        return step(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(sgdf, "step", slow)
    before = desk.clock.monotonic()
    daemon.drain()
    assert SETTLE_MOST_S < desk.clock.monotonic() - before < SETTLE_MOST_S + 2.0
    assert number == desk.store.load().number


def test_labels_that_take_long_are_committed_on_the_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk, quick = Desk(), Desk()
    for each in (desk, quick):
        each.configuration = replace(TOLD, training=Training(solver="sgdf"))
        daemon = each.started()
        each.events(0, 40)
        daemon.turn()
        each.labels(0, 40)
    undisturbed = quick.started()
    assert 40 == undisturbed.turn()
    step, daemon = sgdf.step, desk.started()

    def slow(*given: object) -> object:
        desk.clock.advance(1.0)
        return step(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(sgdf, "step", slow)
    assert [8, 8, 8] == [daemon.turn() for _ in range(3)]
    assert {(EVENTS, 0): 40, (LABELS, 0): 24} == desk.store.load().positions
    desk.clock.advance(1e6)
    monkeypatch.setattr(sgdf, "step", step)
    assert 16 == daemon.turn()
    assert undisturbed.pipeline.state.updates == daemon.pipeline.state.updates
    ours, theirs = daemon.pipeline.state.published, undisturbed.pipeline.state.published
    assert ours is not None
    assert theirs is not None
    assert ours.theta.tolist() == theirs.theta.tolist()
