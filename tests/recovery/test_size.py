"""The store's file levels off: what is dropped makes room for what comes, and the write-ahead log is cut back."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from streamlearn import assemble, settings
from streamlearn.edges.memory import ManualClock, MemoryLog, MemorySink, MemorySource
from streamlearn.edges.sqlite.store import SqliteStore
from streamlearn.service.daemon import Ports
from streamlearn.service.health import Health
from streamlearn.service.metrics import Measurements
from streamlearn.service.ports import EVENTS, LABELS, QUERIES
from tests.recovery.test_rebuild import truth, x

KEEP, REMEMBER = 200, 2000
TOLD = (
    f"training.keep={KEEP}",
    f"labels.remember={REMEMBER}",
    "labels.wait=300",
    "queries.budget=0.2",
    "queries.outstanding=50",
    "regularity.learn=false",
)
ROUNDS, EVENTS_A_ROUND = 120, 500


def size(path: Path) -> int:
    """Bytes of the database, those included that are in the write-ahead log as yet."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        (pages,), (bytes_each,) = (
            database.execute(f"PRAGMA {what}").fetchone() for what in ("page_count", "page_size")
        )
    return int(pages * bytes_each)


def test_over_a_long_run_the_files_size_levels_off(tmp_path: Path) -> None:
    log, path, clock = MemoryLog(), tmp_path / "store.db", ManualClock(1.7e9)
    ports = Ports(MemorySource(log, waits=False), MemorySink(log), SqliteStore(path), clock)
    told = settings.read(None, {}, TOLD)
    daemon = assemble.daemon_on(ports, told, Health(), Measurements(), lambda seconds: False, 0.0)
    daemon.start()
    sizes, logs, asked = [], [], 0
    for round in range(ROUNDS):
        for i in range(round * EVENTS_A_ROUND, (round + 1) * EVENTS_A_ROUND):
            log.append(EVENTS, json.dumps({"id": f"event {i}", "x": x(i)}).encode())
        queries = [json.loads(value)["id"] for value in log.values(QUERIES)]
        for id in queries[asked:]:
            log.append(LABELS, json.dumps({"id": id, "y": truth(int(id[6:]))}).encode())
        asked = len(queries)
        log.append(LABELS, json.dumps({"id": f"nobody {round}", "y": True}).encode())  # waits in vain
        while daemon.turn():
            pass
        sizes.append(size(path))
        logs.append((tmp_path / "store.db-wal").stat().st_size)
    daemon.close()
    assert daemon.pipeline.state.labels > 10 * KEEP
    assert daemon.pipeline.ledger.count == ROUNDS * EVENTS_A_ROUND > 10 * REMEMBER
    assert max(sizes[ROUNDS // 2 :]) <= 1.1 * sizes[ROUNDS // 2], sizes  # till then what drift has watched fills up
    assert max(logs) < 8 << 20
