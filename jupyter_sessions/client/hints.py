"""What helps whoever named a session or a template wrongly: near names, another location, an end that was not seen."""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jupyter_sessions.client.errors import NameTaken, NoSuchName
from jupyter_sessions.model.bodies import rows
from jupyter_sessions.model.errors import AlreadyExists, NotFound, SessionsError
from jupyter_sessions.model.words import length, short

if TYPE_CHECKING:
    from jupyter_sessions.client.transport import Transport
    from jupyter_sessions.model.resources import Session

SECONDS = 3.0
"""How long one question may take that is asked for a hint."""
MOST = "1000"
"""Names that are looked through."""
CLOSE = 0.75
"""How alike a guess must be, as difflib measures it."""
_NAME = re.compile(r"(projects/[^/\s]+/locations/([^/\s]+))/(sessions|sessionTemplates)/([a-z0-9-]+)")


class Hints:
    """Looks for what was meant, after a failure, through one transport; it never fails itself."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def missing(self, error: NotFound) -> NotFound:
        """Give the error of a name that is none with a hint, unchanged where there is none."""
        found = _NAME.search(error.message)
        if found is None or isinstance(error, NoSuchName):
            return error
        parent, _, kind, wanted = found.groups()
        near = difflib.get_close_matches(wanted, [short(name) for name in self._names(parent, kind)], 3, CLOSE)
        hints = [f"did you mean {' or '.join(near)}?"] if near else []
        if kind == "sessions":
            hints += self._elsewhere(parent, wanted)
        return NoSuchName(f"{error.message}; {'; '.join(hints)}", "; ".join(hints)) if hints else error

    def _elsewhere(self, parent: str, wanted: str) -> Sequence[str]:
        named = self._names("projects/-/locations/-", "sessions", filter=f"session_id = {wanted}")
        places = [_NAME.fullmatch(name) for name in named]
        there = [place for place in places if place is not None and place[4] == wanted and place[1] != parent]
        ids = [place[2] for place in there]
        return [
            f"it is at {place[2]}: --location {place[2] if ids.count(place[2]) == 1 else place[1]} "
            f"(its full name is {place[0]})"
            for place in there
        ]

    def _names(self, parent: str, kind: str, **query: str) -> Sequence[str]:
        """Give the names of one page, newest first; none where that cannot be known soon."""
        path = f"jupyter-sessions/v1/{parent}/{kind}"
        try:
            answer: Any = self._transport.call("GET", path, query={"pageSize": MOST, **query}, timeout=SECONDS)
            return [str(row.get("name", "")) for row in rows(answer or {}, kind)]
        except SessionsError:
            return ()


def taken(error: AlreadyExists, session: Session) -> AlreadyExists:
    """Give the error of a name whose session has ended, which says so; unchanged where it has not."""
    return NameTaken(ended(session), session) if session.state.final else error


def ended(session: Session) -> str:
    """Say that a session has ended: when, and why."""
    reason = session.state_message or "no reason given"
    ago = length(time.time_ns() - session.state_time)
    return f"{short(session.name)} is {session.state.name}: it ended {ago} ago ({reason})"


def unusable(session: Session) -> str:
    """Say why a session that is not ACTIVE has no kernels, and what to do."""
    if session.state.final:
        return f"{ended(session)}; create another, or the same anew with --replace (in a program replace=True)"
    reason = session.state_message or "no reason given"
    return f"{short(session.name)} is {session.state.name}: {reason}; kernels need an ACTIVE session"
