"""From `[kafka]` to the client library that it names. `[kafka.settings]` goes to the library as it is, by its own names,
save what the promises rest on; secrets in it are struck from every text.
"""

from __future__ import annotations

from streamlearn import config
from streamlearn.edges.kafka.client import REFUSED, Client
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
