"""What every handler under the prefix shares: who may pass, who calls, and how a failure is answered."""

from __future__ import annotations

import contextlib
import inspect
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from jupyter_server.base.handlers import APIHandler, JupyterHandler
from tornado.web import HTTPError, stream_request_body

from jupyter_sessions.handlers.gate import Gate
from jupyter_sessions.handlers.identity import caller_of
from jupyter_sessions.handlers.refusals import MethodNotAllowed, as_error, headers_of
from jupyter_sessions.model.api import Caller
from jupyter_sessions.model.errors import Internal, PermissionDenied, SessionsError

RESOURCE = "jupyter_sessions"
"""The resource that Jupyter's Authorizer is asked about, with read, write or execute."""
REASONS = {499: "Cancelled"}
"""Reason phrases that HTTP has no word for."""


@dataclass(frozen=True)
class Setup:
    """What the extension hands to its handlers: the gate to the service, and who may change all templates.

    ``connect`` gives how a location is connected, as the OpenAPI document's ConnectHelp; without it nobody is told.
    ``name_caller`` says who calls, given Jupyter's user, the identity provider and ``admins``; it may raise
    PermissionDenied for a user who is not served.
    """

    gate: Gate
    admins: Collection[str] = field(default_factory=frozenset)
    connect: Callable[[], Mapping[str, Any]] | None = None
    name_caller: Callable[[Any, Any, Collection[str]], Caller] = caller_of


@stream_request_body
class ApiRules(JupyterHandler):
    """Authentication as Jupyter's, authorization by one resource, errors in one shape.

    A request is judged by its headers, before its body is read. A refusal is answered only once the body has come and
    gone unkept: tornado closes a connection that it answers early, and the client would hear of that instead.
    """

    auth_resource = RESOURCE
    setup: Setup
    _caller: Caller
    _refusal: Exception | None = None
    _closing = False

    def set_default_headers(self) -> None:
        """Add what every answer carries: nothing here may be kept by a cache."""
        super().set_default_headers()
        self.set_header("Cache-Control", "no-store")

    def compute_etag(self) -> str | None:
        """Give no entity tag: an answer that nobody keeps needs none."""
        return None

    async def prepare(self) -> None:  # type: ignore[override]  # Jupyter's takes a private keyword
        """Judge the request by its headers, and keep what is wrong with it for ``raise_refusal``."""
        try:
            await self._admit_user()
            if self.request.method != "OPTIONS":
                await self.admit()
        except Exception as error:
            # Who asks before sending a body is told not to; the connection cannot be used again.
            self._closing = "Expect" in self.request.headers
            if self._closing:
                raise
            self._refusal = error

    async def _admit_user(self) -> None:
        """Let a request in only with a user, from a host and an origin that Jupyter allows."""
        if not self.check_host():
            raise PermissionDenied(
                "the Host header names no address of this machine; call it by one, or set ServerApp.local_hostnames or "
                "ServerApp.allow_remote_access"
            )
        await JupyterHandler.prepare(self, _redirect_to_login=False)
        if self.request.method == "OPTIONS":
            return
        if self.current_user is None:
            raise HTTPError(403)
        if not self.check_origin():
            raise PermissionDenied("requests from another origin are refused (see ServerApp.allow_origin)")
        self._caller = self.setup.name_caller(self.current_user, self.identity_provider, self.setup.admins)

    async def admit(self) -> None:
        """Judge by the headers what a known user wants; raises SessionsError."""

    def data_received(self, chunk: bytes) -> None:
        """Keep nothing of a body, unless a handler takes one."""

    def raise_refusal(self) -> None:
        """Raise what is wrong with the request; every verb begins with it."""
        if self._refusal is not None:
            raise self._refusal

    def check_xsrf_cookie(self) -> None:
        """Check as Jupyter does, saying first that a caller is not known: a wrong token is no XSRF fault."""
        if not hasattr(self, "_jupyter_current_user"):
            return
        if self._jupyter_current_user is None:
            raise HTTPError(403)
        try:
            super().check_xsrf_cookie()
        except HTTPError as error:
            raise PermissionDenied(
                "a request that is authenticated by a cookie needs the XSRF token: send the _xsrf cookie's value as "
                "X-XSRFToken, or authenticate with Authorization: Bearer TOKEN"
            ) from error

    async def authorize(self, action: str) -> None:
        """Ask Jupyter's authorizer; raises PermissionDenied."""
        allowed = self.authorizer.is_authorized(self, self.current_user, action, RESOURCE)
        if inspect.isawaitable(allowed):
            allowed = await allowed
        if not allowed:
            raise PermissionDenied(f"the authorizer of this server does not allow you to {action} {RESOURCE}")

    @property
    def caller(self) -> Caller:
        """Who calls, as ``creator`` names them; known once the request has been judged."""
        return self._caller

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer a failure: the only place that turns an exception into an HTTP answer."""
        info = kwargs.get("exc_info")
        known_user = getattr(self, "_jupyter_current_user", None) is not None
        error = as_error(info[1] if info else None, status_code, known_user)
        self.set_status(error.http, REASONS.get(error.http))
        with contextlib.suppress(Exception):
            if hasattr(self, "_jupyter_current_user"):
                self.set_cors_headers()
        for name, value in headers_of(error).items():
            self.set_header(name, value)
        if self._closing:
            self.set_header("Connection", "close")
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(self.error_body(error), ensure_ascii=False).encode("utf-8", "replace"))

    def error_body(self, error: SessionsError) -> Mapping[str, Any]:
        """Give the JSON that a failure is told as."""
        return error.body()

    def log_exception(
        self, typ: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Log a fault of ours with its traceback, a refusal not at all: the access log has it."""
        if isinstance(value, HTTPError) or (isinstance(value, SessionsError) and not isinstance(value, Internal)):
            return
        self.log.error("Jupyter Sessions failed at %s", self.request.path, exc_info=value)

    def unknown_method(self, allowed: Collection[str]) -> MethodNotAllowed:
        """Give the error for an HTTP method that this path does not take."""
        return MethodNotAllowed(str(self.request.method), ", ".join(allow_list(allowed)))


def allow_list(verbs: Collection[str]) -> list[str]:
    """Give the HTTP methods of a path, in a fixed order: HEAD comes with GET, OPTIONS with any."""
    implied = {"OPTIONS", *verbs, *({"HEAD"} if "GET" in verbs else ())}
    return [verb for verb in ("GET", "HEAD", "OPTIONS", "POST", "PATCH", "DELETE") if verb in implied]


class JsonHandler(ApiRules, APIHandler):
    """A handler whose answers are JSON, counted as activity like Jupyter's own API."""

    def update_api_activity(self) -> None:
        """Count the request as activity; a query that cannot be read does not spoil the answer about it."""
        with contextlib.suppress(HTTPError):
            super().update_api_activity()

    def send_json(self, value: Mapping[str, Any] | bytes, status: int = 200) -> None:
        """Answer with ``value`` as JSON; bytes are JSON already."""
        self.set_status(status)
        body = value if isinstance(value, bytes) else encode(value)
        self.finish(body)

    def preflight(self, verbs: Collection[str]) -> None:
        """Answer OPTIONS: what the path takes, and Jupyter's own answer to a browser's preflight."""
        allowed = ", ".join(allow_list(verbs))
        APIHandler.options(self)
        self.set_status(204)
        self.set_header("Allow", allowed)
        self.set_header("Access-Control-Allow-Methods", allowed)


def encode(value: Any) -> bytes:
    """Write JSON as compact UTF-8."""
    # Four times as quick as json on a page of sessions; loaded with the models, not with the server.
    from pydantic_core import to_json

    return to_json(value)
