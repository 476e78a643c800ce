"""Members of a consumer group: partitions are shared, lost and won back, and no event is passed over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from streamlearn import config
from streamlearn.edges.kafka.group import KafkaGroup, KafkaOutlet
from streamlearn.errors import CannotStart, Fenced, Unavailable
from streamlearn.service.ports import CANDIDATES, EVENTS, REJECTED, Message
from tests.edges.kafka.world import CLIENTS, PATIENCE_S, World
from tests.kafka_fixtures import make_topics

pytestmark = pytest.mark.kafka
PARTITIONS, EACH = 4, 20

Read = dict[int, list[int]]  # offsets by partition


@pytest.fixture
def topic(kafka: str, prefix: str) -> str:
    make_topics(kafka, {f"{prefix}-events": PARTITIONS})
    return f"{prefix}-events"


@pytest.fixture
def join(kafka: str, topic: str, prefix: str) -> Iterator[Callable[..., KafkaGroup]]:
    with ExitStack() as stack:

        def made(client: str, lost: str = "stop", instance: str = "") -> KafkaGroup:
            group = KafkaGroup(prefix, config.Kafka(kafka, client, lost=lost), topic, instance)
            group.open()
            return stack.enter_context(closing(group))

        yield made


def fill(kafka: str, topic: str, prefix: str) -> None:
    world = World(kafka, prefix, "kafka-python", create=False)
    for number in range(PARTITIONS):
        world.produce(topic, [b"x"] * EACH, number)


def poll(*groups: KafkaGroup, until: Callable[[list[Read]], bool]) -> list[Read]:
    """What each reads until then; all are polled in turn."""
    read: list[Read] = [{} for _ in groups]
    limit = time.monotonic() + PATIENCE_S
    while not until(read):
        assert time.monotonic() < limit, read
        for group, mine in zip(groups, read, strict=True):
            for record in group.poll(0.1):
                assert EVENTS == record.role
                mine.setdefault(record.partition, []).append(record.offset)
    return read


def everything(read: Read) -> bool:
    return {number: set(offsets) for number, offsets in read.items()} == {
        number: set(range(EACH)) for number in range(PARTITIONS)
    }


def shared(read: list[Read]) -> bool:
    """Whether each has two partitions of its own, and has read them to the end."""
    return all(
        len(mine) == PARTITIONS // 2 and all(set(each) == set(range(EACH)) for each in mine.values()) for mine in read
    )


@pytest.mark.parametrize("client", CLIENTS)
def test_a_partition_that_was_lost_and_won_back_is_read_from_where_the_group_has_come_to(
    client: str, kafka: str, topic: str, prefix: str, join: Callable[..., KafkaGroup]
) -> None:
    fill(kafka, topic, prefix)
    first = join(client)
    poll(first, until=lambda read: everything(read[0]))
    first.commit(dict.fromkeys(range(PARTITIONS), 7))
    second = join(client)
    there = [lambda: first.lag(), lambda: second.lag()]
    halves = poll(first, second, until=lambda _: [2, 2] == [len(each()) for each in there] and all_zero(there))
    assert halves[1] == {number: list(range(7, EACH)) for number in halves[1]}, "from where the group had come to"
    second.commit(dict.fromkeys(halves[1], 12))
    first.commit(dict.fromkeys(halves[1], 19))  # it has them no more
    second.close()
    won_back = poll(first, until=lambda read: set(read[0]) == set(range(PARTITIONS)) and all_zero(there[:1]))[0]
    for number, offsets in won_back.items():
        assert offsets == list(range(12 if number in halves[1] else 7, EACH)), number


def all_zero(lags: list[Callable[[], dict[tuple[str, int], int]]]) -> bool:
    return not any(sum(each().values()) for each in lags)


@pytest.mark.parametrize("client", CLIENTS)
def test_one_with_a_name_of_its_own_has_its_partitions_back_and_the_other_is_not_disturbed(
    client: str, kafka: str, topic: str, prefix: str, join: Callable[..., KafkaGroup]
) -> None:
    fill(kafka, topic, prefix)
    stays, goes = join(client, instance="a"), join(client, instance="b")
    lags = [stays.lag, goes.lag]
    poll(stays, goes, until=lambda _: [2, 2] == [len(each()) for each in lags] and all_zero(lags))
    before = set(goes.lag())
    stays.handed()
    goes.close()
    again = join(client, instance="b")
    poll(stays, again, until=lambda _: before == set(again.lag()) and all_zero([again.lag]))
    assert not stays.handed()


@pytest.mark.parametrize("client", CLIENTS)
def test_of_two_with_one_name_the_older_ends(
    client: str, kafka: str, topic: str, prefix: str, join: Callable[..., KafkaGroup]
) -> None:
    fill(kafka, topic, prefix)
    older = join(client, instance="a")
    poll(older, until=lambda read: everything(read[0]))
    newer = join(client, instance="a")
    poll(newer, until=lambda read: everything(read[0]))

    def goes_on(read: list[Read]) -> bool:
        older.commit(dict.fromkeys(range(PARTITIONS), EACH))
        return False

    with pytest.raises(Fenced, match="another scorer has taken over"):
        poll(older, until=goes_on)


def test_both_libraries_share_a_group(kafka: str, topic: str, prefix: str, join: Callable[..., KafkaGroup]) -> None:
    fill(kafka, topic, prefix)
    members = [join(client) for client in CLIENTS]
    lags = [members[0].lag, members[1].lag]
    read = poll(*members, until=lambda _: [2, 2] == [len(each()) for each in lags] and all_zero(lags))
    assert {n for mine in read for n in mine} == set(range(PARTITIONS))
    for number in range(PARTITIONS):
        assert set(range(EACH)) == {offset for mine in read for offset in mine.get(number, [])}


@pytest.mark.parametrize("client", CLIENTS)
def test_offsets_that_the_log_does_not_hold_are_the_operators_to_decide_on(
    client: str, kafka: str, topic: str, prefix: str, join: Callable[..., KafkaGroup]
) -> None:
    fill(kafka, topic, prefix)
    first = join(client)
    poll(first, until=lambda read: everything(read[0]))
    first.commit({0: EACH + 1000})
    first.close()
    refusing = join(client)
    with pytest.raises(CannotStart, match="partition 0 holds offsets 0 to 20"):
        poll(refusing, until=lambda read: False)
    refusing.close()
    again = join(client, lost="earliest")
    poll(again, until=lambda read: everything(read[0]))


@pytest.mark.parametrize("client", CLIENTS)
def test_messages_are_acknowledged_or_said_not_to_be(client: str, kafka: str, prefix: str) -> None:
    make_topics(kafka, {f"{prefix}-candidates": 1})
    told = config.Topics(candidates=f"{prefix}-candidates", rejected="")
    outlet = KafkaOutlet(prefix, config.Kafka(kafka, client), told)
    outlet.publish([Message(CANDIDATES, b"a", b"1"), Message(REJECTED, b"b", b"2"), Message(CANDIDATES, None, b"3")])
    assert [b"1", b"3"] == World(kafka, prefix, client, create=False).visible(f"{prefix}-candidates")
    outlet.close()
    away = KafkaOutlet(prefix, config.Kafka("localhost:1", client), told, timeout_s=1.0)
    with pytest.raises(Unavailable, match="cannot publish candidates"):
        away.publish([Message(CANDIDATES, b"a", b"1")])
