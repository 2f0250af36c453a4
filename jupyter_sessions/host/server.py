"""The host's HTTP: an application of all routes, on a Unix socket that only this account can open."""

from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from tornado.netutil import bind_unix_socket
from tornado.web import Application

from jupyter_sessions.host.door import LARGEST_MESSAGE
from jupyter_sessions.host.handlers import ROUTES, UnknownHandler
from jupyter_sessions.host.kernels import HostKernels


def make_application(
    kernels: HostKernels, token: str, on_poke: Callable[[], Awaitable[None] | None] = lambda: None
) -> Application:
    """Make the application that serves ``kernels`` to whoever shows ``token``.

    ``on_poke`` is called, and awaited where it is a coroutine, for each ``POST /host/poke``: the intent has changed.
    """
    return Application(
        list(ROUTES),
        default_handler_class=UnknownHandler,
        kernels=kernels,
        token=token,
        on_poke=on_poke,
        started=time.time(),
        # A peer on the same machine cannot vanish unseen, and one that is slow to read is none that is gone.
        websocket_ping_interval=0,
        websocket_max_message_size=LARGEST_MESSAGE,
    )


def listen(path: Path | str) -> socket.socket:
    """Bind a listening Unix socket, mode 0600, for ``HTTPServer.add_sockets``.

    Raises PermissionError unless its directory is this account's and closed to all others, and OSError.
    """
    directory = os.stat(os.path.dirname(os.path.abspath(path)))
    if directory.st_uid != os.getuid() or stat.S_IMODE(directory.st_mode) & 0o077:
        raise PermissionError(f"the directory of {path} must belong to this account and have mode 0700")
    return bind_unix_socket(os.fspath(path), mode=0o600)
