"""How far reading is behind: in records, and in seconds by the records' own time, or by how long there has been more."""

from __future__ import annotations

from streamlearn.edges.memory import ManualClock
from streamlearn.service.lag import Lag
from streamlearn.service.metrics import Measurements
from streamlearn.service.ports import EVENTS, Record


def record(partition: int, time: float | None) -> Record:
    return Record(EVENTS, partition, 0, 1, None, b"", time=time)


def seconds(measured: Measurements, clock: ManualClock) -> dict[str, float]:
    measured.age(clock.monotonic())
    return {partition: value for (_, partition), value in measured.snapshot()["streamlearn_lag_seconds"].items()}


def test_of_a_log_that_tells_times_it_is_the_age_of_the_last_record_while_there_is_more() -> None:
    measured, clock = Measurements(), ManualClock(1e9)
    lag = Lag(measured, clock)
    lag.read([record(0, 1e9 - 90.0), record(0, 1e9 - 60.0), record(1, 1e9 - 60.0)])
    lag.tell({(EVENTS, 0): 7, (EVENTS, 1): 0})
    assert seconds(measured, clock) == {"0": 60.0, "1": 0.0}
    assert measured.snapshot()["streamlearn_lag"] == {("events", "0"): 7.0, ("events", "1"): 0.0}
    clock.advance(5.0)
    assert seconds(measured, clock) == {"0": 65.0, "1": 0.0}, "though nothing was told meanwhile"
    lag.read([record(0, 1e9 + 4.0)])
    lag.tell({(EVENTS, 0): 1, (EVENTS, 1): 0})
    assert seconds(measured, clock) == {"0": 1.0, "1": 0.0}
    lag.tell({(EVENTS, 0): 0, (EVENTS, 1): 0})
    assert seconds(measured, clock) == {"0": 0.0, "1": 0.0}


def test_of_a_log_without_times_it_is_how_long_there_has_been_more() -> None:
    measured, clock = Measurements(), ManualClock(1e9)
    lag = Lag(measured, clock)
    for unread, then in ((10, 0.0), (500, 3.0), (0, 0.0), (20, 0.0)):
        lag.read([record(0, None)])
        lag.tell({(EVENTS, 0): unread})
        assert seconds(measured, clock) == {"0": then}
        clock.advance(3.0)
    assert seconds(measured, clock) == {"0": 3.0}


def test_a_clock_ahead_of_ours_makes_no_lag_negative() -> None:
    measured, clock = Measurements(), ManualClock(1e9)
    lag = Lag(measured, clock)
    lag.read([record(0, 1e9 + 3600.0)])
    lag.tell({(EVENTS, 0): 1})
    assert seconds(measured, clock) == {"0": 0.0}


def test_a_partition_that_went_to_another_is_that_ones_to_tell() -> None:
    measured, clock = Measurements(), ManualClock(1e9)
    lag = Lag(measured, clock)
    lag.read([record(0, 1e9 - 60.0)])
    lag.tell({(EVENTS, 0): 7})
    lag.tell({(EVENTS, 1): 2})
    assert seconds(measured, clock) == {"0": 0.0, "1": 0.0}
    assert measured.snapshot()["streamlearn_lag"] == {("events", "0"): 0.0, ("events", "1"): 2.0}
