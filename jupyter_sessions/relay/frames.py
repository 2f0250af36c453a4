"""What is read of a kernel's websocket frames; everything else in them stays opaque.

Two protocols: ``v1.kernel.websocket.jupyter.org`` (binary; a table of little-endian 64 bit offsets, then channel,
header, parent header, metadata, content, buffers) and the legacy one (text is JSON; binary is a table of big-endian
32 bit offsets, then JSON and buffers).
"""

from __future__ import annotations

import json
import re
import struct
import uuid
from datetime import datetime, timezone
from typing import Any, NamedTuple

V1 = "v1.kernel.websocket.jupyter.org"

_V1_LEAST = 6
"""Offsets of the shortest v1 message: channel, four parts and the end."""

_TYPE = re.compile(rb'"msg_type"\s*:\s*"([^"\\]*)"')
_LEGACY_READ = 1 << 20
"""Legacy frames longer than this many bytes are not parsed."""


class Kinds(NamedTuple):
    """The type of one iopub message and its parent's; empty where there is none or it was not read."""

    message: str
    parent: str


def fault(message: str | bytes, v1: bool) -> str | None:
    """Say what is wrong with a frame's table, None where it is sound; costs no more than reading the table.

    A frame passes only if no reader of it can run past its end or into a loop sized by its sender.
    """
    if isinstance(message, str):
        return "a text frame, where v1 frames are binary" if v1 else None
    return _v1_fault(message) if v1 else _legacy_fault(message)


def _v1_fault(message: bytes) -> str | None:
    size = len(message)
    if size < 8:
        return f"{size} bytes hold no table of offsets"
    count = int.from_bytes(message[:8], "little")
    if count < _V1_LEAST:
        return f"{count} offsets, where a message needs {_V1_LEAST}"
    if count > (size - 8) // 8:
        return f"{count} offsets do not fit in {size} bytes"
    return _table_fault(struct.unpack_from(f"<{count}Q", message, 8), 8 * (count + 1), size)


def _legacy_fault(message: bytes) -> str | None:
    size = len(message)
    if size < 4:
        return f"{size} bytes hold no table of offsets"
    count = int.from_bytes(message[:4], "big")
    if count < 1:
        return "no part, where a message needs one"
    if count > (size - 4) // 4:
        return f"{count} offsets do not fit in {size} bytes"
    return _table_fault(struct.unpack_from(f"!{count}I", message, 4), 4 * (count + 1), size)


def _table_fault(offsets: tuple[int, ...], least: int, size: int) -> str | None:
    if offsets[0] < least or offsets[-1] > size:
        return f"offsets from {offsets[0]} to {offsets[-1]}, where parts lie between {least} and {size}"
    # Sorting what is sorted is one pass in C: a loop here would be the sender's to size.
    if list(offsets) != sorted(offsets):
        return "offsets that run backwards"
    return None


def iopub_kinds(message: str | bytes, v1: bool) -> Kinds | None:
    """Read the types of a frame that came from a host: None where it is not of iopub or cannot be read."""
    return _v1_kinds(message) if v1 and isinstance(message, bytes) else _legacy_kinds(message)


def _v1_kinds(message: bytes) -> Kinds | None:
    if len(message) < 8 * (_V1_LEAST + 1) or int.from_bytes(message[:8], "little") < _V1_LEAST:
        return None
    channel, header, parent, metadata = struct.unpack_from("<4Q", message, 8)
    if message[channel:header] != b"iopub":
        return None
    return Kinds(_first(_TYPE, message[header:parent]), _first(_TYPE, message[parent:metadata]))


def _legacy_kinds(message: str | bytes) -> Kinds | None:
    if len(message) > _LEGACY_READ:
        return Kinds("", "")
    try:
        data = _legacy_json(message)
        if data["channel"] != "iopub":
            return None
        return Kinds(str(data["header"]["msg_type"]), str((data.get("parent_header") or {}).get("msg_type", "")))
    except (ValueError, KeyError, TypeError, AttributeError, struct.error):
        return None


def _legacy_json(message: str | bytes) -> Any:
    if isinstance(message, bytes):
        count = int.from_bytes(message[:4], "big")
        table = struct.unpack_from(f"!{min(count, 2)}I", message, 4)
        message = message[table[0] : table[1] if count > 1 else None]
    return json.loads(message)


def _first(pattern: re.Pattern[bytes], part: bytes) -> str:
    found = pattern.search(part)
    return found.group(1).decode("utf-8", "replace") if found else ""


def message_type(message: str | bytes, v1: bool) -> str:
    """Give the type of a sound frame from a browser, empty where it names none."""
    if v1 and isinstance(message, bytes):
        _, header, parent = struct.unpack_from("<3Q", message, 8)
        return _first(_TYPE, message[header:parent])
    try:
        return str(_legacy_json(message)["header"]["msg_type"])
    except (ValueError, KeyError, TypeError):
        return ""


def dead_frame(v1: bool, reason: str) -> str | bytes:
    """Give the iopub ``status: dead`` of a kernel, its content carrying ``reason`` besides."""
    header = {
        "msg_id": uuid.uuid4().hex,
        "msg_type": "status",
        "username": "jupyter_sessions",
        "session": uuid.uuid4().hex,
        "date": datetime.now(timezone.utc).isoformat().replace("+00:00", "Z"),
        "version": "5.3",
    }
    content = {"execution_state": "dead", "reason": reason}
    if not v1:
        legacy = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        return json.dumps(
            {**legacy, "channel": "iopub", "msg_id": header["msg_id"], "msg_type": "status", "buffers": []}
        )
    return pack_v1("iopub", [json.dumps(part).encode() for part in (header, {}, {}, content)])


def pack_v1(channel: str, parts: list[bytes]) -> bytes:
    """Write one v1 frame of ``parts``: header, parent header, metadata, content, then buffers."""
    pieces = [channel.encode(), *parts]
    offset = 8 * (len(pieces) + 2)
    offsets = [offset]
    for piece in pieces:
        offset += len(piece)
        offsets.append(offset)
    return b"".join([struct.pack(f"<{len(offsets) + 1}Q", len(offsets), *offsets), *pieces])
