"""A snapshot is exact, a restored pipeline goes on as if it had never stopped, and damage is refused."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlearn import assemble
from streamlearn.config import Configuration
from streamlearn.core.models.model import Model
from streamlearn.learner import examples
from streamlearn.learner.state import State
from streamlearn.queries import selector
from streamlearn.service import restore, snapshot
from streamlearn.service.metrics import Measurements
from streamlearn.service.ports import Record
from tests.laws import logs
from tests.laws.logs import Trial

MODERATE = settings(max_examples=12, deadline=None, derandomize=True)
LOGS = st.builds(logs.log, seed=st.integers(0, 2**32), count=st.integers(1, 120))
TOLD = {
    "newton": logs.configuration(),
    "newton, hold-out": logs.configuration(validation="holdout"),
    "newton, rotating": logs.configuration(validation="rotating"),
    "cg, rotating": logs.configuration(solver="cg", validation="rotating"),
    "newton, leave-one-out": logs.configuration(validation="leave-one-out"),
    "newton, newest": logs.configuration(keep=7),
    "newton, references": logs.configuration(strategy="ssi-unlabeled"),
    "newton, l1": logs.configuration(regularizer="l1"),
    "newton, g(R)": logs.configuration(increasing="log"),
    "newton, a function of one's own": logs.configuration(regularizer="tests.edges.shapes:half_the_squares"),
    "sgdf, l1": logs.configuration(solver="sgdf", regularizer="l1"),
    "cg": logs.configuration(solver="cg"),
    "cg, hold-out": logs.configuration(solver="cg", validation="holdout"),
    "sgdf": logs.configuration(solver="sgdf"),
    "sgdf, adam": logs.configuration(solver="sgdf", optimizer="adam"),
    "sgdf, adagrad": logs.configuration(solver="sgdf", optimizer="adagrad"),
    "sgdf, hold-out": logs.configuration(solver="sgdf", validation="holdout"),
    "sgdf, rotating": logs.configuration(solver="sgdf", validation="rotating", keep=9),
    "mlp": logs.configuration(kind="mlp"),
    "mlp, momentum, rotating": logs.configuration(kind="mlp", optimizer="momentum", validation="rotating"),
    "newton, a transformer": logs.configuration(river="tests.service.transformers:scaled"),
    "sgdf, newest": logs.configuration(solver="sgdf", keep=7),
}
EVERY_WAY = pytest.mark.parametrize("told", TOLD.values(), ids=TOLD.keys())


def restarted(trial: Trial, told: Configuration) -> Trial:
    """Another process over the same store."""
    pipeline = assemble.pipeline(told, trial.store.recall, Measurements())
    restore.put_back(pipeline, trial.store.load())
    return Trial(pipeline, trial.store, list(trial.published))


def assert_same(expected: Any, actual: Any, path: str = "state") -> None:
    """Bit for bit, but for what the store keeps row by row (examples) and what follows from it (the covariance)."""
    if isinstance(expected, np.ndarray):
        assert expected.dtype == actual.dtype, path
        assert expected.shape == actual.shape, path
        assert expected.tobytes() == actual.tobytes(), path
    elif isinstance(expected, Model):  # of a network a store knows the shape
        assert snapshot.pack(expected) == snapshot.pack(actual), path
    elif dataclasses.is_dataclass(expected) and not isinstance(expected, examples.State):
        assert type(expected) is type(actual), path
        for field in dataclasses.fields(expected):
            if field.name != "covariance":
                assert_same(getattr(expected, field.name), getattr(actual, field.name), f"{path}.{field.name}")
    elif not isinstance(expected, examples.State):
        assert type(expected) is type(actual), path
        assert repr(expected) == repr(actual), path


@EVERY_WAY
def test_what_is_unpacked_is_what_was_packed_also_after_many_steps(told: Configuration) -> None:
    for records in ([], logs.log(1, 5), logs.log(2, 120), logs.log(3, 120), logs.stream(150)):
        trial = logs.trial(told)
        trial.poll(records)
        state, asked = trial.pipeline.state, trial.pipeline.standing.asking.selector
        assert_same(state, snapshot.unpack(State, snapshot.pack(state)))
        assert_same(asked, snapshot.unpack(selector.State, snapshot.pack(asked)))
        assert snapshot.pack(state) == snapshot.pack(snapshot.unpack(State, snapshot.pack(state)))


@EVERY_WAY
def test_a_restored_pipeline_has_the_same_digest_and_the_same_fit(told: Configuration) -> None:
    for records in (logs.log(2, 120), logs.log(3, 120), logs.stream(150)):
        trial = logs.trial(told)
        trial.poll(records)
        again = restarted(trial, told)
        assert restore.digest(trial.pipeline) == restore.digest(again.pipeline)
        for name in ("fit", "published"):
            before, after = getattr(trial.pipeline.state, name), getattr(again.pipeline.state, name)
            if before is not None and before.covariance is not None:
                np.testing.assert_array_equal(before.covariance, after.covariance)


@EVERY_WAY
@MODERATE
@given(records=LOGS, stop=st.integers(1, 119))
def test_a_restored_pipeline_continues_to_the_same_digest_and_queries(
    told: Configuration, records: list[Record], stop: int
) -> None:
    whole, part = logs.trial(told), logs.trial(told)
    whole.poll(records[:stop])
    part.poll(records[:stop])
    part = restarted(part, told)
    whole.poll(records[stop:])
    part.poll(records[stop:])
    assert whole.queries == part.queries
    assert whole.rejects == part.rejects
    assert restore.digest(whole.pipeline) == restore.digest(part.pipeline)


@pytest.mark.parametrize("told", [TOLD["newton"], TOLD["sgdf"]], ids=["newton", "sgdf"])
def test_restarted_many_times_over_a_long_stream_it_ends_as_if_it_never_had_been(told: Configuration) -> None:
    told = replace(told, queries=replace(told.queries, outstanding=30, expire_s=1e6))
    records = logs.stream(300, delay=40)
    whole, part = logs.trial(told), logs.trial(told)
    for start in range(0, len(records), 23):
        whole.poll(records[start : start + 23])
        part.poll(records[start : start + 23])
        part = restarted(part, told)
    assert whole.queries == part.queries
    assert restore.digest(whole.pipeline) == restore.digest(part.pipeline)


@MODERATE
@given(records=st.builds(logs.sifted, seed=st.integers(0, 2**32), records=LOGS), stop=st.integers(1, 119))
def test_of_what_scorers_pass_on_it_continues_to_the_same_digest_and_queries(records: list[Record], stop: int) -> None:
    told = logs.configuration(strategy="v-optimality", of_candidates=True)
    whole, part = logs.trial(told), logs.trial(told)
    for some in (records[:stop], records[stop:]):
        whole.poll(some)
        part.poll(some)
        part = restarted(part, told)
    assert whole.queries == part.queries
    assert restore.digest(whole.pipeline) == restore.digest(part.pipeline)


def test_a_flipped_byte_is_refused() -> None:
    trial = logs.trial(TOLD["newton"])
    trial.poll(logs.log(2, 60))
    packed = restore.take(trial.pipeline)
    taken = []
    for at in range(0, len(packed), 37):
        damaged = bytearray(packed)
        damaged[at] ^= 1 << (at % 8)
        try:
            snapshot.unpack(restore.Snapshot, bytes(damaged))
        except ValueError:
            continue
        taken.append(at)
    assert [] == taken


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-1], lambda data: data + b"x"])
def test_another_length_is_refused(damage: Any) -> None:
    packed = snapshot.pack(selector.init())
    with pytest.raises(ValueError, match="damaged"):
        snapshot.unpack(selector.State, damage(packed))


def test_a_snapshot_of_another_kind_of_state_is_refused() -> None:
    with pytest.raises(ValueError, match="version"):
        snapshot.unpack(restore.Snapshot, snapshot.pack(selector.init()))
