"""A model on its own: all that predicting takes, as one value that needs neither the store nor the configuration.

On the wire it is one line of JSON, in a topic as in a file. The numbers are in `snapshot`, base64 of the bytes that
`service/snapshot.py` makes; the other fields say to a reader without Python what it is. `sha256` is of the line without it:

    {"sha256":"…","format":1,"name":"fraud","model_version":240,"commit":17,"time":…,"kind":"linear","loss":"logistic","snapshot":"…"}

A field that a later version adds has a default and leaves `format` as it is; what an older reader must not read raises it: 2 is
a line whose numbers are elsewhere (`model_messages.py`).
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, replace
from typing import TypeVar, final

import msgspec

from streamlearn.core.losses import Array
from streamlearn.core.models.model import Model
from streamlearn.learner import columns, problem
from streamlearn.learner.fit import Frame
from streamlearn.learner.state import State
from streamlearn.service import scoring, snapshot
from streamlearn.service.recipe import Recipe
from streamlearn.service.scoring import Scoring
from streamlearn.service.standing import Standing

T = TypeVar("T")

FORMAT, IN_CHUNKS = 1, 2
BEGIN, BETWEEN, HEX = b'{"sha256":"', b'",', 64


@final
@dataclass(frozen=True)
class ModelSnapshot:
    """version: labels learned, as messages name it; labels: heard in all; classes: in the order of the outputs.

    theta, log_tangent (d,) are under `frame`, of events as `columns` encodes them. trusted: whether the tangent was;
    exact: whether the daemon has H⁻¹; strategy, threshold: what asked, and from which score; scoring: what scorers go by, if
    that was asked for. user: whose θ_u and θ̇_u they are; "": they are those that all share.
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
    scoring: Scoring | None = None
    user: str = ""


@final
class Parts(msgspec.Struct):
    """Where the numbers of a model lie that no message holds: in the `chunks` of this slot, `bytes` of this sha256 in all."""

    slot: int
    chunks: int
    bytes: int
    sha256: str


@final
class Line(msgspec.Struct, omit_defaults=True):
    """A model's line without its checksum. snapshot: base64; "" where there are parts."""

    format: int
    name: str
    model_version: int
    commit: int
    time: float
    kind: str
    loss: str
    snapshot: str
    parts: Parts | None = None


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
    rules, asking, state = standing.rules, standing.asking, standing.state
    taken = take(
        state, rules.name, rules.recipe, standing.version, commit, time, asking.acting, asking.selector.threshold
    )
    if taken is None or rules.models is None or not rules.models.for_scorers:
        return taken
    strategy = asking.strategy(state)
    seen = asking.outlook.for_scorers(state, standing.ledger, strategy)
    assert seen is not None, "there is a model"
    fair = standing.fair_scores(seen, strategy) if rules.of_candidates else None
    return replace(taken, scoring=scoring.take(seen, strategy, asking.selector, rules.budget, state.moments, fair))


def encode(value: ModelSnapshot) -> bytes:
    """One line, without its newline."""
    return line(value, snapshot.pack(value))


def line(value: ModelSnapshot, packed: bytes, parts: Parts | None = None) -> bytes:
    """The line of a model that was packed, or with parts: the line that says where that is."""
    told, inline = (IN_CHUNKS, "") if parts else (FORMAT, base64.b64encode(packed).decode())
    model = value.model
    return sealed(
        Line(told, value.name, value.version, value.commit, value.time, model.kind, model.loss.name, inline, parts)
    )


def decode(data: bytes) -> ModelSnapshot:
    """Raises ValueError, which says what is wrong, where these are not the bytes that were encoded."""
    found = read(data, Line)
    if found.parts is not None:
        raise ValueError("its numbers are in chunks elsewhere: load it from the topic that it is of")
    try:
        return unpack(base64.b64decode(found.snapshot, validate=True))
    except ValueError as error:
        raise ValueError(f"it is of another version: {error}") from error


def unpack(packed: bytes) -> ModelSnapshot:
    """Raises ValueError as `decode` does."""
    value: ModelSnapshot = snapshot.unpack(ModelSnapshot, packed)
    return value


def sealed(value: msgspec.Struct) -> bytes:
    """As JSON, with a checksum of that in front."""
    body = msgspec.json.encode(value)
    return BEGIN + hashlib.sha256(body).hexdigest().encode() + BETWEEN + body[1:]


def read(data: bytes, kind: type[T]) -> T:
    """What was sealed; raises ValueError as `decode` does."""
    body = b"{" + data[len(BEGIN) + HEX + len(BETWEEN) :]
    if not data.startswith(BEGIN) or hashlib.sha256(body).hexdigest().encode() != data[len(BEGIN) : len(BEGIN) + HEX]:
        raise ValueError("it is damaged or no model of streamlearn's")
    try:
        told = msgspec.json.decode(body, type=_Format).format
        if told not in (FORMAT, IN_CHUNKS):
            raise ValueError(
                f"it is of format {told}, and this version of streamlearn reads formats {FORMAT} and {IN_CHUNKS}"
            )
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise ValueError(f"it is of another version: {error}") from error
