"""`streamlearn control`: commands to a running daemon, and how it stands with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from streamlearn import assemble
from streamlearn.config import Configuration
from streamlearn.edges.control_file import ControlFile
from streamlearn.edges.sqlite.store import SqliteStore
from streamlearn.errors import ConfigurationError
from streamlearn.service import control as service
from streamlearn.service import fits, restore
from streamlearn.service.ports import Saved

STATUS = "status"
ACTIONS = (*service.ACTIONS, STATUS)
COMMIT_DIGITS_MOST = 18


def parsed(words: Sequence[str]) -> tuple[Path | None, str, int, str]:
    """[CONFIG] ACTION [COMMIT | USER]: the configuration, what is to be done, of a rollback the commit, who is forgotten."""
    config, rest = (None, list(words)) if words[0] in ACTIONS else (Path(words[0]), list(words[1:]))
    action = rest[0] if rest else ""
    if action not in ACTIONS:
        raise ConfigurationError(f"control: {action or 'no'} action; name one of {', '.join(ACTIONS)}")
    if action == service.FORGET_USER:
        if len(rest) != 2 or not rest[1]:
            raise ConfigurationError("control: forget-user needs one user, as events name them")
        return config, action, 0, rest[1]
    if action != service.ROLLBACK:
        if len(rest) > 1:
            raise ConfigurationError(f"control: {action} takes nothing more; remove {' '.join(rest[1:])}")
        return config, action, 0, ""
    number = rest[1] if len(rest) == 2 else ""
    if not (number.isascii() and number.isdecimal() and len(number) <= COMMIT_DIGITS_MOST):
        raise ConfigurationError("control: rollback needs the number of a commit; `control status` lists those kept")
    return config, action, int(number), ""


def control(configuration: Configuration, action: str, commit: int, user: str = "") -> int:
    """Leaves the command where the daemon finds it, or prints the status."""
    if configuration.log.kind == "memory":
        raise ConfigurationError("log.kind memory ends with its process and is not controlled; set log.kind")
    if action == service.FORGET_USER and configuration.users.kind == "none":
        raise ConfigurationError('users.kind is "none", and nobody knows whose an event was; set users.kind')
    path = assemble.store_path(configuration)
    store = SqliteStore(path, read_only=True)
    try:
        saved = store.load()
    finally:
        store.close()
    commands, state = ControlFile(path), restore.stored(saved)
    obeyed = state.obeyed if state else 0
    if action == STATUS:
        waiting = [f"{each.number} {each.action}" for each in commands.after(obeyed)]
        print("\n".join(_status(saved, state, waiting)))
        return 0
    if action == service.ROLLBACK and fits.as_of(saved.fits, commit) is None:
        kept = ", ".join(str(entry.number) for entry in saved.fits) or "none"
        raise ConfigurationError(f"no fit of commit {commit} or before is kept; kept are those of commits: {kept}")
    number = commands.append(action, commit, obeyed, user)
    print(f"command {number}, {action}: a running daemon obeys it at its next turn, another one when it is started")
    return 0


def _status(saved: Saved, state: restore.Snapshot | None, waiting: Sequence[str]) -> list[str]:
    return [
        f"commit             {saved.number}",
        f"asking             {'paused' if state and state.asking_paused else 'on'}",
        f"learning           {'paused' if state and state.learning_paused else 'on'}",
        f"obeyed             {state.obeyed if state else 0}",
        f"not obeyed yet     {', '.join(waiting) or 'none'}",
        f"fits of commits    {', '.join(str(entry.number) for entry in saved.fits) or 'none'}",
    ]
