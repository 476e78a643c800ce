"""`streamlearn explain`: why an event was asked about, or was not. It only reads, also while a daemon writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from streamlearn import assemble
from streamlearn.config import Configuration
from streamlearn.edges.sqlite.store import SqliteStore
from streamlearn.errors import ConfigurationError
from streamlearn.service import restore
from streamlearn.service.explain import Explained, as_object
from streamlearn.service.explain import explain as explained
from streamlearn.service.metrics import Measurements


def parsed(words: Sequence[str]) -> tuple[Path | None, str]:
    """[CONFIG] ID."""
    if len(words) > 2:
        raise ConfigurationError(f"explain: one id at a time; remove {' '.join(words[2:])}")
    return (Path(words[0]), words[1]) if len(words) == 2 else (None, words[0])


def explain(configuration: Configuration, id: str, as_json: bool) -> int:
    """Prints how things stand as of the last commit."""
    if configuration.log.kind == "memory":
        raise ConfigurationError("log.kind memory ends with its process, and its store with it; set log.kind")
    store = SqliteStore(assemble.store_path(configuration), read_only=True)
    try:
        pipeline = assemble.pipeline(configuration, store.recall, Measurements())
        restore.put_back(pipeline, store.load())
        told = explained(pipeline, id)
    finally:
        store.close()
    print(json.dumps(as_object(told)) if as_json else "\n".join(lines(told)))
    return 0


def lines(told: Explained) -> list[str]:
    """For people."""
    stands = {
        "asked": f"asked about ({told.reason}), not answered yet",
        "labeled": f"labeled {told.label}",
        "remembered": "not asked about",
    }
    shown = [f"event        {told.id}: {stands[told.stands]}"]
    if told.user:
        shown.append(f"user         {told.user}, {told.labels_of_user} labels: what follows is by their model")
    if told.prediction is None:
        return [*shown, "model        none yet: until there is one, events are asked about as the budget allows"]
    likely = ", ".join(
        f"{label} {p:.3f}" for label, p in sorted(told.probabilities.items(), key=lambda each: -each[1])[:3]
    )
    shown.append(f"prediction   {told.prediction}" + (f" ({likely})" if likely else ""))
    if told.score is None:
        shown.append(f"score        {told.strategy} cannot judge it yet")
    else:
        threshold = "none yet" if told.threshold is None else f"{told.threshold:.4g}"
        below = "" if told.share_below is None else f", above {told.share_below:.0%} of the last scores"
        shown.append(f"score        {told.score:.4g} by {told.strategy}; asked from {threshold}{below}")
        if told.score_alone is not None and told.score_alone != told.score:
            shown.append(f"             {told.score_alone:.4g} if no other query were under way")
    for i, (name, score) in enumerate(told.moved_by):
        shown.append(f"{'moved by' if i == 0 else '':12} {name}: {score:.4g} without it")
    for i, (id, label, influence) in enumerate(told.nearest):
        shown.append(f"{'nearest' if i == 0 else '':12} {id}, labeled {label}: {influence:+.3g}")
    return shown
