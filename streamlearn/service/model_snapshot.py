"""A model on its own: all that predicting takes, as one value that needs neither the store nor the configuration.

On the wire it is one line of JSON, in a topic as in a file. The numbers are in `snapshot`, base64 of the bytes that
`service/snapshot.py` makes; the other fields say to a reader without Python what it is. `sha256` is of the line without it:

    {"sha256":"…","format":1,"name":"fraud","model_version":240,"commit":17,"time":…,"kind":"linear","loss":"logistic","snapshot":"…"}

A field that a later version adds has a default and leaves `format` as it is; what an older reader must not read raises it.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import final

import msgspec

from streamlearn.core.losses import Array
from streamlearn.core.models.model import Model
from streamlearn.learner import columns, problem
from streamlearn.learner.fit import Frame
from streamlearn.learner.state import State
from streamlearn.service import snapshot
from streamlearn.service.recipe import Recipe
from streamlearn.service.standing import Standing

FORMAT = 1
BEGIN, BETWEEN, HEX = b'{"sha256":"', b'",', 64


@final
@dataclass(frozen=True)
class ModelSnapshot:
    """version: labels learned, as messages name it; labels: heard in all; classes: in the order of the outputs.

    theta, log_tangent (d,) are under `frame`, of events as `columns` encodes them. trusted: whether the tangent was;
    exact: whether the daemon has H⁻¹; strategy, threshold: what asked, and from which score.
    """

    name: str
    version: int
    commit: int
    time: float
    labels: int
    columns: columns.State
    classes: tuple[problem.Label, ...]
    model: Model
    frame: Frame
    theta: Array
    log_tangent: Array
    regularity: float
    trusted: bool
    exact: bool
    strategy: str
    threshold: float
    recipe: Recipe


@final
class _Line(msgspec.Struct):
    format: int
    name: str
    model_version: int
    commit: int
    time: float
    kind: str
    loss: str
    snapshot: str


@final
class _Format(msgspec.Struct):
    format: int


def take(
    state: State, name: str, recipe: Recipe, version: int, commit: int, time: float, strategy: str, threshold: float
) -> ModelSnapshot | None:
    """What is served; None while there is no model."""
    fit, known = state.published, state.problem
    if fit is None:
        return None
    return ModelSnapshot(
        name=name,
        version=version,
        commit=commit,
        time=time,
        labels=state.labels,
        columns=state.columns,
        classes=known.classes[: max(2, fit.model.outputs_count)] if fit.model.loss.of_classes else (),
        model=fit.model,
        frame=fit.frame,
        theta=fit.theta,
        log_tangent=fit.log_tangent,
        regularity=fit.regularity,
        trusted=fit.certificate.trusted,
        exact=fit.solver == "newton",
        strategy=strategy,
        threshold=threshold,
        recipe=recipe,
    )


def of(standing: Standing, commit: int, time: float) -> ModelSnapshot | None:
    """That of a running pipeline."""
    rules, asking = standing.rules, standing.asking
    return take(
        standing.state,
        rules.name,
        rules.recipe,
        standing.version,
        commit,
        time,
        asking.acting,
        asking.selector.threshold,
    )


def encode(value: ModelSnapshot) -> bytes:
    """One line, without its newline."""
    packed = base64.b64encode(snapshot.pack(value)).decode()
    model = value.model
    line = _Line(
        FORMAT, value.name, value.version, value.commit, value.time, model.kind, model.loss.name, snapshot=packed
    )
    body = msgspec.json.encode(line)
    return BEGIN + hashlib.sha256(body).hexdigest().encode() + BETWEEN + body[1:]


def decode(data: bytes) -> ModelSnapshot:
    """Raises ValueError, which says what is wrong, where these are not the bytes that were encoded."""
    body = b"{" + data[len(BEGIN) + HEX + len(BETWEEN) :]
    if not data.startswith(BEGIN) or hashlib.sha256(body).hexdigest().encode() != data[len(BEGIN) : len(BEGIN) + HEX]:
        raise ValueError("it is damaged or no model of streamlearn's")
    try:
        told = msgspec.json.decode(body, type=_Format).format
        if told != FORMAT:
            raise ValueError(f"it is of format {told}, and this version of streamlearn reads format {FORMAT}")
        packed = base64.b64decode(msgspec.json.decode(body, type=_Line).snapshot, validate=True)
    except msgspec.MsgspecError as error:
        raise ValueError(f"it is of another version: {error}") from error
    value: ModelSnapshot = snapshot.unpack(ModelSnapshot, packed)
    return value
