"""What a commit costs while the store grows: it should follow what changed (one label, ten events), not what is kept."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from streamlearn.edges.sqlite.store import SqliteStore
from streamlearn.service.ports import EVENTS, Changes, Commit, Example, Remembered

COLUMNS, MEASURED = 30, 200


def main() -> None:
    x = np.zeros(COLUMNS).tobytes()
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "store.db")
        store.load()
        number, serial, first = 0, 0, 0.0
        for kept in (0, 10_000, 100_000):
            bulk = Changes(examples_put=[Example(i, f"e{i}", x, b"true", 1.0, 0, False) for i in range(serial, kept)])
            number, serial = number + 1, max(serial, kept)
            store.commit(Commit(number, {(EVENTS, 0): number}, b"", bulk, {}, ()))
            times = []
            for _ in range(MEASURED):
                number += 1
                changes = Changes(
                    events_added=[Remembered(f"n{number}-{i}", number * 10 + i, x) for i in range(10)],
                    examples_put=[Example(serial, f"e{serial}", x, b"true", 1.0, 0, False)],
                )
                serial += 1
                began = time.perf_counter()
                store.commit(Commit(number, {(EVENTS, 0): number}, b"\0" * 8192, changes, {}, ()))
                times.append(time.perf_counter() - began)
            median = statistics.median(times)
            first = first or median
            print(f"{kept:7} examples kept: {1000 * median:.2f} ms a commit, {median / first:.2f} × the first")
        store.close()


if __name__ == "__main__":
    main()
