"""streamlearn: learn from a stream, and ask for the labels that would teach most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from streamlearn.service.predictor import Predictor

__version__ = "0.1.0"


def load(
    source: str | Path,
    *,
    name: str = "",
    settings: Mapping[str, object] | None = None,
    client: str = "kafka-python",
    device: str = "cpu",
) -> Predictor:
    """The model of a daemon, to predict with.

    source: a file of `streamlearn export`, a store, the topic of an embedded log (`streamlearn-data/models.jsonl`), or one of
    Kafka's (`kafka://host:port/topic`). name: the daemon's, where a topic holds models of several. settings, client: as in
    the configuration's [kafka]. device: where a network computes. Raises `streamlearn.errors.StreamlearnError`, in one line.
    """
    from streamlearn import loading  # here: `import streamlearn` is to be light

    return loading.load(source, name, settings, client, device)
