"""A model of any size on its topic: whatever was written, compacted and killed, who reads to the end has the newest."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from streamlearn.core.losses import named
from streamlearn.core.models.linear import Linear
from streamlearn.core.moments import Scaling
from streamlearn.learner import columns
from streamlearn.learner.fit import Frame
from streamlearn.service.model_messages import CHUNK_BYTES, Heard, Parcel, key_of
from streamlearn.service.model_snapshot import ModelSnapshot
from streamlearn.service.ports import MODEL_BYTES, Message
from streamlearn.service.recipe import UNTOLD


def a_model(version: int, chunks: float, name: str = "fraud") -> ModelSnapshot:
    """Of about so many chunks; its numbers fit nothing else of it."""
    theta, tangent = np.random.default_rng(version).normal(size=(2, int(chunks * CHUNK_BYTES / 16)))
    known, frame = columns.State("array", (("x0", None),)), Frame(Scaling(np.zeros(1), np.ones(1)), True, 0.0, 1.0)
    told = (known, (), Linear(named("squared"), 1, 2), frame, theta, tangent)
    return ModelSnapshot(name, version, version, float(version), version, *told, 0.1, True, True, "sld", 0.5, UNTOLD)


def compacted(messages: list[Message]) -> list[Message]:
    """What Kafka keeps at least: the last message of each key, at its place."""
    last = {message.key: number for number, message in enumerate(messages)}
    return [message for number, message in enumerate(messages) if last[message.key] == number]


def heard(messages: Iterable[Message], so_far: Heard | None = None) -> Heard:
    found = so_far or Heard()
    for message in messages:
        assert message.key is not None
        found.take(message.key.decode(), message.value)
    return found


def version(of: Heard) -> int | None:
    """Of the newest that is whole, to the last bit."""
    found = of.newest("fraud")
    if found is not None:
        assert a_model(found.version, found.theta.nbytes * 2 / CHUNK_BYTES).theta.tobytes() == found.theta.tobytes()
    return found and found.version


def test_wherever_the_topic_ends_and_whatever_is_compacted_the_newest_manifest_is_of_a_whole_model() -> None:
    topic: list[Message] = []
    slot, newest = 0, [None]

    def write(number: int, chunks: float, killed_after: int = 99) -> None:
        nonlocal slot
        parcel = Parcel(a_model(number, chunks), 1 - slot)
        topic.extend(taken := parcel.take(killed_after))
        newest.extend([newest[-1]] * (len(taken) - 1) + [number if parcel.delivered else newest[-1]])  # type: ignore[list-item]
        slot = 1 - slot if parcel.delivered and parcel.in_chunks else slot

    write(1, 2.5)
    write(2, 3.5, killed_after=3)
    write(3, 2.5)
    write(4, 0.1)
    write(5, 1.5, killed_after=2)
    write(6, 3.0)
    write(7, 1.5)
    assert {1, 3, 4, 6, 7, None} == set(newest)
    for end in range(len(topic) + 1):
        for there in (topic[:end], compacted(topic[:end])):
            found = heard(there)
            assert newest[end] == (version(found) if found.names else None), end
    assert all(len(message.value) <= MODEL_BYTES for message in topic)


def test_a_reader_that_is_overtaken_has_no_model_until_it_has_read_the_next() -> None:
    first, second, third = (Parcel(a_model(number, 1.5), number % 2).take(9) for number in (1, 2, 3))
    overtaken = heard([*first[:1], first[-1]])  # the second chunk was written over before it was read
    assert ["fraud"] == overtaken.names
    assert None is version(overtaken)
    assert None is version(heard(third[:1], overtaken))
    assert 2 == version(heard(second, overtaken))
    assert 3 == version(heard(third, overtaken))


def test_chunks_and_manifest_may_lie_in_several_partitions() -> None:
    found = Heard()
    for partition, message in enumerate(Parcel(a_model(1, 2.5), 1).take(9)):
        found.take(key_of(message.value), message.value, -partition)
    found.take("fraud/1/0", Parcel(a_model(2, 2.5), 1).take(1)[0].value, 7)  # of a time when there were more
    assert 1 == version(found)


def test_a_chunk_that_was_changed_is_refused() -> None:
    messages = Parcel(a_model(1, 1.5), 1).take(9)
    at = len(messages[0].value) // 2
    changed = messages[0].value[:at] + bytes([messages[0].value[at] ^ 1]) + messages[0].value[at + 1 :]
    with pytest.raises(ValueError, match="damaged"):
        heard([messages[0]._replace(value=changed), *messages[1:]]).newest("fraud")


def test_what_fits_one_message_is_one() -> None:
    for chunks in (0.01, 1.02, 1.03, 1.04, 1.05, 1.1):
        parcel = Parcel(a_model(1, chunks), 1)
        messages = parcel.take(9)
        assert parcel.delivered
        assert parcel.in_chunks == (len(messages) > 1)
        assert max(len(message.value) for message in messages) <= MODEL_BYTES
        assert sum(len(message.value) for message in messages) == parcel.size
        assert 1 == version(heard(messages))
