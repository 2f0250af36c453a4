"""The two websocket forms of a message."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyter_server.services.kernels.connection import base

from jupyter_sessions.host.frames import (
    MAX_PARTS,
    MalformedFrame,
    join_legacy,
    join_v1,
    split_legacy,
    split_v1,
    websocket_head,
)

# Jupyter Server's functions carry no annotations.
stock: Any = base
HEADER = {"msg_id": "m", "msg_type": "execute_request", "session": "s"}
PARTS = [json.dumps(HEADER).encode(), b"{}", b'{"a": 1}', b'{"code": "\xc3\xa9"}']


def joined(*pieces: bytes | memoryview) -> bytes:
    return b"".join(pieces)


@given(
    st.sampled_from(["shell", "control", "stdin", "iopub"]), st.lists(st.binary(max_size=50), min_size=4, max_size=9)
)
def test_v1_is_jupyter_servers_own(channel: str, parts: list[bytes]) -> None:
    frame = joined(*join_v1(channel, parts))
    assert frame == stock.serialize_msg_to_ws_v1(parts, channel)
    assert stock.deserialize_msg_from_ws_v1(frame) == (channel, parts)
    assert split_v1(frame) == (channel, parts)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    for split in (split_v1, split_legacy):
        try:
            _, parts = split(data)
        except MalformedFrame:
            continue
        assert len(parts) >= 4


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x01",
        (2**40).to_bytes(8, "little") + b"x" * 100,
        (MAX_PARTS + 1).to_bytes(8, "little") + b"\0" * (8 * (MAX_PARTS + 2)),
        struct.pack("<6Q", 5, 48, 53, 53, 53, 53),
        struct.pack("<7Q", 6, 56, 61, 60, 62, 63, 64) + b"shell" + b"x" * 20,
        struct.pack("<7Q", 6, 0, 5, 6, 7, 8, 9) + b"shell" + b"x" * 20,
        struct.pack("<7Q", 6, 56, 61, 62, 63, 64, 2**63) + b"shell" + b"x" * 20,
        "text",
    ],
)
def test_a_false_table_is_refused(frame: bytes | str) -> None:
    with pytest.raises(MalformedFrame):
        split_v1(frame)


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "nothing",
        "[]",
        '{"header": 1}',
        "[" * 100_000,
        b"\0\0\0",
        struct.pack("!I", 2**31) + b"x" * 40,
        struct.pack("!III", 2, 12, 4) + b"{}",
        struct.pack("!II", 1, 2**32 - 1) + b"{}",
    ],
)
def test_a_false_legacy_message_is_refused(frame: bytes | str) -> None:
    with pytest.raises(MalformedFrame):
        split_legacy(frame)


def test_legacy_text_reads_as_jupyter_writes_it() -> None:
    binary, pieces = join_legacy("iopub", PARTS)
    assert not binary
    assert json.loads(joined(*pieces)) == {
        "header": HEADER,
        "msg_id": "m",
        "msg_type": "execute_request",
        "parent_header": {},
        "metadata": {"a": 1},
        "content": {"code": "é"},
        "buffers": [],
        "channel": "iopub",
    }


def test_legacy_buffers_both_ways() -> None:
    buffers = [b"one", b"", b"three" * 1000]
    binary, pieces = join_legacy("shell", [*PARTS, *buffers])
    assert binary
    message = stock.deserialize_binary_message(joined(*pieces))
    assert (message["channel"], message["content"], message["buffers"]) == ("shell", {"code": "é"}, buffers)
    channel, parts = split_legacy(stock.serialize_binary_message({**message, "header": HEADER, "buffers": buffers}))
    assert channel == "shell"
    assert json.loads(bytes(parts[0])) == HEADER
    assert [bytes(part) for part in parts[4:]] == buffers


def test_a_message_without_a_channel_is_shells() -> None:
    assert split_legacy(json.dumps({"header": HEADER}))[0] == "shell"


@pytest.mark.parametrize(("length", "size"), [(125, 2), (126, 4), (65535, 4), (65536, 10)])
def test_websocket_heads_say_their_length(length: int, size: int) -> None:
    head = websocket_head(True, length)
    assert len(head) == size
    assert head[0] == 0x82
    assert int.from_bytes(head[2:] or head[1:2], "big") == length
