"""One session of an upstream as last seen, and what its history says happened since it was seen before."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jupyter_sessions.model import wire
from jupyter_sessions.model.resources import Session
from jupyter_sessions.model.states import State

Step = tuple[State, State, str, int]
"""Old state, new state, message, time in nanoseconds."""
_SAMPLES = ("approximateUsage", "currentUsage")


@dataclass(frozen=True)
class Known:
    """A session's JSON as the upstream sent it, under the name that it stands under here."""

    raw: Mapping[str, Any]

    @cached_property
    def session(self) -> Session:
        """The session."""
        return wire.load(Session, self.raw)

    @property
    def name(self) -> str:
        """Its full name."""
        return str(self.raw.get("name", ""))

    @property
    def uuid(self) -> str:
        """Its uuid; where the upstream has none, its name."""
        return self.session.uuid or self.name

    @cached_property
    def essence(self) -> str:
        """All of it but the samples of its usage, as comparable text: what a change is judged by."""
        info = self.raw.get("runtimeInfo")
        if not isinstance(info, Mapping):
            return json.dumps(self.raw, sort_keys=True)
        quiet = {key: value for key, value in info.items() if key not in _SAMPLES}
        return json.dumps({**self.raw, "runtimeInfo": quiet}, sort_keys=True)

    @property
    def text(self) -> str:
        """Its JSON."""
        return json.dumps(self.raw)

    @property
    def moving(self) -> bool:
        """Whether it is on its way from one state to another."""
        return self.session.state in (State.CREATING, State.TERMINATING)

    def older_than(self, other: Known) -> bool:
        """Whether this is the same session at an earlier time: what a list that lags behind still says."""
        return self.uuid == other.uuid and self.session.state_time < other.session.state_time


def steps(old: Known | None, new: Known | None, now: int) -> Sequence[Step]:
    """Give what happened between two sights of a name, oldest first; None: the session was not there.

    The states in between are those of the upstream's own history; none is made up. ``now`` is the time of what the
    upstream gives no time for.
    """
    found: list[Step] = []
    if old is not None and (new is None or new.uuid != old.uuid):
        # Its successor's beginning is the latest that its end can have been.
        ended = min(now, new.session.create_time or now) if new is not None else now
        found.append((old.session.state, State.STATE_UNSPECIFIED, "", ended))
        old = None
    if new is None or (old is not None and old.essence == new.essence):
        return found
    state, since = (old.session.state, old.session.state_time) if old else (State.STATE_UNSPECIFIED, -1)
    for entry in new.session.state_history:
        if entry.state_start_time > since and entry.state is not state:
            found.append((state, entry.state, entry.state_message, entry.state_start_time or now))
            state = entry.state
    session = new.session
    same = session.state is state and old is not None and session.state_time == since
    time = now if same else session.state_time or now
    if not found or session.state is not state:
        found.append((state, session.state, session.state_message, time))
    return found
