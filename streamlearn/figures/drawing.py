"""The paper's figures 1 to 3 as pictures, drawn from the columns of `curves.py` and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from streamlearn.demo.picture import DPI, FAINT, INK, STYLE
from streamlearn.figures.curves import Columns, Setting, dominant

BLUE, RED, GREEN, GREY = "#1f5fbf", "#c8352b", "#2c8a4b", "#8a8a8a"
DASHED: Final = (0, (5, 3))
RAISED = 1.04  # SLD in figure 3, which would else be hidden under the total influence, as in the paper
SCORES = {
    "sti": ("sti", BLUE, "-", 2.6),
}


@contextmanager
def _canvas(path: Path, rows: int, columns: int, size: tuple[float, float], **layout: Any) -> Iterator[tuple[Any, Any]]:
    """A figure and its axes, saved as a PNG when the block ends. Raises OSError."""
    import matplotlib  # a heavy import, needed only here

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with matplotlib.rc_context(STYLE):
        figure, axes = pyplot.subplots(rows, columns, figsize=size, layout="constrained", **layout)
        try:
            yield figure, axes
            figure.savefig(path, format="png", dpi=DPI, metadata={"Software": None})
        finally:
            pyplot.close(figure)


def figure1(path: Path, at: Setting, numbers: Mapping[str, Columns]) -> None:
    """Four panels that share x: points and responses, f′², its approximation by a difference, f′."""
    own, points = numbers["figure1"], numbers["points"]
    x = own["x"]
    ratios = {"height_ratios": (1.5, 1.0, 1.0, 1.0)}
    with _canvas(path, 4, 1, (8.4, 9.6), sharex=True, gridspec_kw=ratios) as (figure, axes):
        top, squared, approximate, plain = axes
        top.plot(x, own["response"], color=INK, lw=2.0, label=f"trained at the best λ = {at.regularity:.2g}")
        top.plot(x, own["response_at_higher"], color=INK, lw=1.3, ls=DASHED, label=f"at a higher λ = {at.higher:.2g}")
        top.plot(points["x"], points["y"], "o", color=INK, ms=8, label="the six training points")
        top.set_title("The model f, a polynomial of degree 5, and how more regularity bends it")
        top.legend(loc="upper right")
        squared.plot(x, own["tangent_response_squared"], color=INK, lw=3.2)
        squared.set_title("f′², f′ = df/dλ by the regularity tangent: the query score SLD")
        approximate.plot(x, own["difference_squared"], color=RED, lw=3.2)
        approximate.set_title("The same by the difference of the two curves above, over the difference in λ")
        plain.plot(x, own["tangent_response"], color=GREEN, lw=2.0)
        plain.axhline(0.0, color=GREY, lw=0.8)
        plain.set_title("f′ before it is squared")
        most = 1.08 * float(own["tangent_response_squared"].max())
        for axis in (squared, approximate):
            axis.set_ylim(-0.03 * most, most)
        _mark(axes[1:], points["x"])
        plain.set_xlabel("x")


def figure2(path: Path, at: Setting, numbers: Mapping[str, Columns]) -> None:
    """Leave-one-out error against λ, and what approximates it without refitting."""
    own = numbers["figure2"]
    with _canvas(path, 1, 1, (8.4, 5.2)) as (figure, axes):
        axes.loglog(own["regularity"], own["left_out"], color=INK, lw=3.6, label="leave-one-out, by six refits")
        axes.loglog(own["regularity"], own["leverage"], color="#ffb454", lw=1.3, label="by leverage: exact")
        axes.loglog(own["regularity"], own["first_order"], color=RED, lw=1.3, label="to first order: too optimistic")
        axes.legend(loc="lower right")
        axes.set_xlabel("regularity λ")


def figure3(path: Path, at: Setting, numbers: Mapping[str, Columns]) -> None:
    """Scores."""
    own = numbers["figure3"]
    with _canvas(path, 1, 1, (8.4, 5.2)) as (figure, axes):
        for name in list(own)[1:]:
            axes.plot(own["x"], own[name], label=name)
        axes.legend()


def _mark(axes: Any, places: Any) -> None:
    """Where the points are."""
    for axis in axes:
        for place in places:
            axis.axvline(place, color=FAINT, lw=1.0, zorder=0)


FIGURES: Final[dict[str, Callable[[Path, Setting, Mapping[str, Columns]], None]]] = {
    "figure1": figure1,
    "figure2": figure2,
    "figure3": figure3,
}
