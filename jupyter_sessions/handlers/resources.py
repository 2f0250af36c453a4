"""The handler that answers every method of the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jupyter_server.auth.decorator import allow_unauthenticated

from jupyter_sessions.handlers.base import JsonHandler, Setup
from jupyter_sessions.handlers.bodies import check_media_type, parse_json
from jupyter_sessions.handlers.calls import Request
from jupyter_sessions.handlers.query import parse_query
from jupyter_sessions.handlers.refusals import MAX_BODY, BodyTooLarge, UnsupportedMediaType
from jupyter_sessions.handlers.routes import Route
from jupyter_sessions.model.errors import FieldViolation, InvalidArgument, NotFound, SessionsError


class ResourceHandler(JsonHandler):
    """Answers the methods of one path."""

    def initialize(self, setup: Setup, routes: Mapping[str, Route]) -> None:
        """Take what the extension hands over and the methods of this path by HTTP method."""
        self.setup = setup
        self.routes = routes
        self._body = bytearray()
        self._too_large = False

    async def admit(self) -> None:
        """Find the method, ask the authorizer, and refuse a body that cannot be taken before a byte of it is kept."""
        await self.authorize(self._route().action)
        length = self.request.headers.get("Content-Length", "0")
        if length.isdecimal() and int(length) > MAX_BODY:
            raise BodyTooLarge()
        coding = self.request.headers.get("Content-Encoding", "identity").strip().lower()
        if coding not in ("", "identity"):
            raise UnsupportedMediaType(f"the Content-Encoding is {coding!r}; send the JSON as it is")

    def data_received(self, chunk: bytes) -> None:
        """Keep a piece of the body, nothing of a refused request's, and nothing past the limit."""
        if self._refusal is not None or self._too_large:
            return
        self._too_large = len(self._body) + len(chunk) > MAX_BODY
        if self._too_large:
            self._body.clear()
        else:
            self._body += chunk

    def _route(self) -> Route:
        verb = "GET" if self.request.method == "HEAD" else str(self.request.method)
        if verb not in self.routes:
            raise self.unknown_method(self.routes)
        return self.routes[verb]

    async def _answer(self, **path: str) -> None:
        self.raise_refusal()
        if self._too_large:
            raise BodyTooLarge()
        route = self._route()
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
        self.raise_refusal()
        self.preflight(self.routes)


class RefusedPath(JsonHandler):
    """Paths of which every method is refused in the same words."""

    def initialize(self, setup: Setup, error: type[SessionsError], message: str) -> None:
        """Take what the extension hands over, and what to answer."""
        self.setup = setup
        self.error = error
        self.message = message

    async def admit(self) -> None:
        """Ask the authorizer: what is not there is for readers to know."""
        await self.authorize("read")

    async def _refuse(self, *args: str, **kwargs: str) -> None:
        self.raise_refusal()
        raise self.error(self.message)

    get = head = post = put = patch = delete = _refuse  # all verbs alike
    options = _refuse  # type: ignore[assignment]  # Jupyter's own is no coroutine; tornado awaits what it gets


class ReadHandler(JsonHandler):
    """What this server says of itself, without the service: one JSON document for callers who may read."""

    def initialize(self, setup: Setup, document: Callable[[Setup, str], Mapping[str, Any]]) -> None:
        """Take what the extension hands over, and what makes the document of it and the server's base URL."""
        self.setup = setup
        self.document = document

    async def admit(self) -> None:
        """Refuse other methods, and ask the authorizer."""
        if self.request.method not in ("GET", "HEAD"):
            raise self.unknown_method(["GET"])
        await self.authorize("read")

    async def _answer(self) -> None:
        self.raise_refusal()
        parse_query(self.request.query, ())
        self.send_json(self.document(self.setup, self.base_url))

    get = head = post = put = patch = delete = _answer  # what is no GET has been refused

    @allow_unauthenticated
    def options(self) -> None:
        """Say what this path takes."""
        self.raise_refusal()
        self.preflight(["GET"])


def openapi_document(setup: Setup, base_url: str) -> Mapping[str, Any]:
    """Give the OpenAPI document."""
    from jupyter_sessions.handlers.openapi import document

    return document(base_url)


def connect_help(setup: Setup, base_url: str) -> Mapping[str, Any]:
    """Give how a location is connected; raises NotFound where this server's locations are no file's."""
    if setup.connect is None:
        raise NotFound("locations are not connected to this server by a file of its user")
    return setup.connect()
