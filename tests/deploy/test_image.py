"""The Dockerfile: by its linter, and by its own steps. `test_built_image.py` builds and runs it."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.deploy.tools import ROOT, missing, program, run

DOCKERFILE = ROOT / "Dockerfile"
TEXT = DOCKERFILE.read_text()
BUILD, FINAL = (part for part in re.split(r"(?m)^(?=FROM )", TEXT) if part.startswith("FROM "))
UID = 10001


def instructions(stage: str, name: str) -> list[str]:
    joined = re.sub(r"\\\n\s*", " ", stage)
    return re.findall(rf"(?m)^{name} (.*)$", joined)


def copied() -> list[str]:
    """What the build takes from this folder."""
    return [source for line in instructions(BUILD, "COPY") for source in line.split()[:-1]]


def test_hadolint_finds_no_fault() -> None:
    done = run(program("hadolint"), DOCKERFILE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_is_what_kubernetes_runs() -> None:
    assert [f"{UID}:{UID}"] == instructions(FINAL, "USER")
    assert ["SIGTERM"] == instructions(FINAL, "STOPSIGNAL")
    assert ['["streamlearn"]'] == instructions(FINAL, "ENTRYPOINT")
    [check] = instructions(FINAL, "HEALTHCHECK")
    assert ":9464/healthz" in check
    assert ["/var/lib/streamlearn"] == instructions(FINAL, "VOLUME") == instructions(FINAL, "WORKDIR")
    assert ["--from=build /opt/streamlearn /opt/streamlearn"] == instructions(FINAL, "COPY")
    assert {"-c constraints.txt"} == set(re.findall(r"-c \S+", TEXT))


def test_the_engine_is_sent_what_is_copied_and_nothing_else() -> None:
    """In .dockerignore the last line that fits decides."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*"
    assert set(copied()) == {line[1:] for line in lines if line.startswith("!")}
    assert all((ROOT / source).exists() for source in copied())
    assert any(fnmatch.fnmatch("streamlearn/core/__pycache__", line.replace("**", "*")) for line in lines)


def test_what_is_copied_is_enough_for_the_wheel(tmp_path: Path) -> None:
    """Its own step, in a folder that has what the Dockerfile copies; then the wheel runs, on this environment's libraries."""
    source = tmp_path / "source"
    source.mkdir()
    for name in copied():
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, source / name)
    [step] = instructions(BUILD, "RUN")
    [build] = [part.strip() for part in step.split("&&") if "pip wheel" in part]
    words = build.replace("python3 -m pip", f"{sys.executable} -m pip").replace("/wheels", str(tmp_path / "wheels"))
    done = run(*words.split(), cwd=source)
    if "No matching distribution found for setuptools" in done.stderr:
        missing("no package index to get setuptools from, which builds the wheel")
    assert done.returncode == 0, done.stderr
    [wheel] = (tmp_path / "wheels").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
        archive.extractall(tmp_path / "installed")
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "streamlearn").rglob("*.py")} <= inside
    assert all(name.startswith("streamlearn/") for name in inside)
    version = subprocess.run(
        [sys.executable, "-P", "-c", "import streamlearn.cli; streamlearn.cli.main(['--version'])"],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (0, f"streamlearn {wheel.name.split('-')[1]}\n") == (version.returncode, version.stdout), version.stderr
