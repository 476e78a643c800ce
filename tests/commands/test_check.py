"""Each thing that can keep the daemon from starting is one FAIL line with a hint, and nothing is created by looking."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamlearn import settings
from streamlearn.commands.check import check
from streamlearn.edges.sqlite.store import SqliteStore
from tests.kafka_broker import free_ports

Printed = Callable[..., Any]


@pytest.fixture
def printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Printed:
    def run(*overrides: str) -> tuple[int, list[str]]:
        folder = f"log.path={tmp_path / 'log'}"
        code = check(settings.read(None, {}, (folder, f"http.port={free_ports(1)[0]}", *overrides)))
        return code, capsys.readouterr().out.splitlines()

    return run


def failures(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith("ok   ")]


def test_a_fresh_folder_is_fine_and_stays_untouched(printed: Printed, tmp_path: Path) -> None:
    code, lines = printed()
    assert (code, failures(lines)) == (0, [])
    subjects = [line.removeprefix("ok   ").partition(":")[0] for line in lines]
    assert subjects == ["configuration", "log", "topic events", "topic labels", "store", "disk", "http"]
    assert list(tmp_path.iterdir()) == []


def test_a_store_tells_which_state_it_is_in(printed: Printed, tmp_path: Path) -> None:
    SqliteStore(tmp_path / "s.db").close()
    code, lines = printed(f"store.path={tmp_path / 's.db'}")
    assert code == 0
    assert lines[4].endswith("is at commit 0: 0 labeled examples, 0 pending queries")


def test_a_log_that_is_no_folder_fails(printed: Printed, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("")
    code, lines = printed(f"store.path={tmp_path / 's.db'}")
    hint = "give this user the right to write there, or set log.path"
    assert (code, failures(lines)) == (3, [f"FAIL log: {tmp_path / 'log'} is not a folder - {hint}"])


def test_a_topic_that_is_no_file_fails(printed: Printed, tmp_path: Path) -> None:
    (tmp_path / "log" / "events.jsonl").mkdir(parents=True)
    code, lines = printed()
    assert (code, len(failures(lines))) == (3, 1)
    assert failures(lines)[0].startswith("FAIL topic events: ")


def test_a_file_that_is_no_store_fails(printed: Printed, tmp_path: Path) -> None:
    (tmp_path / "s.db").write_text("not a store, whatever it is called " * 100)
    code, lines = printed(f"store.path={tmp_path / 's.db'}")
    assert (code, len(failures(lines))) == (3, 1)
    assert failures(lines)[0].startswith("FAIL store: ")
    assert failures(lines)[0].endswith("set store.path")


def test_a_port_that_is_taken_fails(printed: Printed) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, lines = printed(f"http.port={port}")
    assert (code, len(failures(lines))) == (3, 1)
    assert failures(lines)[0].startswith(f"FAIL http: http.port {port} is taken; ")


def test_no_http_and_a_log_in_memory_are_fine(printed: Printed, tmp_path: Path) -> None:
    code, lines = printed("http.port=-1", "log.kind=memory", f"store.path={tmp_path / 's.db'}")
    assert (code, failures(lines), lines[-1]) == (0, [], "ok   http: switched off")


def test_a_broker_that_does_not_answer_fails_and_the_rest_is_looked_at(printed: Printed, tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    settings_ = ("kafka.settings.security_protocol=SASL_PLAINTEXT", "kafka.settings.sasl_mechanism=PLAIN")
    secrets = ("kafka.settings.sasl_plain_username=me", "kafka.settings.sasl_plain_password=hunter2")
    overrides = ("log.kind=kafka", f"kafka.bootstrap_servers={address}", f"store.path={tmp_path / 's.db'}")
    code, lines = printed(*overrides, *settings_, *secrets)
    assert (code, len(failures(lines)), len(lines)) == (3, 1, 5)
    assert failures(lines)[0].startswith(f"FAIL log: Kafka at {address}: cannot connect: nothing listens on port ")
    assert "hunter2" not in "".join(lines)


def test_a_regularizer_that_has_to_be_loaded_is_loaded(printed: Printed, tmp_path: Path) -> None:
    code, lines = printed("regularity.regularizer=no_such_module:f")
    (failure,) = failures(lines)
    assert code == 3
    assert failure.startswith("FAIL regularizer: regularity.regularizer no_such_module:f cannot be loaded")
    code, lines = printed(f"regularity.origin={tmp_path / 'absent.db'}")
    assert failures(lines)[0].startswith("FAIL regularizer: regularity.origin")
    code, lines = printed("regularity.regularizer=tests.edges.shapes:half_the_squares")
    assert (code, failures(lines)) == (0, [])
    assert "ok   regularizer: tests.edges.shapes:half_the_squares" in lines


def test_a_transformer_is_loaded(printed: Printed) -> None:
    code, lines = printed("features.river=no_such_module:f")
    assert code == 3
    assert failures(lines)[0].startswith("FAIL features: features.river no_such_module:f cannot be loaded")
    code, lines = printed("features.river=river.preprocessing:StandardScaler")
    assert (code, failures(lines)) == (0, [])
    assert "ok   features: by river.preprocessing:StandardScaler" in lines


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (("model.kind=mlp", "model.hidden=4"), "mlp, as wide as the first event; cpu in float32"),
        (
            ("model.kind=mlp", "model.hidden=4", "features.names=a, b, c", "model.classes=x, y", "model.dtype=float64"),
            "mlp, 21 parameters (1 outputs) on 3 inputs; cpu in float64",
        ),
        (
            ("model.kind=embedding-bag", "features.kind=tokens", "features.length=6", "model.vocabulary=30"),
            "embedding-bag, 993 parameters (1 outputs) or 1059 parameters (3 outputs) on 6 inputs; cpu in float32",
        ),
    ],
)
def test_a_network_is_made_and_told_of(printed: Printed, overrides: tuple[str, ...], expected: str) -> None:
    code, lines = printed(*overrides)
    assert (code, failures(lines)) == (0, [])
    assert f"ok   model: {expected}" in lines


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no_such_net:f", "cannot be loaded (ModuleNotFoundError: "),
        ("builtins:max", "is a int; it must be a torch.nn.Module"),
    ],
)
def test_a_network_that_cannot_be_made_fails(printed: Printed, name: str, why: str) -> None:
    code, lines = printed(f"model.kind={name}")
    assert (code, len(failures(lines))) == (3, 1)
    assert failures(lines)[0].startswith(f"FAIL model: model.kind {name} {why}")


def test_a_path_that_cannot_be_looked_at_is_no_traceback(printed: Printed, tmp_path: Path) -> None:
    _, lines = printed(f"store.path={tmp_path / ('s' * 300)}")
    assert lines[-1].startswith("ok   http: ")
