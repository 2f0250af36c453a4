"""Jupyter messages on a websocket: the v1 and the legacy form, and the check of what comes in.

Between ZMQ and the websocket a message is its parts: header, parent header, metadata, content, then the buffers, each
as the bytes that the kernel or the client wrote. v1 hands them on untouched; the legacy form wraps them in one JSON
object and is the only place where a client's JSON is read and written anew.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any

V1 = "v1.kernel.websocket.jupyter.org"
CHANNELS = ("shell", "control", "stdin")
"""The channels a client may write to; ``iopub`` is only read."""

MAX_PARTS = 1 << 16
"""The most parts a message may claim to have: more is no message, and its table alone would cost much memory."""

Part = bytes | memoryview
Parts = Sequence[Part]
_BODY = 4


class MalformedFrame(ValueError):
    """A frame whose offset table or JSON is no message; its text says what is wrong."""


def _check_offsets(offsets: Sequence[int], start: int, end: int) -> None:
    previous = start
    for offset in offsets:
        if offset < previous or offset > end:
            raise MalformedFrame(f"offset {offset} is not within {previous}..{end}; offsets must rise inside the frame")
        previous = offset


def _count(claimed: int, least: int, room: int) -> int:
    if not least <= claimed <= min(MAX_PARTS, room):
        raise MalformedFrame(f"the table claims {claimed} offsets; this frame can hold {least} to {room}")
    return claimed


def split_v1(frame: bytes | str) -> tuple[str, Parts]:
    """Give channel and parts of a v1 frame; the parts are views of ``frame``. Raises MalformedFrame."""
    if isinstance(frame, str) or len(frame) < 8:
        raise MalformedFrame("a v1 frame is binary and begins with an offset table")
    view = memoryview(frame)
    count = _count(int.from_bytes(view[:8], "little"), 2 + _BODY, len(view) // 8 - 1)
    offsets = struct.unpack_from(f"<{count}Q", view, 8)
    _check_offsets(offsets, 8 * (count + 1), len(view))
    channel = _channel(bytes(view[offsets[0] : offsets[1]]).decode("utf-8", "replace"))
    return channel, [view[offsets[i] : offsets[i + 1]] for i in range(1, count - 1)]


def join_v1(channel: str, parts: Parts) -> list[Part]:
    """Give the pieces of a v1 frame: its table with the channel's name, then the parts themselves."""
    name = channel.encode()
    count = len(parts) + 2
    offsets = [8 * (count + 1)]
    offsets.append(offsets[0] + len(name))
    for part in parts:
        offsets.append(offsets[-1] + len(part))
    return [struct.pack(f"<{count + 1}Q", count, *offsets) + name, *parts]


def split_legacy(frame: bytes | str) -> tuple[str, Parts]:
    """Give channel and parts of a legacy frame, text or binary. Raises MalformedFrame."""
    if isinstance(frame, str):
        return _legacy_parts(frame, [])
    if len(frame) < 4:
        raise MalformedFrame("a binary frame begins with the number of its parts")
    view = memoryview(frame)
    count = _count(int.from_bytes(view[:4], "big"), 1, len(view) // 4 - 1)
    offsets = struct.unpack_from(f"!{count}I", view, 4)
    _check_offsets(offsets, 4 * (count + 1), len(view))
    ends = [*offsets[1:], len(view)]
    pieces = [view[start:end] for start, end in zip(offsets, ends, strict=True)]
    return _legacy_parts(bytes(pieces[0]).decode("utf-8", "replace"), pieces[1:])


def _legacy_parts(text: str, buffers: list[memoryview]) -> tuple[str, Parts]:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedFrame(f"not JSON: {error}") from error
    if not isinstance(message, dict) or not isinstance(message.get("header"), dict):
        raise MalformedFrame("a message is a JSON object with a header that is one too")
    fields = (message["header"], *(message.get(name) or {} for name in ("parent_header", "metadata", "content")))
    return _channel(message.get("channel")), [*(json.dumps(field).encode() for field in fields), *buffers]


def _channel(name: Any) -> str:
    # A missing channel is shell, as in Jupyter Server.
    return name if isinstance(name, str) and name else "shell"


def join_legacy(channel: str, parts: Parts) -> tuple[bool, list[Part]]:
    """Give whether the legacy frame of a message is binary, and its pieces."""
    header = read_json(parts[0])
    names = {key: header.get(key) for key in ("msg_id", "msg_type")}
    raw = [bytes(part).decode("utf-8", "replace") for part in parts[:_BODY]]
    keys = ("header", "parent_header", "metadata", "content")
    fields = [f'"{key}": {value or "{}"}' for key, value in zip(keys, raw, strict=True)]
    fields.extend(f'"{key}": {json.dumps(value)}' for key, value in {**names, "channel": channel}.items())
    buffers = parts[_BODY:]
    if not buffers:
        return False, [("{" + ", ".join([*fields, '"buffers": []']) + "}").encode()]
    text = ("{" + ", ".join(fields) + "}").encode()
    offsets = [4 * (len(buffers) + 2)]
    for part in (text, *buffers[:-1]):
        offsets.append(offsets[-1] + len(part))
    return True, [struct.pack(f"!{len(offsets) + 1}I", len(offsets), *offsets) + text, *buffers]


def read_json(part: Part) -> dict[str, Any]:
    """Read one part as a JSON object; ``{}`` where it is none."""
    try:
        found = json.loads(bytes(part))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def websocket_head(binary: bool, length: int) -> bytes:
    """Give the head of one unmasked, whole websocket frame (RFC 6455, 5.2)."""
    first = 0x82 if binary else 0x81
    if length < 126:
        return struct.pack("!BB", first, length)
    if length < 1 << 16:
        return struct.pack("!BBH", first, 126, length)
    return struct.pack("!BBQ", first, 127, length)
