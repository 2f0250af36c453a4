"""The pooled connections of one location, each of which can be cut from another thread."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Iterator
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


class Line:
    """What one request holds on the wire. ``cut`` ends it at once, whatever the request's thread waits for.

    Read timeouts are for one read: a peer that sends a byte now and then would hold a thread for ever. Nothing but the
    look up of a name and the connecting itself, which have their own timeouts, is beyond a cut.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: HTTPConnection | None = None
        self._sock: Any = None
        self.was_cut = False

    def __enter__(self) -> Line:
        _current.line = self
        return self

    def __exit__(self, *error: object) -> None:
        _current.line = None
        # From here on the socket serves another request.
        with self._lock:
            self._connection = self._sock = None

    def hold(self, connection: HTTPConnection) -> None:
        """Note the connection that carries the request; called on the request's thread."""
        with self._lock:
            self._connection = connection
            # A response may keep the socket when its connection has let go of it.
            self._sock = getattr(connection, "sock", None) or self._sock
        if self.was_cut:
            self.cut()

    def cut(self) -> None:
        """Shut the socket down; from any thread, also before there is one."""
        with self._lock:
            self.was_cut = True
            for sock in (self._sock, getattr(self._connection, "sock", None)):
                if isinstance(sock, socket.socket):
                    # An SSLSocket's own shutdown would forget its encryption under the reader's hands.
                    with contextlib.suppress(OSError):
                        socket.socket.shutdown(sock, socket.SHUT_RDWR)


class _Current(threading.local):
    line: Line | None = None
    answering = False


_current = _Current()


def _unheard(record: logging.LogRecord) -> bool:
    """Let nothing of an answer of ours into the log."""
    return not _current.answering


# It warns of headers that it cannot read with all that stands in them, be it the credentials that we sent.
logging.getLogger("urllib3.connection").addFilter(_unheard)


@contextlib.contextmanager
def _answering() -> Iterator[None]:
    _current.answering = True
    try:
        yield
    finally:
        _current.answering = False


def _hold(connection: HTTPConnection) -> None:
    if _current.line is not None:
        _current.line.hold(connection)


class HeldConnection(HTTPConnection):
    """A plain connection that tells the request's line of itself."""

    def connect(self) -> None:
        """Connect, known to the line before (for what TLS or a proxy takes) and after."""
        _hold(self)
        super().connect()
        _hold(self)

    def putrequest(self, *arguments: Any, **options: Any) -> None:
        """Begin a request, perhaps on a socket that served others."""
        _hold(self)
        super().putrequest(*arguments, **options)
        _hold(self)

    def getresponse(self, *arguments: Any, **options: Any) -> Any:
        """Read the head of the answer, and log nothing of it."""
        with _answering():
            return super().getresponse(*arguments, **options)


class HeldSecureConnection(HTTPSConnection):
    """The same over TLS."""

    def connect(self) -> None:
        """Connect, known to the line before (for what TLS or a proxy takes) and after."""
        _hold(self)
        super().connect()
        _hold(self)

    def putrequest(self, *arguments: Any, **options: Any) -> None:
        """Begin a request, perhaps on a socket that served others."""
        _hold(self)
        super().putrequest(*arguments, **options)
        _hold(self)

    def getresponse(self, *arguments: Any, **options: Any) -> Any:
        """Read the head of the answer, and log nothing of it."""
        with _answering():
            return super().getresponse(*arguments, **options)


class HeldPool(HTTPConnectionPool):
    """A pool of such connections."""

    ConnectionCls = HeldConnection


class HeldSecurePool(HTTPSConnectionPool):
    """The same over TLS."""

    ConnectionCls = HeldSecureConnection


POOLS = {"http": HeldPool, "https": HeldSecurePool}


class HeldAdapter(HTTPAdapter):
    """The adapter of requests with these pools, with and without a proxy."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Make the pool manager."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Give the pool manager of one proxy."""
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = POOLS
        return manager


class PlainSession(requests.Session):
    """A session that follows no redirect, keeps no cookie, and takes nothing from netrc or the environment."""

    def __init__(self, connections: int) -> None:
        super().__init__()
        from http.cookiejar import DefaultCookiePolicy

        self.trust_env = False
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = HeldAdapter(pool_connections=4, pool_maxsize=connections)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Say that no answer leads elsewhere: else requests reads a redirect's body whole, however long it is."""
        return None
