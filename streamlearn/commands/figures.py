"""`streamlearn figures`: the paper's three figures, and the experiment that it left for later, as pictures and numbers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from streamlearn.errors import ConfigurationError
from streamlearn.figures import curves, drawing, table


def figures(out: Path, with_experiment: bool, seeds: int, as_json: bool) -> int:
    """Everything but the result goes to stderr."""
    _make(out)
    at = curves.setting()
    columns = {
        "points": curves.points(at),
        "figure1": curves.figure1(at),
        "figure2": curves.figure2(at),
        "figure3": curves.figure3(at),
    }
    try:
        for name, own in columns.items():
            table.write(out / f"{name}.csv", own)
            _say(f"wrote {out / name}.csv")
        for name, draw in drawing.FIGURES.items():
            draw(out / f"{name}.png", at, columns)
            _say(f"wrote {out / name}.png")
    except OSError as error:
        raise _unwritable(out, error) from None
    result: dict[str, object] = {
        "regularity": at.regularity,
        "higher_regularity": at.higher,
        "left_out_loss": float(columns["points"]["left_out_loss"].mean()),
        "largest_residual": curves.dominant(at) + 1,
        "figures": [str(out / f"{name}.png") for name in drawing.FIGURES],
        "numbers": [str(out / f"{name}.csv") for name in columns],
    }
    if with_experiment:
        from streamlearn.figures import experiment

        result["experiment"] = experiment.run(out, seeds, _say)
    if as_json:
        print(json.dumps(result))
        return 0
    print(
        f"λ = {at.regularity:.3g} predicts the six points best when each is left out in turn; point "
        f"{curves.dominant(at) + 1} has the largest residual."
    )
    print(f"Pictures and their numbers: {out}")
    return 0


def _make(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(out, error) from None


def _unwritable(out: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"--out {out}: {error.strerror}; name a folder that can be written to")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
