"""Which kernel of a session is meant, and how a new one is started."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jupyter_sessions.client.errors import SessionEnded
from jupyter_sessions.client.hints import unusable
from jupyter_sessions.client.waiting import Pace
from jupyter_sessions.model.errors import NotFound, SessionsError, Unavailable, Unimplemented
from jupyter_sessions.model.resources import Session
from jupyter_sessions.model.states import State

if TYPE_CHECKING:
    from jupyter_sessions.client.client import SessionsClient

MAIN_LABEL = "main-kernel"
"""The label of a session that holds the id of its main kernel; without it the first kernel is the main one."""
MAIN, NEW = "main", "new"
OFFERED = 20.0
"""Seconds within which the server offers the kernels of a session that is ACTIVE."""
START = 60.0
"""Seconds that the server may take to begin a kernel; what comes after, it waits for itself."""

Model = Mapping[str, Any]


def pick(client: SessionsClient, session: Session, which: str) -> Model:
    """Give the model of a kernel: ``main`` (started where there is none), ``new``, or one by its id or its beginning.

    Raises SessionEnded where the session is not ACTIVE, NotFound that lists the kernels, and what a start raises.
    """
    check_active(session)
    if which == NEW:
        return start(client, session)
    running = kernels_of(client, session)
    if which != MAIN:
        return by_id(session, running, which, MAIN, NEW)
    return main_of(session, running) or _first(client, session)


def running(client: SessionsClient, session: Session, which: str, *words: str) -> Model:
    """Give the model of a kernel that runs: ``main``, or one by its id or its beginning; starts none.

    Raises SessionEnded where the session is not ACTIVE, and NotFound that lists the kernels, and ``words`` besides.
    """
    check_active(session)
    there = kernels_of(client, session)
    if which != MAIN:
        return by_id(session, there, which, *words)
    found = main_of(session, there)
    if found is None:
        raise NotFound(f"session {session.name.rpartition('/')[2]} has no kernel")
    return found


def check_active(session: Session) -> None:
    """Raise SessionEnded where a session has no kernels because it is not ACTIVE."""
    if session.state is not State.ACTIVE:
        raise SessionEnded(unusable(session), session)


def main_of(session: Session, running: Sequence[Model]) -> Model | None:
    """Give the main kernel of those that run: the one marked so, else the first; None where none runs."""
    marked = session.labels.get(MAIN_LABEL, "")
    return next((model for model in running if model["id"] == marked), running[0] if running else None)


def kernels_of(client: SessionsClient, session: Session) -> Sequence[Model]:
    """Give the models of a session's kernels, oldest first; where its location lists none, from the server's own."""
    try:
        found = client.kernels(session.name)
    except Unimplemented:
        names = set(_specs(client, session))
        listed = client.transport.call("GET", "api/kernels", safe=True) or []
        found = [model for model in listed if model.get("name") in names]
    return [model for model in found if model.get("execution_state") != "dead"]


def start(client: SessionsClient, session: Session) -> Model:
    """Start a kernel in a session; raises what the server answers."""
    name = _offered(client, session)
    model: Model = client.transport.call("POST", "api/kernels", body={"name": name}, timeout=START)
    return model


def _first(client: SessionsClient, session: Session) -> Model:
    """Start the first kernel; where another program did so at the same time, the older one is the main kernel."""
    made = start(client, session)
    first = main_of(session, kernels_of(client, session))
    if first is None or first["id"] == made["id"]:
        return made
    try:
        client.transport.call("DELETE", f"api/kernels/{made['id']}")
    except SessionsError:
        # It ends with its session; the one that is shared is there.
        pass
    return first


def by_id(session: Session, running: Sequence[Model], which: str, *words: str) -> Model:
    """Give the model of the kernel whose id begins so; raises NotFound that lists the kernels, and ``words`` besides.

    ``words`` are those that the caller takes in place of an id.
    """
    found = [model for model in running if which and model["id"].startswith(which)]
    if len(found) == 1:
        return found[0]
    name = session.name.rpartition("/")[2]
    there = ", ".join(model["id"] for model in running) or "none"
    what = f"several kernels of {name} begin with" if found else f"{name} has no kernel"
    others = f"; or say {' or '.join(words)}" if words else ""
    raise NotFound(f"{what} {which!r}; running are: {there}{others}")


def _specs(client: SessionsClient, session: Session) -> list[str]:
    """Give the kernelspecs that stand for a session, Python's first."""
    answer = client.transport.call("GET", "api/kernelspecs", safe=True) or {}
    found = []
    for name, model in (answer.get("kernelspecs") or {}).items():
        spec = model.get("spec") or {}
        mark = (spec.get("metadata") or {}).get("jupyter_sessions") or {}
        if mark.get("session") == session.name:
            found.append((spec.get("language") != "python", name))
    return [name for _, name in sorted(found)]


def _offered(client: SessionsClient, session: Session) -> str:
    end, pace = time.monotonic() + OFFERED, Pace()
    while True:
        names = _specs(client, session)
        if names:
            return names[0]
        if time.monotonic() > end:
            raise Unavailable(
                f"the server at {client.url} offers no kernel of {session.name}; are kernels turned off there "
                "(SessionsExtension.kernels), or is its gateway unreachable?"
            )
        pace.wait(end)
