"""When a session's limits will end it, as far as is known of its kernels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_sessions.cli.words import moment
from jupyter_sessions.model.states import State
from jupyter_sessions.model.times import parse_time

if TYPE_CHECKING:
    from jupyter_sessions.client.client import SessionsClient
    from jupyter_sessions.model.resources import Session

Kernels = Iterable[Mapping[str, Any]]
"""Jupyter's models of kernels."""


@dataclass(frozen=True)
class Ends:
    """Both ends, nanoseconds since the epoch, 0 where none is known: ``idle`` if nothing runs until then."""

    latest: int = 0
    idle: int = 0

    def word(self, now: int) -> str:
        """Give the earlier end as a table's cell: ``21:40 (idle)``."""
        if self.idle and (not self.latest or self.idle < self.latest):
            return f"{moment(self.idle, now)} (idle)"
        return f"{moment(self.latest, now)} (age)" if self.latest else ""

    def sentence(self, now: int) -> str:
        """Say when and why: ``ends 21:40 if idle until then, 09:00 at the latest``."""
        parts = []
        if self.idle and (not self.latest or self.idle < self.latest):
            parts.append(f"{moment(self.idle, now)} if idle until then")
        if self.latest:
            parts.append(f"{moment(self.latest, now)} at the latest")
        return f"ends {', '.join(parts)}" if parts else "no limit will end it"


def ends_of(session: Session, kernels: Kernels = ()) -> Ends:
    """Reckon the ends of an ACTIVE session; one that a kernel is busy in has no idle end now."""
    if session.state is not State.ACTIVE:
        return Ends()
    latest = session.state_time + session.ttl if session.ttl else 0
    busy, last = False, session.state_time
    for kernel in kernels:
        busy = busy or kernel.get("execution_state") == "busy"
        last = max(last, _time(kernel.get("last_activity")))
    return Ends(latest, last + session.idle_ttl if session.idle_ttl and not busy else 0)


def _time(text: object) -> int:
    try:
        return parse_time(str(text))
    except ValueError:
        return 0


def kernels_by_session(client: SessionsClient) -> dict[str, list[Mapping[str, Any]]]:
    """Give the kernels of all sessions by their full names, in two calls; nothing where the server has no such list."""
    from jupyter_sessions.model.errors import SessionsError

    try:
        kernels = client.transport.call("GET", "api/kernels", safe=True) or []
        specs = client.transport.call("GET", "api/kernelspecs", safe=True) if kernels else {}
    except SessionsError:
        return {}
    found: dict[str, list[Mapping[str, Any]]] = {}
    for kernel in kernels:
        spec = (specs.get("kernelspecs") or {}).get(kernel.get("name")) or {}
        told = (spec.get("spec") or {}).get("metadata", {}).get("jupyter_sessions") or {}
        if told.get("session"):
            found.setdefault(str(told["session"]), []).append(kernel)
    return found
