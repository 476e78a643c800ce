"""Events a second that are decoded, by format and number in a record, over msgspec's bare decoding of the same as JSON."""

from __future__ import annotations

import json
import statistics
import time

import msgspec
import numpy as np

from streamlearn.edges.formats import wire_pb2 as wire
from streamlearn.edges.formats.codec import WireCodec
from streamlearn.edges.formats.json import JsonCodec
from streamlearn.edges.formats.protobuf import ProtobufCodec
from streamlearn.service.ports import EVENTS, Record

COUNT, SIZE, COLUMNS, ROUNDS = 64_000, 64, 20, 7
Rows = list[dict[str, object]]
CODECS: dict[str, WireCodec] = {"JSON": JsonCodec(), "Protobuf": ProtobufCodec()}


class Bare(msgspec.Struct):
    id: str
    x: list[float] | dict[str, float | str]


def rows(kind: str) -> Rows:
    """Arrays of numbers, or maps of as many names of which every fifth holds a text."""
    values = np.random.default_rng(0).normal(size=(COUNT, COLUMNS)).round(4).tolist()
    if kind == "array":
        return [{"id": f"event-{i}", "x": x} for i, x in enumerate(values)]
    return [
        {"id": f"event-{i}", "x": {f"name{j}": "red" if j % 5 == 0 else v for j, v in enumerate(x)}}
        for i, x in enumerate(values)
    ]


def message(row: dict[str, object]) -> bytes:
    x = row["x"]
    if isinstance(x, list):
        return bytes(wire.Event(id=str(row["id"]), array=wire.Array(values=x)).SerializeToString())
    assert isinstance(x, dict)
    features = [wire.Feature(name=n, **{"text" if isinstance(v, str) else "number": v}) for n, v in x.items()]
    return bytes(wire.Event(id=str(row["id"]), map=wire.Map(features=features)).SerializeToString())


def packed(name: str, values: list[bytes], size: int) -> list[bytes]:
    """The events as records of so many."""
    parts = [values[i : i + size] for i in range(0, COUNT, size)]
    if size == 1:
        return values
    if name == "JSON":
        return [b"[" + b",".join(part) + b"]" for part in parts]
    return [bytes(wire.Parts(parts=part).SerializeToString()) for part in parts]


def decode(codec: WireCodec, values: list[bytes]) -> float:
    records = [Record(EVENTS, 0, i, i + 1, None, value) for i, value in enumerate(values)]
    began = time.process_time()
    count = sum(len(codec.events(record)) for record in records)
    took = time.process_time() - began
    assert count == COUNT
    return took


def bare(values: list[bytes], size: int) -> float:
    """What msgspec takes for JSON of this shape and no more."""
    decoder = msgspec.json.Decoder(Bare if size == 1 else list[Bare])
    began = time.process_time()
    for value in values:
        decoder.decode(value)
    return time.process_time() - began


def main() -> None:
    for kind in ("array", "map"):
        singles = {"JSON": [json.dumps(row).encode() for row in rows(kind)], "Protobuf": list(map(message, rows(kind)))}
        for size in (1, SIZE):
            values = {name: packed(name, singles[name], size) for name in CODECS}
            rounds: dict[str, list[float]] = {name: [] for name in (*CODECS, "bare")}
            for _ in range(ROUNDS):  # in turn, since others share the machine
                rounds["bare"].append(bare(values["JSON"], size))
                for name, codec in CODECS.items():
                    rounds[name].append(decode(codec, values[name]))
            for name in CODECS:
                ratio = statistics.median(peer / own for peer, own in zip(rounds["bare"], rounds[name], strict=True))
                speed, length = COUNT / statistics.median(rounds[name]), sum(map(len, values[name])) / COUNT
                print(
                    f"{kind}, {size:2} a record, {name:8}: {speed:9,.0f} events/s, {ratio:.2f} of bare, {length:.0f} B"
                )


if __name__ == "__main__":
    main()
