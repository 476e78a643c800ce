"""Secrets come from where they are kept, whatever is missing is named, and no text that leaves the process holds one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from streamlearn import cli, settings
from streamlearn.config import Configuration
from streamlearn.edges import secrets
from streamlearn.errors import ConfigurationError

PASSWORD = "sasl_plain_password"
KEY = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----\n"


def read(text: str, folder: Path, environment: dict[str, str], *overrides: str) -> Configuration:
    path = folder / "c.toml"
    path.write_text(f'[log]\nkind = "kafka"\n[kafka.settings]\n{text}\n')
    return settings.read(path, environment, overrides)


def test_a_secret_is_read_from_the_environment_or_a_file_and_its_last_line_end_is_not_of_it(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(" from file \n")
    environment = {"PW": "from environment"}
    assert {PASSWORD: "from environment"} == read(
        f'{PASSWORD} = {{ env = "PW" }}', tmp_path, environment
    ).kafka.settings
    assert {PASSWORD: " from file "} == read(
        f'{PASSWORD} = {{ file = "{tmp_path}/password" }}', tmp_path, environment
    ).kafka.settings
    assert {PASSWORD: "plain"} == read(f'{PASSWORD} = "plain"', tmp_path, environment).kafka.settings


@pytest.mark.parametrize(
    "said",
    [
        {"STREAMLEARN__KAFKA__SETTINGS__SASL_PLAIN_PASSWORD__FILE": "{folder}/password"},
        {"STREAMLEARN__KAFKA__SETTINGS__SASL_PLAIN_PASSWORD": '{{ file = "{folder}/password" }}'},
        {"STREAMLEARN__KAFKA__SETTINGS": '{{ sasl_plain_password = {{ file = "{folder}/password" }} }}'},
    ],
)
def test_the_environment_and_set_can_say_where_a_secret_is_in_place_of_what_the_file_says(
    said: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("from file")
    environment = {name: text.format(folder=tmp_path) for name, text in said.items()}
    assert {PASSWORD: "from file"} == read(f'{PASSWORD} = "old"', tmp_path, environment).kafka.settings
    override = f"kafka.settings.{PASSWORD}.file={tmp_path}/password"
    assert {PASSWORD: "from file"} == read(f'{PASSWORD} = {{ env = "X" }}', tmp_path, {}, override).kafka.settings


def test_a_password_of_digits_or_braces_stays_a_text(tmp_path: Path) -> None:
    for password in ("12", "true", "{ a = 1 }"):
        override = f"kafka.settings.{PASSWORD}={password}"
        assert {PASSWORD: password} == read("", tmp_path, {}, override).kafka.settings


def test_names_with_dots_need_no_quotes(tmp_path: Path) -> None:
    text = 'sasl.password = { env = "PW" }\nsecurity.protocol = "SASL_SSL"'
    assert {"sasl.password": "s", "security.protocol": "SASL_SSL"} == read(text, tmp_path, {"PW": "s"}).kafka.settings
    variable = {"STREAMLEARN__KAFKA__SETTINGS__SASL__PASSWORD": "t"}
    assert {"sasl.password": "t"} == read("", tmp_path, variable).kafka.settings


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ('{ env = "PW" }', "the environment variable PW is not set; set it, or correct the name"),
        ('{ env = "EMPTY" }', "the environment variable EMPTY is empty; set it, or correct the name"),
        ("{ env = 3 }", 'env must be the name of a variable; write { env = "..." }'),
        ('{ file = "" }', 'file must be a path; write { file = "..." }'),
        ('{ env = "EMPTY", file = "x" }', "is both in the environment and in a file; give env or file"),
        ('{ file = "F/no" }', "F/no cannot be read (No such file or directory); put the secret there, or name it"),
        ('{ file = "F" }', "F cannot be read (Is a directory); put the secret there, or name it"),
        ('{ file = "F/empty" }', "F/empty is empty; put the secret there, or name another file"),
        ('{ file = "F/bytes" }', "F/bytes is not UTF-8 text; name a file that holds the text alone"),
        ('{ file = "/dev/zero" }', "/dev/zero is larger than 1048576 bytes; name the secret's file"),
    ],
)
def test_what_is_missing_is_refused_in_one_line_that_names_the_key(said: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(ConfigurationError) as refused:
        read(f"{PASSWORD} = {said.replace('F', str(tmp_path))}", tmp_path, {"EMPTY": ""})
    text = str(refused.value).removeprefix(f"kafka.settings.{PASSWORD}").removeprefix(":").strip()
    assert why.replace("F/", f"{tmp_path}/").replace("F cannot", f"{tmp_path} cannot") == text


def test_without_kafka_nothing_is_read() -> None:
    override = f"kafka.settings.{PASSWORD}.env=ABSENT"
    assert {f"{PASSWORD}.env": "ABSENT"} == settings.read(None, {}, (override,)).kafka.settings


@pytest.mark.parametrize(
    "name",
    [
        "sasl_plain_password", "ssl_password", "sasl_oauth_token_provider", "proxy_url", "socks5_proxy",
        "sasl.password", "ssl.key.password", "ssl.key.pem", "ssl.keystore.password", "sasl.oauthbearer.config",
        "sasl.oauthbearer.client.secret", "sasl.oauthbearer.assertion.private.key.passphrase",
        "sasl.oauthbearer.assertion.private.key.pem", "sasl.kerberos.kinit.cmd",
    ],
)  # fmt: skip
def test_what_has_a_name_like_a_secrets_is_hidden(name: str) -> None:
    assert "a *** b" == secrets.hide("a hunter2 b", {name: "hunter2"})


@pytest.mark.parametrize("name", ["sasl_plain_username", "ssl_cafile", "ssl.ca.location", "sasl.username", "client_id"])
def test_other_settings_are_hidden_only_where_they_come_from_the_environment_or_a_file(name: str) -> None:
    assert "a value b" == secrets.hide("a value b", {name: "value"})
    assert "a *** b" == secrets.hide("a value b", secrets.resolved({f"{name}.env": "X"}, {"X": "value"}))


def test_a_secret_is_hidden_however_a_text_holds_it() -> None:
    given = {"ssl.key.pem": secrets.Secret(KEY), "sasl.password": 'quo"te\\'}
    for text in (KEY, repr(KEY), json.dumps(KEY), " ".join(KEY.split()), "MIGHAgEAMBMGByqGSM49", str(given)):
        assert "MIGH" not in secrets.hide(text, given)
    for text in ('quo"te\\', repr('quo"te\\'), json.dumps('quo"te\\')):
        assert "quo" not in secrets.hide(text, given)
    assert "MIGH" not in repr(given)


def test_nothing_that_is_shown_of_a_configuration_holds_a_secret(tmp_path: Path) -> None:
    read_ = read(
        f'{PASSWORD} = "hunter2"\nclient_id = {{ env = "C" }}', tmp_path, {"C": "swordfish"},
        "kafka.bootstrap_servers=hunter2:9092",
    )  # fmt: skip
    for text in (repr(read_), str(settings.differences(read_))):
        assert "hunter2" not in text.replace("bootstrap_servers='hunter2:9092'", "")
        assert "swordfish" not in text


def test_a_password_before_a_host_is_refused_and_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    for servers in ("me:hunter2@broker:9092", "hunter2@broker:9092", "a:1,kafka://me:hunter2@broker:9092"):
        assert 2 == cli.main(["check", "--set", f"kafka.bootstrap_servers={servers}"])
        shown = capsys.readouterr()
        assert "hunter2" not in shown.out + shown.err
        assert 'kafka.bootstrap_servers = "***@broker:9092" is not' in shown.err


def test_a_traceback_is_without_secrets_in_every_thread() -> None:
    program = """
import threading
from streamlearn.edges import secrets
secrets.guard({"sasl.password": "hunter2"})
def fail(): raise KeyError("it is hunter2")
thread = threading.Thread(target=fail); thread.start(); thread.join()
fail()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert 1 == done.returncode
    assert 2 == done.stderr.count("KeyError: 'it is ***'")
    assert "hunter2" not in done.stderr
