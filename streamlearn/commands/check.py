"""`streamlearn check`: what the daemon will need, looked at in the order in which it will need it, each with a hint.

It changes nothing: no folder, topic or store is created, and a store is opened for reading, so it may be run beside a
daemon. A failure does not end it, save that topics are not looked for on a broker that does not answer.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from streamlearn import assemble, config, settings
from streamlearn.config import Configuration
from streamlearn.edges import networks, plugins, secrets
from streamlearn.edges.findings import Finding
from streamlearn.edges.http import OFF, HttpServer
from streamlearn.edges.sqlite.store import SqliteStore
from streamlearn.edges.system import SystemClock
from streamlearn.errors import StreamlearnError
from streamlearn.service.health import Health
from streamlearn.service.metrics import Measurements
from streamlearn.service.ports import EVENTS, LABELS, Saved

COULD_NOT_START = 3
DISK_LEAST_BYTES = 100 << 20  # a store of the default size, its WAL and some growth of the log


def check(configuration: Configuration) -> int:
    """Print every finding; 0 where all are ok or harmless, else 3."""
    ok = True
    for finding in findings(configuration):
        ok = ok and (finding.ok or finding.harmless)
        print(secrets.hide(str(finding), configuration.kafka.settings), flush=True)
    return 0 if ok else COULD_NOT_START


def findings(configuration: Configuration) -> Iterator[Finding]:
    """All findings, in order."""
    changed = settings.differences(configuration)
    text = ", ".join(f"{key} = {value}" for key, value in changed.items())
    yield Finding(True, "configuration", text or "all defaults")
    if configuration.regularity.origin or ":" in configuration.regularity.regularizer:
        yield _regularizer(configuration)
    if configuration.features.river:
        yield _transformer(configuration.features.river)
    if configuration.model.kind != "linear":
        yield _model(configuration)
    if configuration.log.kind == "kafka":
        yield from _kafka(configuration)
    elif configuration.log.kind == "files":
        yield from _files(Path(configuration.log.path), configuration.topics)
    else:
        yield Finding(True, "log", "in memory, gone when the process ends")
    path = assemble.store_path(configuration)
    yield _store(path)
    yield _disk(path)
    yield _http(configuration.http)


def _regularizer(configuration: Configuration) -> Finding:
    told = configuration.regularity
    try:
        assemble.penalty(configuration)
    except StreamlearnError as error:
        return Finding(False, "regularizer", str(error))
    return Finding(True, "regularizer", told.regularizer + (f", from {told.origin}" if told.origin else ""))


def _transformer(name: str) -> Finding:
    try:
        plugins.transformer(name)
    except StreamlearnError as error:
        return Finding(False, "features", str(error))
    return Finding(True, "features", f"by {name}")


def _model(configuration: Configuration) -> Finding:
    try:
        return Finding(True, "model", networks.description(configuration))
    except StreamlearnError as error:
        return Finding(False, "model", str(error))


def _files(folder: Path, topics: config.Topics) -> Iterator[Finding]:
    hint = "give this user the right to write there, or set log.path"
    found = _writable(folder, "log", hint)
    yield found
    for role, topic in ((EVENTS, topics.events), (LABELS, topics.labels)):
        path = folder / f"{topic}.jsonl"
        if not found.ok:
            return
        if not _seen(path):
            yield Finding(True, f"topic {role}", f"{path} is not there yet; append lines to it")
        elif not path.is_file() or not os.access(path, os.R_OK):
            yield Finding(False, f"topic {role}", f"{path} cannot be read", f"correct its rights, or set topics.{role}")
        else:
            yield Finding(True, f"topic {role}", f"{path}, {_size(path.stat().st_size)}")


def _kafka(configuration: Configuration) -> Iterator[Finding]:
    # The client library is slow to import, and of no use elsewhere.
    from streamlearn.edges.kafka import check as kafka_check

    whole, path = True, assemble.store_path(configuration)
    configuration = replace(configuration, topics=assemble.topics(configuration))
    for finding in kafka_check.cluster(configuration):
        whole = whole and (finding.ok or finding.harmless)
        yield finding
    if whole and _store(path).ok:
        yield from kafka_check.agreement(configuration, lambda: _saved(path) if _seen(path) else None)


def _saved(path: Path) -> Saved:
    store = SqliteStore(path, read_only=True)
    try:
        return store.load()
    finally:
        store.close()


def _store(path: Path) -> Finding:
    writable = _writable(path.parent, "store", "give this user the right to write there, or set store.path")
    if not writable.ok:
        return writable
    if not _seen(path):
        return Finding(True, "store", f"{path} will be a new one")
    try:
        saved = _saved(path)
    except StreamlearnError as error:
        return Finding(False, "store", str(error), "or set store.path")
    unpublished = f", {len(saved.outbox)} messages to publish" if saved.outbox else ""
    counts = f"{len(saved.examples)} labeled examples, {len(saved.pending)} pending queries{unpublished}"
    return Finding(True, "store", f"{path} is at commit {saved.number}: {counts}")


def _disk(path: Path) -> Finding:
    free = shutil.disk_usage(_existing(path)).free
    text = f"{_size(free)} free at {path.parent}"
    if free < DISK_LEAST_BYTES:
        return Finding(False, "disk", text, f"make room for {_size(DISK_LEAST_BYTES)}, or set store.path")
    return Finding(True, "disk", text)


def _http(http: config.Http) -> Finding:
    if http.port == OFF:
        return Finding(True, "http", "switched off")
    server = HttpServer(http.host, http.port, Measurements(), Health(), SystemClock())
    try:
        server.start()
    except StreamlearnError as error:
        return Finding(False, "http", str(error), "or stop what uses it; it may be this daemon, running already")
    server.stop()
    return Finding(
        True, "http", f"{http.host}, any free port" if http.port == 0 else f"{http.host}:{http.port} is free"
    )


def _writable(folder: Path, subject: str, hint: str) -> Finding:
    """Whether files can be written in a folder, or the folder be made."""
    there = _existing(folder)
    if not there.is_dir():
        return Finding(False, subject, f"{there} is not a folder", hint)
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding(False, subject, f"{there} is not writable", hint)
    return Finding(True, subject, f"{folder} is writable" if there == folder else f"{folder} will be made")


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next(each for each in (path, *path.absolute().parents) if _seen(each))


def _seen(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # above it is a folder that this user may not look into
        return False


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
