"""Why a broker cannot be reached: looked at byte by byte, because client libraries only say that they could not.

A handful of Kafka's requests that every broker answers before anybody has logged in tells apart what a library reports as
one and the same closed connection or timeout: no such host, nothing there, something else there, TLS where none is
expected or none where it is, certificates that one side does not accept, SASL on one side only, and a password that is
wrong. Only what was seen is told: a broker that is silent may be starting, so that is the world's fault and is waited out.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import final

from kafka.net.sasl.scram import ScramClient

from streamlearn import config
from streamlearn.edges import secrets
from streamlearn.edges.kafka.security import Security
from streamlearn.errors import ConfigurationError, StreamlearnError, Unavailable

ANSWER_S = 1.5  # how long each step may take
SERVERS_MOST = 3  # of those named
FRAME_BYTES_MOST = 1 << 16
API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE = (18, 0), (17, 1), (36, 0)  # (key, version): all brokers have these
ADD_OFFSETS, TRANSACTIONAL_ID_DENIED = (25, 0), 53
UNSUPPORTED_MECHANISM, ILLEGAL_STATE, AUTHENTICATION_FAILED = 33, 34, 58
ALERT = b"\x15\x03"  # how TLS answers what is not TLS
PROXIES = ("proxy_url", "socks5_proxy")  # through which only the library goes
SERVERS = "kafka.bootstrap_servers"


@final
class Broken(Exception):
    """The connection ended, or nothing came."""


@final
class NotKafka(Exception):
    """What came is not Kafka's; the first bytes."""


def diagnose(kafka: config.Kafka) -> StreamlearnError | None:
    """What is wrong with reaching the cluster, by whose fault it is; None where nothing was found."""
    security = Security(kafka)
    if any(name in kafka.settings for name in PROXIES):
        return None
    found = []
    for server in kafka.bootstrap_servers.split(",")[:SERVERS_MOST]:
        host, _, port = server.strip().rpartition(":")
        try:
            look(host.strip("[]"), int(port), security)
        except StreamlearnError as error:
            text = f"Kafka at {kafka.bootstrap_servers}: cannot connect: {error}"
            found.append(type(error)(secrets.line(text, kafka.settings)))
        else:
            return None
    return next((each for each in found if isinstance(each, ConfigurationError)), found[0])


def look(host: str, port: int, security: Security) -> None:
    """Talk to one broker up to the login; raise what is wrong, in words without the cluster's name."""
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unavailable(f"the host name {host} is not known here; correct {SERVERS}, or the DNS") from None
    if security.tls and not security.plain_to_us:
        _look_for_plain(host, port, security)
        return
    try:
        with _connected(host, port) as plain:
            connection = _encrypted(plain, host, security) if security.tls else plain
            _ask(connection, API_VERSIONS, b"")
            _log_in(connection, security)
    except ssl.SSLError as error:
        raise _tls_fault(error, host, port, security) from None
    except NotKafka as seen:
        raise _not_kafka(bytes(seen.args[0]), port, security) from None
    except (Broken, OSError) as error:
        if security.tls:
            _look_for_plain(host, port, security)
        _look_for_web(host, port, security)
        raise Unavailable(
            f"something listens on port {port} of {host} and does not answer as a broker ({error}); it may be starting, "
            f"or {SERVERS} names the wrong port"
        ) from None


def may_publish(kafka: config.Kafka, name: str) -> bool:
    """Whether this user may write under a transactional id; True too where that cannot be seen.

    A broker is asked to take a group into the transaction of a producer that there cannot be. It looks at rights first and
    refuses then, so nothing changes, whoever uses the id.
    """
    security = Security(kafka)
    known = security.mechanism == "PLAIN" or security.mechanism in ScramClient.MECHANISMS
    if not security.plain_to_us or (security.sasl and not known) or any(each in kafka.settings for each in PROXIES):
        return True
    text = struct.pack(">h", len(name.encode())) + name.encode()
    host, _, port = kafka.bootstrap_servers.split(",")[0].strip().rpartition(":")
    with suppress(Broken, NotKafka, OSError, StreamlearnError), _connected(host.strip("[]"), int(port)) as plain:
        connection = _encrypted(plain, host, security) if security.tls else plain
        if security.sasl:
            _log_in(connection, security)
        told = _ask(connection, ADD_OFFSETS, text + struct.pack(">qh", -1, -1) + text)
        _, error = struct.unpack(">ih", told[:6])  # behind how long the broker wants us to wait
        return bool(error != TRANSACTIONAL_ID_DENIED)
    return True


@contextmanager
def _connected(host: str, port: int) -> Iterator[socket.socket]:
    try:
        connection = socket.create_connection((host, port), ANSWER_S)
    except TimeoutError:
        raise Unavailable(
            f"{host} does not answer on port {port}; see {SERVERS}, the firewall and the network"
        ) from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise Unavailable(
            f"nothing listens on port {port} of {host} ({why}); start the broker, or correct {SERVERS}"
        ) from None
    with connection:
        connection.settimeout(ANSWER_S)
        yield connection


def _encrypted(plain: socket.socket, host: str, security: Security) -> ssl.SSLSocket:
    return security.context().wrap_socket(plain, server_hostname=host)


def _ask(connection: socket.socket, request: tuple[int, int], body: bytes) -> bytes:
    """The body of the answer to one request."""
    client = b"streamlearn"
    head = struct.pack(">hhih", *request, 1, len(client)) + client
    connection.sendall(struct.pack(">i", len(head + body)) + head + body)
    start = _receive(connection, 8, whole=False)
    size, correlation = struct.unpack(">ii", start) if len(start) == 8 else (0, 0)
    if not 4 <= size <= FRAME_BYTES_MOST or correlation != 1:
        raise NotKafka(start)
    return _receive(connection, size - 4)


def _receive(connection: socket.socket, count: int, whole: bool = True) -> bytes:
    data = b""
    while len(data) < count:
        try:
            more = connection.recv(count - len(data))
        except TimeoutError:
            more, why = b"", f"nothing came for {ANSWER_S:g} s"
        else:
            why = "it closed the connection"
        if not more:
            if data and not whole:
                return data
            raise Broken(why)
        data += more
    return data


def _log_in(connection: socket.socket, security: Security) -> None:
    """Whether both sides want SASL, by which mechanism, and with PLAIN whether the password is right."""
    names = security.names
    protocol = f"kafka.settings.{names.protocol}"
    mechanism = security.mechanism.encode()
    answer = _ask(connection, SASL_HANDSHAKE, struct.pack(">h", len(mechanism)) + mechanism)
    (error,) = struct.unpack(">h", answer[:2])
    if error == ILLEGAL_STATE:
        if security.sasl:
            wanted = "SSL" if security.tls else "PLAINTEXT"
            raise ConfigurationError(
                f'this port has no SASL; set {protocol} = "{wanted}", or the port of a SASL listener in {SERVERS}'
            )
        return
    offered = ", ".join(_texts(answer[2:]))
    if not security.sasl:
        wanted = "SASL_SSL" if security.tls else "SASL_PLAINTEXT"
        raise ConfigurationError(
            f'this port wants a login by SASL ({offered}); set {protocol} = "{wanted}" and kafka.settings.{names.mechanism}'
        )
    if error == UNSUPPORTED_MECHANISM:
        raise ConfigurationError(
            f"the broker has no {security.mechanism}; set kafka.settings.{names.mechanism} = {offered}"
        )
    for told in _secrets(connection, security):
        if struct.unpack(">h", told[:2]) == (AUTHENTICATION_FAILED,):
            raise ConfigurationError(f"the broker does not accept the login; correct {names.rights}")


def _secrets(connection: socket.socket, security: Security) -> Iterator[bytes]:
    """The broker's answers to what the mechanism has to say, where that is a user and a password."""

    def tell(text: bytes) -> bytes:
        return _ask(connection, SASL_AUTHENTICATE, struct.pack(">i", len(text)) + text)

    if security.mechanism == "PLAIN":
        yield tell(b"\0" + security.user.encode() + b"\0" + security.password.encode())
    elif security.mechanism in ScramClient.MECHANISMS:
        scram = ScramClient(security.user, security.password, security.mechanism)
        answer = tell(scram.first_message())
        yield answer
        (size,) = struct.unpack(">h", answer[2:4])  # of an error's text: -1, as there is none
        scram.process_server_first_message(answer[8 + max(size, 0) :])
        yield tell(scram.final_message())


def _texts(data: bytes) -> Iterator[str]:
    """An array of texts as Kafka writes it."""
    (count,), at = struct.unpack(">i", data[:4]), 4
    for _ in range(count):
        (size,) = struct.unpack(">h", data[at : at + 2])
        yield data[at + 2 : at + 2 + size].decode(errors="replace")
        at += 2 + size


def _not_kafka(seen: bytes, port: int, security: Security) -> ConfigurationError:
    if seen.startswith(ALERT):
        wanted = "SASL_SSL" if security.sasl else "SSL"
        return ConfigurationError(
            f'port {port} speaks TLS; set kafka.settings.{security.names.protocol} = "{wanted}", or another port in {SERVERS}'
        )
    what = "a web server" if seen.startswith(b"HTTP") else "something that is not Kafka"
    return ConfigurationError(f"{what} listens on port {port}; correct {SERVERS}")


def _look_for_plain(host: str, port: int, security: Security) -> None:
    """Raise if it answers without TLS."""
    try:
        with _connected(host, port) as connection:
            _ask(connection, API_VERSIONS, b"")
    except NotKafka as seen:
        if seen.args[0].startswith(ALERT):
            return
        raise _not_kafka(bytes(seen.args[0]), port, security) from None
    except (Broken, OSError):
        return
    wanted = "SASL_PLAINTEXT" if security.sasl else "PLAINTEXT"
    raise ConfigurationError(
        f"port {port} does not speak TLS; set the port of a TLS listener in {SERVERS}, or "
        f'kafka.settings.{security.names.protocol} = "{wanted}"'
    )


def _look_for_web(host: str, port: int, security: Security) -> None:
    """Raise if it is a web server that waits for the end of a line. A broker closes the connection."""
    with suppress(Broken, OSError), _connected(host, port) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        seen = _receive(connection, 4, whole=False)
        if seen == b"HTTP":
            raise _not_kafka(seen, port, security)


def _tls_fault(error: ssl.SSLError, host: str, port: int, security: Security) -> StreamlearnError:
    names, reason = security.names, (error.reason or "").upper()
    if isinstance(error, ssl.SSLCertVerificationError):
        return _distrusted(error, host, security)
    if "ALERT" in reason and any(each in reason for each in ("CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE_FAILURE")):
        where = f"kafka.settings.{names.certificate}"
        if security.certificate:
            return ConfigurationError(
                f"the broker does not accept the certificate in {where} ({reason.lower()}); have one issued that it trusts"
            )
        return ConfigurationError(f"the broker wants a client certificate; set {where} and kafka.settings.{names.key}")
    try:
        _look_for_plain(host, port, security)
    except StreamlearnError as found:
        return found
    return Unavailable(f"TLS could not be agreed upon ({reason.lower() or error}); see the broker's log")


def _distrusted(error: ssl.SSLCertVerificationError, host: str, security: Security) -> ConfigurationError:
    names, code = security.names, error.verify_code
    if code in (62, 64):  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
        return ConfigurationError(
            f"the broker's certificate is not for {host}; name the broker as its certificate does in {SERVERS}, or have "
            "one issued for this name"
        )
    if code in (9, 10):
        return ConfigurationError(f"the broker's certificate is not valid now ({error.verify_message}); renew it")
    by = (
        f"the authorities in kafka.settings.{names.authorities}" if security.authorities else "the system's authorities"
    )
    return ConfigurationError(
        f"the broker's certificate is not signed by {by} ({error.verify_message}); set kafka.settings.{names.authorities} "
        "to the certificate of the authority that did"
    )
