"""Features by a transformer of river: what `features.river` names stands between an event's `x` and its columns.

It learns each event first (`learn_one`), as features' statistics do, and then says what its features are (`transform_one`); by
order of the records, and so the same however they were polled. Rows are stored as they came out: a label that is joined later
meets the features that were scored. An array is handed over as a map of `x0`, `x1`, …. What comes out is put in order by name,
since the order of a set is another in every process. An event on which it raises is rejected.

Its state is a pickle in the store, for a transformer of river has no other form. Reading a pickle runs whatever was written
into it: so only a daemon that was told `features.river`, which is code already, reads it, from its own store; models that go
elsewhere (topics, files) have none.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final

import numpy as np
from numpy.typing import NDArray

from streamlearn.errors import REBUILD, CannotStart, line
from streamlearn.learner import columns


class Transformer(Protocol):
    """As much of river's as is needed."""

    def learn_one(self, x: dict[Any, Any]) -> None: ...

    def transform_one(self, x: dict[Any, Any]) -> Mapping[Any, Any]: ...


@final
@dataclass(frozen=True)
class Kept:
    """name: as configured; pickled: the transformer, as bytes."""

    name: str
    pickled: NDArray[np.uint8]


@final
class Transforming:
    """The transformer in force."""

    def __init__(self, name: str, transformer: Transformer) -> None:
        self.name, self._transformer = name, transformer

    def encode(
        self, known: columns.State, xs: Sequence[columns.Features], learns: bool
    ) -> tuple[columns.State, columns.Encoded]:
        """As `columns.encode`, of what the transformer makes of these; `learns`: and learns of them first."""
        reasons, made = dict[int, str](), list[columns.Features]()
        for i, x in enumerate(xs):
            try:
                made.append(self._one(x, learns))
            except Exception as error:  # whatever a user's code does
                reasons[i] = f"features.river failed on x: {line(error)}"
                made.append({})
        known, encoded = columns.encode(known, made)
        encoded.reasons.update(reasons)
        encoded.rows[list(reasons)] = np.nan
        return known, encoded

    def _one(self, x: columns.Features, learns: bool) -> dict[str, columns.Value]:
        given = dict(x) if isinstance(x, Mapping) else {f"x{i}": value for i, value in enumerate(x)}
        if learns:
            self._transformer.learn_one(given)
        found = {str(name): _plain(value) for name, value in self._transformer.transform_one(given).items()}
        return {name: found[name] for name in sorted(found)}

    def kept(self) -> Kept:
        return Kept(self.name, np.frombuffer(pickle.dumps(self._transformer, protocol=5), dtype=np.uint8))

    def restore(self, kept: Kept) -> None:
        """Go on where another process was."""
        try:
            self._transformer = pickle.loads(kept.pickled.tobytes())
        except Exception as error:  # another version of river, or of the user's code
            raise CannotStart(
                f"the transformer in the store cannot be read ({line(error)}): start with the versions of before; {REBUILD}"
            ) from error


def _plain(value: Any) -> columns.Value:
    """A number, boolean, text or null; TypeError where it is none."""
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or isinstance(value, (bool, str)):
        return value
    return float(value)
