"""`streamlearn explain` from a shell, while the daemon runs."""

from __future__ import annotations

import json
from pathlib import Path

from tests.end_to_end.daemon_process import append, as_json, command, running, until

LOG = "streamlearn-data"


def event(i: int) -> dict[str, object]:
    return {"id": f"e{i}", "x": {"amount": float(i % 9), "hour": float(i % 5)}}


def answer(i: int) -> dict[str, object]:
    return {"id": f"e{i}", "y": "fraud" if i % 9 > 4 else "ok"}


def test_why_an_event_was_asked_about_is_told_to_people_and_programs(tmp_path: Path) -> None:
    events, labels = tmp_path / LOG / "events.jsonl", tmp_path / LOG / "labels.jsonl"
    append(labels, *({**event(i), **answer(i)} for i in range(60)))
    with running(tmp_path) as daemon:
        until(lambda: daemon.metrics().get("streamlearn_labels_total") == 60, "the labels")
        append(events, *map(event, range(60, 160)))
        until(lambda: daemon.metrics().get("streamlearn_events_total") == 100, "the events")
        until(daemon.caught_up, "their commit")
        query = json.loads((tmp_path / LOG / "queries.jsonl").read_text().splitlines()[-1])
        told = as_json(tmp_path, "explain", query["id"])
        text = command(tmp_path, "explain", query["id"]).stdout
        assert daemon.drain() == 0
    assert (query["id"], "asked", query["strategy"]) == (told["id"], told["stands"], told["strategy"])
    assert {each["feature"] for each in told["moved_by"]} == {"amount", "hour"}
    assert len(told["nearest"]) == 5
    for word in ("not answered yet", "prediction", "by uncertainty; asked from", "amount: ", "labeled "):
        assert word in text


def test_what_cannot_be_explained_is_one_line(tmp_path: Path) -> None:
    append(tmp_path / LOG / "events.jsonl", event(1))
    with running(tmp_path) as daemon:
        until(lambda: daemon.metrics().get("streamlearn_events_total") == 1, "the event")
        until(daemon.caught_up, "its commit")
        assert daemon.drain() == 0
    for words, why in (
        (["nobody"], "nothing is kept of event 'nobody'"),
        (["a.toml", "b", "c"], "one id at a time; remove c"),
        (["--set", "log.kind=memory", "e1"], "log.kind memory ends with its process"),
        (["--set", "log.path=elsewhere", "e1"], "elsewhere"),
    ):
        done = command(tmp_path, "explain", *words)
        assert (done.returncode in (2, 3), done.stdout, done.stderr.count("\n")) == (True, "", 1), done.stderr
        assert why in done.stderr
    assert "none yet" in command(tmp_path, "explain", "e1").stdout
