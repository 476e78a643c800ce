"""`streamlearn figures` as a user calls it: pictures and numbers in a folder, and one line for every mistake."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

COMMAND = [sys.executable, "-m", "streamlearn", "figures", "--without-experiment"]
PICTURES = ["figure1.png", "figure2.png", "figure3.png"]
TABLES = ["figure1.csv", "figure2.csv", "figure3.csv", "points.csv"]


def figures(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *options], cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def refused(done: subprocess.CompletedProcess[str], expected: str) -> None:
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"streamlearn: {expected}")


def test_pictures_and_numbers_are_written_and_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    first, second = figures(tmp_path, "--out", "a/first", "--json"), figures(tmp_path, "--out", "second")
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    result = json.loads(first.stdout)
    assert (round(result["regularity"], 5), result["dominant_point"]) == (0.00068, 5)
    assert sorted(result["files"]) == [f"a/first/{name}" for name in sorted(PICTURES + TABLES)]
    assert second.stdout.endswith("Pictures and their numbers: second\n")
    one, other = tmp_path / "a" / "first", tmp_path / "second"
    assert sorted(PICTURES + TABLES) == sorted(path.name for path in one.iterdir())
    for name in PICTURES + TABLES:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    for name in PICTURES:
        image = (one / name).read_bytes()
        assert image[:8] == b"\x89PNG\r\n\x1a\n"
        width, height = struct.unpack(">II", image[16:24])
        assert (width > 800, height > 500) == (True, True)
        assert 20_000 < len(image) < 150_000
    assert (one / "points.csv").read_text().splitlines()[0] == "x,y,response,residual,left_out_loss"


def test_a_folder_that_cannot_be_made_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(figures(tmp_path, "--out", "file"), "--out file: File exists; name a folder")
    refused(figures(tmp_path, "--out", "file/inside"), "--out file/inside: Not a directory; name a folder")


def test_a_file_that_cannot_be_written_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "out" / "points.csv").mkdir(parents=True)
    refused(figures(tmp_path, "--out", "out"), "--out out: Is a directory; name a folder that can be written to")


def test_where_to_write_has_to_be_said(tmp_path: Path) -> None:
    refused(figures(tmp_path), "the following arguments are required: --out")
