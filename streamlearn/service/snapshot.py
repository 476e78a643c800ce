"""Snapshots: the pipeline's state as bytes, and back to the same bits.

Frozen dataclasses become a JSON tree beside the arrays they hold (`numpy.savez`, whose members carry checksums). What the
store keeps row by row (labeled examples, pending queries) and what follows from it (the covariance) is not in it.
"""

from __future__ import annotations

import io
import json
import types
import typing
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from streamlearn.core.losses import Loss, Squared
from streamlearn.learner import examples
from streamlearn.learner.fit import loss_of


def pack(value: object) -> bytes:
    arrays: dict[str, Any] = {}
    tree = json.dumps(_pack(value, arrays), sort_keys=True).encode()
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, tree=np.frombuffer(tree, dtype=np.uint8), **arrays)
    return buffer.getvalue()


def unpack(kind: Any, data: bytes) -> Any:
    """The value of type `kind` that was packed. Raises ValueError where the bytes are not what was packed."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as loaded:
            arrays = {name: loaded[name] for name in loaded.files}
        return _unpack(kind, json.loads(arrays["tree"].tobytes()), arrays)
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(f"not a snapshot of this version ({error})") from error


def _pack(value: object, arrays: dict[str, Any]) -> object:
    if isinstance(value, examples.State):
        return None
    if isinstance(value, Loss):
        return {"name": value.name, "noise": value.noise if isinstance(value, Squared) else 1.0}
    if isinstance(value, np.ndarray):
        name = f"a{len(arrays)}"
        arrays[name] = np.ascontiguousarray(value)
        return name
    if is_dataclass(value):
        return {
            field.name: None if field.name == "covariance" else _pack(getattr(value, field.name), arrays)
            for field in fields(value)
        }
    if isinstance(value, tuple):
        return [_pack(item, arrays) for item in value]
    assert value is None or isinstance(value, (bool, int, float, str)), type(value)
    return value


def _unpack(kind: Any, value: Any, arrays: dict[str, Any]) -> Any:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        if value is None:
            return None
        options = [option for option in typing.get_args(kind) if option is not type(None)]
        return _unpack(options[0], value, arrays) if len(options) == 1 else value
    if kind is examples.State:
        return examples.init()
    if kind is Loss:
        return loss_of(value["name"], value["noise"])
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
        return made(**{field.name: _unpack(hints[field.name], value[field.name], arrays) for field in fields(kind)})
    return value
