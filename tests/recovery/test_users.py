"""A user who is forgotten is no part of model, store or queue any more, after a rebuild either; users outlive a lost store."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from streamlearn import cli, settings
from streamlearn.commands.control import control, parsed
from streamlearn.edges.formats.json import JsonCodec
from streamlearn.edges.sqlite.store import SqliteStore
from streamlearn.errors import ConfigurationError
from streamlearn.learner import deviation, examples
from streamlearn.service import restore, waiting
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


def values(desk: Desk, first: int, count: int) -> None:
    """Labels that are values, with their features."""
    for i in range(first, first + count):
        y = x(i)["a"] * (-1.0 if USERS[i % 3] == "ann" else 1.0) + 0.1
        append(desk.data / "labels.jsonl", {"id": f"e{i}", "x": x(i), "y": y, "user": USERS[i % 3]})


def asked_rows(desk: Desk) -> int:
    with closing(sqlite3.connect(desk.store)) as database:
        return int(database.execute("SELECT count(*) FROM asked").fetchone()[0])


def snapshot_of(desk: Desk) -> bytes:
    store = SqliteStore(desk.store, read_only=True)
    try:
        return store.load().snapshot
    finally:
        store.close()


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
    names = [each.everybody.names for each in fits if each is not None and each.everybody is not None]
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


def test_what_users_have_of_a_network_comes_back_from_the_store_and_goes_with_whom_is_forgotten(tmp_path: Path) -> None:
    network = ("model.kind=mlp", "model.hidden=[4]", "training.steps_per_label=2", "users.parameters=0.bias,2.*")
    desk = Desk(tmp_path, *OF_USERS, *network, "topics.predictions=predictions")
    stream(desk, 0, 24)
    before, after = desk.run(), desk.run()
    assert restore.digest(before) == restore.digest(after)
    for user in USERS:
        found = own(before, user)
        assert found is not None
        assert found.tolist() == own(after, user).tolist()  # type: ignore[union-attr]  # the same digest
        assert len(found) == 4 + 5
    control(desk.told, "forget-user", 0, "ann")
    assert own(desk.run(), "ann") is None
    stream(desk, 24, 3)
    last = desk.run()
    assert own(last, "ben") is not None
    assert len(lines(desk.data / "predictions.jsonl")) == 27


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


def test_users_of_another_kind_are_learned_of_anew_before_the_next_label(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    values(desk, 0, 90)
    for kind in ("deviation", "gamma-normal", "personality", "gamma-normal", "deviation"):
        desk.told = settings.read(None, {}, (f"log.path={desk.data}", "model.loss=squared", f"users.kind={kind}"))
        state = desk.run().state
        fit = state.published
        assert fit is not None
        assert fit.users_at == (0 if kind == "deviation" else 90)
        assert (fit.prior is not None, fit.everybody is not None) == (kind == "personality", kind == "gamma-normal")


def test_after_going_back_to_a_fit_of_another_kind_of_users_the_next_label_has_them_learned_of_anew(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path, "model.loss=squared", "users.kind=gamma-normal")
    values(desk, 0, 90)
    of_gamma_normal = desk.run().standing.fits[-1].number
    desk.told = settings.read(None, {}, (f"log.path={desk.data}", "model.loss=squared", "users.kind=personality"))
    desk.run()
    control(desk.told, "rollback", of_gamma_normal)
    back = desk.run().state.published
    assert back is not None
    assert (back.prior is None, back.everybody is None) == (True, False)
    values(desk, 90, 1)
    after = desk.run().state.published
    assert after is not None
    assert (after.prior is None, after.everybody is None) == (False, True)


def test_without_a_quota_nothing_is_kept_of_whom_was_asked_when(tmp_path: Path) -> None:
    desk = Desk(tmp_path, *OF_USERS)
    stream(desk, 0, 90)
    desk.run()
    assert asked_rows(desk) > 0
    desk.told = settings.read(None, {}, (f"log.path={desk.data}", "users.kind=deviation"))
    stream(desk, 90, 1)
    desk.run()
    assert asked_rows(desk) == 0


def test_a_user_who_is_forgotten_while_learning_is_paused_goes_from_the_model_served_after_a_restart_too(
    tmp_path: Path,
) -> None:
    told = ("model.loss=squared", "users.kind=gamma-normal", "training.solver=cg")
    desk = Desk(tmp_path, *told)
    values(desk, 0, 60)
    desk.run()
    control(desk.told, "pause-learning", 0)
    control(desk.told, "forget-user", 0, "ann")
    desk.run()
    assert b'"ben"' in snapshot_of(desk)
    assert b'"ann"' not in snapshot_of(desk)


def test_whose_only_label_was_another_users_has_no_parameters_any_more(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "model.loss=squared", "users.kind=gamma-normal")
    append(desk.data / "labels.jsonl", {"id": "first", "x": x(500), "y": 0.3, "user": "zoe"})
    values(desk, 0, 40)
    desk.run()
    assert b'"zoe"' in snapshot_of(desk)
    append(desk.data / "labels.jsonl", {"id": "first", "x": x(500), "y": 0.3, "user": "ben"})
    desk.run()
    assert b'"zoe"' not in snapshot_of(desk)


def test_who_is_forgotten_after_their_examples_were_dropped_is_in_no_fit_either(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "model.loss=squared", "users.kind=gamma-normal", "training.keep=20")
    append(desk.data / "labels.jsonl", {"id": "first", "x": x(500), "y": 0.3, "user": "zoe"})
    for first in range(0, 40, 5):
        values(desk, first, 5)
        state = desk.run().state
    assert "zoe" not in state.examples.user
    assert fits_naming(desk, "zoe") > 0
    control(desk.told, "forget-user", 0, "zoe")
    desk.run()
    assert fits_naming(desk, "zoe") == 0
    assert fits_naming(desk, "ben") > 0


def fits_naming(desk: Desk, user: str) -> int:
    """How many there are to go back to, and the one that is served, that know of the user."""
    store = SqliteStore(desk.store, read_only=True)
    try:
        saved = store.load()
    finally:
        store.close()
    return sum(f'"{user}"'.encode() in each for each in (saved.snapshot, *(entry.value for entry in saved.fits)))
