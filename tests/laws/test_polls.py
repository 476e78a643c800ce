"""Any split of a log into polls gives the same state, the same queries in the same order and the same rejects."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from streamlearn.config import Configuration, Users
from streamlearn.service import restore
from streamlearn.service.ports import Record
from tests.laws import logs
from tests.laws.logs import Trial

LOGS = st.builds(logs.log, seed=st.integers(0, 2**32), count=st.integers(1, 120))
MODERATE = settings(max_examples=20, deadline=None, derandomize=True)


def run(told: Configuration, log: list[Record], cuts: list[int]) -> Trial:
    trial, start = logs.trial(told), 0
    for stop in sorted({*(cut for cut in cuts if cut < len(log)), len(log)}):
        trial.poll(log[start:stop])
        start = stop
    return trial


def assert_same(told: Configuration, log: list[Record], cuts: list[int]) -> None:
    one_by_one = run(told, log, [*range(1, len(log))])
    cut, whole = run(told, log, cuts), run(told, log, [])
    for other in (cut, whole):
        assert one_by_one.queries == other.queries
        assert one_by_one.rejects == other.rejects
        assert restore.digest(one_by_one.pipeline) == restore.digest(other.pipeline)


@MODERATE
@given(log=LOGS, cuts=st.lists(st.integers(1, 120), max_size=12), remember=st.sampled_from([100_000, 5, 0]))
def test_with_the_exact_solver(log: list[Record], cuts: list[int], remember: int) -> None:
    assert_same(logs.configuration(remember=remember), log, cuts)


@MODERATE
@given(
    log=LOGS,
    cuts=st.lists(st.integers(1, 120), max_size=6),
    keep=st.sampled_from([0, 3]),
    validation=st.sampled_from(["progressive", "holdout"]),
    strategy=st.sampled_from(["committee", "flip", "si", "ssi-doubly-unlabeled", "sti"]),
)
def test_with_strategies_that_look_at_labeled_examples(
    log: list[Record], cuts: list[int], keep: int, validation: str, strategy: str
) -> None:
    assert_same(logs.configuration(keep=keep, validation=validation, strategy=strategy), log, cuts)


@MODERATE
@given(log=LOGS, cuts=st.lists(st.integers(1, 120), max_size=6))
def test_with_the_stochastic_solver(log: list[Record], cuts: list[int]) -> None:
    assert_same(logs.configuration(solver="sgdf"), log, cuts)


@settings(MODERATE, max_examples=5)
@given(log=LOGS, cuts=st.lists(st.integers(1, 120), max_size=6), optimizer=st.sampled_from(["sgd", "momentum", "adam"]))
def test_with_a_network(log: list[Record], cuts: list[int], optimizer: str) -> None:
    assert_same(logs.configuration(kind="mlp", optimizer=optimizer), log, cuts)


@MODERATE
@given(
    log=LOGS,
    cuts=st.lists(st.integers(1, 120), max_size=6),
    keep=st.sampled_from([0, 3]),
    solver=st.sampled_from(["newton", "cg", "sgdf"]),
    validation=st.sampled_from(["holdout", "rotating"]),
)
def test_with_examples_held_out_and_only_the_newest_kept(
    log: list[Record], cuts: list[int], keep: int, solver: str, validation: str
) -> None:
    assert_same(logs.configuration(solver=solver, validation=validation, keep=keep), log, cuts)


@MODERATE
@given(log=LOGS, cuts=st.lists(st.integers(1, 120), max_size=6))
def test_with_leave_one_out(log: list[Record], cuts: list[int]) -> None:
    assert_same(logs.configuration(validation="leave-one-out"), log, cuts)


@MODERATE
@given(
    log=LOGS,
    cuts=st.lists(st.integers(1, 120), max_size=6),
    remember=st.sampled_from([100_000, 20, 5]),
    strategy=st.sampled_from(["informed", "v-optimality"]),
)
def test_with_strategies_that_look_at_recent_events(
    log: list[Record], cuts: list[int], remember: int, strategy: str
) -> None:
    assert_same(logs.configuration(remember=remember, strategy=strategy), log, cuts)


def test_over_a_long_stream_with_blocks_that_the_polls_cut() -> None:
    log = logs.stream(600)
    for strategy in ("auto", "informed"):
        assert_same(logs.configuration(strategy=strategy), log, [1, 127, 128, 129, 500, 1000, 1001])


@MODERATE
@given(
    log=LOGS, cuts=st.lists(st.integers(1, 120), max_size=6), name=st.sampled_from(["scaled", "categories", "ratio"])
)
def test_with_a_transformer(log: list[Record], cuts: list[int], name: str) -> None:
    assert_same(logs.configuration(river=f"tests.service.transformers:{name}"), log, cuts)


@MODERATE
@given(
    log=st.builds(logs.sifted, seed=st.integers(0, 2**32), records=LOGS),
    cuts=st.lists(st.integers(1, 120), max_size=12),
    remember=st.sampled_from([100_000, 20, 5]),
    strategy=st.sampled_from(["auto", "v-optimality"]),
)
def test_of_what_scorers_pass_on(log: list[Record], cuts: list[int], remember: int, strategy: str) -> None:
    assert_same(logs.configuration(remember=remember, strategy=strategy, of_candidates=True), log, cuts)


@MODERATE
@given(
    log=st.builds(logs.of_users, seed=st.integers(0, 2**32), records=LOGS),
    cuts=st.lists(st.integers(1, 120), max_size=12),
    kind=st.sampled_from(
        [("deviation", "l2"), ("deviation", "l1"), ("personality", "l2"), ("gamma-normal", "l2"), ("hierarchy", "l2")]
    ),
    cache=st.sampled_from([1, 2, 100]),
    queries_per_day=st.sampled_from([0, 1, 2]),
    strategy=st.sampled_from(["auto", "sld", "v-optimality", "informed"]),
    solver=st.sampled_from(["auto", "sgdf"]),
)
def test_of_users(
    log: list[Record],
    cuts: list[int],
    kind: tuple[str, str],
    cache: int,
    queries_per_day: int,
    strategy: str,
    solver: str,
) -> None:
    loss = "squared" if kind[0] == "gamma-normal" else ""
    users = Users(*kind, cache, queries_per_day)
    assert_same(logs.configuration(users=users, strategy=strategy, solver=solver, loss=loss), log, cuts)


@settings(MODERATE, max_examples=5)
@given(
    log=st.builds(logs.of_users, seed=st.integers(0, 2**32), records=LOGS),
    cuts=st.lists(st.integers(1, 120), max_size=6),
    users=st.sampled_from(
        [
            Users("deviation"),
            Users("deviation", "l1"),
            Users("personality"),
            Users("deviation", parameters=("0.bias", "2.*")),
        ]
    ),
    cache=st.sampled_from([1, 100]),
    strategy=st.sampled_from(["auto", "sld"]),
)
def test_of_users_of_a_network(log: list[Record], cuts: list[int], users: Users, cache: int, strategy: str) -> None:
    assert_same(logs.configuration(users=replace(users, cache=cache), strategy=strategy, kind="mlp"), log, cuts)
