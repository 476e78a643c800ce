"""`streamlearn figures`: the paper's three figures and the experiment that it left for later, as pictures and numbers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from streamlearn.errors import ConfigurationError
from streamlearn.figures import curves, drawing, table


def figures(out: Path, with_experiment: bool, seeds: int, as_json: bool) -> int:
    """Everything but the result goes to stderr."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        numbers = curves.numbers()
        written = _write(out, numbers)
        experiment = _experiment(out, seeds) if with_experiment else None
    except OSError as error:
        raise ConfigurationError(
            f"--out {out}: {error.strerror or error}; name a folder that can be written to"
        ) from None
    if as_json:
        result: dict[str, object] = {
            "regularity": numbers.regularity,
            "higher_regularity": numbers.higher,
            "left_out_error": numbers.error,
            "dominant_point": numbers.dominant + 1,
            "files": [str(path) for path in written],
        }
        print(json.dumps(result if experiment is None else {**result, "experiment": experiment}))
        return 0
    print(f"At λ = {numbers.regularity:.3g} a point that is left out is predicted best: mean loss {numbers.error:.3g}.")
    print(f"Pictures and their numbers: {out}")
    return 0


def _write(out: Path, numbers: curves.Numbers) -> list[Path]:
    """Numbers first, then pictures; what was written. Raises OSError."""
    written = []
    for name, columns in numbers.tables.items():
        written.append(out / f"{name}.csv")
        table.write(written[-1], columns)
    for name, draw in drawing.FIGURES.items():
        written.append(out / f"{name}.png")
        draw(written[-1], numbers)
        _say(f"drew {written[-1]}")
    return written


def _experiment(out: Path, seeds: int) -> dict[str, object]:
    from streamlearn.figures.experiment import run  # much to import, and not always wanted

    return run(out, seeds, _say)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
