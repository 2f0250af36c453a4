"""The HTTP side: one port, its handlers, and a stop that lets open requests finish."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from jupyter_sessions.handlers.mount import handlers
from jupyter_sessions.handlers.resources import RefusedPath
from jupyter_sessions.model.errors import NotFound, Unavailable
from jupyter_sessions.serve import health
from jupyter_sessions.serve.gateway import GatewaySetup, gateway_handlers
from jupyter_sessions.serve.service import Service
from jupyter_sessions.serve.settings import MAX_MESSAGE, Address, Refused

log = logging.getLogger(__name__)
DRAIN_SECONDS = 10.0
"""How long open requests may go on after a stop was asked for."""
STOPPING = "the service is stopping"
MAX_BODY = 64 << 20
"""The most bytes of a request's body that are read at all; what the API takes is less, and refused in its own words."""
PREFIXES = ("jupyter-sessions/v1", "v1")
"""Where the API is: as on a Jupyter server, and as at Google."""


class DrainingApplication(Application):
    """A tornado application that, before its end, finishes what it has begun and refuses what is new.

    Websockets are nothing to finish. ``setup`` is what the refusals are given.
    """

    def __init__(self, rows: list[Any], setup: GatewaySetup, **settings: Any) -> None:
        nothing = {"setup": setup, "error": NotFound, "message": "there is nothing at this path"}
        super().__init__(rows, default_handler_class=RefusedPath, default_handler_args=nothing, **settings)
        self._refusal = {"setup": setup, "error": Unavailable, "message": f"{STOPPING}; repeat it when it is back"}
        self.stopping = False
        self._begun: weakref.WeakSet[HTTPServerRequest] = weakref.WeakSet()
        self._fewer = asyncio.Event()

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """Note a request that begins, and while the service stops refuse it."""
        if self.stopping and request.path != health.PATH:
            return self.get_handler_delegate(request, RefusedPath, self._refusal)
        if request.headers.get("Upgrade", "").lower() != "websocket":
            self._begun.add(request)
        return super().find_handler(request, **kwargs)

    def log_request(self, handler: RequestHandler) -> None:
        """Note a request that has been answered."""
        self._begun.discard(handler.request)
        self._fewer.set()
        super().log_request(handler)

    async def drain(self) -> None:
        """Wait until no client waits for an answer any more."""
        while any(_waits(request) for request in self._begun):
            self._fewer.clear()
            # A client that goes away is told to nobody, so look again now and then.
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._fewer.wait(), 0.2)


def _waits(request: HTTPServerRequest) -> bool:
    stream = getattr(request.connection, "stream", None)
    return stream is not None and not stream.closed()


class Server:
    """Serves one service on one port. ``settings`` are tornado's; ``setup`` what the handlers are given."""

    def __init__(self, service: Service, setup: GatewaySetup, settings: Mapping[str, Any], address: Address) -> None:
        self._service = service
        self._gate = setup.gate
        self._address = address
        rows: list[Any] = [(health.PATH, health.HealthHandler, {"fault": self.fault})]
        for prefix in PREFIXES:
            rows += handlers(setup, prefix)
        rows += gateway_handlers(setup)
        rows += _pages_of(settings["identity_provider"])
        self._application = DrainingApplication(rows, setup, **settings)
        self._http: HTTPServer | None = None

    async def fault(self) -> str:
        """Say why calls cannot be answered now, ``""`` where they can."""
        return STOPPING if self._application.stopping else await self._service.embedded.trouble()

    def listen(self) -> int:
        """Take connections from now on; give the port. Raises Refused."""
        tls = self._address.tls()
        try:
            sockets = bind_sockets(self._address.port, self._address.ip or None)
        except OSError as error:
            taken = "; choose another --port, or --port 0 for a free one" if error.errno == errno.EADDRINUSE else ""
            raise Refused(
                f"cannot listen on {self._address.ip}:{self._address.port}: {error.strerror or error}{taken}"
            ) from error
        self._http = HTTPServer(
            self._application,
            ssl_options=tls,
            xheaders=self._address.behind_proxy,
            max_buffer_size=MAX_MESSAGE,
            max_body_size=MAX_BODY,
        )
        self._http.add_sockets(sockets)
        port: int = sockets[0].getsockname()[1]
        return port

    async def stop(self, seconds: float = DRAIN_SECONDS) -> None:
        """Answer no new call, let the open ones finish for ``seconds``, then close; sessions run on."""
        self._application.stopping = True
        self._service.embedded.end_streams()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._application.drain(), seconds)
        self._gate.close(STOPPING)
        if self._http is not None:
            self._http.stop()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._http.close_all_connections(), 2.0)


def _pages_of(provider: Any) -> list[Any]:
    """Give the pages that an identity provider brings, as the way back from OAuth; Jupyter's own forms are none."""
    return [row for row in provider.get_handlers() if not row[1].__module__.startswith("jupyter_server.")]


def write_port(path: Path, port: int) -> None:
    """Write the port for whoever started this program and waits for it; raises OSError."""
    fresh = path.with_name(f".{path.name}.fresh")
    fresh.write_text(f"{port}\n")
    fresh.replace(path)
