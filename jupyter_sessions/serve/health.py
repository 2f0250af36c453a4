"""Whether the service can be used, for whoever watches over it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from tornado.web import RequestHandler, stream_request_body

PATH = r"/healthz"


@stream_request_body
class HealthHandler(RequestHandler):
    """``GET /healthz``, without authentication: 200 while calls are answered, else 503 with the reason.

    ``fault`` gives the reason, ``""`` while all is well.
    """

    def initialize(self, fault: Callable[[], Awaitable[str]]) -> None:
        """Take what knows."""
        self._fault = fault

    def data_received(self, chunk: bytes) -> None:
        """Keep nothing of what nobody asked for."""

    def check_xsrf_cookie(self) -> None:
        """Check none: nothing here changes anything."""

    async def get(self) -> None:
        """Answer ``{"status": "ok"}`` or ``{"status": "unavailable", "reason": …}``."""
        reason = await self._fault()
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Type", "application/json")
        if reason:
            self.set_status(503)
        answer = {"status": "unavailable", "reason": reason} if reason else {"status": "ok"}
        await self.finish(json.dumps(answer))

    head = get
