"""The way to one gateway's kernels, for one act."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from jupyter_sessions.upstream.gateway_channels import proved

if TYPE_CHECKING:
    from jupyter_sessions.engines.hostlink import HostSocket, Sink
    from jupyter_sessions.upstream.gateway import LocationGateway


class GatewayLink:
    """A KernelLink through one gateway."""

    def __init__(self, gateway: LocationGateway) -> None:
        self._gateway = gateway

    async def request(self, method: str, path: str, body: Any = None, timeout: float = 10.0) -> tuple[int, Any]:
        """Send one request and give status and answer; raises HostUnreachable."""
        asking = self._gateway.wire.request(method, path, body, timeout)
        if method == "POST" and path == "/api/kernels":
            return await self._gateway.started(asking)
        status, answer = await asking
        parts = path.split("/")
        if method == "DELETE" and status in (204, 404) and len(parts) == 4:
            self._gateway.ended(unquote(parts[3]))
        return status, answer

    async def websocket(
        self,
        path_and_query: str,
        subprotocols: Sequence[str] = (),
        max_message_size: int = 1 << 30,
        timeout: float = 10.0,
        sink: Sink | None = None,
    ) -> HostSocket:
        """Open a websocket; where channels may stay mute, once they have said something. Raises HostUnreachable."""
        gateway = self._gateway

        async def opening(into: Sink | None) -> HostSocket:
            return await gateway.wire.websocket(path_and_query, subprotocols, max_message_size, timeout, into)

        if sink is None:
            return await opening(None)
        tracked = _Tracked(gateway, sink)
        try:
            if gateway.v1:
                return await opening(tracked.take)
            parts = urlsplit(path_and_query)
            kernel_id = unquote(parts.path.split("/")[3])
            session_id = (parse_qs(parts.query).get("session_id") or [""])[0]
            return await proved(opening, tracked.take, session_id, lambda: gateway.busy(kernel_id))
        except BaseException:
            tracked.end()
            raise

    def close(self) -> None:
        """Do nothing: connections are the gateway's."""


class _Tracked:
    """A sink that says once when its websocket has ended."""

    def __init__(self, gateway: LocationGateway, sink: Sink) -> None:
        self._sink = sink
        self._closed: Callable[[], None] | None = gateway.opened()

    def take(self, message: str | bytes | None) -> Awaitable[None] | None:
        if message is None:
            self.end()
        return self._sink(message)

    def end(self) -> None:
        closed, self._closed = self._closed, None
        if closed is not None:
            closed()
