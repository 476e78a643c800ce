"""How every picture looks, and a mean line in its band."""

from __future__ import annotations

from typing import Any, Final

from streamlearn.core.losses import Array

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


def band(axes: Any, grid: Array, mean: Array, low: Array, high: Array, **line: Any) -> None:
    """A line, and its spread in the same colour."""
    axes.fill_between(grid, low, high, color=line["color"], alpha=0.15, lw=0)
    axes.plot(grid, mean, **line)
