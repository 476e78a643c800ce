"""What `[kafka.settings]` says of TLS and SASL, whichever client library's names it uses; what cannot be meant is refused.

The libraries find some mistakes only while they connect, and then try again for ever: a file that is not there, a key that
is not the certificate's, a certificate where TLS is off. Here those are refused before anything connects.
"""

from __future__ import annotations

import os
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import final

from streamlearn import config
from streamlearn.errors import ConfigurationError

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")


# What the daemon has to be allowed, by what a broker calls it when it is not.
RIGHTS = {
    "topic": "grant Read on the topics of events and labels (with --rebuild on that of queries), and Write on the others",
    "group": "grant Read on the consumer group that is called as the daemon is (`name`)",
    "transactionalid": "grant Write and Describe on the transactional id that is called as the daemon is (`name`)",
    "cluster": "grant Create on the cluster, or create the topics and set kafka.create_topics = false",
}


@final
@dataclass(frozen=True)
class Names:
    """One library's names of the settings."""

    protocol: str
    authorities: str
    certificate: str
    key: str
    key_password: str
    mechanism: str
    user: str
    password: str
    others: tuple[str, ...]  # ways of saying the same that only the library itself can read

    @property
    def rights(self) -> str:
        """What decides who we are to the broker."""
        return f"kafka.settings.{self.user} and kafka.settings.{self.password}"


KAFKA_PYTHON = Names(
    "security_protocol", "ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_password",
    "sasl_mechanism", "sasl_plain_username", "sasl_plain_password",
    ("ssl_context", "ssl_crlfile", "proxy_url", "socks5_proxy"),
)  # fmt: skip
LIBRDKAFKA = Names(
    "security.protocol", "ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.key.password",
    "sasl.mechanism", "sasl.username", "sasl.password",
    ("ssl.ca.pem", "ssl.certificate.pem", "ssl.key.pem", "ssl.keystore.location", "ssl.crl.location",
     "enable.ssl.certificate.verification", "ssl.providers", "ssl.engine.location"),
)  # fmt: skip


@final
class Security:
    """How a broker is talked to."""

    def __init__(self, kafka: config.Kafka) -> None:
        self.names = KAFKA_PYTHON if kafka.client == "kafka-python" else LIBRDKAFKA
        self._settings = dict(kafka.settings)
        if self.names is LIBRDKAFKA:  # with underscores they are the same, for the environment knows no dots
            self._settings = {key.replace("_", "."): value for key, value in kafka.settings.items()}
        if "sasl.mechanisms" in self._settings:  # librdkafka's other name
            self._settings["sasl.mechanism"] = self._settings["sasl.mechanisms"]
        self.protocol = self._text(self.names.protocol).upper() or "PLAINTEXT"
        self.tls, self.sasl = self.protocol.endswith("SSL"), self.protocol.startswith("SASL")
        self.mechanism = self._text(self.names.mechanism).upper()
        self.user, self.password = self._text(self.names.user), self._text(self.names.password)
        self.authorities, self.certificate = self._text(self.names.authorities), self._text(self.names.certificate)

    def _text(self, name: str) -> str:
        value = self._settings.get(name)
        return "" if value is None else str(value)

    @property
    def plain_to_us(self) -> bool:
        """Whether all of it can be read here, so that what we see is what the library sees."""
        return not any(name in self._settings for name in self.names.others)

    def check(self) -> None:
        """Refuse what cannot be meant, and files that cannot be used."""
        names, shown = self.names, f"kafka.settings.{self.names.protocol}"
        if self.protocol not in PROTOCOLS:
            raise ConfigurationError(f"{shown} is not one of {', '.join(PROTOCOLS)}; set, for example, SASL_SSL")
        for name in (names.authorities, names.certificate, names.key):
            if self._text(name) and not self.tls:
                wanted = "SASL_SSL" if self.sasl else "SSL"
                raise ConfigurationError(f'kafka.settings.{name} does nothing without TLS; set {shown} = "{wanted}"')
        for name in (names.mechanism, names.user, names.password):
            if self._text(name) and not self.sasl:
                wanted = "SASL_SSL" if self.tls else "SASL_PLAINTEXT"
                raise ConfigurationError(f'kafka.settings.{name} does nothing without SASL; set {shown} = "{wanted}"')
        if self.sasl and names is KAFKA_PYTHON and not self.mechanism:
            hint = f'set kafka.settings.{names.mechanism}, for example to "SCRAM-SHA-512"'
            raise ConfigurationError(f"{shown} asks for SASL and there is no mechanism; {hint}")
        if self.mechanism == "PLAIN" or self.mechanism.startswith("SCRAM-"):
            for name in (names.user, names.password):
                if not self._text(name):
                    raise ConfigurationError(f"kafka.settings.{name} is missing and {self.mechanism} needs it; set it")
        if self.tls:
            self.context()

    def context(self) -> ssl.SSLContext:
        """TLS as the library would have it. Raises ConfigurationError where a file cannot be used."""
        names = self.names
        for name in (names.authorities, names.certificate, names.key):
            path = self._text(name)
            if path and not os.access(path, os.R_OK):
                why = "cannot be read" if Path(path).exists() else "is not there"
                raise ConfigurationError(f"kafka.settings.{name}: the file {path} {why}; correct the path")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = self._checks_host()
        try:
            if not self.authorities:
                context.load_default_certs()
            elif Path(self.authorities).is_dir():
                context.load_verify_locations(capath=self.authorities)
            else:
                context.load_verify_locations(self.authorities)
        except (ssl.SSLError, OSError):
            text = (
                f"kafka.settings.{names.authorities}: {self.authorities} holds no certificate in PEM; correct the path"
            )
            raise ConfigurationError(text) from None
        if self.certificate:
            self._load_certificate(context)
        return context

    def _load_certificate(self, context: ssl.SSLContext) -> None:
        names, password = self.names, self._text(self.names.key_password)
        key = self._text(names.key) or None
        asked = False

        def secret() -> str:  # else OpenSSL asks at the terminal, and waits
            nonlocal asked
            asked = True
            return password

        try:
            context.load_cert_chain(self.certificate, key, secret)
        except (ssl.SSLError, OSError, ValueError) as error:
            where = f"kafka.settings.{names.certificate} and kafka.settings.{names.key}"
            if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
                raise ConfigurationError(f"{where} do not belong together: name the key of the certificate") from None
            if asked:
                text = (
                    f"kafka.settings.{names.key_password} does not open the key"
                    if password
                    else f"{key} has a password"
                )
                raise ConfigurationError(f"{text}; set kafka.settings.{names.key_password}") from None
            text = f"{where}: no certificate with its key in PEM; name a PEM file each"
            raise ConfigurationError(text) from None

    def _checks_host(self) -> bool:
        if self.names is KAFKA_PYTHON:
            return bool(self._settings.get("ssl_check_hostname", True))
        return self._text("ssl.endpoint.identification.algorithm").lower() != "none"


def right(said: str) -> str:
    """What to grant, by what a library said is not allowed; "" where it said something else."""
    told = re.sub(r"[\W_]", "", said).lower()
    return next((text for kind, text in RIGHTS.items() if f"{kind}authorizationfailed" in told), "")
