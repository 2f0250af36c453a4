"""What became of a restored kernel whose session is not ACTIVE: asked, since nobody tells of an end before the start.

Three answers: it has ended (its kernels are dead), it will be ACTIVE (the hosts tell), or nobody can tell now, which
changes nothing and is asked again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from jupyter_sessions.kernels.registry import Registry, alive
from jupyter_sessions.model.errors import NotFound, SessionsError
from jupyter_sessions.model.names import LocationName, SessionName
from jupyter_sessions.model.states import State

if TYPE_CHECKING:
    from jupyter_sessions.model.api import Caller, SessionsApi

log = logging.getLogger(__name__)

GATEWAY = "gateway:"
"""What the uuid of a starter host begins with, which is no session."""
ASK_AGAIN = 30.0
"""Seconds between two rounds of questions."""


class Settling:
    """Asks after the sessions of kernels without a host until none is left; needs a running loop."""

    def __init__(self, registry: Registry, sessions: SessionsApi, caller: Caller) -> None:
        self._registry, self._sessions, self._caller = registry, sessions, caller
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Ask no more."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def _open(self) -> dict[str, str]:
        # Of a gateway itself nobody can say that it has ended: its kernels stay unknown until it is heard.
        kernels = [each for each in alive(self._registry.all()) if not each.session_uuid.startswith(GATEWAY)]
        return {each.session_uuid: each.session for each in kernels if self._registry.host(each.session_uuid) is None}

    async def _run(self) -> None:
        while unsettled := self._open():
            for uuid, session in unsettled.items():
                reason = await self._ended(uuid, session)
                if reason and self._registry.host(uuid) is None:
                    for kernel in self._registry.of_session(uuid):
                        self._registry.mark_dead(kernel.kernel_id, reason)
            await asyncio.sleep(ASK_AGAIN)

    async def _ended(self, uuid: str, session: str) -> str:
        """Give why a session has ended; ``""`` where it has not, or nobody can tell."""
        gone = f"the session {session} is gone"
        try:
            found = await self._sessions.get_session(self._caller, _parsed(session))
        except NotFound:
            return gone
        except (SessionsError, ValueError):
            return ""
        except Exception:
            # Its own fault to mend; the kernels stay unknown until it can tell.
            log.exception("cannot ask after the session %s of restored kernels", session)
            return ""
        if found.uuid != uuid:
            return gone
        state = State(found.state)
        if not state.final and state is not State.TERMINATING:
            return ""
        return f"the session {session} is {state.name}" + (f": {found.state_message}" if found.state_message else "")


def _parsed(name: str) -> SessionName:
    # Written by str() of a SessionName: read back, not judged; an upstream's ids follow rules of its own.
    _, project, _, location, _, session = name.split("/")
    return SessionName(LocationName(project, location), session)
