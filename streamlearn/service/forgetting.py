"""Forgetting a user: all that is kept of them goes, and the model is refitted as if they had never been.

Their examples, what waits or is remembered of their events, their queries, and what they were asked. A deviation follows from
examples and goes with them. Earlier fits that had learned any of it are dropped (`fits.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from streamlearn.learner import examples, learner
from streamlearn.service import waiting
from streamlearn.service.standing import Standing


def forget_user(standing: Standing, user: str, of_store: Sequence[str]) -> str:
    """What was done, in words; of_store: ids of the user's events that the store remembers."""
    ledger, settings = standing.ledger, standing.rules.learner
    events = ledger.of_user(user, of_store)
    queries = [id for id in events if standing.settle_query(id) is not None]
    for id in events:
        ledger.forget_event(id)
    for entry in list(ledger.waiting.values()):
        _, label = waiting.read(entry.label, standing.codec)
        if not isinstance(label, str) and (label.user == user or entry.id in events):
            ledger.stop_waiting(entry.id)
    kept = standing.state.examples
    serials = {int(row) + kept.first for row in examples.of_user(kept, user)}
    labeled = [id for id, serial in ledger.labeled.items() if serial in serials]
    for id in labeled:
        ledger.forget(id)
    if kept.first > 0:  # nobody knows whose examples were that are kept no longer
        ledger.changes.fits_removed += [entry.number for entry in standing.fits]
        standing.fits = []
    standing.state = learner.forget_user(standing.state, settings, user, learns=not standing.learning_paused)
    ledger.drop_examples(standing.state.examples.first)
    ledger.quotas.forget(user)
    ledger.changes.erases = True
    if labeled:
        standing.learned()
    standing.asking.outlook.moved()  # an event may be among the recent ones that are looked at
    standing.measurements.add("streamlearn_forgotten_total", len(labeled))
    return f"{len(labeled)} examples, {len(events)} events and {len(queries)} queries are forgotten"
