"""The programs of others that these tests run: kubectl, hadolint, Prometheus and its promtool.

Prometheus is looked for on the PATH, else taken from Debian's package into the cache where Kafka's jars are, without
installing it. Where a program cannot be had tests are skipped, saying why; where CI is set they fail.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
OVERLAYS = ("dev", "production", "strimzi")
PATIENCE_S = 120


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE_S)


def missing(why: str) -> None:
    """Fail in CI, skip elsewhere."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


def program(name: str) -> str:
    """Its path: beside this Python (some come as its packages), else on the PATH."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        missing(f"no `{name}` on the PATH")
    return str(found)


def prometheus(name: str) -> str:
    """The path of `prometheus` or `promtool`."""
    return shutil.which(name) or str(_debian_prometheus() / "usr/bin" / name)


@cache
def _debian_prometheus() -> Path:
    cache_folder = Path.home() / ".cache" / "streamlearn-test"
    cache_folder.mkdir(parents=True, exist_ok=True)
    folder = cache_folder / "prometheus"
    with (cache_folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return folder
        if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
            missing("no `prometheus` on the PATH, and no apt-get to take Debian's with")
        with tempfile.TemporaryDirectory(dir=cache_folder) as temporary:
            here = Path(temporary)
            here.chmod(0o777)  # apt-get fetches as a user of its own
            if run("apt-get", "download", "prometheus", cwd=here).returncode != 0 and os.geteuid() == 0:
                run("apt-get", "update")
                run("apt-get", "download", "prometheus", cwd=here)
            packages = list(here.glob("*.deb"))
            if not packages:
                missing("apt-get could not download `prometheus`; put one on the PATH")
            run("dpkg", "-x", packages[0], here / "prometheus")
            (here / "prometheus").rename(folder)
    return folder


@cache
def rendered(overlay: str) -> list[dict[str, Any]]:
    """What `kubectl apply -k` would apply."""
    done = run(program("kubectl"), "kustomize", DEPLOY / "overlays" / overlay)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def one(overlay: str, kind: str, name: str) -> dict[str, Any]:
    """The resource of this kind and name (without the hash that kustomize appends)."""
    found = [
        each
        for each in rendered(overlay)
        if each["kind"] == kind and (each["metadata"]["name"] == name or each["metadata"]["name"][:-11] == name)
    ]
    assert 1 == len(found), f"{len(found)} of {kind} {name} in {overlay}"
    return found[0]


def pods(overlay: str) -> list[dict[str, Any]]:
    """The pods' specifications."""
    return [each["spec"]["template"]["spec"] for each in rendered(overlay) if "template" in each.get("spec", {})]
