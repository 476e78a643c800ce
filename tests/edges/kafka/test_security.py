"""A real broker with TLS, SASL and access rights: what works, and one line that names the key for each thing that does not.

The line is the same whichever client library is used: what is wrong is seen by `kafka_probe`, not by the library. So most
of it is asked of that alone, which takes no time, and the daemon is started for some.
"""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import ACLOperation, ResourceType

from streamlearn import config
from streamlearn.edges.kafka import clients
from streamlearn.edges.kafka.probe import diagnose
from streamlearn.errors import ConfigurationError, Unavailable
from tests.end_to_end.daemon_process import DaemonProcess, command, refusals, running, until
from tests.kafka_broker import free_ports
from tests.kafka_fixtures import make_topics
from tests.kafka_security import CLIENTS, SecureBroker, named

pytestmark = pytest.mark.kafka
ROLES = ("events", "labels", "queries", "rejected")
every_client = pytest.mark.parametrize("client", CLIENTS)
Settings = Callable[[SecureBroker], dict[str, object]]


@pytest.fixture
def topics(secure: SecureBroker, prefix: str) -> dict[str, str]:
    """The topics of a daemon called `prefix`, which the user `streamlearn` may use, as the README says."""
    names = {role: f"{prefix}-{role}" for role in ROLES}
    make_topics(secure.plain, dict.fromkeys(names.values(), 1))
    for role, name in names.items():
        secure.grant(
            ResourceType.TOPIC, name, ACLOperation.READ if role in ("events", "labels") else ACLOperation.WRITE
        )
    secure.grant(ResourceType.GROUP, prefix, ACLOperation.READ)
    secure.grant(ResourceType.TRANSACTIONAL_ID, prefix, ACLOperation.WRITE, ACLOperation.DESCRIBE)
    return names


def write(
    folder: Path, name: str, address: str, client: str, settings: dict[str, object], topics: dict[str, str]
) -> None:
    """config.toml. A password goes into a file of its own."""
    lines = [f'name = "{name}"', "[log]", 'kind = "kafka"', "[kafka]", f'bootstrap_servers = "{address}"']
    lines += [f'client = "{client}"', "[topics]", *(f'{role} = "{topic}"' for role, topic in topics.items())]
    lines += ["[kafka.settings]"]
    for key, value in named(client, settings).items():
        if "password" in key:
            (folder / key).write_text(f"{value}\n")
            lines.append(f'"{key}" = {{ file = "{folder / key}" }}')
        else:
            lines.append(f'"{key}" = {json.dumps(value)}')
    (folder / "config.toml").write_text("\n".join(lines))


def produce(secure: SecureBroker, topics: dict[str, str]) -> None:
    """Two labels to learn from, and fifty events of which some are worth asking about."""
    producer = KafkaProducer(bootstrap_servers=secure.plain)
    for number in range(2):
        producer.send(topics["labels"], json.dumps({"id": f"l{number}", "y": number == 1, "x": [number, 1.0]}).encode())
    for number in range(50):
        producer.send(topics["events"], json.dumps({"id": f"e{number}", "x": [number / 50, 1.0]}).encode())
    producer.flush(30)
    producer.close()


def queries(secure: SecureBroker, topic: str) -> list[bytes]:
    consumer = KafkaConsumer(
        topic, bootstrap_servers=secure.plain, auto_offset_reset="earliest", consumer_timeout_ms=500, group_id=None,
        isolation_level="read_committed",
    )  # fmt: skip
    try:
        return [each.value for each in consumer]
    finally:
        consumer.close()


@every_client
@pytest.mark.parametrize(
    ("listener", "settings"),
    [
        ("SASL", lambda secure: secure.sasl("SCRAM-SHA-512")),
        ("MTLS", lambda secure: secure.tls("streamlearn")),
    ],
    ids=["SCRAM over TLS", "mTLS"],
)
def test_the_daemon_works_over_a_secure_listener_with_no_more_rights_than_documented(
    secure: SecureBroker, topics: dict[str, str], prefix: str, tmp_path: Path, client: str, listener: str,
    settings: Settings,
) -> None:  # fmt: skip
    write(tmp_path, prefix, secure.addresses[listener], client, settings(secure), topics)
    with running(tmp_path, "config.toml") as daemon:
        produce(secure, topics)
        until(lambda: queries(secure, topics["queries"]), "queries")
        served = daemon.get("/metrics")[1] + daemon.get("/readyz")[1]
        assert 0 == daemon.drain()
    checked = command(tmp_path, "check", "config.toml", "--set", "http.port=-1")
    assert 0 == checked.returncode, checked.stdout
    assert secure.passwords["streamlearn"] not in daemon.said + served + checked.stdout + checked.stderr


@every_client
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_every_mechanism_with_a_password_logs_in(secure: SecureBroker, client: str, mechanism: str) -> None:
    kafka = config.Kafka(secure.addresses["SASL"], client, settings=named(client, secure.sasl(mechanism)))
    assert diagnose(kafka) is None
    reader = clients.client(kafka).reader("test", "test")
    reader.close()


CA, NAME = "ssl_cafile", "security_protocol"
WRONG = {"sasl_plain_password": "hunter2hunter2"}
BROKEN: dict[str, tuple[str, Settings, str, str]] = {
    **{
        f"wrong password, {mechanism}": (
            "SASL", lambda secure, mechanism=mechanism: secure.sasl(mechanism) | WRONG,
            "the broker does not accept the login", "sasl_plain_password",
        )
        for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
    },
    "unknown user": (
        "SASL", lambda secure: secure.sasl() | {"sasl_plain_username": "stranger"},
        "the broker does not accept the login", "sasl_plain_username",
    ),
    "no such mechanism": ("SASL", lambda secure: secure.sasl("GSSAPI"), "the broker has no GSSAPI", "sasl_mechanism"),
    "unknown authority": (
        "SASL", lambda secure: secure.sasl() | {CA: str(secure.folder / "other-ca.pem")},
        "is not signed by the authorities in kafka.settings.ssl_cafile", CA,
    ),
    "no authority": (
        "TLS", lambda secure: {NAME: "SSL"}, "is not signed by the system's authorities", CA,
    ),
    "wrong host name": ("OTHER_HOST", lambda secure: secure.tls(), "certificate is not for localhost", ""),
    "no client certificate": ("MTLS", lambda secure: secure.tls(), "wants a client certificate", "ssl_certfile"),
    "certificate of a stranger": (
        "MTLS", lambda secure: secure.tls("stranger"), "does not accept the certificate", "ssl_certfile",
    ),
    "without TLS where it is spoken": ("TLS", lambda secure: {}, "speaks TLS", NAME),
    "TLS where it is not spoken": ("PLAIN", lambda secure: secure.tls(), "does not speak TLS", NAME),
    "SASL where there is none": ("TLS", lambda secure: secure.sasl(), "has no SASL", NAME),
    "no SASL where it is wanted": ("SASL", lambda secure: secure.tls(), "wants a login by SASL (", NAME),
    "neither where both are wanted": ("SASL", lambda secure: {}, "speaks TLS", NAME),
    "no SASL on a port without TLS": ("SASL_PLAIN", lambda secure: {}, "wants a login by SASL (", NAME),
}  # fmt: skip


@every_client
@pytest.mark.parametrize("case", BROKEN)
def test_each_mistake_is_one_line_of_the_operators_that_names_the_key(
    secure: SecureBroker, client: str, case: str
) -> None:
    listener, settings, says, key = BROKEN[case]
    address = secure.addresses.get(listener, secure.plain)
    kafka = config.Kafka(address, client, settings=named(client, settings(secure)))
    found = diagnose(kafka)
    assert isinstance(found, ConfigurationError), found
    text = str(found)
    expected = f"kafka.settings.{next(iter(named(client, {key: 0})))}" if key else "kafka.bootstrap_servers"
    assert text.startswith(f"Kafka at {address}: cannot connect: ")
    assert (named_text(says, client) in text, expected in text, "\n" in text) == (True, True, False), text
    assert not any(secret in text for secret in (*secure.passwords.values(), *WRONG.values()))


def named_text(text: str, client: str) -> str:
    return text if client == "kafka-python" else text.replace("ssl_cafile", "ssl.ca.location")


@every_client
def test_what_is_the_worlds_is_waited_for(client: str) -> None:
    """A name may come, a broker may start: only that something else is there is the operator's."""
    (port,) = free_ports(1)
    for address, says in {
        "no-such-host.invalid:9092": "the host name no-such-host.invalid is not known here",
        f"127.0.0.1:{port}": f"nothing listens on port {port}",
    }.items():
        found = diagnose(config.Kafka(address, client))
        assert isinstance(found, Unavailable)
        assert (says in str(found), "kafka.bootstrap_servers" in str(found)) == (True, True)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        found = diagnose(config.Kafka(f"127.0.0.1:{silent.getsockname()[1]}", client))
    assert isinstance(found, Unavailable)
    assert "does not answer as a broker" in str(found)


@every_client
def test_something_else_on_the_port_is_named(client: str) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.RequestHandlerClass.log_message = lambda *_: None  # type: ignore[method-assign]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        found = diagnose(config.Kafka(f"127.0.0.1:{server.server_port}", client))
    finally:
        server.shutdown()
        server.server_close()
    assert isinstance(found, ConfigurationError)
    assert "a web server listens on port" in str(found)


@every_client
def test_one_server_of_several_that_works_is_enough(secure: SecureBroker, client: str) -> None:
    assert diagnose(config.Kafka(f"localhost:1, {secure.plain}", client)) is None


@every_client
@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({NAME: "TLS"}, f"kafka.settings.{NAME} is not one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
        ({CA: "F/ca.pem"}, f'kafka.settings.{CA} does nothing without TLS; set kafka.settings.{NAME} = "SSL"'),
        ({NAME: "SSL", "sasl_plain_username": "me"}, 'does nothing without SASL; set'),
        ({NAME: "SSL", CA: "F/absent.pem"}, "the file F/absent.pem is not there; correct the path"),
        ({NAME: "SSL", CA: "F/streamlearn.key"}, "F/streamlearn.key holds no certificate in PEM; correct the path"),
        (
            {NAME: "SSL", "ssl_certfile": "F/streamlearn.pem", "ssl_keyfile": "F/nobody.key"},
            "do not belong together: name the key of the certificate",
        ),
        (
            {NAME: "SSL", "ssl_certfile": "F/streamlearn.pem", "ssl_keyfile": "F/locked.key"},
            "F/locked.key has a password; set kafka.settings.ssl_password",
        ),
        (
            {NAME: "SSL", "ssl_certfile": "F/streamlearn.pem", "ssl_keyfile": "F/locked.key", "ssl_password": "hunter2"},
            "kafka.settings.ssl_password does not open the key",
        ),
        ({NAME: "SASL_SSL", "sasl_mechanism": "PLAIN"}, "kafka.settings.sasl_plain_username is missing"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_before_anything_connects(
    secure: SecureBroker, client: str, settings: dict[str, object], says: str
) -> None:
    key = serialization.load_pem_private_key((secure.folder / "streamlearn.key").read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"right")
    (secure.folder / "locked.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    )
    folder = str(secure.folder)
    given = {key: str(value).replace("F/", f"{folder}/") for key, value in settings.items()}
    with pytest.raises(ConfigurationError) as refused:
        clients.client(config.Kafka("localhost:1", client, settings=named(client, given)))
    expected = says.replace("F/", f"{folder}/")
    for key in (*settings, NAME, "sasl_plain_username", "ssl_password"):
        expected = expected.replace(f"kafka.settings.{key}", f"kafka.settings.{next(iter(named(client, {key: 0})))}")
    assert expected in str(refused.value)
    assert "hunter2" not in str(refused.value)


@every_client
@pytest.mark.parametrize("case", ["wrong password, SCRAM-SHA-512", "wrong host name", "without TLS where it is spoken"])
def test_the_daemon_ends_with_one_line_and_code_2(
    secure: SecureBroker, topics: dict[str, str], prefix: str, tmp_path: Path, client: str, case: str
) -> None:
    listener, settings, says, _ = BROKEN[case]
    write(tmp_path, prefix, secure.addresses[listener], client, settings(secure), topics)
    daemon = DaemonProcess(tmp_path, "config.toml")
    try:
        assert 2 == daemon.wait()
    finally:
        daemon.kill()
    (last,) = refusals(daemon.said)
    assert last.startswith("Kafka at ")
    assert says in last
    assert "Traceback" not in daemon.said
    assert not any(secret in daemon.said for secret in (*secure.passwords.values(), *WRONG.values()))


@every_client
@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("topic", "this user may not read it, or it does not exist; grant Read on it, or set topics.events"),
        ("output", "this user may not write to it; grant Write on it, or set topics.queries"),
        ("group", "grant Read on the consumer group that is called as the daemon is"),
        ("transactional id", "grant Write and Describe on the transactional id that is called as the daemon is"),
    ],
)
def test_each_right_that_is_missing_is_named_and_what_to_grant(
    secure: SecureBroker, topics: dict[str, str], prefix: str, tmp_path: Path, client: str, kind: str, says: str
) -> None:
    user, read, write_ = "nobody", ACLOperation.READ, ACLOperation.WRITE
    rights = {
        "topic": (ResourceType.TOPIC, topics["events"], read),
        "labels": (ResourceType.TOPIC, topics["labels"], read),
        "output": (ResourceType.TOPIC, topics["queries"], write_),
        "rejected": (ResourceType.TOPIC, topics["rejected"], write_),
        "group": (ResourceType.GROUP, prefix, read),
        "transactional id": (ResourceType.TRANSACTIONAL_ID, prefix, write_),
    }
    del rights[kind]
    for resource, name, operation in rights.values():
        secure.grant(resource, name, operation, user=user)
    if kind == "output":
        secure.grant(ResourceType.TOPIC, topics["queries"], ACLOperation.DESCRIBE, user=user)
    write(tmp_path, prefix, secure.addresses["SASL"], client, secure.sasl(user=user), topics)
    done = command(tmp_path, "run", "config.toml", "--set", "http.port=-1")
    assert 2 == done.returncode, done.stderr
    assert says in refusals(done.stderr)[-1]
    assert secure.passwords[user] not in done.stderr
