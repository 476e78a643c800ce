"""A broker with every kind of security on listeners of its own: certificates, SASL users and access rights.

One broker serves them all, so that a test costs no broker of its own: a listener without security for the tests' own
admin client (its user, ANONYMOUS, may do anything), one with TLS, one that wants a client certificate, one with SASL over
TLS, one with SASL without, and one whose certificate is for another host. Everything secret is made anew for each broker.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import final

import trustme
from cryptography.hazmat.primitives import serialization
from kafka import KafkaAdminClient
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType

from tests.kafka_broker import LocalBroker, free_ports

SUPER = {"admin", "ANONYMOUS"}
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
LISTENERS = ("TLS", "MTLS", "SASL", "SASL_PLAIN", "OTHER_HOST")
CLIENTS = ("kafka-python", "confluent")  # that the tests of security are run with
LIBRDKAFKA = {  # its names of kafka-python's settings
    "security_protocol": "security.protocol",
    "ssl_cafile": "ssl.ca.location",
    "ssl_certfile": "ssl.certificate.location",
    "ssl_keyfile": "ssl.key.location",
    "ssl_password": "ssl.key.password",
    "sasl_mechanism": "sasl.mechanism",
    "sasl_plain_username": "sasl.username",
    "sasl_plain_password": "sasl.password",
}
PROTOCOLS = {"SASL": "SASL_SSL", "SASL_PLAIN": "SASL_PLAINTEXT"}  # the others: SSL


def named(client: str, settings: Mapping[str, object]) -> dict[str, object]:
    """The settings by the client's own names."""
    return {key if client == "kafka-python" else LIBRDKAFKA[key]: value for key, value in settings.items()}


@final
class SecureBroker:
    """`broker` with its addresses by listener; `folder` has `ca.pem`, `other-ca.pem`, and `NAME.pem`, `NAME.key` of clients.

    Users: `admin` may do anything, `streamlearn` has what `grant` gives, `nobody` has nothing. They exist for PLAIN and for
    both SCRAM mechanisms, and as client certificates.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.passwords = {user: secrets.token_urlsafe(12) for user in ("admin", "streamlearn", "nobody")}
        authority, other = trustme.CA(), trustme.CA()
        authority.cert_pem.write_to_path(folder / "ca.pem")
        other.cert_pem.write_to_path(folder / "other-ca.pem")
        self._issue(authority, "server", "localhost", "127.0.0.1")
        self._issue(authority, "elsewhere", "kafka.elsewhere.example")
        for user in self.passwords:
            self._issue(authority, user, f"{user}.example")
        self._issue(other, "stranger", "stranger.example")
        ports = dict(zip(LISTENERS, free_ports(len(LISTENERS)), strict=True))
        self.addresses = {name: f"localhost:{port}" for name, port in ports.items()}
        scram = [
            word
            for user, password in self.passwords.items()
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
            for word in ("--add-scram", f"{mechanism}=[name={user},password={password}]")
        ]
        self.broker = LocalBroker(self._properties(), listeners=self._listeners(ports), format_options=scram)
        self.plain = self.broker.address

    def _issue(self, authority: trustme.CA, name: str, *hosts: str) -> None:
        """NAME.pem (certificate and chain), NAME.key, and NAME-store.pem, which holds both as the broker reads them."""
        issued = authority.issue_cert(*hosts, common_name=name)
        key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        (self.folder / f"{name}.pem").write_bytes(chain)
        (self.folder / f"{name}.key").write_bytes(key)
        (self.folder / f"{name}-store.pem").write_bytes(key + chain)

    def _listeners(self, ports: dict[str, int]) -> dict[str, tuple[str, int]]:
        return {name: (PROTOCOLS.get(name, "SSL"), port) for name, port in ports.items()}

    def _properties(self) -> str:
        folder = self.folder
        lines = [
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            f"super.users={';'.join(f'User:{user}' for user in sorted(SUPER))}",
            "ssl.keystore.type=PEM",
            f"ssl.keystore.location={folder}/server-store.pem",
            "ssl.truststore.type=PEM",
            f"ssl.truststore.location={folder}/ca.pem",
            "ssl.principal.mapping.rules=RULE:^.*CN=([^,]+).*$/$1/,DEFAULT",
            "listener.name.mtls.ssl.client.auth=required",
            f"listener.name.other_host.ssl.keystore.location={folder}/elsewhere-store.pem",
            "listener.name.other_host.ssl.keystore.type=PEM",
        ]
        users = " ".join(f'user_{user}="{password}"' for user, password in self.passwords.items())
        for name in ("sasl", "sasl_plain"):
            lines += [
                f"listener.name.{name}.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
                f"listener.name.{name}.plain.sasl.jaas.config={PLAIN} required {users};",
                f"listener.name.{name}.scram-sha-256.sasl.jaas.config={SCRAM} required;",
                f"listener.name.{name}.scram-sha-512.sasl.jaas.config={SCRAM} required;",
            ]
        return "\n".join(lines) + "\n"

    def sasl(self, mechanism: str = "SCRAM-SHA-512", user: str = "streamlearn") -> dict[str, object]:
        """kafka-python's settings for SASL over TLS."""
        return {
            "security_protocol": "SASL_SSL",
            "ssl_cafile": str(self.folder / "ca.pem"),
            "sasl_mechanism": mechanism,
            "sasl_plain_username": user,
            "sasl_plain_password": self.passwords[user],
        }

    def tls(self, user: str = "") -> dict[str, object]:
        """kafka-python's settings for TLS, with a client certificate where there is a user."""
        own = {"ssl_certfile": str(self.folder / f"{user}.pem"), "ssl_keyfile": str(self.folder / f"{user}.key")}
        return {"security_protocol": "SSL", "ssl_cafile": str(self.folder / "ca.pem"), **(own if user else {})}

    def grant(self, kind: ResourceType, name: str, *operations: ACLOperation, user: str = "streamlearn") -> None:
        """Let the user do these things; `ALL` of everything is what no ACL can say shorter."""
        admin = KafkaAdminClient(bootstrap_servers=self.plain)
        try:
            pattern = ResourcePattern(kind, name)
            wanted = [ACL(f"User:{user}", "*", each, ACLPermissionType.ALLOW, pattern) for each in operations]
            assert not admin.create_acls(wanted)["failed"]
        finally:
            admin.close()

    def discard(self) -> None:
        self.broker.discard()
