"""What a session's state may become, and who writes it: the functions here and nothing else.

::

    CREATING ──► ACTIVE ──► TERMINATING ──► TERMINATED
       │            │             │
       ├──► TERMINATING           └──► FAILED
       └──► FAILED ◄┘

``stateHistory`` holds the states that were left, oldest first, each with its last message and its start; the first
starts at ``createTime``. The current state is not in it. Times strictly increase: one that is not later than the last
becomes the last + 1 ns. Every function gives a new session and changes none.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_sessions.model.resources import Session


class State(enum.IntEnum):
    """A session's state; names and numbers are the public API's."""

    STATE_UNSPECIFIED = 0
    CREATING = 1
    ACTIVE = 2
    TERMINATING = 3
    TERMINATED = 4
    FAILED = 5

    @property
    def final(self) -> bool:
        """Whether nothing may follow this state."""
        return self in (State.TERMINATED, State.FAILED)


class IllegalTransition(Exception):
    """A change that the table does not hold: a fault of the caller, never of a user."""

    def __init__(self, name: str, old: State, new: State) -> None:
        following = ", ".join(state.name for state in sorted(allowed(old))) or "nothing"
        super().__init__(f"{name or 'session'}: {new.name} cannot follow {old.name}, only {following} can")
        self.old = old
        self.new = new


_NEXT: dict[State, frozenset[State]] = {
    State.STATE_UNSPECIFIED: frozenset({State.CREATING}),
    State.CREATING: frozenset({State.ACTIVE, State.TERMINATING, State.FAILED}),
    State.ACTIVE: frozenset({State.TERMINATING, State.FAILED}),
    State.TERMINATING: frozenset({State.TERMINATED, State.FAILED}),
    State.TERMINATED: frozenset(),
    State.FAILED: frozenset(),
}


def allowed(old: State) -> frozenset[State]:
    """Give the states that may follow ``old``; STATE_UNSPECIFIED is a session that has not begun."""
    return _NEXT[old]


def begin(session: Session, now_ns: int, message: str = "") -> Session:
    """Put a new session into CREATING at ``now_ns``, which becomes its ``createTime`` too.

    Raises IllegalTransition if it has a state already, ValueError if ``now_ns`` is not positive.
    """
    if session.state is not State.STATE_UNSPECIFIED:
        raise IllegalTransition(session.name, session.state, State.CREATING)
    if now_ns <= 0:
        raise ValueError(f"now_ns must be nanoseconds after the epoch, not {now_ns}")
    return session.model_copy(
        update={
            "state": State.CREATING,
            "state_message": message,
            "state_time": now_ns,
            "create_time": now_ns,
            "state_history": [],
        }
    )


def advance(session: Session, to: State, message: str, now_ns: int) -> Session:
    """Move a session into the state ``to`` at ``now_ns`` or just after its last change, whichever is later.

    Raises IllegalTransition, and ValueError for a FAILED without a message: a failure always has its reason.
    """
    if to not in allowed(session.state) or session.state is State.STATE_UNSPECIFIED:
        raise IllegalTransition(session.name, session.state, to)
    if to is State.FAILED and not message:
        raise ValueError("FAILED needs a message that says why and what to change")
    return session.model_copy(
        update={
            "state": to,
            "state_message": message,
            "state_time": max(now_ns, session.state_time + 1),
            "state_history": [*session.state_history, session.as_history()],
        }
    )


def remark(session: Session, message: str) -> Session:
    """Change the message within the current state (the steps of CREATING, an end that nears); time and history stay.

    Raises IllegalTransition for a session that has not begun or has ended: the last word stands.
    """
    if session.state is State.STATE_UNSPECIFIED or session.state.final:
        raise IllegalTransition(session.name, session.state, session.state)
    return session.model_copy(update={"state_message": message})
