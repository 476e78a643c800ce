"""The image, really built and run, without an engine: buildah builds it on a base made by debootstrap, runc runs it.

As root, where the three are (Debian: apt install buildah runc debootstrap); three minutes, so it is part of `make soak`.
What Kubernetes asks for is asked for here too: no root, no capability, no file written outside the volume and /tmp.
"""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.tools import ROOT, program
from tests.end_to_end.daemon_process import append, lines, until

pytestmark = pytest.mark.soak
BASE, IMAGE, UID, STATE = (
    "docker.io/library/python:3.11-slim-bookworm",
    "streamlearn-soak",
    10001,
    "/var/lib/streamlearn",
)
HERE = ("/etc/ssl/certs", "/etc/pip.conf")  # how this machine reaches its package index
BUILD_S = 900
EVENTS, WARM = 3000, 60


def does(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_S)
    assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"
    return done.stdout.strip()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Its root file system and its configuration."""
    buildah, debootstrap = program("buildah"), program("debootstrap")
    if os.geteuid() != 0:
        pytest.skip("buildah and runc need root here")
    if not does(buildah, "images", "--quiet", "--filter", f"reference={BASE}"):
        folder = tmp_path_factory.mktemp("base") / "root"
        packages = "ca-certificates,python3,python3-venv,python3-pip"
        does(debootstrap, "--variant=minbase", f"--include={packages}", "bookworm", folder)
        base = does(buildah, "from", "scratch")
        does(buildah, "add", "--quiet", base, folder, "/")
        does(buildah, "commit", "--quiet", "--rm", base, BASE)
    mounts = [word for path in HERE if Path(path).exists() for word in ("--volume", f"{path}:{path}:ro")]
    options = ["--isolation", "chroot", "--pull-never", "--format", "docker"]
    does(buildah, "build", *options, *mounts, "--tag", IMAGE, ROOT)
    container = does(buildah, "from", "--pull-never", IMAGE)
    try:
        told = json.loads(does(buildah, "inspect", "--type", "image", IMAGE))["Docker"]["config"]
        yield Path(does(buildah, "mount", container)), told
    finally:
        does(buildah, "rm", container)


def bundle(folder: Path, root: Path, told: dict[str, Any]) -> Path:
    """What runc runs: the image as it says, as restricted as in Kubernetes, on the host's network."""
    state = folder / "state"
    state.mkdir()
    os.chown(state, UID, UID)
    subprocess.run([program("runc"), "spec"], cwd=folder, check=True)
    spec = json.loads((folder / "config.json").read_text())
    process = spec["process"]
    process["user"] = dict(zip(("uid", "gid"), map(int, told["User"].split(":")), strict=True))
    process |= {"terminal": False, "noNewPrivileges": True, "cwd": told["WorkingDir"], "env": told["Env"]}
    process |= {"args": told["Entrypoint"] + told["Cmd"], "capabilities": {}}
    spec["root"] = {"path": str(root), "readonly": True}
    spec["mounts"] += [
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"]},
        {"destination": STATE, "type": "bind", "source": str(state), "options": ["rbind", "rw"]},
    ]
    spec["linux"]["namespaces"] = [each for each in spec["linux"]["namespaces"] if each["type"] != "network"]
    (folder / "config.json").write_text(json.dumps(spec))
    return state / "streamlearn-data"


def ready() -> bool:
    try:
        with urllib.request.urlopen("http://127.0.0.1:9464/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_it_runs_unprivileged_and_drains(image: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    root, told = image
    runc, name = program("runc"), f"streamlearn-{os.getpid()}"
    data = bundle(tmp_path, root, told)
    with (tmp_path / "log").open("wb") as log:
        daemon = subprocess.Popen([runc, "run", "--bundle", tmp_path, name], stdout=log, stderr=log)
    try:
        until(lambda: ready() or daemon.poll() is not None, "readiness")
        assert daemon.poll() is None, (tmp_path / "log").read_text()
        does(runc, "exec", name, *told["Healthcheck"]["Test"][1:])
        write = [runc, "exec", name, "python3", "-c", "open('/opt/streamlearn/x', 'w')"]
        assert "Read-only file system" in subprocess.run(write, capture_output=True, text=True).stderr
        status = Path(f"/proc/{json.loads(does(runc, 'state', name))['pid']}/status").read_text()
        assert f"Uid:\t{UID}\t{UID}\t{UID}\t{UID}" in status
        assert "CapEff:\t0000000000000000" in status
        append(data / "labels.jsonl", *({"id": f"l{i}", "x": {"a": i % 7}, "y": i % 7 > 3} for i in range(WARM)))
        append(data / "events.jsonl", *({"id": f"e{i}", "x": {"a": i % 7}} for i in range(EVENTS)))
        until(lambda: lines(data / "queries.jsonl"), "queries")
        store, copy = f"{STATE}/streamlearn-data/streamlearn.db", f"{STATE}/copy.db"
        for words in (
            ("control", "status"),
            ("inspect", store),
            ("backup", store, copy),
            ("check", "--set", "http.port=-1"),
        ):
            does(runc, "exec", name, "streamlearn", *words)
        does(runc, "kill", name, told["StopSignal"])
        assert 0 == daemon.wait(60)
        assert '"action": "drained"' in (tmp_path / "log").read_text()
    finally:
        daemon.kill()
        subprocess.run([runc, "delete", "--force", name], capture_output=True)


def test_nothing_is_in_it_that_does_not_run(image: tuple[Path, dict[str, Any]]) -> None:
    root, _ = image
    assert ["streamlearn"] == [each.name for each in (root / "opt").iterdir()]
    packages = {each.name.split("-")[0] for each in (root / "opt/streamlearn/lib").glob("*/site-packages/*.dist-info")}
    assert "streamlearn" in packages
    assert not packages & {"pip", "setuptools", "wheel", "pytest", "torch"}
    assert not [each for each in ("source", "wheels", "build") if (root / each).exists()]
