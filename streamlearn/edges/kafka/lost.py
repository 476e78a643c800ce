"""What is done where the log does not hold what the store wants to read next: `kafka.lost`.

Retention has removed records that were not read yet, or the topic was cut short or made anew and ends before the position.
To go on is to give up records without having seen them, so nobody does that unless told to.
"""

from __future__ import annotations

from streamlearn.errors import CannotStart
from streamlearn.service.ports import Skip

STOP, EARLIEST = "stop", "earliest"  # the third is "latest"


def resume(policy: str, where: str, offset: int, begin: int, end: int) -> Skip | None:
    """Where reading goes on in place of `offset`; None: there, for the log holds it. Raises CannotStart with "stop".

    where: topic and partition, in words; begin, end: what the log holds now.
    """
    if begin <= offset <= end:
        return None
    if policy == STOP:
        why = "records were deleted unread" if offset < begin else "the topic was cut short or made anew"
        raise CannotStart(
            f"{where} holds offsets {begin} to {end}, and the store goes on at {offset}: {why}; set kafka.lost ="
            ' "earliest" or "latest" to go on without them, or start once with `streamlearn run --rebuild`, which builds a'
            " store from what the log holds"
        )
    going_on = begin if policy == EARLIEST else end
    return Skip(going_on, going_on - offset if offset < begin else None)
