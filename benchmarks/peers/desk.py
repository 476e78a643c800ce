"""The labeling desk: shows a peer the stream, answers late and never more than the budget, at `streamlearn evaluate`'s moments.

There the labeler reads queries and writes answers between chunks of events (`trial.chunk_of`); so does the desk.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from contextlib import closing
from fractions import Fraction
from typing import Final, NamedTuple

from benchmarks.peers.peer import Peer, Task
from streamlearn.evaluation import trial

TRIES: Final = 12
SPENT: Final = 0.9  # of the budget, which is enough: it has to end somewhere below what is refused


class Served(NamedTuple):
    """granted: events whose labels were given, by place in the stream; refused: how many queries were beyond the budget."""

    granted: tuple[int, ...]
    refused: int


def serve(peer: Peer, task: Task, after: Callable[[int, list[int]], None]) -> Served:
    """The whole stream; after(events so far, events whose labels it has learned) is called between chunks and at the end.

    Until it knows two classes a label is given as often as the budget allows: who knows one is sure of it and may never ask.
    """
    count, share, chunk = len(task.rows), Fraction(str(task.budget)), trial.chunk_of(task.delay)
    due = deque[tuple[int, int]]()  # (count of events at which to answer, event)
    granted, learned, heard = list[int](), list[int](), set[int]()
    refused = 0

    def answer(events: float) -> None:
        while due and due[0][0] <= events:
            event = due.popleft()[1]
            peer.learn(event, task.rows[event], task.ys[event])
            learned.append(event)
            heard.add(task.ys[event])

    for begin in range(0, count, chunk):
        end = min(begin + chunk, count)
        for event in range(begin, end):
            asks, judges = peer.asks(event, task.rows[event]), len(heard) > 1
            room = len(granted) < math.ceil(share * (event + 1))
            refused += judges and asks and not room
            if room and (asks or not judges):
                granted.append(event)
                due.append((end + task.delay, event))
        answer(end)
        after(end, learned)
    answer(math.inf)
    after(count, learned)
    return Served(tuple(granted), refused)


def fitted(build: Callable[[float], Peer], task: Task, often: float, rarely: float) -> float:
    """The setting between these, on a scale of logarithms, with which it asks least and still spends its budget."""
    tried = list[tuple[int, int, float]]()  # labels, up to what is enough; queries, negative; setting
    enough = int(SPENT * task.budget * len(task.rows))
    for _ in range(TRIES):
        middle = math.sqrt(often * rarely)
        with closing(build(middle)) as peer:
            served = serve(peer, task, lambda events, learned: None)
        labels = min(len(served.granted), enough)
        tried.append((labels, -len(served.granted) - served.refused, middle))
        often, rarely = (middle, rarely) if labels == enough else (often, middle)
    return max(tried)[2]
