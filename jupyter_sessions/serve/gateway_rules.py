"""What every handler of the gateway shares: the service's rules, in the words of Jupyter's own REST."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.client import responses
from typing import Any, ClassVar

from jupyter_server.auth.decorator import allow_unauthenticated

from jupyter_sessions.handlers.base import ApiRules, JsonHandler, Setup
from jupyter_sessions.handlers.bodies import parse_json
from jupyter_sessions.handlers.refusals import MAX_BODY, BodyTooLarge
from jupyter_sessions.model.api import KernelHosts
from jupyter_sessions.model.errors import ResourceExhausted, SessionsError
from jupyter_sessions.serve.gateway_kernels import GatewayKernels
from jupyter_sessions.serve.gateway_memory import KernelMemory

Verb = Callable[..., Awaitable[None]]
MOST_WEBSOCKETS = 256
"""Websockets that one user may have open where nothing else is said: each may hold a message of 1 GiB in memory."""


class OpenWebsockets:
    """Counts the websockets that each user has open: at most ``most`` at a time, 0: any."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: Counter[str] = Counter()

    @contextmanager
    def one(self, user: str) -> Iterator[None]:
        """Count one of a user's while the block runs; raises ResourceExhausted where that is one too many."""
        if 0 < self._most <= self._open[user]:
            raise ResourceExhausted(
                f"{user} has {self._open[user]} websockets of kernels open, as many as one user may have here: close "
                "notebooks or consoles, or have ServeApp.max_websockets raised"
            )
        self._open[user] += 1
        try:
            yield
        finally:
            self._open[user] -= 1
            self._open += Counter()  # forget whoever has none


@dataclass(frozen=True, kw_only=True)
class GatewaySetup(Setup):
    """What the service hands to the gateway's handlers, besides what all handlers get: where kernels are reached.

    ``template_kernels``: each template has a kernelspec, too, whose start makes a session. ``max_websockets``: how many
    websockets of kernels, side streams among them, one user may have open at a time; 0: any.
    """

    hosts: KernelHosts
    log: logging.Logger = field(default_factory=lambda: logging.getLogger(__name__))
    template_kernels: bool = False
    max_websockets: int = MOST_WEBSOCKETS

    @cached_property
    def websockets(self) -> OpenWebsockets:
        """Who has how many open, one count for all handlers."""
        return OpenWebsockets(self.max_websockets)

    @cached_property
    def kernels(self) -> GatewayKernels:
        """The kernels of all sessions, one for all handlers."""
        return GatewayKernels(self.hosts, KernelMemory(self.hosts, self.log))

    async def close(self) -> None:
        """Follow no host any more; open websockets are ended with their connections."""
        await self.kernels.memory.close()


class GatewayRules(ApiRules):
    """Authentication and authorization as everywhere in this service; errors are Jupyter's ``{message, reason}``."""

    setup: GatewaySetup

    def initialize(self, setup: GatewaySetup) -> None:
        """Take what the service hands over."""
        self.setup = setup

    def error_body(self, error: SessionsError) -> Mapping[str, Any]:
        """Give the JSON that Jupyter's clients read."""
        return {"message": error.message, "reason": responses.get(error.http)}


class GatewayHandler(GatewayRules, JsonHandler):
    """Answers one path as JSON; ``actions`` says what each of its HTTP methods is to the authorizer."""

    actions: ClassVar[Mapping[str, str]] = {"GET": "read"}

    def initialize(self, setup: GatewaySetup) -> None:
        """Take what the service hands over."""
        super().initialize(setup)
        self._body = bytearray()
        self._too_large = False

    async def admit(self) -> None:
        """Refuse methods that this path does not take, and ask the authorizer."""
        verb = "GET" if self.request.method == "HEAD" else str(self.request.method)
        if verb not in self.actions:
            raise self.unknown_method(self._verbs)
        await self.authorize(self.actions[verb])

    def data_received(self, chunk: bytes) -> None:
        """Keep a piece of the body, nothing of a refused request's, and nothing past the limit."""
        if self._refusal is not None or self._too_large:
            return
        self._too_large = len(self._body) + len(chunk) > MAX_BODY
        if self._too_large:
            self._body.clear()
        else:
            self._body += chunk

    def json_body(self) -> Mapping[str, Any]:
        """Give the body's JSON object, an empty one where there is no body; raises InvalidArgument."""
        if self._too_large:
            raise BodyTooLarge()
        # Jupyter's own REST asks for no Content-Type, and not every client of it sends one.
        return parse_json(bytes(self._body))

    @property
    def _verbs(self) -> Collection[str]:
        return self.actions.keys()

    async def _refuse(self, *args: str, **kwargs: str) -> None:
        self.raise_refusal()

    # What a path takes, its class overrides.
    get: Verb = _refuse
    head: Verb = _refuse
    post: Verb = _refuse
    put: Verb = _refuse
    patch: Verb = _refuse
    delete: Verb = _refuse

    @allow_unauthenticated
    def options(self, *args: str, **kwargs: str) -> None:
        """Say what this path takes; a browser's preflight carries no credentials."""
        self.raise_refusal()
        self.preflight(self._verbs)
