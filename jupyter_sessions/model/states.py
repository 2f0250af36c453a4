"""Placeholder of the state table: only the enum is final."""

from __future__ import annotations

import enum


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
