"""The gateway's websockets: a kernel's channels and a host's side stream, relayed to and from the session's host.

The host's websocket is opened before the client's, so that a refusal is an HTTP status. Frames pass as they are, in
whichever of Jupyter's protocols the client chose; a slow end holds back the other, and to connect again is the
client's to do.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import quote

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.websocket import WebSocketMixin
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from jupyter_sessions.engines.hostlink import MAX_MESSAGE, MAX_TOLD, HostRefused, HostSocket, HostUnreachable
from jupyter_sessions.handlers.base import allow_list
from jupyter_sessions.handlers.streams import LISTENS
from jupyter_sessions.model.api import KernelHost
from jupyter_sessions.model.errors import FieldViolation, InvalidArgument, NotFound
from jupyter_sessions.model.names import parse_session
from jupyter_sessions.relay import frames
from jupyter_sessions.relay.outlet import Outlet, Wait, observe, until_done
from jupyter_sessions.serve.gateway_kernels import link_to, path_of, unreachable
from jupyter_sessions.serve.gateway_memory import KnownKernel
from jupyter_sessions.serve.gateway_rules import GatewayRules, GatewaySetup
from jupyter_sessions.serve.gateway_specs import plain_name, spec_names

CLOSE_DEAD = 1000
"""JupyterLab does not come back after it; only ever sent behind a ``status: dead``."""
CLOSE_BROKEN = 1011
"""The host's websocket broke: come again."""
LAST_WORDS = 5.0
"""Seconds to wait, once a host's websocket broke, for the news that its session has ended."""
_REASON_BYTES = 120
_LONGEST_ID = 255


class Relay(WebSocketMixin, WebSocketHandler, GatewayRules):
    """One client's websocket and one of a host's, tied together."""

    action = "read"

    def initialize(self, setup: GatewaySetup) -> None:
        """Take what the service hands over."""
        super().initialize(setup)
        self._socket: HostSocket | None = None
        self._outlet: Outlet | None = None
        self._early: list[str | bytes | None] = []
        loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = loop.create_future()
        self._over: asyncio.Future[None] = loop.create_future()

    async def prepare(self) -> None:  # type: ignore[override]  # Jupyter's takes a private keyword
        """Judge the request as every other one, before anything is upgraded."""
        await GatewayRules.prepare(self)

    async def admit(self) -> None:
        """Refuse other methods, and ask the authorizer."""
        if self.request.method != "GET":
            raise self.unknown_method(["GET"])
        await self.authorize(self.action)
        if self.request.headers.get("Upgrade", "").lower() != "websocket":
            raise InvalidArgument("this path is a stream: open it as a websocket")

    async def _refuse(self, *args: str, **kwargs: str) -> None:
        self.raise_refusal()

    head = post = put = patch = delete = _refuse  # refused by now

    @allow_unauthenticated
    def options(self, *args: str, **kwargs: str) -> None:
        """Say what this path takes."""
        self.raise_refusal()
        self.set_status(204)
        self.set_header("Allow", ", ".join(allow_list(["GET"])))
        self.finish()

    async def relay(
        self, host: KernelHost, path: str, protocols: Collection[str] = (), most: int = MAX_MESSAGE
    ) -> None:
        """Open the host's websocket at ``path``, then the client's, until either ends.

        ``most`` is how many bytes a message of the host's may have.
        """
        link = link_to(host)
        try:
            self._socket = await link.websocket(path, list(protocols), max_message_size=most, sink=self._from_host)
        except HostRefused as error:
            if error.status == 404:
                raise NotFound(f"the session {host.session.id} knows nothing at this path") from None
            raise unreachable(host) from None
        except HostUnreachable:
            raise unreachable(host) from None
        finally:
            link.close()
        try:
            await WebSocketHandler.get(self)
        finally:
            self._let_go(None, "")

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """Take what the host has taken."""
        return self._socket.selected_subprotocol if self._socket is not None else self._chosen(subprotocols)

    @staticmethod
    def _chosen(subprotocols: list[str]) -> str | None:
        return frames.V1 if frames.V1 in subprotocols else None

    def open(self, *args: str, **kwargs: str) -> None:
        """Pass on what the host has said meanwhile, then all that follows."""
        super().open(*args, **kwargs)
        self.set_nodelay(True)
        self._outlet = Outlet(self)
        early, self._early = self._early, []
        for message in early:
            self._from_host(message)
        if not self._opened.done():
            self._opened.set_result(None)

    def on_message(self, message: str | bytes) -> Wait:
        """Pass a frame of the client's on; gives what tornado is to wait for before it reads the next."""
        try:
            if self._socket is None:
                return asyncio.shield(self._over)
            written: asyncio.Future[None] = self._socket.write_message(message, binary=isinstance(message, bytes))
        except (WebSocketClosedError, StreamClosedError):
            # Its end is on its way to the client.
            return asyncio.shield(self._over)
        written.add_done_callback(observe)
        protocol: Any = self._socket.protocol
        return until_done(written) if protocol is not None and protocol.stream.writing() else None

    def on_close(self) -> None:
        """End the host's websocket with the client's."""
        if self.ping_callback is not None:
            self.ping_callback.stop()
        self._outlet = None
        self._let_go(self.close_code, self.close_reason or "")

    def _from_host(self, message: str | bytes | None) -> Wait:
        if self._outlet is None:
            if self._opened.done():
                return None
            self._early.append(message)
            return asyncio.shield(self._opened)
        if message is None:
            self._host_ended()
            return None
        return self._outlet.send(self.seen(message))

    def seen(self, message: str | bytes) -> str | bytes:
        """Give what the client is told for a message of the host's."""
        return message

    def _host_ended(self) -> None:
        socket, self._socket = self._socket, None
        if socket is None:
            return
        if socket.close_code is not None:
            self.end(socket.close_code, socket.close_reason or "")
        else:
            self.host_broke()

    def host_broke(self) -> None:
        """Hear that the host's websocket has ended without a word."""
        self.end(CLOSE_BROKEN, "the session's host is gone")

    def end(self, code: int | None, reason: str, last: str | bytes | None = None) -> None:
        """Close the client's websocket, behind the message ``last``; ``code`` None sends no code."""
        if self._outlet is None:
            return
        if last is not None:
            self._outlet.send(last)
        self._outlet.flush()
        self._outlet = None
        if not self._over.done():
            self._over.set_result(None)
        self.close(code, reason.encode()[:_REASON_BYTES].decode("utf-8", "ignore") if code is not None else None)

    def _let_go(self, code: int | None, reason: str) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            told = code if code is not None and _sendable(code) else None
            socket.close(told, reason if told is not None else None)
        for waited in (self._opened, self._over):
            if not waited.done():
                waited.set_result(None)


class ChannelsHandler(Relay):
    """A kernel's channels."""

    action = "execute"
    _kernel: KnownKernel
    _mourning: asyncio.Task[None] | None = None

    async def get(self, kernel_id: str) -> None:
        """Relay them; a dead kernel's client is told so and why."""
        self.raise_refusal()
        with self.setup.websockets.one(self.caller.name):
            await self._relay(kernel_id)

    async def _relay(self, kernel_id: str) -> None:
        kernels = self.setup.kernels
        self._kernel = await kernels.find(await self.setup.gate.api(), self.caller, kernel_id)
        host = kernels.host(self._kernel.session_uuid)
        if self._kernel.dead:
            await WebSocketHandler.get(self)
            return
        if host is None:
            raise NotFound(f"Kernel does not exist: {kernel_id}")
        offered = self.request.headers.get("Sec-WebSocket-Protocol", "")
        chosen = self._chosen([each.strip() for each in offered.split(",")])
        path = f"{path_of(self._kernel)}/channels?session_id={quote(self._session_id(), safe='')}"
        await self.relay(host, path, [chosen] if chosen else ())

    def _session_id(self) -> str:
        given = self.get_query_argument("session_id", "")
        if not given.isascii() or len(given) > _LONGEST_ID:
            rule = f"must be ASCII and at most {_LONGEST_ID} characters; use a UUID"
            raise InvalidArgument([FieldViolation("session_id", rule)])
        return given

    def open(self, *args: str, **kwargs: str) -> None:
        """Relay, or tell that the kernel is dead."""
        super().open(*args, **kwargs)
        if self._kernel.dead:
            self._tell_death(self._kernel.message)

    def host_broke(self) -> None:
        """Find out whether the kernel has died with its host, or another websocket has taken this one's place."""
        self._mourning = asyncio.get_running_loop().create_task(self._mourn())

    def on_close(self) -> None:
        """End what is waited for, too."""
        if self._mourning is not None:
            self._mourning.cancel()
        super().on_close()

    async def _mourn(self) -> None:
        kernels = self.setup.kernels
        if await kernels.lives(self._kernel):
            self.end(None, "")
            return
        why = await kernels.memory.death(self._kernel, LAST_WORDS)
        if why:
            self._tell_death(why)
        else:
            super().host_broke()

    def _tell_death(self, why: str) -> None:
        self.end(CLOSE_DEAD, why, frames.dead_frame(self.selected_subprotocol == frames.V1, why))


class StreamHandler(Relay):
    """The side stream of one session's host: what it knows of its kernels, as it learns it.

    The host's own events, but that a kernel's ``name`` is that of its kernelspec here.
    """

    @property
    def max_message_size(self) -> int:
        """The most bytes of one message of the client's, of which none is wanted."""
        return LISTENS

    async def get(self) -> None:
        """Relay it."""
        self.raise_refusal()
        name = parse_session(self.get_query_argument("session", ""), "session")
        api, kernels = await self.setup.gate.api(), self.setup.kernels
        host = await kernels.session_host(api, self.caller, name)
        self._names: Callable[[str], str] = _names_of(host)
        with self.setup.websockets.one(self.caller.name):
            await self.relay(host, "/host/stream", most=MAX_TOLD)

    def on_message(self, message: str | bytes) -> Wait:
        """Ignore what is said: this stream only tells."""
        return None

    def seen(self, message: str | bytes) -> str | bytes:
        """Give an event with its kernels' names as they are here; one that cannot be read passes as it is."""
        try:
            return json.dumps(_renamed(json.loads(message), self._names))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return message


def _names_of(host: KernelHost) -> Callable[[str], str]:
    names = spec_names(host)
    return lambda own: names.get(own) or plain_name(host.session, own)


def _renamed(event: Mapping[str, Any], names: Callable[[str], str]) -> dict[str, Any]:
    told = dict(event)
    if "kernel" in told:
        told["kernel"] = {**told["kernel"], "name": names(told["kernel"]["name"])}
    if "kernels" in told:
        told["kernels"] = [{**model, "name": names(model["name"])} for model in told["kernels"]]
    return told


def _sendable(code: int) -> bool:
    """Whether an endpoint may put this code into a close frame (RFC 6455, 7.4)."""
    return code in (1000, 1001, 1002, 1003) or 1007 <= code <= 1014 or 3000 <= code <= 4999
