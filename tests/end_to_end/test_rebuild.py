"""A store that is damaged or lost: refused in one line, and built again from the log with --rebuild."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from streamlearn import settings
from streamlearn.edges.sqlite.store import SqliteStore
from tests.end_to_end.daemon_process import DaemonProcess, command, refusals, running, until
from tests.end_to_end.kills import all_is_whole_at_the_end
from tests.end_to_end.test_kill_kafka import ROLES, configure
from tests.end_to_end.traffic import FilesLog, KafkaLog, Log, Traffic

STORE = "streamlearn-data/streamlearn.db"


def folded(store: Path) -> None:
    """The write-ahead log of a daemon that was killed, folded into the file."""
    SqliteStore(store).close()


def cut(store: Path) -> None:
    folded(store)
    os.truncate(store, store.stat().st_size // 2)


def flipped(value: bytes) -> Callable[[Path], None]:
    def flip(store: Path) -> None:
        folded(store)
        content = bytearray(store.read_bytes())
        content[content.rindex(value) + 1] ^= 1
        store.write_bytes(content)

    return flip


def lost(store: Path) -> None:
    for path in store.parent.glob(f"{store.name}*"):
        if ".aside-" not in path.name:
            path.unlink()


SPOIL = [cut, flipped(b"SQLite format"), flipped(b'{"arrays"'), flipped(b"event-1"), lost]


def again_and_again(folder: Path, store: str, log: Log, arguments: tuple[str, ...]) -> None:
    """kill −9, damage, refused; rebuilt, and on; at the end nothing was lost, nothing asked or learned twice."""
    traffic = Traffic(log, seed=7)
    traffic.start()
    rebuild: tuple[str, ...] = ()
    for spoil in SPOIL:
        answers = traffic.answers()
        with running(folder, *arguments, *rebuild) as daemon:
            until(lambda answers=answers: traffic.answers() > answers + 15, f"answers; {daemon.said[-300:]}")  # type: ignore[misc]
            daemon.kill()
        kept = set(folder.rglob("*.aside-*"))
        spoil(folder / store)
        damaged = (folder / store).read_bytes() if (folder / store).exists() else None
        refused = command(folder, "run", *arguments, "--set", "http.port=-1")
        said = refusals(refused.stderr)
        assert (3, 1) == (refused.returncode, len(said)), refused.stderr
        assert "--rebuild" in said[0]
        assert kept == set(folder.rglob("*.aside-*"))
        rebuild = ("--rebuild",)
        if damaged is not None:
            one = DaemonProcess(folder, *arguments, *rebuild)
            until(lambda one=one: "the store of before is" in one.said, "the rebuild")  # type: ignore[misc]
            one.kill()
            (aside,) = (
                path for path in set(folder.rglob("*.aside-*")) - kept if not path.name.endswith(("-wal", "-shm"))
            )
            assert damaged == aside.read_bytes(), "it is moved, as it was"
            rebuild = ()
    all_is_whole_at_the_end(
        folder, store, log, lambda: DaemonProcess(folder, *arguments, *rebuild), traffic, settings.read(None, {}, ())
    )


def test_a_spoiled_store_of_an_embedded_log_is_built_again(tmp_path: Path) -> None:
    again_and_again(tmp_path, STORE, FilesLog(tmp_path / "streamlearn-data", seed=7), ())


@pytest.mark.kafka
def test_a_spoiled_store_of_a_real_broker_is_built_again(
    tmp_path: Path,
    kafka: str,
    prefix: str,
    fresh_topics: Callable[..., dict[str, str]],
) -> None:
    log = KafkaLog(kafka, fresh_topics(**dict.fromkeys(ROLES, 1)))
    again_and_again(tmp_path, f"{prefix}.db", log, (configure(tmp_path, kafka, prefix),))
    log.close()
