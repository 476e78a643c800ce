"""The paper's figures 1 to 3 as pictures, drawn from the columns of `curves.py` and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from streamlearn.evaluation.report.style import FAINT, INK, STYLE
from streamlearn.figures import curves
from streamlearn.figures.curves import Numbers

BLUE, RED, GREEN, AMBER, GREY = "#1f5fbf", "#c8352b", "#2c8a4b", "#d9822b", "#8a8a8a"
DASHED, DOTTED = (0, (5, 3)), (0, (1, 1.6))
WIDTH_INCHES, DPI = 8.6, 100
RAISED = 1.04  # SLD in figure 3, as in the paper: it would else lie under the total influence


def figure1(path: Path, numbers: Numbers) -> None:
    """Panels that share x: points and responses; f′²; the same by a difference; f′."""
    own, regularity, higher = numbers.figure1, numbers.regularity, numbers.higher
    x, squared = own["x"], own["tangent_response_squared"]
    with _canvas(path, (1.5, 1.0, 1.0, 1.0), 9.8) as axes:
        axes[0].plot(x, own["response"], color=INK, lw=2.0, label=f"trained at the best λ = {regularity:.2g}")
        axes[0].plot(x, own["response_at_higher"], color=INK, lw=1.4, ls=DASHED, label=f"trained at λ = {higher:.2g}")
        axes[0].fill_between(x, own["response"], own["response_at_higher"], color=RED, alpha=0.4, lw=0)
        axes[0].plot(numbers.points["x"], numbers.points["y"], "o", color=INK, ms=8, label="the six training points")
        axes[0].set_title("Raise λ a little: the model f gives way where no point holds it")
        axes[0].legend(loc="lower left")
        axes[1].plot(x, squared, color=INK, lw=3.4)
        axes[1].set_title("f′², the squared response of the regularity tangent: where to ask")
        axes[2].plot(x, squared, color=INK, lw=1.0, ls=DOTTED, label="f′² from above")
        axes[2].plot(x, own["difference_squared"], color=RED, lw=3.4, label="(difference of f / difference of λ)²")
        axes[2].set_title("Its approximation: the sliver between the two models at the top, over the step in λ")
        axes[2].legend(loc="upper left")
        axes[3].axhline(0.0, color=GREY, lw=0.8)
        axes[3].plot(x, own["tangent_response"], color=GREEN, lw=2.2)
        axes[3].set_title("f′ = df/dλ before it is squared, of both signs")
        for axis in axes[1:3]:
            axis.set_ylim(-0.03 * squared.max(), 1.08 * squared.max())
            axis.yaxis.set_major_formatter("{x:,.0f}")
        _drop_lines(axes, numbers)
        axes[3].set_xlabel("x  (grey lines: where the points are)")


def figure2(path: Path, numbers: Numbers) -> None:
    """Leave-one-out error against λ, and what approximates it without a refit."""
    own = numbers.figure2
    regularity, error = own["regularity"], own["left_out"]
    with _canvas(path, (1.0,), 5.4) as (axes,):
        axes.loglog(regularity, error, color=INK, lw=4.0, label="leave-one-out: six refits for each λ")
        axes.loglog(regularity, own["leverage"], color="#ffc266", lw=1.4, label="by leverage, no refit: the same")
        axes.loglog(regularity, own["first_order"], color=RED, lw=1.4, label="to first order, no refit: too optimistic")
        axes.set_title("Leave-one-out error against regularity: its minimum is the λ of the other figures")
        axes.grid(True)
        axes.set_ylim(error.min() / 60.0, 2.0 * error.max())  # the first order goes on falling
        axes.set_xlim(regularity[0], regularity[-1])
        axes.axvline(numbers.regularity, color=BLUE, lw=1.0, ls=DASHED, zorder=0)
        axes.plot(numbers.regularity, numbers.error, "o", color=BLUE, ms=10, mec="white", mew=1.5, zorder=5)
        _note(axes, f"best λ = {numbers.regularity:.2g}", (numbers.regularity, numbers.error), (0, -26), BLUE)
        for i in curves.local_minima(error):
            if abs(regularity[i] / numbers.regularity - 1.0) > 0.5:
                _note(axes, "a local minimum", (regularity[i], error[i]), (0, 14), GREY)
                axes.plot(regularity[i], error[i], "o", color="white", ms=8, mec=GREY, mew=1.8, zorder=5)
        axes.legend(loc="lower right")
        axes.set_xlabel("regularity λ")
        axes.set_ylabel("mean loss of a point that was left out")


def figure3(path: Path, numbers: Numbers) -> None:
    """Query scores at the same root mean square: labeled above, unlabeled below."""
    own, first = numbers.figure3, numbers.dominant
    x, places = own["x"], numbers.points["x"]
    with _canvas(path, (1.25, 1.0), 8.2) as axes:
        labeled, unlabeled = axes
        labeled.plot(x, own["si"], color=AMBER, lw=1.8, label=f"SI, of point {first + 1} alone (unlabeled: the same)")
        labeled.plot(x, own["ssi"], color=GREEN, lw=1.8, label="SSI, sum of squares over the points")
        labeled.plot(x, own["sti"], color=BLUE, lw=3.0, label="STI, square of the sum")
        labeled.plot(
            x, RAISED * own["sld"], color=RED, lw=1.8, label=f"SLD, by the tangent (drawn {RAISED:g} × higher)"
        )
        labeled.set_title("Labeled: a point counts by its residual. SLD is STI, for the price of one vector")
        unlabeled.plot(x, own["ssi-doubly-unlabeled"], color=GREEN, lw=1.8, ls=DASHED, label="SSI, unlabeled")
        unlabeled.plot(x, own["sti-doubly-unlabeled"], color=BLUE, lw=3.0, ls=DASHED, label="STI, unlabeled")
        unlabeled.plot(x, own["sld"], color=RED, lw=0.9, label="SLD, for comparison")
        unlabeled.set_title("Unlabeled: every point counts alike, and nowhere is the score zero")
        for axis in axes:
            axis.set_ylim(-0.22, 2.6)
            axis.legend(loc="upper left", handlelength=3.3)
            axis.set_ylabel("score, at equal RMS")
            axis.plot(places, [-0.12] * len(places), "o", color=GREY, ms=6)
            axis.plot(places[first], -0.12, "o", color=INK, ms=8)
        _drop_lines(axes, numbers)
        labeled.axvline(places[first], color=INK, lw=1.0, ls=DOTTED, ymax=0.9)
        _note(labeled, f"point {first + 1}: the largest residual", (places[first], 2.35), (0, 6), INK)
        unlabeled.set_xlabel("x  (dots: where the points are)")


FIGURES: Final[dict[str, Callable[[Path, Numbers], None]]] = {
    "figure1": figure1,
    "figure2": figure2,
    "figure3": figure3,
}


@contextmanager
def _canvas(path: Path, heights: tuple[float, ...], height_inches: float) -> Iterator[Any]:
    """Panels one above the other that share x; saved as a PNG when the block ends. Raises OSError."""
    import matplotlib  # a heavy import, needed only here

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with matplotlib.rc_context(STYLE):
        figure, axes = pyplot.subplots(
            len(heights),
            1,
            figsize=(WIDTH_INCHES, height_inches),
            sharex=True,
            squeeze=False,
            layout="constrained",
            gridspec_kw={"height_ratios": heights},
        )
        try:
            yield axes[:, 0]
            figure.savefig(path, format="png", dpi=DPI, metadata={"Software": None})
        finally:
            pyplot.close(figure)


def _drop_lines(axes: Any, numbers: Numbers) -> None:
    """Where the points are, in every panel."""
    for axis in axes:
        for place in numbers.points["x"]:
            axis.axvline(place, color=FAINT, lw=1.0, zorder=0)


def _note(axis: Any, text: str, at: tuple[float, float], away: tuple[float, float], color: str) -> None:
    """Words beside a place, `away` in printer's points."""
    axis.annotate(
        text,
        at,
        xytext=away,
        textcoords="offset points",
        color=color,
        ha="center",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
    )
