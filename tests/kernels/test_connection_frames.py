"""What is read of frames, over generated ones."""

from __future__ import annotations

import json
import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1

from jupyter_sessions.relay import frames
from tests.kernels.peer import message

PARTS = st.lists(st.binary(max_size=60), min_size=4, max_size=9)
CHANNELS = st.sampled_from(["shell", "control", "stdin", "iopub"])


@given(CHANNELS, PARTS)
def test_what_is_packed_is_sound_and_read_back_by_the_stock_server(channel: str, parts: list[bytes]) -> None:
    frame = frames.pack_v1(channel, parts)
    assert frames.fault(frame, True) is None
    assert deserialize_msg_from_ws_v1(frame) == (channel, parts)  # type: ignore[no-untyped-call]  # stock, untyped


@given(st.binary(max_size=200))
def test_a_sound_v1_table_lies_within_its_frame(frame: bytes) -> None:
    if frames.fault(frame, True) is None:
        count = int.from_bytes(frame[:8], "little")
        table = struct.unpack_from(f"<{count}Q", frame, 8)
        assert table[0] >= 8 * (count + 1) and table[-1] <= len(frame) and list(table) == sorted(table)


@given(PARTS, st.integers(0, 8), st.integers(0, 2**64 - 1))
def test_a_v1_table_with_one_offset_changed_is_refused_or_still_sound(parts: list[bytes], at: int, value: int) -> None:
    frame = bytearray(frames.pack_v1("shell", parts))
    at %= int.from_bytes(frame[:8], "little")
    frame[8 + 8 * at : 16 + 8 * at] = value.to_bytes(8, "little")
    table = struct.unpack_from(f"<{int.from_bytes(frame[:8], 'little')}Q", frame, 8)
    sound = table[0] >= 8 * (len(table) + 1) and table[-1] <= len(frame) and list(table) == sorted(table)
    assert (frames.fault(bytes(frame), True) is None) == sound


@given(st.binary(max_size=120))
def test_a_sound_legacy_table_lies_within_its_frame(frame: bytes) -> None:
    if frames.fault(frame, False) is None:
        count = int.from_bytes(frame[:4], "big")
        table = struct.unpack_from(f"!{count}I", frame, 4)
        assert table[0] >= 4 * (count + 1) and table[-1] <= len(frame) and list(table) == sorted(table)


@given(st.binary(max_size=200) | st.text(max_size=200), st.booleans())
def test_no_frame_breaks_a_reader(frame: str | bytes, v1: bool) -> None:
    frames.iopub_kinds(frame, v1)
    if frames.fault(frame, v1) is None:
        frames.message_type(frame, v1)


@pytest.mark.parametrize("count", [2**40, 2**63, 2**64 - 1, (10 << 20) // 8])
def test_a_table_is_never_sized_by_its_sender(count: int) -> None:
    frame = count.to_bytes(8, "little") + b" " * (10 << 20)
    start = time.process_time()
    assert frames.fault(frame, True) is not None
    assert time.process_time() - start < 2


def test_types_are_read_in_both_protocols() -> None:
    frame = message("stream", "execute_request", text='"msg_type": "fake"')
    assert frames.iopub_kinds(frame, True) == ("stream", "execute_request")
    assert frames.iopub_kinds(message("execute_reply", channel="shell"), True) is None
    data = {"channel": "iopub", "header": {"msg_type": "status"}, "parent_header": {}, "content": {}}
    text = json.dumps(data)
    assert frames.iopub_kinds(text, False) == ("status", "")
    assert frames.message_type(text, False) == "status"
    for buffers in ([], [b"x"], [b"x", b"yy"]):
        table, at = [], 4 * (len(buffers) + 2)
        for part in [text.encode(), *buffers]:
            table.append(at)
            at += len(part)
        binary = struct.pack(f"!{len(table) + 1}I", len(table), *table) + text.encode() + b"".join(buffers)
        assert frames.fault(binary, False) is None
        assert frames.iopub_kinds(binary, False) == ("status", "")
        assert frames.message_type(binary, False) == "status"
    assert frames.iopub_kinds(json.dumps({**data, "channel": "shell"}), False) is None


def test_a_dead_status_is_what_a_client_reads() -> None:
    text = json.loads(frames.dead_frame(False, "why"))
    assert text["content"] == {"execution_state": "dead", "reason": "why"}
    assert text["channel"] == "iopub" and text["msg_type"] == text["header"]["msg_type"] == "status"
    binary = frames.dead_frame(True, "why")
    assert isinstance(binary, bytes)
    channel, parts = deserialize_msg_from_ws_v1(binary)  # type: ignore[no-untyped-call]  # stock, untyped
    assert channel == "iopub"
    assert [json.loads(part) for part in parts[1:]] == [{}, {}, text["content"]]
    assert set(json.loads(parts[0])) == {"msg_id", "msg_type", "username", "session", "date", "version"}
