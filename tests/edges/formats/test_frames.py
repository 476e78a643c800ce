"""Schema-registry frames, against the documented bytes and against a public client's own code."""

from __future__ import annotations

import ast
import importlib.util
import io
import re
import struct
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlearn.edges.formats.frames import Frames
from streamlearn.edges.formats.protobuf import MESSAGES
from streamlearn.service.ports import EVENTS, LABELS, PREDICTIONS, QUERIES, REJECTED

MODERATE = settings(max_examples=200, deadline=None, derandomize=True)
JSON, PROTOBUF = Frames({QUERIES: 258}), Frames({QUERIES: 258}, MESSAGES)
IDS = st.integers(0, 2**31 - 1)


def client() -> Any:
    """The public client's `SchemaId`, which reads and writes frames: its package imports what we do not install."""
    spec = importlib.util.find_spec("confluent_kafka")
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse((Path(spec.origin).parent / "schema_registry/common/serde.py").read_text())
    wanted = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "SchemaId"]
    annotations = ast.parse("from __future__ import annotations").body
    names: dict[str, Any] = {"io": io, "struct": struct, "uuid": uuid, "SerializationError": ValueError}
    names |= {"_MAGIC_BYTE_V0": 0, "_MAGIC_BYTE_V1": 1}
    exec(compile(ast.Module([*annotations, *wanted], []), "serde", "exec"), names)
    return names["SchemaId"]


SCHEMA_ID = client()


def test_the_documented_bytes_are_written() -> None:
    assert b"\x00\x00\x00\x01\x02{}" == JSON.framed(QUERIES, b"{}")
    assert b"\x00\x00\x00\x01\x02\x02\x08{}" == PROTOBUF.framed(QUERIES, b"{}")  # one number: 4, in zig-zag
    assert b"\x00\x00\x00\x01\x02\x00{}" == Frames({QUERIES: 258}, {QUERIES: 0}).framed(QUERIES, b"{}")  # short for [0]
    assert b"\x00\x00\x00\x01\x02\x02\x80\x01{}" == Frames({QUERIES: 258}, {QUERIES: 64}).framed(QUERIES, b"{}")


@MODERATE
@given(id=IDS, place=st.integers(0, 300), payload=st.binary(max_size=9))
def test_a_public_client_reads_what_is_written(id: int, place: int, payload: bytes) -> None:
    read = SCHEMA_ID("PROTOBUF")
    rest = read.from_bytes(io.BytesIO(Frames({REJECTED: id}, {REJECTED: place}).framed(REJECTED, payload)))
    assert (id, [place], payload) == (read.id, read.message_indexes, rest.read())
    read = SCHEMA_ID("JSON")
    rest = read.from_bytes(io.BytesIO(Frames({REJECTED: id}).framed(REJECTED, payload)))
    assert (id, payload) == (read.id, rest.read())


@MODERATE
@given(id=IDS, path=st.lists(st.integers(0, 300), min_size=1, max_size=4), payload=st.binary(max_size=9))
def test_what_a_public_client_writes_is_read(id: int, path: list[int], payload: bytes) -> None:
    head = SCHEMA_ID("PROTOBUF", id, None, path).id_to_bytes()
    assert payload == PROTOBUF.payload(head + payload)
    assert payload == PROTOBUF.payload(head[:5] + (b"\0" if path == [0] else head[5:]) + payload)
    assert payload == JSON.payload(SCHEMA_ID("JSON", id).id_to_bytes() + payload)


def test_the_places_are_those_of_the_messages_in_their_file() -> None:
    proto = Path(__file__).parents[3] / "protos/streamlearn/v1/wire.proto"
    messages = re.findall(r"^message (\w+) \{", proto.read_text(), re.MULTILINE)
    names = {EVENTS: "Event", LABELS: "Label", QUERIES: "Query", PREDICTIONS: "Prediction", REJECTED: "Rejected"}
    assert {role: messages.index(name) for role, name in names.items()} == MESSAGES


@pytest.mark.parametrize("value", [b"", b"\0\0\0\0", b"{}", b"\1\0\0\0\1", b'{"id":"a","x":[1]}'])
def test_a_record_without_a_frame_is_refused_with_a_reason(value: bytes) -> None:
    for frames in (JSON, PROTOBUF):
        with pytest.raises(ValueError, match="record has no schema-registry frame"):
            frames.payload(value)


@pytest.mark.parametrize(
    "path",
    [b"", b"\x80", b"\x80" * 9, b"\1", b"\2", b"\2\1", b"\4\2", b"\xfe\xff\xff\xff\x0f", b"\2\x80\x80\x80\x80\x80\1"],
    ids=["none", "cut", "long", "minus-one", "without-numbers", "a-negative", "one-short", "huge", "a-long-number"],
)
def test_a_damaged_path_is_refused(path: bytes) -> None:
    with pytest.raises(ValueError, match="message index is damaged"):
        PROTOBUF.payload(b"\0\0\0\0\1" + path)


def test_what_is_taken_out_of_a_batch_keeps_its_schemas_id() -> None:
    batch = b"\0\0\0\x12\x34" + b"\2\2" + b"batch"
    assert b"\0\0\0\x12\x34" + b"\0" + b"event" == PROTOBUF.again(batch, EVENTS, b"event")
    assert b"\0\0\0\x12\x34" + b"event" == JSON.again(batch, EVENTS, b"event")
