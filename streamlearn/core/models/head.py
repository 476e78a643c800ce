"""The last layer of a network as a linear model of what goes into it, h(x; θ): its places in θ, its rows, how they move."""

from __future__ import annotations

from functools import partial
from math import prod

import numpy as np
import torch

from streamlearn.core.losses import Array
from streamlearn.core.models.differentiation import Body
from streamlearn.core.models.last_layer import Head
from streamlearn.core.models.model import LastLayer


def linear(body: Body, head: Head, outputs: int, seen: tuple[bool, ...]) -> LastLayer:
    """seen: of each block of θ, whether R sees it."""
    ends = np.cumsum([prod(shape) for _, shape in body.blocks])

    def at(block: int) -> np.ndarray:
        return np.arange(ends[block] - prod(body.blocks[block][1]), ends[block], dtype=np.intp).reshape(outputs, -1)

    bias = [] if head.bias is None else [at(head.bias)]
    places = np.concatenate([*bias, at(head.weight)], axis=1)
    free = tuple(range(len(bias) if seen[head.weight] else places.shape[1]))
    rows, response = partial(_rows, body, head), partial(_response, body, head, outputs)
    return LastLayer(places.shape[1], places.ravel(), free, rows, response)


def _rows(body: Body, head: Head, theta: Array, X: Array) -> Array:
    return _led(body.array(body.entering(body.split(theta), body.inputs(X), head)), head, 1.0)


def _response(
    body: Body, head: Head, outputs: int, theta: Array, v: Array, X: Array
) -> tuple[Array, Array, Array, Array]:
    with torch.no_grad():
        f, moved = map(body.array, body.response(body.split(theta), body.split(v), body.inputs(X), head))
    k = outputs
    return f[:, :k], moved[:, :k], _led(f[:, k:], head, 1.0), _led(moved[:, k:], head, 0.0)


def _led(h: Array, head: Head, value: float) -> Array:
    """With the column of the bias in front, where there is one."""
    return h if head.bias is None else np.column_stack([np.full(len(h), value), h])
