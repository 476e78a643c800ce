"""The simulated labeler: a person who reads `queries.jsonl` and, some events later, appends answers to `labels.jsonl`.

It knows of the daemon what anybody can read in the log's folder, and answers nothing that was not asked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, final

import msgspec

from streamlearn.evaluation.rows import Answer


class Asked(NamedTuple):
    """One query as the labeler read it. reason: `score` or `audit`; strategy: the one that acted."""

    id: str
    reason: str
    strategy: str = ""


@final
class Labeler:
    """Answers `delay` events after it has read a query."""

    def __init__(self, folder: Path, answers: Mapping[str, Answer], delay: int) -> None:
        self._queries, self._labels = folder / "queries.jsonl", folder / "labels.jsonl"
        self._answers, self._delay = answers, delay
        self._read_to = 0
        self._due: deque[tuple[int, str]] = deque()  # (count of events at which to answer, id)
        self.asked: list[Asked] = []

    def turn(self, events: int) -> int:
        """Read new queries, answer those that are due now that there are so many events; how many those were."""
        for query in self._new():
            self.asked.append(query)
            self._due.append((events + self._delay, query.id))
        ready = list[str]()
        while self._due and self._due[0][0] <= events:
            ready.append(self._due.popleft()[1])
        return self._answer(ready)

    def finish(self) -> int:
        """The stream is over: answer what is still open."""
        self.asked.extend(new := list(self._new()))
        ready = [*(id for _, id in self._due), *(query.id for query in new)]
        self._due.clear()
        return self._answer(ready)

    def _new(self) -> list[Asked]:
        if not self._queries.exists():
            return []
        with self._queries.open("rb") as file:
            file.seek(self._read_to)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]  # a half-written last line is read again
        self._read_to += len(whole)
        queries = map(msgspec.json.decode, whole.splitlines())
        return [Asked(query["id"], query["reason"], query.get("strategy", "")) for query in queries]

    def _answer(self, ids: list[str]) -> int:
        if ids:
            write(self._labels, [{"id": id, "y": self._answers[id]} for id in ids])
        return len(ids)


def write(path: Path, lines: list[dict[str, object]]) -> None:
    """Append JSON lines, as any tool would."""
    with path.open("ab") as file:
        file.write(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
