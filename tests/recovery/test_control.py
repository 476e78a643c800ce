"""What an operator's commands do to a daemon on an embedded log, across restarts; no process of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streamlearn.commands.control import control, parsed
from streamlearn.edges.control_file import ControlFile
from streamlearn.edges.sqlite.store import SqliteStore
from streamlearn.errors import ConfigurationError
from streamlearn.service import fits
from streamlearn.service.ports import Command, Saved
from tests.end_to_end.daemon_process import append
from tests.recovery.test_rebuild import EXACT, Desk, held, theta, truth, x

SGDF = ("training.solver=sgdf",)


def saved(desk: Desk) -> Saved:
    store = SqliteStore(desk.store, read_only=True)
    try:
        return store.load()
    finally:
        store.close()


def label(desk: Desk, first: int, count: int) -> None:
    rows = ({"id": f"w{i}", "y": truth(i), "x": x(i)} for i in range(first, first + count))
    append(desk.data / "labels.jsonl", *rows)


def test_while_asking_is_paused_events_are_counted_and_scored_and_nothing_is_saved_up(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "queries.outstanding=1000")
    desk.rounds(3)
    asked = desk.asked()
    control(desk.told, "pause-asking", 0)
    before = desk.run()
    assert before.standing.asking.paused
    desk.feed(500)
    paused = desk.run()
    assert asked == desk.asked()
    assert before.ledger.count + 500 == paused.ledger.count
    assert paused.standing.asking.selector.written == before.standing.asking.selector.written + 500
    assert paused.standing.asking.selector.entitled == before.standing.asking.selector.entitled
    control(desk.told, "resume-asking", 0)
    desk.feed(100)
    desk.run()
    new = desk.asked()[len(asked) :]
    assert 10 <= len(new) <= 20 + 5, "a fifth of a hundred, as if there had been no pause"


@pytest.mark.parametrize("validation", ["progressive", "holdout"])
def test_labels_kept_while_learning_is_paused_are_learned_when_it_goes_on(validation: str, tmp_path: Path) -> None:
    """With an exact solver and a fixed regularity the model is the one that never paused."""
    told = (*EXACT, f"regularity.validation={validation}")
    desk, other = Desk(tmp_path / "one", *told), Desk(tmp_path / "other", *told)
    for each in (desk, other):
        label(each, 0, 30)
        each.run()
    control(desk.told, "pause-learning", 0)
    before = desk.run()
    for each in (desk, other):
        label(each, 30, 30)
        append(each.data / "labels.jsonl", {"id": "w3", "y": not truth(3)}, {"id": "w4", "y": None})
    paused = desk.run()
    assert theta(before).tolist() == theta(paused).tolist()
    assert (before.state.tuner, before.state.labels + 30) == (paused.state.tuner, paused.state.labels)
    assert paused.state.progress.count > before.state.progress.count, "what the model is worth is still measured"
    again = desk.run()
    assert theta(before).tolist() == theta(again).tolist(), "a quiet stream is no reason to learn"
    control(desk.told, "resume-learning", 0)
    after, whole = desk.run(), other.run()
    assert held(after) == held(whole)
    np.testing.assert_allclose(theta(after), theta(whole), rtol=1e-7, atol=1e-9)


def test_with_sgdf_labels_that_were_kept_bring_their_steps(tmp_path: Path) -> None:
    desk = Desk(tmp_path, *SGDF)
    label(desk, 0, 30)
    desk.run()
    control(desk.told, "pause-learning", 0)
    label(desk, 30, 20)
    before = desk.run().state
    control(desk.told, "resume-learning", 0)
    after = desk.run().state
    assert before.updates + 20 <= after.updates
    assert after.published is not None
    assert before.published is not None
    assert after.published.theta.tolist() != before.published.theta.tolist()


@pytest.mark.parametrize("told", [(), EXACT, SGDF, ("regularity.validation=holdout",), ("training.solver=cg",)])
def test_a_rollback_brings_back_theta_its_tangent_and_lambda_and_keeps_the_labels(
    told: tuple[str, ...], tmp_path: Path
) -> None:
    desk = Desk(tmp_path, *told)
    label(desk, 0, 30)
    desk.run()
    earlier = saved(desk)
    label(desk, 30, 30)
    later = desk.run()
    expected = fits.read(earlier.fits[-1]).published
    assert expected is not None
    assert expected.theta.tolist() != theta(later).tolist()
    control(desk.told, "rollback", earlier.number)
    back = desk.run()
    assert back.state.published is not None
    assert expected.theta.tolist() == theta(back).tolist()
    assert expected.log_tangent.tolist() == back.state.published.log_tangent.tolist()
    assert expected.regularity == back.state.published.regularity
    assert held(later)["labels"] == held(back)["labels"]
    assert theta(back).tolist() == theta(desk.run()).tolist(), "obeyed once; restarted, it is still that"
    label(desk, 60, 5)
    on = desk.run()
    assert on.state.skipped == 0
    assert theta(on).tolist() != theta(back).tolist()
    if told == EXACT:
        whole = Desk(tmp_path / "whole", *told)
        label(whole, 0, 65)
        np.testing.assert_allclose(theta(on), theta(whole.run()), rtol=1e-7, atol=1e-9)


def test_a_rollback_to_before_a_column_or_class_came_is_possible(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    rows = [{"id": f"w{i}", "y": "red" if truth(i) else "blue", "x": x(i)} for i in range(60)]
    append(desk.data / "labels.jsonl", *rows[:30])
    desk.run()
    number = saved(desk).number
    more = [
        row | {"y": "green" if i % 3 == 0 else row["y"], "x": x(i + 30) | {"new": i % 2}}
        for i, row in enumerate(rows[30:])
    ]
    append(desk.data / "labels.jsonl", *more)
    later = desk.run()
    assert later.state.problem.outputs == 3
    control(desk.told, "rollback", number)
    back = desk.run()
    assert len(theta(back)) < len(theta(later))
    desk.feed(40)
    append(desk.data / "labels.jsonl", rows[30] | {"id": "last"})
    on = desk.run()
    assert len(theta(on)) == len(theta(later))
    assert on.state.skipped == 0


def test_what_was_forgotten_does_not_come_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk(tmp_path)
    label(desk, 0, 30)
    desk.run()
    number = saved(desk).number
    append(desk.data / "labels.jsonl", {"id": "w5", "y": None})
    desk.run()
    with pytest.raises(ConfigurationError, match=rf"no fit of commit {number} or before is kept"):
        control(desk.told, "rollback", number)
    assert [] == ControlFile(desk.store).after(0)


def test_pauses_outlast_a_rebuild_and_old_commands_are_not_obeyed_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    label(desk, 0, 30)
    desk.run()
    for action, commit in (("pause-asking", 0), ("rollback", saved(desk).number), ("pause-learning", 0)):
        control(desk.told, action, commit)
    desk.run()
    desk.store.unlink()
    after = desk.rebuild().standing
    assert (True, True, 3) == (after.asking.paused, after.learning_paused, after.obeyed)
    assert 4 == ControlFile(desk.store).append("resume-asking", 0, after.obeyed)
    assert not desk.run().standing.asking.paused


def test_commands_are_numbered_on_whatever_became_of_the_file(tmp_path: Path) -> None:
    file = ControlFile(tmp_path / "store.db")
    assert [] == file.after(0)
    assert 1 == file.append("pause-asking", 0, 0)
    assert [Command(1, "pause-asking", 0)] == file.after(0)
    assert [] == file.after(1)
    path = tmp_path / "store.db.control"
    path.write_bytes(path.read_bytes() + b'[2, "pause-le')  # its writer was killed
    assert [1] == [command.number for command in file.after(0)]
    assert 2 == file.append("rollback", 7, 1)
    assert [Command(2, "rollback", 7)] == file.after(1)
    path.unlink()
    assert 3 == file.append("resume-asking", 0, 2)


def test_the_status_tells_what_is_paused_and_what_waits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk(tmp_path)
    label(desk, 0, 30)
    desk.run()
    control(desk.told, "pause-asking", 0)
    assert "command 1, pause-asking: " in capsys.readouterr().out
    control(desk.told, "status", 0)
    told = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert ("on", "on", "0") == (told["asking"], told["learning"], told["obeyed"])
    desk.run()
    control(desk.told, "status", 0)
    told = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert ("paused", "on", "1") == (told["asking"], told["learning"], told["obeyed"])
    with pytest.raises(ConfigurationError, match=r"set log\.kind"):
        control(replace(desk.told, log=replace(desk.told.log, kind="memory")), "status", 0)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["c.toml"], "no action"),
        (["c.toml", "stop"], "stop action; name one of pause-asking"),
        (["pause-asking", "now"], "takes nothing more; remove now"),
        (["rollback"], "needs the number of a commit"),
        (["rollback", "-1"], "needs the number of a commit"),
    ],
)
def test_what_is_no_command_is_refused_in_one_line(words: list[str], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        parsed(words)


def test_commands_are_read_with_and_without_a_configuration() -> None:
    assert (None, "rollback", 12, "") == parsed(["rollback", "12"])
    assert (Path("c.toml"), "status", 0, "") == parsed(["c.toml", "status"])
