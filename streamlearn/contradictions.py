"""Which keys of the configuration contradict each other: each refusal is one line that names them and says what to do.

Of what the model is and how it learns: `contradictions_of_models.py`.
"""

from __future__ import annotations

from dataclasses import asdict

from streamlearn import contradictions_of_models
from streamlearn.config import Configuration
from streamlearn.limits import refuse, show


def check(configuration: Configuration) -> None:
    """Refuse keys that contradict each other."""
    topics = configuration.topics
    kafka = configuration.kafka
    for key, value in (("kafka.partitions", kafka.partitions), ("kafka.replication", kafka.replication)):
        if value and not kafka.create_topics:
            raise refuse(f"{key} = {value} does nothing without kafka.create_topics = true; set that, or remove it")
    if configuration.models.for_scorers and not topics.models:
        raise refuse(
            'models.for_scorers = true does nothing with topics.models = ""; set topics.models = "models", or remove it'
        )
    _check_stale(configuration)
    _check_overload(configuration)
    _check_candidates(configuration)
    _check_drift(configuration)
    seen: dict[str, str] = {}
    for role in ("events", "candidates", "labels", "queries", "predictions", "rejected", "models"):
        name = getattr(topics, role)
        if name and name in seen:
            raise refuse(
                f'topics.{role} and topics.{seen[name]} are both "{name}", and every topic needs its own name; '
                f'set topics.{role} = "{name}-{role}"'
            )
        seen[name] = role
    _check_format(configuration)
    contradictions_of_models.check(configuration)


def _check_format(configuration: Configuration) -> None:
    """The embedded log is JSON lines; a frame that is written needs the id of a schema."""
    kafka, kind = configuration.kafka, configuration.log.kind
    for key, value, default in (("format", kafka.format, "json"), ("framing", kafka.framing, "")):
        if value != default and kind != "kafka":
            raise refuse(
                f'kafka.{key} = "{value}" is of Kafka and log.kind is "{kind}", where every record is a line of JSON; '
                f'set log.kind = "kafka", or kafka.{key} = "{default}"'
            )
    for role, id in asdict(kafka.schema_ids).items():
        if id and not kafka.framing:
            raise refuse(
                f'kafka.schema_ids.{role} = {id} is given and kafka.framing = "" writes none; '
                'remove it, or set kafka.framing = "schema-registry"'
            )
        if kafka.framing and getattr(configuration.topics, role) and not id:
            raise refuse(
                f'kafka.framing = "{kafka.framing}" needs the id of the schema of topics.{role}; set, for example, '
                f'kafka.schema_ids.{role} = 7, or topics.{role} = ""'
            )


def _check_stale(configuration: Configuration) -> None:
    """A model's age says something only where it is longer than a model is published for."""
    scorers, every_s = configuration.scorers, configuration.models.every_s
    if scorers.when_stale == "stop" and not scorers.stale_s:
        raise refuse(
            'scorers.when_stale = "stop" does nothing with scorers.stale_s = 0; set, for example, scorers.stale_s = 300'
        )
    if 0.0 < scorers.stale_s <= every_s:
        raise refuse(
            f"scorers.stale_s = {scorers.stale_s:g} is no more than the time between two models, models.every_s = "
            f"{every_s:g}; set it to several times as much"
        )


def _check_overload(configuration: Configuration) -> None:
    kafka = configuration.kafka
    if kafka.overload == "sample" and configuration.log.kind != "kafka":
        raise refuse(
            f'kafka.overload = "sample" is of Kafka and log.kind is "{configuration.log.kind}"; set log.kind = "kafka", '
            "or remove it"
        )
    if kafka.backlog != Configuration().kafka.backlog and kafka.overload == "wait":
        raise refuse(
            f'kafka.backlog = {kafka.backlog} does nothing with kafka.overload = "wait"; '
            'set kafka.overload = "sample", or remove it'
        )


def _check_candidates(configuration: Configuration) -> None:
    """Scorers need a model to score by; and what is not passed on, nobody here can look at."""
    key = f'topics.candidates = "{configuration.topics.candidates}"'
    if not configuration.topics.candidates:
        return
    if configuration.log.kind == "files":
        raise refuse(f'{key} is of scorers, which share the events of Kafka; set log.kind = "kafka", or remove it')
    if not configuration.models.for_scorers:
        raise refuse(
            f"{key} needs scorers, and those a model; set models.for_scorers = true, or remove topics.candidates"
        )
    if configuration.kafka.overload == "sample":
        raise refuse(f'{key} has in it how many events there were, and kafka.overload = "sample" skips; remove that')
    if configuration.queries.shadows:
        raise refuse(f"{key} are the events of one strategy, and queries.shadows would look at all; remove one")


def _check_drift(configuration: Configuration) -> None:
    """What would do nothing."""
    told, default = configuration.drift, Configuration().drift
    if told.detector == "none" and (told.response, told.for_events) != ("none", default.for_events):
        key = "response" if told.response != "none" else "for_events"
        raise refuse(
            f'drift.{key} = {show(f"drift.{key}", getattr(told, key))} does nothing with drift.detector = "none"; '
            'set drift.detector = "adwin", or remove it'
        )
    if told.response != "audit":
        if told.audit_share != default.audit_share:
            raise refuse(
                f'drift.audit_share = {told.audit_share} does nothing with drift.response = "{told.response}"; '
                'set drift.response = "audit", or remove it'
            )
        return
    if configuration.topics.candidates:
        raise refuse(
            'drift.response = "audit" draws among all events, and with topics.candidates scorers draw; '
            'set drift.response = "none" or "forget"'
        )
    if told.audit_share <= configuration.queries.audit_share:
        raise refuse(
            f"drift.audit_share = {told.audit_share} is no more than queries.audit_share = "
            f"{configuration.queries.audit_share}; set it higher"
        )
