"""The session that code is to run in: one that is starting is waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_sessions.cli.connection import session_handle

if TYPE_CHECKING:
    from jupyter_sessions.client.client import SessionsClient
    from jupyter_sessions.client.handle import SessionHandle


def ready_handle(client: SessionsClient, name: str | None) -> SessionHandle:
    """Give the session of a name, or the only live one, once it is ACTIVE; its steps go to stderr.

    Raises NotFound, FailedPrecondition that lists the live, SessionEnded with the reason.
    """
    from jupyter_sessions.cli.progress import Steps
    from jupyter_sessions.model.states import State

    handle = session_handle(client, name)
    if handle.state is State.CREATING:
        with Steps(handle.id) as steps:
            return handle.wait(progress=steps)
    if handle.state is not State.ACTIVE:
        raise handle.ended()
    return handle
