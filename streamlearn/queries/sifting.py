"""Sifting: the selector's window where others have looked at the stream first, and only its top has come.

Scorers pass on the events above a loose threshold, and a sample of all whatever its scores. So scores that come are no
sample of the stream. But each candidate says how many events there were (`service/census.py`): between two that came by their
score lie e events of which no more is known than that they score lower. Let the window hold m scores, and stand for n = Σ e
events of the stream. They are its top m of n, so F = n/m events stand behind each, and a share l of the stream is the share l F
of the window: the budget's level becomes

    level among candidates = level × F,   everything from l F ≥ 1 on,

and the threshold is the quantile of the window for that. Where every event is passed on F = 1, and all is as if there were no
scorers. F is measured, not told, so it follows the stream, what scorers were told, and how many of them are late. Audits, and
what came for the sample's sake, count as events and are not in the window: it is of the top, and they are of the whole. The
threshold follows as quickly as without scorers: of the window those scores count that stand for its length in events.

The budget grows by the events that were counted, whether or not they came: e ≤ n, and so q ≤ ⌈b e⌉ ≤ ⌈b n⌉ over all scorers.
What was counted by something that cannot be asked about (a tally, a candidate that comes again) waits for the next one.

The other way round a threshold for scorers, which lets a share s pass, is looked up at s F. With s F ≥ 1 it lies below the
whole window, which cannot tell where: then all pass, until the next one. Events that have come since without a candidate count
for F here, so a threshold that has become too high for any to pass is let go. (Where the sample has enough events its
quantile is the threshold, and nothing is looked up here: `service/scoring.py`.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.losses import Array


@final
@dataclass(frozen=True)
class State:
    """stands: for each place of the window, the events since the score before (window,); carried: events since the last one.

    waiting: events that no candidate has taken up yet; factor: F, as of the last renewal of the window; behind: the n of that.
    """

    stands: Array
    carried: float
    waiting: int
    factor: float
    behind: float = 0.0


def init(window: int) -> State:
    return State(np.zeros(window), 0.0, 0, 1.0)


def forget_scores(state: State) -> State:
    """Scores mean nothing any more; events count."""
    return replace(init(len(state.stands)), waiting=state.waiting)


def earned(state: State, count: int) -> State:
    """So many events were counted."""
    return replace(state, waiting=state.waiting + count)


def take(state: State, counted: NDArray[np.int64], in_window: NDArray[np.bool_], written: int) -> State:
    """Candidates (n,) were dealt with: `counted` events came with each; written: scores in the window before them."""
    window, total = len(state.stands), state.carried + np.cumsum(counted)
    at = total[in_window]
    stands = state.stands.copy()
    stands[(written + np.arange(len(at))) % window] = np.diff(at, prepend=0.0)
    carried = float(total[-1] - (at[-1] if len(at) else 0.0))
    return replace(state, stands=stands, carried=carried, waiting=0)


def lately(state: State, newest: NDArray[np.intp], events: int, least: int) -> int:
    """How many of these places, the newest first, stand for so many events; at least `least`."""
    within = int(np.searchsorted(np.cumsum(state.stands[newest]), events, side="right"))
    return min(max(within, least), len(newest))


def renew(state: State, places: NDArray[np.intp]) -> State:
    """The window is sorted anew, of these places."""
    behind = float(state.stands[places].sum())
    return replace(state, factor=_factor(behind, len(places)), behind=behind)


def factor_now(state: State, scores: int) -> float:
    """F of so many scores with the events that have come without one since."""
    return _factor(state.behind + state.carried + state.waiting, scores)


def _factor(events: float, scores: int) -> float:
    return max(1.0, events / scores) if scores else 1.0
