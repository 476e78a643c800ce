"""The simulated labeler answers what was asked, nothing else, and late."""

from __future__ import annotations

import json
from pathlib import Path

from streamlearn.evaluation.labeler import Asked, Labeler

ANSWERS = {f"row-{i}": float(i) for i in range(10)}


def ask(folder: Path, *ids: str, end: str = "\n") -> None:
    lines = [json.dumps({"id": id, "x": [1.0], "reason": "score"}) for id in ids]
    with (folder / "queries.jsonl").open("a") as file:
        file.write("\n".join(lines) + end)


def labels(folder: Path) -> list[dict[str, object]]:
    path = folder / "labels.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_it_answers_what_was_asked_once_the_delay_has_passed(tmp_path: Path) -> None:
    labeler = Labeler(tmp_path, ANSWERS, delay=20)
    assert labeler.turn(10) == 0
    ask(tmp_path, "row-3", "row-7")
    assert [labeler.turn(10), labeler.turn(20), labeler.turn(29)] == [0, 0, 0]
    ask(tmp_path, "row-1")
    assert labeler.turn(30) == 2
    assert labels(tmp_path) == [{"id": "row-3", "y": 3.0}, {"id": "row-7", "y": 7.0}]
    assert [labeler.turn(49), labeler.turn(50)] == [0, 1]
    assert labeler.asked == [Asked(id, "score") for id in ("row-3", "row-7", "row-1")]


def test_a_half_written_query_is_waited_for(tmp_path: Path) -> None:
    labeler = Labeler(tmp_path, ANSWERS, delay=0)
    with (tmp_path / "queries.jsonl").open("w") as file:
        file.write('{"id": "row-2", "re')
    assert labeler.turn(10) == 0
    with (tmp_path / "queries.jsonl").open("a") as file:
        file.write('ason": "audit"}\n')
    assert labeler.turn(20) == 1
    assert labeler.asked == [Asked("row-2", "audit")]


def test_at_the_end_it_answers_what_is_still_open(tmp_path: Path) -> None:
    labeler = Labeler(tmp_path, ANSWERS, delay=1000)
    ask(tmp_path, "row-4")
    labeler.turn(10)
    ask(tmp_path, "row-5")
    assert labeler.finish() == 2
    assert [label["id"] for label in labels(tmp_path)] == ["row-4", "row-5"]
