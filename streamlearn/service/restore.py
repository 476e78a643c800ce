"""What a commit holds of the pipeline, and how a pipeline gets it back: bit for bit the state that was committed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import final

import msgspec
import numpy as np

from streamlearn.config import Users
from streamlearn.core.models.model import Model, in_words
from streamlearn.errors import REBUILD, CannotStart, ConfigurationError
from streamlearn.learner import columns, everybody, exact, examples, problem
from streamlearn.learner.fit import Fit
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State
from streamlearn.queries import selector
from streamlearn.service import census, drift, snapshot, transforming
from streamlearn.service.ledger import row
from streamlearn.service.pipeline import Pipeline
from streamlearn.service.ports import Example, Saved
from streamlearn.service.recipe import UNTOLD, Recipe
from streamlearn.service.shadows import Kept
from streamlearn.service.standing import NOTHING, Announced
from streamlearn.service.transforming import Transforming


@final
@dataclass(frozen=True)
class Snapshot:
    """All of a pipeline's state but what the store keeps row by row. first: the serial from which examples are kept.

    log, validation, folds: as told; they say where positions are, and which examples were held out, to whoever reads the
    store without the configuration. obeyed: the number of the last command; share: of events that are read from here on.
    name, recipe, users: for `streamlearn export`; users: None of a store of before it was said.
    """

    learner: State
    first: int
    selector: selector.State
    acting: str
    counted_at_once: int | None
    events: int
    version: int
    rejected: int
    clock: float
    validation: str
    folds: int
    log: tuple[tuple[str, str], ...] = ()
    asking_paused: bool = False
    learning_paused: bool = False
    obeyed: int = 0
    share: float = 1.0
    name: str = ""
    recipe: Recipe = UNTOLD
    announced: Announced = NOTHING
    shadows: Kept = ()
    transformer: transforming.Kept | None = None
    census: census.Kept = census.NOTHING
    drift: drift.Kept = drift.NOTHING
    users: Users | None = None


def take(pipeline: Pipeline) -> bytes:
    return snapshot.pack(_snapshot(pipeline, pipeline.standing.clock))


def digest(pipeline: Pipeline) -> str:
    """A SHA-256 of all state but time, lag, what was rejected, where from and commands: equal exactly when everything is."""
    ledger, kept = pipeline.ledger, pipeline.state.examples
    n = len(kept)
    there = np.flatnonzero(kept.weight[:n] > 0.0)  # of a forgotten example nothing is left but its place
    told = replace(
        _snapshot(pipeline, 0.0), rejected=0, log=(), obeyed=0, share=1.0, name="", recipe=UNTOLD, users=None
    )
    # A pickle of the same state may be other bytes in another process; what a transformer has done is in the rows.
    last = told.drift.last and replace(told.drift.last, time=0.0)
    told = replace(told, announced=NOTHING, transformer=None, drift=replace(told.drift, last=last))
    total = hashlib.sha256(snapshot.pack(told))
    for part in (kept.X[there], kept.weight[:n], kept.fold[there]):
        total.update(np.ascontiguousarray(part).tobytes())
    ys = [kept.y[row] for row in there]
    ids = [sorted(ledger.labeled.items()), sorted(ledger.pending), sorted(ledger.waiting), ys]
    ids += [[kept.user[row] for row in there], ledger.quotas.counting(pipeline.standing.clock)]
    total.update(msgspec.json.encode(ids))
    return total.hexdigest()


def put_back(pipeline: Pipeline, saved: Saved, for_reading: bool = False) -> None:
    """Give the pipeline the state that was saved; `for_reading`: without what only scoring needs."""
    if saved.number == 0:
        return
    state = _unpacked(saved)
    if not for_reading:
        _refuse_another_log(dict(pipeline.standing.rules.log), state.log)
        _put_back_transformer(pipeline.standing.transforming, state.transformer)
        _refuse_another_problem(pipeline.state, pipeline.standing.rules.learner, state.learner)
    else:
        rules = pipeline.standing.rules
        told = replace(rules.learner, validation=state.validation, folds=state.folds)
        pipeline.standing.rules = replace(rules, learner=told, log=state.log)
    pipeline.ledger.restore(saved, state.events, pipeline.recall)
    settings, learner_state = pipeline.standing.rules.learner, state.learner
    learner_state = replace(learner_state, examples=_examples(learner_state, state.first, saved.examples))
    if not for_reading and state.users is not None and _other(state.users, settings.users):
        learner_state = everybody.told_anew(learner_state)
    fit, published = learner_state.fit, learner_state.published
    if not for_reading:
        fit, published = (None if each is None else _built(each, settings) for each in (fit, published))
    if fit is not None and published is not None and not for_reading:
        if fit.solver == "newton":
            fit = exact.with_covariance(fit, learner_state, settings, "train")
        if fit.solver == "newton" and settings.holdout:
            published = exact.with_covariance(published, learner_state, settings, "all")
        published = published if settings.holdout else fit
    pipeline.standing.state = replace(learner_state, fit=fit, published=published)
    pipeline.standing.asking.restore(state.selector, state.acting, state.counted_at_once)
    standing = pipeline.standing
    standing.version, standing.rejected, standing.clock = state.version, state.rejected, state.clock
    standing.asking.paused, standing.learning_paused = state.asking_paused, state.learning_paused
    standing.obeyed, standing.fits = state.obeyed, list(saved.fits)
    standing.share = state.share if standing.rules.backlog else 1.0
    standing.announced = state.announced
    standing.asking.shadows.restore(state.shadows)
    standing.census.restore(state.census)
    standing.drift.restore(state.drift, None if for_reading else lambda fit: _built(fit, settings))


def stored(saved: Saved) -> Snapshot | None:
    """What a store says of itself, without its rows; None before the first commit."""
    return _unpacked(saved) if saved.number else None


def learned(saved: Saved) -> State | None:
    """The learner's state in a store, without its examples; None before the first commit."""
    return _unpacked(saved).learner if saved.number else None


def with_examples(saved: Saved) -> State:
    """The same with its examples, of a store that has commits."""
    held = _unpacked(saved)
    return replace(held.learner, examples=_examples(held.learner, held.first, saved.examples))


def _unpacked(saved: Saved) -> Snapshot:
    try:
        state: Snapshot = snapshot.unpack(Snapshot, saved.snapshot)
    except ValueError as error:
        raise CannotStart(f"the store's snapshot cannot be read ({error}); {REBUILD}") from error
    return state


def _other(before: Users, now: Users) -> bool:
    """Whether what a fit knows of all users is something else now."""
    return (before.kind, before.directions) != (now.kind, now.directions)


def _built(fit: Fit, settings: Settings) -> Fit:
    """A stored fit with the model that the configuration gives."""
    stored, told = fit.model, settings.architecture
    model = told.model(stored.loss, stored.outputs_count, stored.columns)
    if model.blocks != stored.blocks:
        raise ConfigurationError(
            f"model.kind {told.kind} has other parameters than the store was built with ({_shapes(model)} and not "
            f"{_shapes(stored)}): set model.hidden or the factory back, or start once with --rebuild"
        )
    return replace(fit, model=model)


def _shapes(model: Model) -> str:
    return ", ".join(in_words(model.blocks))[:200]


def _refuse_another_problem(told: State, settings: Settings, stored: State) -> None:
    """The configuration may change what is done with a problem, not which problem it is."""
    width = "features.length" if told.columns.vocabulary else "the size of model.shape"
    pairs = {
        "model.kind": (settings.architecture.kind, stored.fit.model.kind if stored.fit else settings.architecture.kind),
        "features.kind": (_features(told), _features(stored)),
        "model.vocabulary": (told.columns.vocabulary, stored.columns.vocabulary),
        width: (told.columns.width, stored.columns.width),
        "features.names": (told.columns.fixed, stored.columns.fixed),
        "model.loss": (told.problem.loss, stored.problem.loss if told.problem.loss else ""),
        "model.classes": (told.problem.classes, stored.problem.classes if told.problem.classes else ()),
    }
    for key, (now, before) in pairs.items():
        if now != before:
            raise _refusal(key, now, before)


def _refuse_another_log(told: dict[str, str], stored: tuple[tuple[str, str], ...]) -> None:
    """Positions are of one log. There was none but events themselves before it was said."""
    for key, before in ({"topics.candidates": ""} | dict(stored) if stored else {}).items():
        if told.get(key, before) != before:
            raise _refusal(key, told[key], before)


def _refusal(key: str, now: object, before: object) -> ConfigurationError:
    return ConfigurationError(
        f"{key} is {now!r}; the store was built with {before!r}: set it back, or start once with --rebuild"
    )


def _put_back_transformer(told: Transforming | None, stored: transforming.Kept | None) -> None:
    now, before = told.name if told else "", stored.name if stored else ""
    if now != before:
        raise _refusal("features.river", now, before)
    if told is not None and stored is not None:
        told.restore(stored)


def _features(state: State) -> str:
    return "tokens" if state.columns.vocabulary else "dense"


def _snapshot(pipeline: Pipeline, clock: float) -> Snapshot:
    return Snapshot(
        pipeline.state,
        pipeline.state.examples.first,
        pipeline.standing.asking.selector,
        pipeline.standing.asking.acting,
        pipeline.standing.asking.outlook.counted_at_once,
        pipeline.ledger.count,
        pipeline.standing.version,
        pipeline.standing.rejected,
        clock,
        pipeline.standing.rules.learner.validation,
        pipeline.standing.rules.learner.folds,
        pipeline.standing.rules.log,
        pipeline.standing.asking.paused,
        pipeline.standing.learning_paused,
        pipeline.standing.obeyed,
        pipeline.standing.share,
        pipeline.standing.rules.name,
        pipeline.standing.rules.recipe,
        pipeline.standing.announced,
        pipeline.standing.asking.shadows.kept(),
        pipeline.standing.transforming.kept() if pipeline.standing.transforming else None,
        pipeline.standing.census.kept(),
        pipeline.standing.drift.kept(),
        pipeline.standing.rules.users,
    )


def _examples(state: State, first: int, saved: list[Example]) -> examples.State:
    """The labeled set from its rows; a serial that is missing was forgotten."""
    width = len(state.columns.columns)
    kept = examples.init(width, first)
    for example in saved:
        while kept.end < example.serial:
            kept = examples.append(kept, np.zeros(width), 0, 0.0, 0.0, 0)
        y = msgspec.json.decode(example.y)
        target = problem.target(state.problem, y) if state.problem.loss else 0.0
        x = columns.widen(state.columns, row(example.x))[0]
        kept = examples.append(kept, x, y, target, example.weight, example.fold, example.user)
    while kept.end < state.labels:
        kept = examples.append(kept, np.zeros(width), 0, 0.0, 0.0, 0)
    return kept
