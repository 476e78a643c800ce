"""Commands to a running daemon: obeyed between two polls, and committed with the number of the last one obeyed.

So each is obeyed once, whenever the process is killed: either both are in the store, or neither.
"""

from __future__ import annotations

from collections.abc import Callable

from streamlearn.learner import learner
from streamlearn.service import fits, forgetting
from streamlearn.service.ports import Command
from streamlearn.service.standing import Standing

PAUSE_ASKING, RESUME_ASKING = "pause-asking", "resume-asking"
PAUSE_LEARNING, RESUME_LEARNING = "pause-learning", "resume-learning"
ROLLBACK, FORGET_USER = "rollback", "forget-user"
ACTIONS = (PAUSE_ASKING, RESUME_ASKING, PAUSE_LEARNING, RESUME_LEARNING, ROLLBACK, FORGET_USER)

OfUser = Callable[[str], list[str]]  # the store's look-up of events


def obey(standing: Standing, command: Command, of_user: OfUser) -> str:
    """Do what the command says; what was done, in words."""
    standing.obeyed = command.number
    if command.action in (PAUSE_ASKING, RESUME_ASKING):
        standing.asking.paused = command.action == PAUSE_ASKING
        return "no event is asked about" if standing.asking.paused else "events are asked about"
    if command.action == PAUSE_LEARNING:
        standing.learning_paused = True
        return "labels are kept and not learned"
    if command.action == RESUME_LEARNING:
        standing.learning_paused = False
        standing.state = learner.catch_up(standing.state, standing.rules.learner)
        standing.ledger.drop_examples(standing.state.examples.first)
        standing.asking.outlook.moved()
        return "labels are learned"
    if command.action == ROLLBACK:
        return _roll_back(standing, command.commit)
    if command.action == FORGET_USER:
        return forgetting.forget_user(standing, command.user, of_user(command.user))
    return "that is no command of this version"


def take_over(standing: Standing, commands: list[Command], of_user: OfUser) -> None:
    """What commands of before a rebuild have left: pauses, and nothing of forgotten users; earlier fits are gone."""
    for command in commands:
        if command.action != ROLLBACK:
            obey(standing, command, of_user)
        standing.obeyed = command.number


def paused(standing: Standing) -> dict[str, bool]:
    return {"asking": standing.asking.paused, "learning": standing.learning_paused}


def _roll_back(standing: Standing, commit: int) -> str:
    earlier = fits.as_of(standing.fits, commit)
    if earlier is None:
        return f"no fit of commit {commit} or before is kept"
    standing.state = fits.back(standing.state, standing.rules.learner, fits.read(earlier))
    standing.asking.outlook.moved()
    return f"the model is that of commit {earlier.number}, after {earlier.labels} labels"
