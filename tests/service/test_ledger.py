"""The ledger: which ids are known, and what a commit has to write about them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlearn.edges.memory import MemoryStore
from streamlearn.service.ledger import Ledger, row
from streamlearn.service.ports import Changes, Commit, Example, Pending, Waiting


def events(ledger: Ledger, *ids: str) -> None:
    ledger.add_events(list(ids), np.arange(2.0 * len(ids)).reshape(len(ids), 2))


def query(id: str) -> Pending:
    return Pending(id, 0, b"", "score", 100.0)


def example(serial: int, id: str) -> Example:
    return Example(serial, id, b"", b"1", 1.0, 0, False)


def test_an_event_is_known_until_so_many_have_come_after_it() -> None:
    ledger = Ledger(remember=3, wait=0)
    events(ledger, "a", "b", "c")
    assert all(map(ledger.knows, "abc"))
    events(ledger, "d")
    assert not ledger.knows("a")
    assert all(map(ledger.knows, "bcd"))


def test_the_newest_event_is_known_also_when_none_is_to_be_remembered() -> None:
    ledger = Ledger(remember=0, wait=0)
    events(ledger, "a", "b")
    assert (False, True) == (ledger.knows("a"), ledger.knows("b"))


def test_what_is_known_does_not_depend_on_commits() -> None:
    one, other = Ledger(2, 0), Ledger(2, 0)
    for id in "abcdef":
        events(one, id)
        events(other, id)
        other.take_changes()
        assert [one.knows(known) for known in "abcdef"] == [other.knows(known) for known in "abcdef"]
    assert one.take_changes().events_horizon == other.take_changes().events_horizon == 4
    assert {"e": 4, "f": 5} == one.known == other.known


def test_a_pending_query_keeps_its_event_known() -> None:
    ledger = Ledger(remember=1, wait=0)
    events(ledger, "a")
    ledger.ask(query("a"))
    events(ledger, "b", "c")
    assert ledger.knows("a")
    assert not ledger.knowledge_lasts("a", 1)  # it may be answered or expire
    ledger.settle_query("a")
    assert not ledger.knows("a")


def test_knowledge_lasts_as_long_as_no_event_falls_out_of_memory() -> None:
    ledger = Ledger(remember=3, wait=0)
    events(ledger, "a", "b")
    assert [True, True, False] == [ledger.knowledge_lasts("a", ahead) for ahead in (0, 1, 2)]
    assert all(ledger.knowledge_lasts("never seen", ahead) for ahead in (0, 1, 100))


def test_features_are_fresh_until_the_commit_and_while_a_query_is_pending() -> None:
    ledger = Ledger(remember=2, wait=0)
    events(ledger, "a", "b", "c")
    assert ledger.fresh("a") is None  # no longer known
    event = ledger.fresh("c")
    assert event is not None
    np.testing.assert_array_equal([[4.0, 5.0]], row(event.x))
    ledger.take_changes()
    assert ledger.fresh("c") is None
    ledger.ask(Pending("c", 2, b"its features", "score", 100.0))
    assert Pending("c", 2, b"its features", "score", 100.0) == ledger.fresh("c")


def test_what_came_and_went_within_a_commit_is_not_added() -> None:
    ledger = Ledger(10, 10)
    events(ledger, "a", "b")
    ledger.ask(query("a"))
    ledger.settle_query("a")
    ledger.wait_for_event("w", b"")
    ledger.stop_waiting("w")
    ledger.add_example(example(0, "b"))
    ledger.forget("b")
    changes = ledger.take_changes()
    assert ["a"] == [entry.id for entry in changes.events_added]
    assert ([], [], []) == (changes.pending_added, changes.waiting_added, changes.examples_put)


def test_what_went_and_came_again_within_a_commit_is_added_once_with_its_last_contents() -> None:
    ledger = Ledger(10, 10)
    events(ledger, "a")
    ledger.forget("a")
    events(ledger, "a")
    ledger.wait_for_event("w", b"first")
    ledger.wait_for_event("w", b"second")
    ledger.add_example(example(0, "a"))
    ledger.add_example(Example(0, "a", b"", b"2", 1.0, 0, False))
    changes = ledger.take_changes()
    assert [("a", 1)] == [(entry.id, entry.ordinal) for entry in changes.events_added]
    assert [b"second"] == [entry.label for entry in changes.waiting_added]
    assert [b"2"] == [entry.y for entry in changes.examples_put]


def test_changes_are_taken_once() -> None:
    ledger = Ledger(10, 10)
    events(ledger, "a")
    ledger.take_changes()
    assert Changes() == ledger.take_changes()


def test_so_many_labels_wait_and_the_one_that_waited_longest_has_to_go() -> None:
    ledger = Ledger(10, wait=2)
    assert [None, None] == [ledger.wait_for_event(id, b"") for id in "ab"]
    assert ledger.wait_for_event("b", b"again") is None
    dropped = ledger.wait_for_event("c", b"")
    assert dropped is not None
    assert "a" == dropped.id
    assert ["b", "c"] == list(ledger.waiting)


def test_a_label_waits_for_so_many_events() -> None:
    ledger = Ledger(10, wait=2)
    ledger.wait_for_event("w", b"")
    events(ledger, "a", "b")
    assert [] == ledger.overdue()
    events(ledger, "c")
    assert ["w"] == [entry.id for entry in ledger.overdue()]
    assert {} == ledger.waiting


def test_an_event_comes_with_its_label_while_that_waits_or_is_learned() -> None:
    ledger = Ledger(10, wait=2)
    ledger.wait_for_event("w", b"")
    assert [True, True, False] == [ledger.has_label("w", ordinal) for ordinal in range(3)]
    ledger.add_example(example(0, "l"))
    assert ledger.has_label("l", 1000)


def test_only_kept_examples_are_labeled() -> None:
    ledger = Ledger(10, 10)
    for serial, id in enumerate("abcd"):
        ledger.add_example(example(serial, id))
    ledger.drop_examples(2)
    assert {"c": 2, "d": 3} == ledger.labeled
    assert [0, 1] == ledger.take_changes().examples_removed


ACTS = st.lists(
    st.tuples(st.sampled_from(["event", "ask", "settle", "wait", "stop", "label", "forget"]), st.integers(0, 6)),
    max_size=80,
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(acts=ACTS, commits=st.sets(st.integers(0, 80)))
def test_a_store_that_is_given_the_changes_gives_back_the_ledger(
    acts: list[tuple[str, int]], commits: set[int]
) -> None:
    ledger, store, serial = Ledger(4, 3), MemoryStore(), 0

    def commit() -> None:
        store.commit(Commit(store.load().number + 1, {}, b"", ledger.take_changes(), {}, ()))

    for number, (act, which) in enumerate(acts):
        id = f"i{which}"
        if act == "event" and not ledger.knows(id):
            events(ledger, id)
            ledger.overdue()
        elif act == "ask" and ledger.knows(id) and id not in ledger.pending:
            ledger.ask(query(id))
        elif act == "settle":
            ledger.settle_query(id)
        elif act == "wait":
            ledger.wait_for_event(id, b"")
        elif act == "stop":
            ledger.stop_waiting(id)
        elif act == "label":
            at = ledger.labeled.get(id, serial)
            serial += at == serial
            ledger.add_example(example(at, id))
            ledger.drop_examples(serial - 3)
        elif act == "forget":
            ledger.forget(id)
        if number in commits:
            commit()
    commit()
    again = Ledger(4, 3)
    again.restore(store.load(), ledger.count, store.recall)
    for name in ("pending", "waiting", "labeled"):
        assert list(getattr(ledger, name).items()) == list(getattr(again, name).items())
    ids = [f"i{which}" for which in range(7)]
    assert [ledger.knows(id) for id in ids] == [again.knows(id) for id in ids]
    assert {id for id in ids if ledger.knows(id)} - ledger.pending.keys() <= store.recall(ids).keys()


def test_a_restored_ledger_goes_on_counting() -> None:
    store, ledger = MemoryStore(), Ledger(10, 10)
    events(ledger, "a", "b")
    ledger.waiting["w"] = Waiting("w", 2, b"")
    store.commit(Commit(1, {}, b"", ledger.take_changes(), {}, ()))
    again = Ledger(10, 10)
    again.restore(store.load(), 2, store.recall)
    events(again, "c")
    assert [("c", 2)] == [(entry.id, entry.ordinal) for entry in again.take_changes().events_added]
