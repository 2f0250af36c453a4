"""A session to move values and files to and from, for the tests that do so."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from jupyter_sessions.client import SessionHandle, SessionsClient
from tests.real.server import TOKEN, real_server

NAME = "moving"


@contextlib.contextmanager
def session(home: Path) -> Iterator[SessionHandle]:
    """Run a server with a session."""
    with real_server(home) as server, SessionsClient(server.url, TOKEN) as client, client.session(NAME) as handle:
        yield handle


def answer(handle: SessionHandle, code: str) -> str:
    """Run code in the session's main kernel and give what it printed, without the last line's end."""
    return str(handle.run(code).text).strip()


def under_way(handle: SessionHandle) -> str:
    """Say how many transfers the kernel holds something of."""
    code = """
import gc as _gc
print(sum(len(each._transfers) for each in _gc.get_objects() if type(each).__name__ == "RemoteEnd"))
"""
    return answer(handle, code)
