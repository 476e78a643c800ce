"""What every store promises; and that all of them hold the same after the same commits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlearn.edges.memory import MemoryStore
from streamlearn.edges.sqlite.store import SqliteStore
from streamlearn.service.ports import (
    AskedOf,
    Changes,
    Commit,
    Earlier,
    Example,
    Message,
    Pending,
    Position,
    Remembered,
    Saved,
    Store,
    Waiting,
)

Reopen = Callable[[], Store]


@pytest.fixture(params=["memory", "sqlite"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Reopen:
    """Each call closes the store and opens it again, as a restarted daemon does."""
    stores: list[Store] = []

    def again() -> Store:
        if stores and request.param == "memory":
            return stores[0]
        for store in stores:
            store.close()
        stores.append(MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "a store.db"))
        return stores[-1]

    return again


def a_commit(number: int, changes: Changes | None = None, outbox: tuple[Message, ...] = ()) -> Commit:
    positions = {("events", 0): 10 * number, ("labels", 1): number}
    return Commit(number, positions, b"state %d" % number, changes or Changes(), {"queries": number}, outbox)


def an_event(ordinal: int, x: bytes = b"x") -> Remembered:
    return Remembered(f"event {ordinal}", ordinal, x)


def test_a_new_store_is_empty_and_keeps_its_id(reopen: Reopen) -> None:
    saved = reopen().load()
    assert Saved(saved.store_id, 0, {}, b"", {}, [], [], [], [], []) == saved
    assert len(saved.store_id) >= 16
    assert saved == reopen().load()


def test_two_new_stores_have_different_ids(tmp_path: Path) -> None:
    stores: list[Store] = [SqliteStore(tmp_path / "1"), SqliteStore(tmp_path / "2"), MemoryStore(), MemoryStore()]
    assert len(stores) == len({store.load().store_id for store in stores})


def test_a_reopened_store_holds_the_last_commit(reopen: Reopen) -> None:
    store = reopen()
    outbox = (Message("queries", b"k", b"v"), Message("rejected", None, b""))
    changes = Changes(
        events_added=[an_event(1), an_event(0)],
        pending_added=[Pending("b", 0, b"x", "audit", 1.5), Pending("a", 1, b"", "score", float("inf"))],
        waiting_added=[Waiting("d", 7, b"{}"), Waiting("c", 3, b"1")],
        examples_put=[
            Example(1, "e", b"x", b'"y"', 0.5, 2, True),
            Example(0, "f", b"x", b"1", 1.0, 0, False),
        ],
    )
    store.commit(a_commit(1, changes, outbox))
    saved = reopen().load()
    expected = Saved(
        saved.store_id,
        1,
        {("events", 0): 10, ("labels", 1): 1},
        b"state 1",
        {"queries": 1},
        list(outbox),
        [("event 0", 0), ("event 1", 1)],
        changes.pending_added,
        changes.waiting_added,
        [changes.examples_put[1], changes.examples_put[0]],
    )
    assert expected == saved


def test_only_the_next_number_can_be_committed(reopen: Reopen) -> None:
    store = reopen()
    store.commit(a_commit(1))
    for number in [0, 1, 3]:
        with pytest.raises(AssertionError):
            store.commit(a_commit(number))
    store.commit(a_commit(2))
    assert reopen().load().number == 2


def test_an_outbox_is_replaced_by_the_next_and_can_be_cleared(reopen: Reopen) -> None:
    store = reopen()
    store.commit(a_commit(1, outbox=(Message("queries", None, b"1"),)))
    store.commit(a_commit(2, outbox=(Message("queries", None, b"2"),)))
    assert [Message("queries", None, b"2")] == store.load().outbox
    store.clear_outbox()
    saved = reopen().load()
    assert ([], 2, {"queries": 2}) == (saved.outbox, saved.number, saved.outputs)


def test_events_are_found_by_their_user_in_order(reopen: Reopen) -> None:
    store = reopen()
    events = [Remembered(f"e{i}", i, b"x", "ann" if i % 2 else "") for i in range(5)]
    store.commit(a_commit(1, Changes(events_added=events[::-1])))
    store.commit(a_commit(2, Changes(events_forgotten=["e3"])))
    assert [["e1"], []] == [reopen().of_user(user) for user in ("ann", "ben")]
    assert events[1] == reopen().recall(["e1"])["e1"]


def test_what_users_were_asked_is_kept_until_the_horizon(reopen: Reopen) -> None:
    store = reopen()
    store.commit(a_commit(1, Changes(asked_added=[AskedOf("ann", 1.0), AskedOf("ben", 2.0), AskedOf("ann", 3.0)])))
    store.commit(a_commit(2, Changes(asked_horizon=1.0, asked_added=[AskedOf("ben", 0.5)])))
    assert [AskedOf("ben", 2.0), AskedOf("ann", 3.0), AskedOf("ben", 0.5)] == reopen().load().asked
    store = reopen()
    store.commit(a_commit(3, Changes(asked_horizon=float("inf"), asked_added=[AskedOf("eve", 0.25)])))
    assert [AskedOf("eve", 0.25)] == reopen().load().asked


def test_events_are_recalled_until_they_are_forgotten_or_behind_the_horizon(reopen: Reopen) -> None:
    store = reopen()
    ids = [f"event {ordinal}" for ordinal in range(5)]
    store.commit(a_commit(1, Changes(events_added=[an_event(ordinal, b"%d" % ordinal) for ordinal in range(4)])))
    assert {id: an_event(ordinal, b"%d" % ordinal) for ordinal, id in enumerate(ids[:4])} == store.recall(ids)
    store.commit(a_commit(2, Changes(events_forgotten=["event 3", "unknown"], events_horizon=2)))
    assert {"event 2": an_event(2, b"2")} == reopen().recall(ids)


def test_the_horizon_holds_for_events_of_the_same_commit(reopen: Reopen) -> None:
    store = reopen()
    store.commit(a_commit(1, Changes(events_added=[an_event(ordinal) for ordinal in range(5)], events_horizon=3)))
    assert [("event 3", 3), ("event 4", 4)] == store.load().event_ids


def test_removals_come_before_additions_and_what_is_added_again_is_last(reopen: Reopen) -> None:
    store = reopen()
    first, second = Pending("a", 0, b"1", "score", 1.0), Pending("b", 1, b"2", "score", 2.0)
    store.commit(a_commit(1, Changes(pending_added=[first, second])))
    renewed = replace(first, expires=9.0)
    store.commit(a_commit(2, Changes(pending_removed=["a"], pending_added=[renewed])))
    assert [second, renewed] == reopen().load().pending


def test_an_example_put_again_takes_the_place_of_its_serial(reopen: Reopen) -> None:
    store = reopen()
    examples = [Example(serial, f"e{serial}", b"x", b"1", 1.0, 0, False) for serial in range(3)]
    store.commit(a_commit(1, Changes(examples_put=examples)))
    corrected = replace(examples[1], y=b"2")
    store.commit(a_commit(2, Changes(examples_removed=[0], examples_put=[corrected])))
    assert [corrected, examples[2]] == reopen().load().examples


ids = st.sampled_from(["a", "b", "ä", "", "d" * 50])
ordinals = st.integers(0, 2**53)
blobs = st.binary(max_size=20)
messages = st.builds(Message, st.sampled_from(["queries", "rejected"]), st.none() | blobs, blobs)
changes = st.builds(
    Changes,
    events_added=st.lists(st.builds(Remembered, ids, st.integers(0, 50), blobs, ids), max_size=5),
    events_forgotten=st.lists(ids, max_size=2),
    events_horizon=st.integers(0, 50),
    pending_removed=st.lists(ids, max_size=3),
    pending_added=st.lists(
        st.builds(Pending, ids, ordinals, blobs, st.just("score"), st.floats(0, 1e10), ids), max_size=4
    ),
    waiting_removed=st.lists(ids, max_size=3),
    waiting_added=st.lists(st.builds(Waiting, ids, ordinals, blobs), max_size=4),
    examples_removed=st.lists(st.integers(0, 5), max_size=2),
    examples_put=st.lists(
        st.builds(
            Example,
            st.integers(0, 5),
            st.text(max_size=5),
            blobs,
            blobs,
            st.floats(0, 10),
            st.integers(0, 5),
            st.booleans(),
            ids,
        ),
        max_size=4,
    ),
    fits_removed=st.lists(st.integers(0, 5), max_size=2),
    fits_added=st.lists(st.builds(Earlier, st.integers(0, 5), ordinals, st.floats(0, 1e10), blobs), max_size=3),
    asked_horizon=st.sampled_from([float("-inf"), 5.0, float("inf")]),
    asked_added=st.lists(st.builds(AskedOf, ids, st.floats(0, 10)), max_size=3),
)
positions: st.SearchStrategy[dict[Position, int]] = st.dictionaries(
    st.tuples(st.sampled_from(["events", "labels"]), st.integers(0, 3)), ordinals, max_size=3
)
steps = st.one_of(
    st.sampled_from(["clear", "reopen"]),
    st.tuples(
        positions,
        blobs,
        changes,
        st.dictionaries(st.sampled_from(["queries", "rejected"]), ordinals),
        st.lists(messages),
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=8))
def test_after_any_commits_sqlite_holds_what_memory_holds(
    sequence: list[str | tuple[dict[Position, int], bytes, Changes, dict[str, int], list[Message]]],
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        store = SqliteStore(path)
        model = MemoryStore(store.load().store_id)
        number = 0
        for step in [*sequence, "reopen"]:
            if step == "clear":
                store.clear_outbox()
                model.clear_outbox()
            elif isinstance(step, str):
                store.close()
                store = SqliteStore(path)
            else:
                number += 1
                commit = Commit(number, *step)
                store.commit(commit)
                model.commit(commit)
        expected, actual = model.load(), store.load()
        assert by_ordinal_and_id(expected) == by_ordinal_and_id(actual)
        every_id = [id for id, _ in expected.event_ids]
        assert model.recall(every_id) == store.recall(every_id)
        store.close()


def by_ordinal_and_id(saved: Saved) -> Saved:
    """Two events of one ordinal, which a daemon never writes, have no order."""
    return replace(saved, event_ids=sorted(saved.event_ids, key=lambda pair: (pair[1], pair[0])))
