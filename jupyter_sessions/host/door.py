"""Who comes in: every request shows the token, none comes from a web page."""

from __future__ import annotations

import hmac
import json
from http.client import responses
from typing import TYPE_CHECKING, Any

from tornado.web import HTTPError, RequestHandler
from tornado.websocket import WebSocketHandler

from jupyter_sessions.host.kernels import Refused, UnknownKernel

if TYPE_CHECKING:
    from jupyter_sessions.host.kernel import Kernel
    from jupyter_sessions.host.kernels import HostKernels

LARGEST_MESSAGE = 512 << 20
"""Bytes of a websocket's message; buffers of 64 MB and more go both ways."""

LARGEST_BODY = 1 << 20


class DoorHandler(RequestHandler):
    """Checks each request; errors are Jupyter's JSON, ``{"message", "reason"}``."""

    @property
    def kernels(self) -> HostKernels:
        """The host's kernels."""
        found: HostKernels = self.settings["kernels"]
        return found

    def prepare(self) -> None:
        """Refuse a web page (403) and whoever does not know the token (401)."""
        if "Origin" in self.request.headers:
            raise HTTPError(403, "a session host is no place for web pages: requests with an Origin are refused")
        wanted = f"token {self.settings['token']}".encode()
        given = self.request.headers.get("Authorization", "").encode("utf-8", "replace")
        if not hmac.compare_digest(given, wanted):
            raise HTTPError(401, "send the host's token as 'Authorization: token …'")
        if len(self.request.body) > LARGEST_BODY:
            raise HTTPError(413, "a body is at most %d bytes", LARGEST_BODY)

    def find_kernel(self, kernel_id: str) -> Kernel:
        """Give a kernel or answer 404."""
        try:
            return self.kernels.get(kernel_id)
        except UnknownKernel as error:
            raise HTTPError(404, str(error)) from error

    def body(self) -> dict[str, Any]:
        """Give the body's JSON object, ``{}`` where there is no body; 400 for anything else."""
        if not self.request.body.strip():
            return {}
        try:
            found = json.loads(self.request.body)
        except ValueError as error:
            raise HTTPError(400, "Invalid JSON in body of request") from error
        if not isinstance(found, dict):
            raise HTTPError(400, "the body is a JSON object")
        return found

    def answer(self, found: Any, status: int = 200) -> None:
        """Answer JSON."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(found))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer an error in Jupyter's shape; what a failure of ours was stays in the log."""
        error = kwargs.get("exc_info", (None, None))[1]
        told: dict[str, Any] = {"message": responses.get(status_code, "Unknown HTTP Error"), "reason": None}
        if isinstance(error, HTTPError):
            message = error.log_message % error.args if error.log_message else told["message"]
            told = {"message": message, "reason": error.reason}
        elif isinstance(error, Refused):
            told["message"] = str(error)
        elif error is not None:
            told["message"] = "Unhandled error"
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(told))


class SocketHandler(DoorHandler, WebSocketHandler):
    """A websocket behind the same door."""

    def check_origin(self, origin: str) -> bool:
        """Refuse: :meth:`prepare` has refused already whatever has an Origin."""
        return False

    def widen(self) -> None:
        """Let large messages in; called as the websocket opens."""
        if self.ws_connection is not None and self.ws_connection.stream is not None:
            self.ws_connection.stream.max_buffer_size = LARGEST_MESSAGE + (1 << 20)
