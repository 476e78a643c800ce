"""`streamlearn export`: a store's model as a file, which `streamlearn.load` reads."""

from __future__ import annotations

from pathlib import Path

from streamlearn.edges import model_files


def export(store: Path, to: Path) -> int:
    """Prints which model the file holds."""
    model = model_files.from_store(store)
    size = model_files.write(model, to)
    print(f"{to} holds version {model.version} of the model, commit {model.commit} of {store}, {size} bytes")
    return 0
