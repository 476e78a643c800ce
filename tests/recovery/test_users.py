"""A user who is forgotten is no part of model, store or queue any more, after a rebuild either; users outlive a lost store."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from streamlearn import cli
from streamlearn.commands.control import control, parsed
from streamlearn.edges.formats.json import JsonCodec
from streamlearn.edges.sqlite.store import SqliteStore
from streamlearn.errors import ConfigurationError
from streamlearn.learner import deviation, examples
from streamlearn.service import waiting
from streamlearn.service.ledger import Ledger
from streamlearn.service.pipeline import Pipeline
from streamlearn.service.ports import Changes, Commit, Example, Remembered
from tests.end_to_end.daemon_process import append, lines
from tests.recovery.test_rebuild import EXACT, Desk, held, theta, truth, x

OF_USERS = ("users.kind=deviation", "users.queries_per_day=4", "labels.wait=1000")
USERS = ("ann", "ben", "eve")


def stream(desk: Desk, first: int, count: int, users: Sequence[str] = USERS) -> None:
    """Events, two of three labeled, and labels that wait."""
    for i in range(first, first + count):
        user = USERS[i % 3]
        if user in users:
            append(desk.data / "events.jsonl", {"id": f"e{i}", "x": x(i), "user": user})
            if i % 9 < 6:
                label = {"id": f"e{i}", "y": truth(i) == (user != "ann")}
                append(desk.data / "labels.jsonl", label)
            append(desk.data / "labels.jsonl", {"id": f"late {i}", "y": True, "user": user})


def named(desk: Desk) -> set[str]:
    """Users that any row of the store names."""
    found = set[str]()
    with closing(sqlite3.connect(desk.store)) as database:
        for table in ("events", "pending", "examples", "asked"):
            found |= {user for (user,) in database.execute(f"SELECT DISTINCT user FROM {table}")}
        for (stored,) in database.execute("SELECT label FROM waiting"):
            label = waiting.read(stored, JsonCodec())[1]
            assert not isinstance(label, str)
            found.add(label.user)
    return found


def own(pipeline: Pipeline, user: str) -> np.ndarray | None:
    fit = pipeline.state.published
    assert fit is not None
    found = deviation.of_user(pipeline.state, pipeline.standing.rules.learner, fit, user)
    return None if found is None else found.delta


def test_a_forgotten_user_has_never_been(tmp_path: Path) -> None:
    desk, other = Desk(tmp_path / "one", *EXACT, *OF_USERS), Desk(tmp_path / "other", *EXACT, *OF_USERS)
    stream(desk, 0, 90)
    stream(other, 0, 90, USERS[1:])
    before = desk.run()
    assert named(desk) == set(USERS)
    assert any(entry.user == "ann" for entry in before.ledger.pending.values())
    kept = len(before.standing.fits)
    control(desk.told, "forget-user", 0, "ann")
    after, without = desk.run(), other.run()
    assert named(desk) == set(USERS[1:])
    assert theta(before).tolist() != theta(after).tolist()
    np.testing.assert_allclose(theta(after), theta(without), rtol=1e-9, atol=1e-12)
    assert own(before, "ann") is not None
    assert own(after, "ann") is None
    for user in USERS[1:]:
        np.testing.assert_allclose(own(after, user), own(without, user), rtol=1e-9, atol=1e-12)
    assert "ann" not in after.state.examples.by_user
    assert len(after.standing.fits) <= kept
    again = desk.run()
    assert held(after) == held(again), "obeyed once"
    stream(desk, 90, 30)
    assert set(USERS) == named(desk) | {"ann"}
    assert own(desk.run(), "ann") is not None, "who comes again begins anew"


@pytest.mark.parametrize("kind", ["gamma-normal", "hierarchy"])
def test_of_kinds_that_keep_everybody_in_the_fit_no_byte_of_a_forgotten_user_is_left(kind: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path, f"users.kind={kind}", "model.loss=squared")
    for i in range(60):
        user = ("aurelia", "ben", "eve")[i % 3]
        append(desk.data / "events.jsonl", {"id": f"e{i}", "x": x(i), "user": user})
        append(desk.data / "labels.jsonl", {"id": f"e{i}", "y": round(x(i)["a"] * (1 + i % 3), 3) + 1e-4})
    before = desk.run()
    assert any(b"aurelia" in path.read_bytes() for path in desk.data.glob("streamlearn.db*"))
    control(desk.told, "forget-user", 0, "aurelia")
    after = desk.run()
    fits = before.state.published, after.state.published
    names = [each.together.names for each in fits if each is not None and each.together is not None]
    assert names == [("", "aurelia", "ben", "eve"), ("", "ben", "eve")]
    left = [path.name for path in desk.data.glob("streamlearn.db*") if b"aurelia" in path.read_bytes()]
    assert left == ["streamlearn.db.control"], "the command itself, which a rebuild obeys"


def test_while_learning_is_paused_a_forgotten_user_goes_and_the_model_stays_until_it_is_resumed(tmp_path: Path) -> None:
    desk = Desk(tmp_path, *EXACT, *OF_USERS)
    stream(desk, 0, 90)
    before = desk.run()
    control(desk.told, "pause-learning", 0)
    control(desk.told, "forget-user", 0, "ann")
    paused = desk.run()
    assert theta(before).tolist() == theta(paused).tolist()
    assert named(desk) == set(USERS[1:])
    control(desk.told, "resume-learning", 0)
    assert theta(desk.run()).tolist() != theta(before).tolist()


def test_a_store_that_is_built_from_the_log_has_the_users_and_forgets_whom_the_one_before_forgot(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path, *EXACT, *OF_USERS)
    stream(desk, 0, 60)
    desk.run()
    control(desk.told, "forget-user", 0, "ann")
    before = desk.run()
    after = desk.rebuild()
    assert named(desk) <= set(USERS[1:])
    np.testing.assert_allclose(theta(after), theta(before), rtol=1e-7, atol=1e-9)
    for user in USERS[1:]:
        np.testing.assert_allclose(own(after, user), own(before, user), rtol=1e-7, atol=1e-9)
        mine, its = (len(examples.of_user(each.state.examples, user)) for each in (before, after))
        assert mine == its > 0


def test_queries_name_their_users_and_what_was_asked_is_counted_after_a_rebuild(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "users.kind=deviation", "users.queries_per_day=1", "queries.audit_share=0")
    stream(desk, 0, 30)
    before = desk.run()
    asked = [query["user"] for query in lines(desk.data / "queries.jsonl")]
    assert sorted(asked) == sorted(set(asked))
    assert asked
    now = before.standing.clock
    after = desk.rebuild()
    assert before.ledger.quotas.counting(now) == after.ledger.quotas.counting(now) == sorted(asked)


@pytest.mark.parametrize("words", [["forget-user"], ["forget-user", ""], ["c.toml", "forget-user", "a", "b"]])
def test_who_is_to_be_forgotten_has_to_be_named(words: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="forget-user needs one user"):
        parsed(words)


def test_the_command_line_forgets_a_user_and_says_where_it_cannot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = Desk(tmp_path, *OF_USERS)
    stream(desk, 0, 30)
    desk.run()
    keys = ["--set", f"log.path={desk.data}", "--set", "users.kind=deviation"]
    assert 0 == cli.main(["control", *keys, "forget-user", "ann"])
    assert "forget-user: a running daemon obeys it" in capsys.readouterr().out
    desk.run()
    assert "ann" not in named(desk)
    assert 2 == cli.main(["control", *keys[:2], "forget-user", "ann"])
    assert 'users.kind is "none"' in capsys.readouterr().err


def test_no_byte_of_a_forgotten_user_or_example_is_left_in_the_stores_files_while_the_daemon_runs(
    tmp_path: Path,
) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    known = [
        Remembered("id of ann", 0, b"features of ann", "ann"),
        Remembered("id of ben", 1, b"features of ben", "ben"),
    ]
    example = Example(0, "id of ann", b"features of ann", b'"says ann"', 1.0, 0, False, "ann")
    ledger = Ledger(remember=100, wait=10)

    def commit(number: int, changes: Changes) -> bytes:
        store.commit(Commit(number, {}, b"", changes, {}, ()))
        store.clear_outbox()
        return b"".join(each.read_bytes() for each in tmp_path.glob("store.db*"))

    assert b"of ann" in commit(1, Changes(events_added=known, examples_put=[example]))
    ledger.known, ledger.labeled = {"id of ann": 0, "id of ben": 1}, {"id of ann": 0}
    ledger.forget("id of ann")
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM events").fetchall()
    assert b"of ann" in commit(2, ledger.take_changes()), "somebody reads it"
    reader.close()
    left = commit(3, Changes())
    assert b"ann" not in left
    assert b"features of ben" in left
    store.close()
