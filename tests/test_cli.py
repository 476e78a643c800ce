"""The command line as a user meets it: exit codes, and one line for every mistake."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from streamlearn import __version__


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("STREAMLEARN")}
    return subprocess.run(
        [sys.executable, "-m", "streamlearn", *arguments],
        cwd=folder,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """What was refused: one line on stderr, nothing on stdout."""
    assert done.stdout == ""
    assert done.stderr.startswith("streamlearn: ")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("streamlearn: ").rstrip("\n")


def test_the_version_is_told(tmp_path: Path) -> None:
    done = run(tmp_path, "--version")
    assert (done.returncode, done.stdout) == (0, f"streamlearn {__version__}\n")


@pytest.mark.parametrize(
    "command", ["", "run", "replay", "check", "inspect", "backup", "control", "demo", "figures", "evaluate"]
)
def test_every_command_has_help(command: str, tmp_path: Path) -> None:
    done = run(tmp_path, *command.split(), "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: streamlearn {command}".rstrip())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "the following arguments are required: COMMAND; see streamlearn --help"),
        (("rnu",), "argument COMMAND: invalid choice: 'rnu'"),
        (("run", "--pollsize", "3"), "unrecognized arguments: --pollsize"),
        (("inspect",), "the following arguments are required: STORE; see streamlearn inspect --help"),
        (("replay", "--poll-size", "0"), "argument --poll-size: '0' is not a whole number of at least 1"),
        (("demo", "--budget", "2"), "argument --budget: '2' is not a number above 0 and at most 1"),
        (("demo", "--budget", "nan"), "argument --budget: 'nan' is not a number above 0 and at most 1"),
        (("demo", "--seeds", "many"), "argument --seeds: 'many' is not a whole number of at least 1"),
    ],
)
def test_a_mistaken_option_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...], expected: str, tmp_path: Path
) -> None:
    done = run(tmp_path, *arguments)
    assert done.returncode == 2
    assert one_line(done).startswith(expected)


@pytest.mark.parametrize("command", ["run", "replay", "check"])
def test_a_mistaken_configuration_is_one_line_and_exit_code_2(command: str, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[queries]\nbuget = 0.1\n")
    unknown = "is not a key; did you mean queries.budget?"
    assert one_line(run(tmp_path, command, "c.toml")) == f"c.toml: queries.buget {unknown}"
    assert one_line(run(tmp_path, command, "--set", "buget=1")) == f"--set: buget {unknown}"
    done = run(tmp_path, command, STREAMLEARN__QUERIES__BUDGET="lots")
    assert done.returncode == 2
    assert one_line(done) == (
        'STREAMLEARN__QUERIES__BUDGET: queries.budget = "lots" is not a number above 0 and at most 1; '
        "set, for example, queries.budget = 0.1"
    )


def test_a_missing_file_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = run(tmp_path, "run", "none.toml")
    assert done.returncode == 2
    assert one_line(done).startswith("none.toml: there is no such file; ")


def test_a_missing_store_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = run(tmp_path, "inspect", "none.db")
    assert done.returncode == 2
    assert "none.db" in one_line(done)


def test_a_check_that_fails_has_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "streamlearn-data").write_text("")
    done = run(tmp_path, "check", "--set", "http.port=-1")
    assert (done.returncode, done.stderr) == (3, "")
    assert "FAIL log: " in done.stdout


def test_a_check_that_passes_has_exit_code_0(tmp_path: Path) -> None:
    done = run(tmp_path, "check", "--set", "http.port=-1", "--set", "queries.budget=0.05")
    assert (done.returncode, done.stderr) == (0, "")
    assert "ok   configuration: queries.budget = 0.05, http.port = -1" in done.stdout


def test_a_reader_that_goes_away_is_no_failure(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "streamlearn", "check", "--set", "http.port=-1"]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_numpy_is_not_loaded_before_the_number_of_its_threads_is_set(tmp_path: Path) -> None:
    look = (
        "import sys, streamlearn.cli; print(sorted({'numpy', 'kafka', 'sklearn', 'river', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", look], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n"
