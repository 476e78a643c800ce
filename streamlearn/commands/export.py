"""`streamlearn export`: a store's model as a file, which `streamlearn.load` reads; the one that all share, or a user's own."""

from __future__ import annotations

import sys
from pathlib import Path

from streamlearn import loading
from streamlearn.edges import model_files


def export(store: Path, to: Path, user: str | None = None) -> int:
    """Prints which model the file holds. user: whose; None: the one that all share."""
    whose = ""
    if user is None:
        model = model_files.from_store(store)
    else:
        (model, labels), known = loading.own(store, user)
        whose = (
            f", as {user!r} has it by {labels} labels" if labels else f", the one that all share: {user!r} has no label"
        )
        whose = whose if user else ", as events without a user meet it"
        if not known:
            print(
                f"streamlearn: the store {store} knows no user {user!r}: they have the model that all share",
                file=sys.stderr,
            )
    size = model_files.write(model, to)
    print(f"{to} holds version {model.version} of the model{whose}, commit {model.commit} of {store}, {size} bytes")
    return 0
