"""What is done when an alarm of drift is raised, beside saying so: nothing more, an audit of the stream, or forgetting.

**audit**: for so many events a larger share of the same budget is drawn by chance, so that the model and the reported losses
hear of the whole stream, and not of those events alone that the model of before was unsure of. **forget**: the labeled examples
from before the change are dropped, and the model is refitted on those since; λ's own tuning goes on where it was. That is for a
change in what labels say: where events alone have changed, examples from before are as true as they were, and stay.
"""

from __future__ import annotations

from dataclasses import replace

from streamlearn.config import Drift
from streamlearn.learner import learner
from streamlearn.queries.budget import Budget
from streamlearn.service.drift import LOSS, SIGNALS, Alarm
from streamlearn.service.standing import Standing

NONE, AUDIT, FORGET = "none", "audit", "forget"


def to(standing: Standing, alarm: Alarm | None) -> None:
    """Forget, where that is what is to be done; a larger share of audits follows from the alarm (`budget`)."""
    if alarm is None or alarm.signal != LOSS or standing.rules.drift.response != FORGET:
        return
    learns = not standing.learning_paused
    standing.state = learner.drop_before(standing.state, standing.rules.learner, alarm.since, learns)


def in_words(alarm: Alarm, told: Drift) -> str:
    """For the log."""
    what, place = ("labels", "label") if alarm.signal == LOSS else ("events", "event")
    done = {
        NONE: "nothing is done about it",
        AUDIT: f"audits are {told.audit_share:g} of the budget for {told.for_events} events",
        FORGET: "examples from before are forgotten" if alarm.signal == LOSS else "nothing is forgotten",
    }[told.response]
    since = f"since about {place} {alarm.since}, by {told.detector} after {alarm.events} events"
    return f"{what} are not what they were, {since}: {done}"


def budget(standing: Standing, ordinal: int) -> Budget:
    """The budget in force for the event of this ordinal; it is the same throughout a block of events."""
    usual, told = standing.rules.budget, standing.rules.drift
    if told.response != AUDIT or all(ordinal >= standing.drift.until(signal) for signal in SIGNALS):
        return usual
    return replace(usual, audit_share=told.audit_share)
