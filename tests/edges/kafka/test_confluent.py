"""What was found out about confluent-kafka 2.16, and what its adapter does about it."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaException, Producer, TopicPartition

from streamlearn import config
from streamlearn.edges.kafka import clients, confluent
from streamlearn.edges.kafka.client import Outgoing
from streamlearn.edges.kafka.source import KafkaSource
from streamlearn.errors import ConfigurationError
from tests.edges.kafka.world import PATIENCE_S, POSITIONS, STORE, World, commit, until_available
from tests.kafka_broker import LocalBroker

pytestmark = pytest.mark.kafka


@pytest.fixture
def client() -> str:
    return "confluent"


def test_a_producer_that_is_fenced_while_sending_leaves_its_successors_open_transaction_alone(world: World, closing):
    older, newer = closing(world.sink()), closing(world.sink())
    older.open(STORE, 0)
    producer = older._writer.producer
    producer.begin_transaction()
    producer.produce(world.topics.queries, b"one")
    assert 0 == producer.flush(PATIENCE_S)
    newer.open(STORE, 0)
    successor = newer._writer.producer
    successor.begin_transaction()
    successor.produce(world.topics.queries, b"newer")
    assert 0 == successor.flush(PATIENCE_S)
    producer.produce(world.topics.queries, b"two")  # to a partition that the broker had let it write to
    with pytest.raises(KafkaException) as caught:
        producer.flush(PATIENCE_S)
    assert ("_FENCED", True) == (caught.value.args[0].name(), caught.value.args[0].fatal())
    successor.commit_transaction(PATIENCE_S)
    assert [b"newer"] == world.visible(world.topics.queries)
    newer.publish(commit(1, []))


def test_offsets_of_an_aborted_transaction_are_not_committed_by_the_next_one(world: World, closing):
    sink = closing(world.sink())
    sink.open(STORE, 0)
    stale = sink._writer
    stale.producer.begin_transaction()
    offsets = [TopicPartition(world.topics.events, 0, 99, "store-a:99")]
    stale.producer.send_offsets_to_transaction(offsets, stale._member, PATIENCE_S)
    assert 0 == sink.open(STORE, 1)  # aborts it
    sink.publish(commit(1, [b"a"]))
    assert {position: (offset, "store-a:1") for position, offset in POSITIONS.items()} == world.committed()


def test_a_message_that_has_expired_fails_the_commit_and_says_why(
    own_broker: LocalBroker, own_world: World, closing, monkeypatch
):
    """librdkafka's own commit would fail too, under another name and with less to say."""

    class Held(Producer):
        """Its broker is frozen while it sends, and answers again before it would commit."""

        def flush(self, timeout):
            own_broker.pause()
            unsent = super().flush(timeout)
            own_broker.resume()
            return unsent

    monkeypatch.setattr(confluent, "Producer", Held)
    writer = clients.client(own_world.kafka).writer(own_world.name, 1.0)
    writer._timeout_s = PATIENCE_S  # long after the message has expired
    writer.take_over()
    assert writer.knows(own_world.topics.queries, PATIENCE_S)
    with pytest.raises(KafkaException) as caught:
        writer.publish([Outgoing(own_world.topics.queries, b"k", b"a")], {(own_world.topics.events, 0): 5}, "store-a:1")
    assert "_MSG_TIMED_OUT" == caught.value.args[0].name()
    writer.close()
    sink = closing(own_world.sink())
    assert 0 == until_available(lambda: sink.open(STORE, 1))
    assert [] == own_world.visible(own_world.topics.queries)


def test_settings_may_be_written_with_underscores_as_the_environment_has_to(world: World):
    login = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "sasl_username": "me"}
    refused = config.Kafka(world.address, "confluent", {**login, "sasl_password": "s3cret"})
    with pytest.raises(ConfigurationError, match=r"this port has no SASL; set kafka\.settings\.security\.protocol"):
        KafkaSource("n", refused, world.topics).open({})


@pytest.mark.parametrize("value", [["a"], {"b": 1}, None])
def test_a_setting_that_is_no_plain_value_is_refused(value: object):
    with pytest.raises(
        ConfigurationError, match=r"kafka.settings.sasl.password must be a text, a number, true or false"
    ):
        KafkaSource("n", config.Kafka(client="confluent", settings={"sasl.password": value}), config.Topics())
