"""The generated code is what the protos generate, the protos are what a linter asks for, and old runtimes are refused."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from streamlearn.edges.formats import wire_pb2

ROOT = Path(__file__).parents[3]
PROTOS = ROOT / "protos"
CODE = ROOT / "streamlearn/edges/formats"


def test_the_generated_code_is_that_of_the_protos(tmp_path: Path) -> None:
    out = [f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", str(PROTOS), *out, "streamlearn/v1/wire.proto"]
    subprocess.run(command, check=True)
    for name in ("wire_pb2.py", "wire_pb2.pyi"):
        assert (tmp_path / "streamlearn/v1" / name).read_text() == (CODE / name).read_text(), "run `make proto`"


def test_the_protos_are_lint_clean() -> None:
    done = subprocess.run([Path(sys.executable).with_name("buf"), "lint"], cwd=PROTOS, capture_output=True, text=True)
    assert ("", 0) == (done.stdout + done.stderr, done.returncode)


def test_the_linter_would_say_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "buf.yaml").write_text((PROTOS / "buf.yaml").read_text())
    folder = tmp_path / "streamlearn/v1"
    folder.mkdir(parents=True)
    text = (PROTOS / "streamlearn/v1/wire.proto").read_text()
    (folder / "wire.proto").write_text(text.replace("string strategy = 6", "string Strategy = 6"))
    done = subprocess.run([Path(sys.executable).with_name("buf"), "lint"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "Strategy" in done.stdout


def test_the_oldest_runtime_that_is_allowed_can_load_the_generated_code() -> None:
    generated = re.search(r"# Protobuf Python Version: ([\d.]+)", (CODE / "wire_pb2.py").read_text())
    assert generated is not None
    needs = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (bounds,) = (need.removeprefix("protobuf") for need in needs if need.startswith("protobuf"))
    major = int(generated[1].partition(".")[0])  # a runtime may be one major version ahead of the code
    assert f">={generated[1]},<{major + 2}" == bounds


def test_batches_and_single_messages_cannot_be_confused() -> None:
    for single, batch in ((wire_pb2.Event, wire_pb2.EventBatch), (wire_pb2.Label, wire_pb2.LabelBatch)):
        (field,) = batch.DESCRIPTOR.fields
        assert field.number == wire_pb2.Parts.DESCRIPTOR.fields_by_name["parts"].number
        assert field.number not in single.DESCRIPTOR.fields_by_number
        assert single.DESCRIPTOR.fields_by_number[1].name == "id"
