"""The handler that answers every method of the table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jupyter_server.auth.decorator import allow_unauthenticated
from tornado.web import stream_request_body

from jupyter_sessions.handlers.base import JsonHandler, Setup
from jupyter_sessions.handlers.bodies import check_media_type, parse_json
from jupyter_sessions.handlers.calls import Request
from jupyter_sessions.handlers.query import parse_query
from jupyter_sessions.handlers.refusals import MAX_BODY, BodyTooLarge, UnsupportedMediaType
from jupyter_sessions.handlers.routes import Route
from jupyter_sessions.model.errors import FieldViolation, InvalidArgument, SessionsError


class BodyHandler(JsonHandler):
    """Takes a body as it arrives and keeps no more of it than is allowed."""

    def _begin_body(self) -> None:
        self._body = bytearray()
        self._too_large = False

    def _check_headers(self) -> None:
        """Refuse by the headers alone, before a byte of the body is kept; raises BodyTooLarge and others."""
        length = self.request.headers.get("Content-Length", "0")
        if length.isdecimal() and int(length) > MAX_BODY:
            raise BodyTooLarge()
        coding = self.request.headers.get("Content-Encoding", "identity").strip().lower()
        if coding not in ("", "identity"):
            raise UnsupportedMediaType(f"the Content-Encoding is {coding!r}; send the JSON as it is")

    def data_received(self, chunk: bytes) -> None:
        """Keep a piece of the body; what is past the limit is read and dropped, so that the client hears why."""
        if self._too_large or len(self._body) + len(chunk) > MAX_BODY:
            self._too_large = True
            self._body.clear()
            return
        self._body += chunk


@stream_request_body
class ResourceHandler(BodyHandler):
    """Answers the methods of one path."""

    def initialize(self, setup: Setup, routes: Mapping[str, Route]) -> None:
        """Take what the extension hands over and the methods of this path by HTTP method."""
        self.setup = setup
        self.routes = routes
        self._begin_body()

    async def prepare(self) -> None:  # type: ignore[override]  # as ApiRules
        """Authenticate, find the method, ask the authorizer; the body has not been read yet."""
        await super().prepare()
        if self.request.method == "OPTIONS":
            return
        await self.authorize(self._route().action)
        self._check_headers()

    def _route(self) -> Route:
        verb = "GET" if self.request.method == "HEAD" else str(self.request.method)
        if verb not in self.routes:
            raise self.unknown_method(self.routes)
        return self.routes[verb]

    async def _answer(self, **path: str) -> None:
        route = self._route()
        if self._too_large:
            raise BodyTooLarge()
        query = parse_query(self.request.query, route.query)
        api = await self.setup.gate.api()
        body = self._json_body(route)
        request = Request(self.caller, path, query.values, body, query.int_enums)
        self.send_json(await route.call(api, request))

    def _json_body(self, route: Route) -> Mapping[str, Any]:
        body = bytes(self._body)
        if route.body:
            check_media_type(self.request.headers.get("Content-Type", ""), empty=not body)
            return parse_json(body)
        if body and parse_json(body):
            raise InvalidArgument([FieldViolation("", "this method takes no body; send none")])
        return {}

    get = head = post = patch = put = delete = _answer  # the table tells them apart

    @allow_unauthenticated
    def options(self, **path: str) -> None:
        """Say what this path takes; a browser's preflight carries no credentials."""
        self.preflight(self.routes)


@stream_request_body
class RefusedPath(BodyHandler):
    """Paths of which every method is refused in the same words."""

    def initialize(self, setup: Setup, error: type[SessionsError], message: str) -> None:
        """Take what the extension hands over, and what to answer."""
        self.setup = setup
        self.error = error
        self.message = message
        self._begin_body()

    async def _refuse(self, *args: str, **kwargs: str) -> None:
        await self.authorize("read")
        raise self.error(self.message)

    get = head = post = put = patch = delete = _refuse  # all verbs alike
    options = _refuse  # type: ignore[assignment]  # Jupyter's own is no coroutine; tornado awaits what it gets


class DocumentHandler(JsonHandler):
    """The OpenAPI document, for callers who may read."""

    def initialize(self, setup: Setup) -> None:
        """Take what the extension hands over."""
        self.setup = setup

    async def _answer(self) -> None:
        await self.authorize("read")
        parse_query(self.request.query, ())
        from jupyter_sessions.handlers.openapi import document

        self.send_json(document(self.base_url))

    async def _refuse(self) -> None:
        raise self.unknown_method(["GET"])

    get = head = _answer  # HEAD is GET without its body
    post = put = patch = delete = _refuse  # all verbs alike

    @allow_unauthenticated
    def options(self) -> None:
        """Say what this path takes."""
        self.preflight(["GET"])
