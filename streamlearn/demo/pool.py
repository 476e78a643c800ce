"""Trials side by side: a pool of processes, lines of progress while it works, a clean end when it is interrupted."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from types import FrameType
from typing import Any, NamedTuple, final

from streamlearn.demo import trial
from streamlearn.demo.rows import Dataset
from streamlearn.demo.trial import Outcome, Plan, Point
from streamlearn.errors import StreamlearnError

TELL_EVERY_S, LOOK_EVERY_S = 0.3, 0.2


class News(NamedTuple):
    """How a trial goes: sent by its process a few times a second."""

    plan: Plan
    events: int
    point: Point | None


@final
class _Worker:
    """What a process of the pool was given once: the data, the way back, and the sign to stop."""

    dataset: Dataset
    folder: Path
    news: Any
    stop: Any


def run(
    dataset: Dataset, plans: Sequence[Plan], show: Callable[[Sequence[News], int], None], processes: int = 0
) -> list[Outcome]:
    """All plans' outcomes, in their order. show(news of running trials, trials done) is called now and then."""
    context = multiprocessing.get_context("spawn")  # no copies of threads and locks
    news, stop = context.Queue(), context.Event()
    with tempfile.TemporaryDirectory(prefix="streamlearn-demo-") as folder:
        pool = ProcessPoolExecutor(
            min(processes or os.cpu_count() or 1, len(plans)), context, _begin, (dataset, Path(folder), news, stop)
        )
        try:
            with _interrupts_ignored():  # by the processes that are born here: the terminal's Ctrl-C reaches all
                futures = [pool.submit(_run, plan) for plan in plans]
            _follow(futures, plans, news, show)
            return [future.result() for future in futures]
        except BrokenProcessPool:
            raise StreamlearnError("a trial's process was killed, perhaps for want of memory") from None
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            news.close()
            news.join_thread()


@contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """SIGTERM ends a demo as Ctrl-C does: processes and folders are cleared away."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _follow(
    futures: Sequence[Future[Outcome]],
    plans: Sequence[Plan],
    news: Any,
    show: Callable[[Sequence[News], int], None],
) -> None:
    latest: dict[Plan, News] = {}
    left = set(futures)
    while left:
        _, left = wait(left, timeout=LOOK_EVERY_S, return_when=FIRST_COMPLETED)
        for future in futures:
            if future.done() and future.exception() is not None:
                return  # no use in waiting for the others
        while True:
            try:
                one = news.get_nowait()
            except Empty:
                break
            latest[one.plan] = one
        running = [latest[p] for p, f in zip(plans, futures, strict=True) if p in latest and not f.done()]
        show(running, len(futures) - len(left))


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _begin(dataset: Dataset, folder: Path, news: Any, stop: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _Worker.dataset, _Worker.folder, _Worker.news, _Worker.stop = dataset, folder, news, stop


def _run(plan: Plan) -> Outcome:
    told = 0.0

    def watch(events: int, point: Point | None) -> bool:
        nonlocal told
        if time.monotonic() - told > TELL_EVERY_S:
            told = time.monotonic()
            _Worker.news.put(News(plan, events, point))
        return not _Worker.stop.is_set()

    with tempfile.TemporaryDirectory(dir=_Worker.folder) as folder:
        return trial.run(_Worker.dataset, plan, Path(folder), watch)
