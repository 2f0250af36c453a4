"""Jupyter messages on a kernel's websocket: the v1 subprotocol, and the legacy form where the server speaks only that.

A message keeps the bytes that came; what is JSON is decoded when it is first looked at.
"""

from __future__ import annotations

import datetime
import itertools
import json
import struct
import uuid
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

V1 = "v1.kernel.websocket.jupyter.org"
PARTS = 4
"""Header, parent header, metadata and content stand before the buffers."""
PROTOCOL = "5.3"

Buffer = bytes | bytearray | memoryview


class Message:
    """One message: its channel, the four JSON parts as bytes, and its buffers."""

    def __init__(self, channel: str, parts: Sequence[Buffer], buffers: Sequence[Buffer] = ()) -> None:
        self.channel = channel
        self.parts = parts
        self.buffers = list(buffers)

    @cached_property
    def header(self) -> dict[str, Any]:
        """The header: ``msg_id``, ``msg_type``, ``session`` and the rest."""
        return _decoded(self.parts[0])

    @cached_property
    def parent_header(self) -> dict[str, Any]:
        """The header of the request that this answers, ``{}`` where it answers none."""
        return _decoded(self.parts[1])

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """The metadata."""
        return _decoded(self.parts[2])

    @cached_property
    def content(self) -> dict[str, Any]:
        """The content."""
        return _decoded(self.parts[3])

    @property
    def type(self) -> str:
        """What kind of message it is."""
        return str(self.header.get("msg_type", ""))

    @property
    def parent(self) -> str:
        """The id of the request that this answers, or ``""``."""
        return str(self.parent_header.get("msg_id", ""))


def _decoded(part: Buffer) -> dict[str, Any]:
    found = json.loads(bytes(part) or b"{}")
    return found if isinstance(found, dict) else {}


def request(
    session_id: str, channel: str, kind: str, content: Mapping[str, Any], metadata: Mapping[str, Any] | None = None
) -> tuple[str, Message]:
    """Make a request of one client; give its id and the message."""
    msg_id = uuid.uuid4().hex
    header = {
        "msg_id": msg_id,
        "msg_type": kind,
        "username": "",
        "session": session_id,
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat().replace("+00:00", "Z"),
        "version": PROTOCOL,
    }
    return msg_id, Message(channel, [json.dumps(one).encode() for one in (header, {}, metadata or {}, content)])


def pack(message: Message, v1: bool) -> bytes | str:
    """Write a message as a websocket's frame: binary, or the legacy form."""
    if v1:
        return _pack_v1([message.channel.encode(), *message.parts, *message.buffers])
    text = json.dumps(
        {
            "channel": message.channel,
            "header": message.header,
            "parent_header": message.parent_header,
            "metadata": message.metadata,
            "content": message.content,
        }
    )
    if not message.buffers:
        return text
    pieces = [text.encode(), *message.buffers]
    starts = itertools.accumulate([4 * (len(pieces) + 1), *(len(piece) for piece in pieces[:-1])])
    return b"".join([struct.pack(f"!{len(pieces) + 1}I", len(pieces), *starts), *pieces])


def _pack_v1(pieces: Sequence[Buffer]) -> bytes:
    offsets = list(itertools.accumulate([8 * (len(pieces) + 2), *(len(piece) for piece in pieces)]))
    return b"".join([struct.pack(f"<{len(offsets) + 1}Q", len(offsets), *offsets), *pieces])


def unpack(data: bytes | str, v1: bool) -> Message:
    """Read a websocket's frame; raises ValueError for what is no message."""
    try:
        if v1 and not isinstance(data, str):
            return _unpack_v1(data)
        return _unpack_legacy(data)
    except (struct.error, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"the server sent a frame that is no Jupyter message: {error!r}") from error


def _unpack_v1(data: bytes) -> Message:
    (count,) = struct.unpack_from("<Q", data)
    if not PARTS + 2 <= count <= len(data) // 8:
        raise ValueError(f"the server sent a frame that claims {count} parts")
    offsets = struct.unpack_from(f"<{count}Q", data, 8)
    view = memoryview(data)
    pieces = [view[start:end] for start, end in itertools.pairwise(offsets)]
    return Message(bytes(pieces[0]).decode(), pieces[1 : PARTS + 1], pieces[PARTS + 1 :])


def _unpack_legacy(data: bytes | str) -> Message:
    buffers: list[Buffer] = []
    if isinstance(data, bytes):
        (count,) = struct.unpack_from("!I", data)
        offsets = [*struct.unpack_from(f"!{count}I", data, 4), len(data)]
        pieces = [memoryview(data)[start:end] for start, end in itertools.pairwise(offsets)]
        buffers = list(pieces[1:])
        data = bytes(pieces[0]).decode()
    told = json.loads(data)
    parts = [json.dumps(told.get(name) or {}).encode() for name in ("header", "parent_header", "metadata", "content")]
    return Message(str(told["channel"]), parts, buffers)
