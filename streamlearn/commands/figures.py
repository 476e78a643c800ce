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
    except OSError as error:
        raise ConfigurationError(f"--out {out}: {error.strerror}; name a folder that can be written to") from None
    result: dict[str, object] = {
        "regularity": numbers.regularity,
        "higher_regularity": numbers.higher,
        "left_out_error": numbers.error,
        "dominant_point": numbers.dominant + 1,
        "files": [str(path) for path in written],
    }
    if with_experiment:
        from streamlearn.figures import experiment

        result["experiment"] = experiment.run(out, seeds, _say)
    if as_json:
        print(json.dumps(result))
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


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
