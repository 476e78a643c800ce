"""The problem: what kind of answer a label is, learned from the labels when the configuration leaves it open.

Strings and booleans are classes. Whole numbers are classes if at most ten distinct ones are among the first 20 labels.
Other numbers are values. It is decided once. A new class adds an output; two classes have the logistic loss with one.
Counts, which have the Poisson loss, have to be configured.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

from streamlearn.core import losses

Label = bool | int | float | str
DECIDE_AT, CLASSES_AT_DECISION, CLASSES_MOST = 20, 10, 256
LARGEST = 1e100  # of a value: the squares of larger ones are not finite


@final
@dataclass(frozen=True)
class State:
    """loss: squared, logistic, softmax or "" while open; classes in the order of the outputs; fixed: no class may be added;
    two_only: the logistic loss was configured, so no third. heard: the labels so far, while open.
    """

    loss: str = ""
    classes: tuple[Label, ...] = ()
    fixed: bool = False
    two_only: bool = False
    heard: tuple[Label, ...] = ()

    @property
    def trainable(self) -> bool:
        """Whether there is anything to tell apart."""
        return self.loss in losses.OF_VALUES or (self.loss != "" and len(self.classes) >= 2)

    @property
    def outputs(self) -> int:
        return len(self.classes) if self.loss == "softmax" else 1


def init(loss: str, classes: tuple[Label, ...]) -> State:
    """As the configuration says; "" and () leave it open."""
    if not loss and classes:
        loss = "logistic" if len(classes) == 2 else "softmax"
    return State(loss, tuple(map(plain, classes)), bool(classes), loss == "logistic")


def plain(y: Label) -> Label:
    """1.0 and 1 are the same label."""
    return int(y) if isinstance(y, float) and y.is_integer() else y


def refusal(state: State, y: Label) -> str:
    """Why this label cannot be taken, or ""."""
    if not isinstance(y, str) and abs(y) > LARGEST:
        return f"label is beyond {LARGEST:g}"
    if state.loss in losses.OF_VALUES:
        if not _is_number(y):
            return f"label is {_kind(y)}; this problem's labels are numbers"
        negative = state.loss == "poisson" and float(y) < 0.0
        return "label is negative; model.loss = poisson has counts" if negative else ""
    if state.loss == "":
        return ""
    if _index(state.classes, y) is not None:
        return ""
    if state.fixed:
        return "label is not one of the configured classes"
    if state.two_only and len(state.classes) == 2:
        return "label is a third class; model.loss = logistic has two"
    if len(state.classes) >= CLASSES_MOST:
        return f"label would be class number {CLASSES_MOST + 1}"
    if isinstance(plain(y), float):
        return "label is a fraction; this problem's labels are classes"
    if state.classes and _kind(plain(y)) not in {_kind(known) for known in state.classes}:
        return f"label is {_kind(y)}; this problem's classes are {_kind(state.classes[0])}s"
    return ""


def step(state: State, y: Label) -> State:
    """Hear one label that was not refused."""
    y = plain(y)
    if state.loss in losses.OF_VALUES:
        return state
    if state.loss != "":
        return state if _index(state.classes, y) is not None else _with_classes(state, (*state.classes, y))
    heard = (*state.heard, y)
    if not all(_is_number(label) for label in heard):
        return _with_classes(replace(state, heard=()), _distinct(heard))
    distinct = _distinct(heard)
    if any(isinstance(label, float) for label in heard) or len(distinct) > CLASSES_AT_DECISION:
        return replace(state, loss="squared", heard=())
    if len(heard) >= DECIDE_AT:
        return _with_classes(replace(state, heard=()), distinct)
    return replace(state, heard=heard)


def target(state: State, y: Label) -> float:
    """The label as the loss takes it: the value, or the index of the class."""
    if state.loss in losses.OF_VALUES:
        return float(y)
    index = _index(state.classes, plain(y))
    assert index is not None, "a label that was never heard"
    return float(index)


def prediction(state: State, output: float | int) -> Label:
    """An output as a user reads it: the value, or the class of that index."""
    return float(output) if state.loss in losses.OF_VALUES else state.classes[int(output)]


def identity(y: Label) -> tuple[str, Label]:
    """What makes a class itself: True is not 1."""
    return _kind(y), plain(y)


def _with_classes(state: State, classes: tuple[Label, ...]) -> State:
    if any(isinstance(label, bool) for label in classes) and len(classes) < 2:
        classes = (False, True)  # a boolean's other class is known before it is seen
    if len(classes) == 2 and len(state.classes) < 2:
        classes = tuple(sorted(classes, key=lambda label: (str(type(label)), label)))  # class 1 is the later one
    loss = state.loss if state.fixed else ("softmax" if len(classes) > 2 or state.loss == "softmax" else "logistic")
    return replace(state, loss=loss, classes=classes)


def _distinct(labels: tuple[Label, ...]) -> tuple[Label, ...]:
    unique = {identity(label): label for label in labels}
    return tuple(unique[key] for key in sorted(unique, key=lambda key: (key[0], key[1])))


def _index(classes: tuple[Label, ...], y: Label) -> int | None:
    y = plain(y)
    for i, known in enumerate(classes):  # True == 1 in Python, not here
        if known == y and isinstance(known, bool) == isinstance(y, bool):
            return i
    return None


def _is_number(y: Label) -> bool:
    return not isinstance(y, (bool, str))


def _kind(y: Label) -> str:
    return "boolean" if isinstance(y, bool) else "string" if isinstance(y, str) else "number"
