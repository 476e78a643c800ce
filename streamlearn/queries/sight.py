"""What strategies look at: the whole model, or where it is too large for an inverse Hessian, its last layer.

A network's last layer is a linear model of what goes into it, h(x). Of that the inverse Hessian is at hand, and all that
rests on it works on rows (1, h(x)) as on any other: leverage, committees, influence, pending queries. It knows nothing of how
labels would change h. Strategies that go by the tangent see the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.core.users.personal import Personal
from streamlearn.queries import pending
from streamlearn.queries.strategy import Strategy, View


@final
@dataclass(frozen=True)
class Sight:
    """whole: the model; last: its last layer, None where the whole will do; rows: the last layer's design rows from the
    whole's (n, D). discounts_by_last: whether a strategy that can do without the inverse Hessian takes the last layer's: on a
    network it cost more than it gained, while h was still to be learned (README, Large models).
    """

    whole: View
    last: View | None = None
    rows: Callable[[Array], Array] | None = None
    discounts_by_last: bool = True

    def of(self, strategy: Strategy) -> View:
        """What this strategy sees."""
        return self.last if self.last is not None and takes_last(strategy, self.discounts_by_last) else self.whole

    @property
    def counts(self) -> bool:
        """Whether pending queries make a difference."""
        return any(pending.counts(view) for view in (self.whole, self.last) if view is not None)

    def count(self, x: Array) -> Sight:
        """One more pending query, of design row x (D,)."""
        last = self.last and pending.count(self.last, self._into_last(x[None, :])[0])
        return replace(self, whole=pending.count(self.whole, x), last=last)

    def count_all(self, X: Array) -> Sight:
        """Pending queries of design rows X (m, D), none of which is counted yet."""
        last = self.last and pending.count_all(self.last, self._into_last(X))
        return replace(self, whole=pending.count_all(self.whole, X), last=last)

    def without_pending(self, log_tangent: Array) -> Sight:
        """As if no query were pending; log_tangent: that of the whole then."""
        last = self.last and pending.none(self.last, self.last.log_tangent)
        return replace(self, whole=pending.none(self.whole, log_tangent), last=last)

    def looking(self, recent: Array) -> Sight:
        """At these recent events, of design rows (n, D)."""
        last = self.last and replace(self.last, recent=self._into_last(recent))
        return replace(self, whole=replace(self.whole, recent=recent), last=last)

    def by_user(self) -> Sight:
        """The same of rows that bring along what their users add; H⁻¹ is the shared model's."""
        D, into = self.whole.model.columns, self.rows
        last = self.last and replace(self.last, model=Personal(self.last.model))
        rows = into and (lambda X: np.concatenate([into(X[:, :D]), X[:, D:]], axis=1))
        return replace(self, whole=replace(self.whole, model=Personal(self.whole.model)), last=last, rows=rows)

    def scores(self, strategies: Sequence[Strategy], X: Array, draws: Array) -> Array:
        """(strategies, n) for design rows X (n, D)."""
        views = [self.of(each) for each in strategies]
        embedded = X if all(view is self.whole for view in views) else self._into_last(X)
        pairs = zip(strategies, views, strict=True)
        out = [each.score(view, X if view is self.whole else embedded, draws) for each, view in pairs]
        return np.array(out).reshape(len(strategies), len(X))

    def _into_last(self, X: Array) -> Array:
        if self.last is None or self.rows is None:
            return X
        return self.rows(X) if len(X) else np.empty((0, self.last.model.columns))


def takes_inverse(strategy: Strategy) -> bool:
    """Whether it looks at the inverse Hessian where there is one."""
    return strategy.needs_inverse or strategy.discounts


def takes_last(strategy: Strategy, discounts_by_last: bool) -> bool:
    """Whether it looks at that of the last layer, where there is none of the whole."""
    return strategy.needs_inverse or (strategy.discounts and discounts_by_last)


def scores(sight: Sight | None, strategies: Sequence[Strategy], X: Array, draws: Array) -> Array:
    """(strategies, n); sight is None while there is no model."""
    if sight is not None:
        return sight.scores(strategies, X, draws)
    return np.array([each.score(None, X, draws) for each in strategies]).reshape(len(strategies), len(X))
