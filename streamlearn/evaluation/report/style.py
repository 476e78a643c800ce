"""How every picture looks: a sheet of four, a mean line in its band."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from streamlearn.core.losses import Array
from streamlearn.errors import Unavailable

INK, FAINT = "#222222", "#dddddd"
STYLE: Final[Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same letters everywhere
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.titleweight": "bold",
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.labelcolor": INK,
    "legend.frameon": False,
    "grid.color": "#eeeeee",
    "axes.axisbelow": True,
}


@contextmanager
def four(path: Path, title: str, size_inches: tuple[float, float], dpi: int) -> Iterator[Any]:
    """The axes (2, 2) of a picture with four parts, written when they are drawn: a PNG, whatever the path is called."""
    import matplotlib  # a heavy import, needed only here

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with matplotlib.rc_context(STYLE):
        figure, axes = pyplot.subplots(2, 2, figsize=size_inches, layout="constrained")
        figure.suptitle(title, fontsize=12.5, x=0.012, ha="left")
        try:
            yield axes
            figure.savefig(path, format="png", dpi=dpi, metadata={"Software": None})
        except OSError as error:
            raise Unavailable(f"the picture could not be written to {path}: {error.strerror}") from None
        finally:
            pyplot.close(figure)


def band(axes: Any, grid: Array, mean: Array, low: Array, high: Array, **line: Any) -> None:
    """A line, and its spread in the same colour."""
    axes.fill_between(grid, low, high, color=line["color"], alpha=0.15, lw=0)
    axes.plot(grid, mean, **line)
