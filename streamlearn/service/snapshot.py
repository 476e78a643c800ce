"""Snapshots: the pipeline's state as bytes, and back to the same bits.

Frozen dataclasses become a JSON tree; arrays become raw bytes behind it, named in the tree by their place. A model is told
by its shape: what it computes with is the configuration's. In front stands a checksum. What the store keeps row by row
(labeled examples, pending queries) and what follows from it (the covariance) is not in it. A field that an earlier version
did not know has its default.

    checksum (4) | length of the tree (4) | tree | bytes of array 0 | bytes of array 1 | …
"""

from __future__ import annotations

import json
import types
import typing
import zlib
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Final

import numpy as np

from streamlearn.core.losses import Loss, Squared, named
from streamlearn.core.models.described import Described
from streamlearn.core.models.linear import Linear
from streamlearn.core.models.model import Model
from streamlearn.learner import examples

Arrays = list[Any]  # of numpy arrays of any type
LEAVES: Final = (bool, int, float, str)


def pack(value: object) -> bytes:
    arrays: Arrays = []
    tree = _pack(value, arrays)
    kinds = [[array.dtype.str, array.shape] for array in arrays]
    head = json.dumps({"tree": tree, "arrays": kinds}, sort_keys=True).encode()
    body = b"".join([len(head).to_bytes(4, "little"), head, *(array.tobytes() for array in arrays)])
    return zlib.crc32(body).to_bytes(4, "little") + body


def unpack(kind: Any, data: bytes) -> Any:
    """The value of type `kind` that was packed. Raises ValueError where the bytes are not what was packed."""
    if len(data) < 8 or zlib.crc32(data[4:]) != int.from_bytes(data[:4], "little"):
        raise ValueError("it is damaged")
    try:
        at = 8 + int.from_bytes(data[4:8], "little")
        head, arrays = json.loads(data[8:at]), []
        for name, shape in head["arrays"]:
            array = np.frombuffer(data, dtype=name, count=int(np.prod(shape)), offset=at).reshape(shape)
            arrays.append(array.copy())
            at += array.nbytes
        return _unpack(kind, head["tree"], arrays)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"it is of another version: {error}") from error


def _pack(value: Any, arrays: Arrays) -> object:
    if value is None or type(value) in LEAVES:
        return value
    if isinstance(value, examples.State):
        return None
    if isinstance(value, Loss):
        return {"name": value.name, "noise": value.noise if isinstance(value, Squared) else 1.0}
    if isinstance(value, Model):
        return _described(value)
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return len(arrays) - 1
    if isinstance(value, tuple):
        return [_pack(item, arrays) for item in value]
    kind: Any = type(value)
    return {name: None if name == "covariance" else _pack(getattr(value, name), arrays) for name in _names(kind)}


@cache
def _names(kind: Any) -> tuple[str, ...]:
    """Of a dataclass's fields. Raises TypeError for what is none."""
    return tuple(field.name for field in fields(kind))


def _described(model: Model) -> object:
    """A model by its shape. What it computes with is the configuration's."""
    return {
        "kind": model.kind,
        "loss": _pack(model.loss, []),
        "outputs": model.outputs_count,
        "columns": model.columns,
        "blocks": [[name, list(shape)] for name, shape in model.blocks],
    }


def _model(value: Any) -> Model:
    loss, outputs, columns = named(value["loss"]["name"], value["loss"]["noise"]), value["outputs"], value["columns"]
    if value["kind"] == "linear":
        return Linear(loss, outputs, columns)
    blocks = tuple((name, tuple(shape)) for name, shape in value["blocks"])
    return Described(value["kind"], loss, outputs, columns, blocks)


def _unpack(kind: Any, value: Any, arrays: Arrays) -> Any:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        if value is None:
            return None
        options = [option for option in typing.get_args(kind) if option is not type(None)]
        return _unpack(options[0], value, arrays) if len(options) == 1 else value
    if kind is examples.State:
        return examples.init()
    if kind is Loss:
        return named(value["name"], value["noise"])
    if kind is Model:
        return _model(value)
    if typing.get_origin(kind) is np.ndarray:
        return arrays[value]
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)
        if len(inner) == 2 and inner[1] is Ellipsis:
            return tuple(_unpack(inner[0], item, arrays) for item in value)
        return tuple(_unpack(part, item, arrays) for part, item in zip(inner, value, strict=True))
    if is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        made: Any = kind  # a class, where is_dataclass also allows instances
        given = [field for field in fields(kind) if field.name in value or field.default is MISSING]
        return made(**{field.name: _unpack(hints[field.name], value[field.name], arrays) for field in given})
    return value
