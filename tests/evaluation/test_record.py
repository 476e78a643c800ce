"""What is recorded is not played again; what is torn, damaged or of another version is dealt with."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamlearn.errors import ConfigurationError
from streamlearn.evaluation.labeler import Asked
from streamlearn.evaluation.record import Record, fingerprint
from streamlearn.evaluation.trial import Outcome, Plan, Point

POINTS = (Point(10, 3, 0.1 + 0.2, 1 / 3, 1e-300, 0.0), Point(20, 5, 0.25, 0.5, 0.01, 1e-9))


def outcome(seed: int) -> Outcome:
    asked = (Asked("row-1", "score", "sld"), Asked("row-2", "audit", "sld"))
    return Outcome(Plan("sld", seed, 0.1, 20, 0, "iris", ("queries.audit_share=0.5",)), 5, POINTS, asked, 100, 0)


def recorded(folder: Path, seeds: int = 3) -> Path:
    record = Record(folder / "trials.jsonl", "one")
    for seed in range(seeds):
        record.append(outcome(seed))
    record.close()
    return folder / "trials.jsonl"


def reopened(path: Path, version: str = "one") -> Record:
    record = Record(path, version)
    record.close()
    return record


def test_what_was_appended_is_there_to_the_last_bit(tmp_path: Path) -> None:
    record = reopened(recorded(tmp_path))
    assert list(record.lines) == [outcome(seed).plan for seed in range(3)]
    line = record.lines[outcome(1).plan]
    assert (line.outcome.points, line.issued, line.acted) == (POINTS, 2, ("sld",))


def test_a_torn_last_line_is_cut_off_and_the_next_one_is_whole(tmp_path: Path) -> None:
    path = recorded(tmp_path)
    path.write_bytes(path.read_bytes()[:-30])
    record = Record(path, "one")
    assert len(record.lines) == 2
    record.append(outcome(2))
    record.close()
    assert list(reopened(path).lines) == [outcome(seed).plan for seed in range(3)]


def test_a_damaged_line_costs_that_trial_alone(tmp_path: Path) -> None:
    path = recorded(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b'{"version":"one","outcome":3}\n' + b"\xff\n" + b'{"version":"\xff"}\n' + lines[2])
    assert [plan.seed for plan in reopened(path).lines] == [0, 2]


def test_another_version_is_moved_aside(tmp_path: Path) -> None:
    path = recorded(tmp_path)
    before = path.read_bytes()
    for number in (1, 2):
        record = Record(path, f"other {number}")
        assert (record.lines, record.moved) == ({}, path.with_name(f"trials.jsonl.aside-{number}"))
        record.append(outcome(7))
        record.close()
    assert path.with_name("trials.jsonl.aside-1").read_bytes() == before
    assert [plan.seed for plan in reopened(path, "other 2").lines] == [7]


def test_two_evaluations_do_not_write_to_one_record(tmp_path: Path) -> None:
    record = Record(tmp_path / "trials.jsonl", "one")
    with pytest.raises(ConfigurationError, match="is being written by another evaluation; name another --out"):
        Record(tmp_path / "trials.jsonl", "one")
    record.close()


def test_the_version_follows_the_user_s_data(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("a,b\n1,2\n")
    before = fingerprint([path], "a")
    assert fingerprint([path], "a") == before
    assert fingerprint([path], "b") != before
    path.write_text("a,b\n1,3\n")
    assert fingerprint([path], "a") != before
