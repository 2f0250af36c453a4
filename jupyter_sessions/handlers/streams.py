"""The change feed as a websocket or as server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.websocket import WebSocketMixin
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from jupyter_sessions.handlers.base import ApiRules, Setup, allow_list, encode
from jupyter_sessions.handlers.calls import Request
from jupyter_sessions.handlers.query import parse_query
from jupyter_sessions.handlers.reader import FeedReader
from jupyter_sessions.handlers.routes import AFTER
from jupyter_sessions.model import names
from jupyter_sessions.model.api import Change, Reset
from jupyter_sessions.model.errors import FieldViolation, InvalidArgument, PermissionDenied, SessionsError
from jupyter_sessions.model.names import LocationName

KEEPALIVE = 15.0
"""How often a silent stream of server-sent events says that it lives, in seconds."""
LISTENS = 1 << 16
"""The most bytes that a client may send in one message of a stream that only tells: all are ignored."""
_SEQUENCE = re.compile(r"[0-9]{1,18}")
_VERSIONS = ("7", "8", "13")


def parse_after(parent: LocationName, texts: Sequence[str]) -> dict[LocationName, int]:
    """Read ``after``: one sequence for one location, ``{parent},{sequence}`` for each of several.

    Raises InvalidArgument.
    """
    if not parent.wild:
        if len(texts) > 1:
            raise _bad_after("stands more than once; give one sequence")
        return {parent: _sequence(texts[0])} if texts else {}
    after: dict[LocationName, int] = {}
    for text in texts:
        place, comma, sequence = text.rpartition(",")
        if not comma:
            raise _bad_after(f"must be {{parent}},{{sequence}} over several locations, not {text[:80]!r}")
        location = names.parse_location(place, "after")
        if location in after:
            raise _bad_after(f"names {location} twice; give one sequence for each location")
        after[location] = _sequence(sequence)
    return after


def _sequence(text: str) -> int:
    if not _SEQUENCE.fullmatch(text):
        raise _bad_after(f"must be a sequence number of 0 or more, not {text[:40]!r}")
    return int(text)


def _bad_after(rule: str) -> InvalidArgument:
    return InvalidArgument([FieldViolation("after", rule)])


def dump_change(change: Change | Reset, located: bool) -> dict[str, Any]:
    """Write one entry of the feed; ``located`` adds the location it is of."""
    place = {"location": str(change.location)} if located else {}
    if isinstance(change, Reset):
        return {"reset": True, "sequence": change.sequence, **place}
    from jupyter_sessions.model import wire

    return {
        "sequence": change.sequence,
        "session": change.session,
        "sessionUuid": change.session_uuid,
        "oldState": change.old_state.name,
        "newState": change.new_state.name,
        "stateMessage": change.state_message,
        "time": wire.format_time(change.time),
        **place,
    }


class WatchHandler(WebSocketMixin, WebSocketHandler, ApiRules):
    """``sessions:watch``: a websocket, or ``text/event-stream`` for a client that accepts it."""

    def initialize(self, setup: Setup) -> None:
        """Take what the extension hands over."""
        self.setup = setup
        self._relay: asyncio.Task[None] | None = None

    @property
    def max_message_size(self) -> int:
        """The most bytes of one message of the client's, of which none is wanted."""
        return LISTENS

    async def prepare(self) -> None:  # type: ignore[override]  # Jupyter's takes a private keyword
        """Judge the request as every other one, before anything is upgraded."""
        await ApiRules.prepare(self)

    async def admit(self) -> None:
        """Refuse other methods, and ask the authorizer."""
        if self.request.method not in ("GET", "HEAD"):
            raise self.unknown_method(["GET"])
        await self.authorize("read")

    async def _refuse(self, **path: str) -> None:
        self.raise_refusal()

    post = put = patch = delete = _refuse  # refused by now

    async def get(self, **path: str) -> None:
        """Open the stream; every fault of the request is answered before it is opened."""
        self.raise_refusal()
        query = parse_query(self.request.query, [AFTER])
        self._parent = Request(self.caller, path).locations
        after = parse_after(self._parent, query.values["after"])
        events = "text/event-stream" in self.request.headers.get("Accept", "")
        if not events:
            self._check_upgrade()
        api = await self.setup.gate.api()
        if not self._parent.wild:
            await api.get_location(self._parent)
        self._seen = self._resume(after) if events else after
        self._reader = FeedReader(api.watch(self.caller, self._parent, self._seen))
        try:
            await self._reader.start()
            if events:
                await self._serve_events()
            else:
                await WebSocketHandler.get(self)
        finally:
            await self._reader.close()

    async def head(self, **path: str) -> None:
        """Say that the stream is there."""
        self.raise_refusal()
        self.set_header("Content-Type", "text/event-stream")
        await self.finish()

    @allow_unauthenticated
    def options(self, **path: str) -> None:
        """Say what this path takes."""
        self.raise_refusal()
        self.set_status(204)
        self.set_header("Allow", ", ".join(allow_list(["GET"])))
        self.finish()

    def _check_upgrade(self) -> None:
        """Refuse in our own shape what tornado would refuse in plain text."""
        headers = self.request.headers
        tokens = [token.strip().lower() for token in headers.get("Connection", "").split(",")]
        if headers.get("Upgrade", "").lower() != "websocket" or "upgrade" not in tokens:
            raise InvalidArgument("this path is a stream: open it as a websocket, or send Accept: text/event-stream")
        if headers.get("Sec-WebSocket-Version") not in _VERSIONS or not headers.get("Sec-WebSocket-Key"):
            raise InvalidArgument("the websocket handshake needs Sec-WebSocket-Key and Sec-WebSocket-Version: 13")
        if not self.check_origin():
            raise PermissionDenied("websockets from another origin are refused (see ServerApp.allow_origin)")

    def open(self, *args: str, **kwargs: str) -> None:
        """Start to relay; small frames go out at once."""
        super().open(*args, **kwargs)
        self.set_nodelay(True)
        self._relay = asyncio.ensure_future(self._relay_frames())

    def on_message(self, message: str | bytes) -> None:
        """Take nothing: the stream goes one way."""

    def on_close(self) -> None:
        """End the relay with its client."""
        if self.ping_callback is not None:
            self.ping_callback.stop()
        if self._relay is not None:
            self._relay.cancel()

    def on_connection_close(self) -> None:
        """End the stream with its client, whichever of the two it is."""
        if self._relay is not None:
            self._relay.cancel()
        super().on_connection_close()

    async def _relay_frames(self) -> None:
        try:
            while True:
                change = await self._reader.read()
                if change is not None:
                    await self.write_message(encode(dump_change(change, self._parent.wild)))
        except StopAsyncIteration:
            self.close(1001, "the server stops")
        except (WebSocketClosedError, StreamClosedError):
            return
        except SessionsError as error:
            self.close(1011, error.message.encode("utf-8")[:100].decode("utf-8", "ignore"))
        except Exception:
            self.log.exception("the change feed of %s broke", self._parent)
            self.close(1011, "an internal error")

    def _resume(self, after: Mapping[LocationName, int]) -> dict[LocationName, int]:
        """Give where the stream goes on: a reconnecting client says it in Last-Event-ID."""
        last = self.request.headers.get("Last-Event-ID", "").strip()
        return {**after, **(parse_after(self._parent, last.split(" ")) if last else {})}

    async def _serve_events(self) -> None:
        self.set_header("Content-Type", "text/event-stream")
        # Asks a proxy before this server not to hold the events back.
        self.set_header("X-Accel-Buffering", "no")
        self._relay = asyncio.ensure_future(self._relay_events())
        await asyncio.wait([self._relay])
        if not self._finished:
            with contextlib.suppress(StreamClosedError):
                await self.finish()

    async def _relay_events(self) -> None:
        try:
            self.write(b": open\n\n")
            while True:
                await self.flush()
                change = await self._reader.read(KEEPALIVE)
                self.write(b": alive\n\n" if change is None else self._event(change))
        except (StopAsyncIteration, StreamClosedError):
            return
        except SessionsError as error:
            self.write(b"event: error\ndata: " + encode(error.body()) + b"\n\n")
        except Exception:
            self.log.exception("the change feed of %s broke", self._parent)

    def _event(self, change: Change | Reset) -> bytes:
        self._seen[change.location] = change.sequence
        if self._parent.wild:
            position = " ".join(f"{place},{sequence}" for place, sequence in sorted(self._seen.items()))
        else:
            position = str(change.sequence)
        return b"id: %s\ndata: %s\n\n" % (position.encode(), encode(dump_change(change, self._parent.wild)))
