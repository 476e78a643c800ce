"""Trials side by side: a pool of processes, lines of progress while it works, a clean end when it is interrupted."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from types import FrameType
from typing import Any, NamedTuple, final

from streamlearn.errors import StreamlearnError
from streamlearn.evaluation import trial
from streamlearn.evaluation.rows import Dataset
from streamlearn.evaluation.trial import Outcome, Plan, Point

TELL_EVERY_S, LOOK_EVERY_S = 0.3, 0.2


class News(NamedTuple):
    """How a trial goes: sent by its process a few times a second."""

    plan: Plan
    events: int
    point: Point | None


Load = Callable[[Plan], Dataset]  # has to be a function or a partial of one: it goes to other processes
Run = Callable[[Dataset, Plan, Path, Callable[[int, Point | None], bool]], Outcome]  # as `trial.run`, a function too
Show = Callable[[Sequence[News], int], None]


@final
class _Worker:
    """What a process of the pool was given once: where data come from, a folder, the way back, and the sign to stop."""

    load: Load
    run: Run
    folder: Path
    news: Any
    stop: Any


def run(load: Load, plans: Sequence[Plan], show: Show, processes: int = 0) -> list[Outcome]:
    """All plans' outcomes, in their order; the first failure is raised."""
    outcomes: dict[Plan, Outcome] = {}

    def finished(plan: Plan, result: Outcome | Exception) -> None:
        if isinstance(result, Exception):
            raise result
        outcomes[plan] = result

    play(load, plans, show, finished, processes)
    return [outcomes[plan] for plan in plans]


def play(
    load: Load,
    plans: Sequence[Plan],
    show: Show,
    finished: Callable[[Plan, Outcome | Exception], None],
    processes: int = 0,
    run: Run = trial.run,
) -> None:
    """Play all plans by `run`. finished(plan, what came of it) is called as they end, show(news, trials done) now and then."""
    context = multiprocessing.get_context("spawn")  # no copies of threads and locks
    news, stop = context.Queue(), context.Event()
    with tempfile.TemporaryDirectory(prefix="streamlearn-trials-") as folder:
        pool = ProcessPoolExecutor(
            min(processes or os.cpu_count() or 1, len(plans)), context, _begin, (load, run, Path(folder), news, stop)
        )
        with _interrupts_noted() as interrupts:
            try:
                with _interrupts_ignored():  # by the processes born here: the terminal's Ctrl-C reaches all
                    futures = {pool.submit(_run, plan): plan for plan in plans}
                _follow(futures, news, show, finished, interrupts)
            except BrokenProcessPool:
                raise StreamlearnError("a trial's process was killed, perhaps for want of memory") from None
            finally:
                stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                news.close()
                news.join_thread()


@contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """SIGTERM ends it as Ctrl-C does: processes and folders are cleared away."""

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
    futures: Mapping[Future[Outcome], Plan],
    news: Any,
    show: Show,
    finished: Callable[[Plan, Outcome | Exception], None],
    interrupts: Sequence[int],
) -> None:
    latest: dict[Plan, News] = {}
    left = set(futures)
    while left:
        done, left = wait(left, timeout=LOOK_EVERY_S, return_when=FIRST_COMPLETED)
        if interrupts:
            raise KeyboardInterrupt
        for future in done:
            error = future.exception()
            if isinstance(error, BrokenProcessPool) or not isinstance(error, Exception | None):
                raise error
            finished(futures[future], future.result() if error is None else error)
        while True:
            try:
                one = news.get_nowait()
            except Empty:
                break
            latest[one.plan] = one
        running = [latest[plan] for future, plan in futures.items() if plan in latest and not future.done()]
        show(running, len(futures) - len(left))


@contextmanager
def _interrupts_noted() -> Iterator[Sequence[int]]:
    """Signals that would end it, as they come: to be raised between two looks, and not amid the pool's own locks.

    Those would stay held, and the pool's end would be waited for in vain.
    """
    noted = list[int]()

    def note(number: int, frame: FrameType | None) -> None:
        noted.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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


def _begin(load: Load, run: Run, folder: Path, news: Any, stop: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger("streamlearn").addHandler(logging.NullHandler())  # a trial's daemon warns nobody
    _Worker.load, _Worker.run = staticmethod(load), staticmethod(run)
    _Worker.folder, _Worker.news, _Worker.stop = folder, news, stop


def _run(plan: Plan) -> Outcome:
    told = 0.0

    def watch(events: int, point: Point | None) -> bool:
        nonlocal told
        if time.monotonic() - told > TELL_EVERY_S:
            told = time.monotonic()
            _Worker.news.put(News(plan, events, point))
        return not _Worker.stop.is_set()

    with tempfile.TemporaryDirectory(dir=_Worker.folder) as folder:
        return _Worker.run(_Worker.load(plan), plan, Path(folder), watch)
