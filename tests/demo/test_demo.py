"""`streamlearn demo` as a user calls it: one JSON object or a table on stdout, a picture, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

COMMAND = [sys.executable, "-m", "streamlearn", "demo"]


def demo(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TMPDIR": str(folder)}
    return subprocess.run(
        [*COMMAND, *options], cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_json_is_one_object_and_the_picture_is_a_png(tmp_path: Path) -> None:
    done = demo(tmp_path, "--dataset", "breast_cancer", "--seeds", "1", "--json", "--out", "picture.png")
    assert (done.returncode, done.stdout.count("\n")) == (0, 1), done.stderr
    result = json.loads(done.stdout)
    assert (result["dataset"], result["budget"], result["seeds"]) == ("breast_cancer", 0.1, [0])
    for arm in ("streamlearn", "random", "all_labels"):
        assert {len(result[arm][name]) for name in ("labels", "test_loss", "test_score", "tangent_residual")} == {1}
        assert result[arm]["test_score"][0] > 0.8
    assert result["streamlearn"]["labels"] == result["random"]["labels"]
    assert result["all_labels"]["labels"] == [398]
    assert all(value > 0 for value in result["regularity"][0])
    assert len(result["tangent_residual"]) == 1
    assert "trials done" in done.stderr
    image = (tmp_path / "picture.png").read_bytes()
    assert image[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", image[16:24])
    assert width > 1000
    assert height > 700
    assert 30_000 < len(image) < 2_000_000
    assert left(tmp_path) == ["picture.png"]


def test_a_file_of_the_users_own_ends_with_table_sentence_and_what_to_do_next(tmp_path: Path) -> None:
    rows = [f"{i % 17},{'ab'[i % 2]},{'yes' if i % 17 > 8 else 'no'}" for i in range(200)]
    (tmp_path / "shop.csv").write_text("\n".join(["size,kind,bought", *rows]))
    done = demo(tmp_path, "--dataset", "shop.csv", "--label", "bought", "--seeds", "2", "--delay", "5")
    assert done.returncode == 0, done.stderr
    assert "random queries" in done.stdout
    assert "labels streamlearn is" in done.stdout
    assert "Picture: demo.png\nNext: streamlearn run" in done.stdout
    assert left(tmp_path) == ["demo.png", "shop.csv"]


def test_a_mistake_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = demo(tmp_path, "--dataset", "none.csv", "--label", "y")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "streamlearn: no such file: none.csv\n"
    done = demo(tmp_path, "--out", "nowhere/demo.png")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_an_interrupt_ends_it_cleanly(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "--dataset", "digits", "--seeds", "20"],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    seen = [process.stderr.readline(), process.stderr.readline()]  # a trial is running
    assert "trials done" in seen[1]
    os.killpg(process.pid, signal.SIGINT)
    out, errors = process.communicate(timeout=120)
    assert (process.returncode, out) == (1, "")
    assert "Traceback" not in errors
    assert errors.splitlines()[-1] == "streamlearn: interrupted"
    assert left(tmp_path) == []
