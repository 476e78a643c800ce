"""Quotas: nobody is asked more than so many times within 24 hours, however much they would teach.

When each user was asked is kept for as long as it counts, so for as many users as were asked within a day. Time is what events
are dealt with by: the wall clock, in replay what records say. Where the clock was put back, what lies ahead counts as of now.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import final

from streamlearn.service.ports import AskedOf, Changes

DAY_S = 86_400.0


@final
class Quotas:
    """most: that a user is asked a day; 0: any number, and nothing is kept."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._order: deque[AskedOf] = deque()
        self._times: dict[str, list[float]] = {}
        self._added: list[AskedOf] = []
        self._now, self._all_anew = -math.inf, False

    def restore(self, asked: Sequence[AskedOf]) -> None:
        """Go on where another process was. Without a quota the next commit drops what was kept for one."""
        self._order, self._times = deque(), {}
        self._all_anew = not self._most and len(asked) > 0
        for each in asked if self._most else ():
            self._keep(each)

    def allows(self, user: str, now: float) -> bool:
        """Whether the user may be asked once more."""
        times = self._times.get(user)
        return times is None or sum(now - time < DAY_S for time in times) < self._most

    def bounds(self, user: str) -> bool:
        """Whether there is anything that the user has been asked."""
        return user in self._times

    def asked(self, user: str, now: float) -> None:
        if self._most and user:
            self._now = now
            self._keep(AskedOf(user, now))
            self._added.append(AskedOf(user, now))

    def hasten(self, now: float) -> None:
        """The clock was put back: nothing was asked later than now."""
        self._now = now
        self._anew([AskedOf(each.user, min(each.time, now)) for each in self._order])

    def forget(self, user: str) -> None:
        """Nothing is known of this user."""
        if user in self._times:
            self._anew([each for each in self._order if each.user != user])

    def take(self, changes: Changes) -> None:
        """What the next commit writes; what no longer counts is dropped."""
        horizon = self._now - DAY_S
        while self._order and self._order[0].time <= horizon:
            old = self._order.popleft()
            times = self._times[old.user]
            times.remove(old.time)
            if not times:
                del self._times[old.user]
        changes.asked_horizon = math.inf if self._all_anew else horizon
        changes.asked_added = [each for each in self._added if each.time > horizon]
        self._added, self._all_anew = [], False

    def counting(self, now: float) -> list[str]:
        """Users by what still counts of them, in order."""
        return sorted(each.user for each in self._order if now - each.time < DAY_S)

    def _keep(self, each: AskedOf) -> None:
        self._order.append(each)
        self._times.setdefault(each.user, []).append(each.time)

    def _anew(self, asked: list[AskedOf]) -> None:
        self.restore(asked)
        self._added, self._all_anew = asked, True
