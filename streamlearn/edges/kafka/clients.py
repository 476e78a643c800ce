"""From `[kafka]` to the client library that it names. `[kafka.settings]` goes to the library as it is, by its own names,
save what the promises rest on; secrets in it are struck from every text.
"""

from __future__ import annotations

from streamlearn import config
from streamlearn.edges.kafka.client import REFUSED, Client
from streamlearn.edges.kafka.member import Called, Member, Producer
from streamlearn.edges.kafka.security import Security
from streamlearn.errors import ConfigurationError


def client(kafka: config.Kafka) -> Client:
    """Raises ConfigurationError for settings that the library does not know, or that are not the operator's to set."""
    try:
        made = _library(kafka)
    except ConfigurationError as error:
        if REFUSED in str(error):
            Security(kafka).check()  # which names the key
        raise
    Security(kafka).check()
    return made


def member(client: Client, called: Called, role: str, topic: str) -> Member:
    """One that has joined this group. Raises the daemon's errors."""
    if client.kafka.client == "confluent":
        from streamlearn.edges.kafka.confluent import KafkaConfluent
        from streamlearn.edges.kafka.confluent_member import ConfluentMember

        assert isinstance(client, KafkaConfluent)
        return ConfluentMember(client, called, role, topic)
    from streamlearn.edges.kafka.python import KafkaPython
    from streamlearn.edges.kafka.python_member import KafkaPythonMember

    assert isinstance(client, KafkaPython)
    return KafkaPythonMember(client, called, role, topic)


def producer(client: Client, name: str, timeout_s: float) -> Producer:
    """timeout_s: the longest that publishing may take."""
    if client.kafka.client == "confluent":
        from streamlearn.edges.kafka.confluent import KafkaConfluent
        from streamlearn.edges.kafka.confluent_member import ConfluentProducer

        assert isinstance(client, KafkaConfluent)
        return ConfluentProducer(client, name, timeout_s)
    from streamlearn.edges.kafka.python import KafkaPython
    from streamlearn.edges.kafka.python_member import KafkaPythonProducer

    assert isinstance(client, KafkaPython)
    return KafkaPythonProducer(client, name, timeout_s)


def _library(kafka: config.Kafka) -> Client:
    if kafka.client == "confluent":
        try:
            from streamlearn.edges.kafka.confluent import KafkaConfluent
        except ImportError as error:
            raise ConfigurationError(
                f'kafka.client = "confluent" needs confluent-kafka, which cannot be imported ({error});'
                ' pip install "streamlearn[confluent]"'
            ) from error
        return KafkaConfluent(kafka)
    from streamlearn.edges.kafka.python import KafkaPython

    return KafkaPython(kafka)
