"""`streamlearn evaluate` as a user calls it: the same bytes however it was played, nothing played twice, and honest ends."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streamlearn.queries import names

COMMAND = [sys.executable, "-m", "streamlearn", "evaluate"]
SMALL = ("--datasets", "shop.csv", "--label", "bought", "--strategies", "auto,sld:queries.audit_share=0.5", "--budgets",
         "0.2,0.3", "--delays", "0,7", "--seeds", "3-5")  # fmt: skip


CONTROLS = 1 + ("periodic" in names.NAMES)
TRIALS = 2 * 2 * 3 * (1 + CONTROLS + 2)  # budgets, delays, seeds; random, null controls and two strategies


def evaluate(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TMPDIR": str(folder)}
    return subprocess.run(
        [*COMMAND, *options], cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
    )


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run by two processes, in `whole`."""
    folder = tmp_path_factory.mktemp("evaluate")
    rows = [f"{i % 17},{'ab'[i % 2]},{'yes' if i % 17 > 8 else 'no'}" for i in range(90)]
    (folder / "shop.csv").write_text("\n".join(["size,kind,bought", *rows]) + "\n")
    done = evaluate(folder, *SMALL, "--processes", "2", "--out", "whole")
    assert done.returncode == 0, done.stderr
    assert f"of {TRIALS} trials done" in done.stderr
    return folder


def test_tables_a_summary_and_a_picture_a_data_set_are_left(folder: Path) -> None:
    whole = folder / "whole"
    expected = ["curves-shop.png", "summary.md", "table.csv", "table.md", "trials.jsonl"]
    assert sorted(path.name for path in whole.iterdir()) == expected
    assert (whole / "curves-shop.png").read_bytes().startswith(b"\x89PNG")
    table = lines(whole / "table.csv")
    assert table[0].split(",")[:5] == ["dataset", "strategy", "budget", "delay", "seed"]
    assert len(table) == 1 + TRIALS
    text = (whole / "summary.md").read_text()
    assert text.count("\n## Budget") == 4
    assert text.count("| ahead of `auto` | ahead in log loss |") == 4
    assert text.count("### λ in hindsight") == 4
    columns = table[0].split(",")
    best, price = (columns.index(name) for name in ("best_regularity", "regularity_price"))
    rows = list(csv.reader(table[1:]))
    assert all(float(row[best]) > 0.0 for row in rows)
    assert all(float(row[price]) >= 0.0 for row in rows)
    assert text.count("labels needed |") == 2  # where random queries had a budget of 20 %
    assert f"- Budget b: issued ≤ ⌈b n⌉ after every event n, kept in {TRIALS} of {TRIALS} trials." in text
    assert "| `random again` |" in text


def test_the_same_bytes_by_one_process_and_resumed_after_a_crash(folder: Path) -> None:
    whole = folder / "whole"
    kept = lines(whole / "trials.jsonl")[:36]
    (folder / "resumed").mkdir()
    (folder / "resumed" / "trials.jsonl").write_text("\n".join(kept) + '\n{"version": "half a li')
    done = evaluate(folder, *SMALL, "--out", "resumed", "--processes", "1")
    assert done.returncode == 0, done.stderr
    assert f"{TRIALS} trials, 36 of them played before" in done.stderr
    for name in ("table.csv", "table.md", "summary.md", "curves-shop.png"):
        assert (folder / "resumed" / name).read_bytes() == (whole / name).read_bytes(), name
    assert lines(folder / "resumed" / "trials.jsonl")[:36] == kept


def test_what_is_there_is_not_played_again_and_json_is_one_object(folder: Path) -> None:
    before = (folder / "whole" / "trials.jsonl").read_bytes()
    done = evaluate(folder, *SMALL, "--out", "whole", "--json")
    assert (done.returncode, done.stdout.count("\n")) == (0, 1), done.stderr
    assert f"{TRIALS} trials, {TRIALS} of them played before" in done.stderr
    result = json.loads(done.stdout, parse_constant=pytest.fail)
    assert (result["trials"], result["failed"], len(result["cells"])) == (TRIALS, [], 4)
    assert {row["strategy"] for row in result["cells"][0]["overall"]} >= {"random", "random again", "auto"}
    assert (folder / "whole" / "trials.jsonl").read_bytes() == before


def test_a_trial_that_fails_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    done = evaluate(tmp_path, "--datasets", "iris", "--seeds", "1", "--budgets", "0.001,0.3", "--out", "out")
    assert done.returncode == 1
    assert (
        "auto on iris, budget 0.001, delay 20, seed 0 failed: StreamlearnError: 1 labels brought no model"
        in done.stderr
    )
    text = (tmp_path / "out" / "summary.md").read_text()
    assert "- auto on iris, budget 0.001" in text
    assert "| `auto` |" in text.split("## Budget 30 %")[1]
    assert len(lines(tmp_path / "out" / "table.csv")) == 1 + 2 + CONTROLS


def test_an_interrupt_ends_it_cleanly_and_keeps_what_is_finished(tmp_path: Path) -> None:
    command = [*COMMAND, "--datasets", "iris", "--seeds", "200", "--budgets", "0.3", "--out", "out"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    record = tmp_path / "out" / "trials.jsonl"
    while len(lines(record)) < 3:
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "Traceback" not in errors
    assert errors.splitlines()[-1] == "streamlearn: interrupted"
    assert all(json.loads(line)["issued"] > 0 for line in lines(record))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_what_there_is_can_be_listed(tmp_path: Path) -> None:
    done = evaluate(tmp_path, "--list")
    assert done.returncode == 0
    assert "\n  hyperplane " in done.stdout
    assert "uncertainty, " in done.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--datasets", "irs", "--out", "out"), "no data set 'irs'; did you mean iris?"),
        (("--strategies", "filp", "--out", "out"), "no strategy 'filp'; did you mean flip?"),
        ((), "the following arguments are required: --out"),
        (("--seeds", "5-3", "--out", "out"), "argument --seeds: '5-3' ends before it begins"),
        (("--seeds", "0-99999999", "--out", "out"), "argument --seeds: '0-99999999' is more than 10,000 seeds"),
        (("--budgets", "0.1,2", "--out", "out"), "argument --budgets: '2' is not a number above 0"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(options: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = evaluate(tmp_path, *options)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"streamlearn: {said}")
    assert list(tmp_path.iterdir()) == []
