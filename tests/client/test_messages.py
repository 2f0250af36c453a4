"""Messages keep their bytes through both forms of frames."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_sessions.client.messages import V1, Message, pack, request, unpack
from jupyter_sessions.relay import frames

OBJECTS = st.dictionaries(st.text(), st.none() | st.integers() | st.text(), max_size=4)


@given(OBJECTS, OBJECTS, st.lists(st.binary(max_size=50), max_size=4), st.booleans())
def test_a_message_comes_back_as_it_went(
    content: dict[str, object], metadata: dict[str, object], buffers: list[bytes], v1: bool
) -> None:
    msg_id, sent = request("tab", "shell", "execute_request", content, metadata)
    sent.buffers = list(buffers)
    came = unpack(pack(sent, v1), v1)
    assert (came.channel, came.type, came.header["msg_id"]) == ("shell", "execute_request", msg_id)
    assert (came.content, came.metadata, came.parent_header) == (content, metadata, {})
    assert [bytes(one) for one in came.buffers] == buffers


def test_the_bytes_of_a_v1_message_are_kept() -> None:
    parts = [b'{"msg_id":  "1"}', b"{}", b"{}", b'{"a" :1}']
    came = unpack(pack(Message("iopub", parts, [b"\x00\xff"]), True), True)
    assert [bytes(part) for part in came.parts] == parts and bytes(came.buffers[0]) == b"\x00\xff"
    assert came.parent == "" and came.content == {"a": 1}


@pytest.mark.parametrize("data", [b"", b"\x00" * 8, b"\xff" * 64, json.dumps({"header": {}}), "[]", "nonsense"])
@pytest.mark.parametrize("v1", [True, False])
def test_what_is_no_message_is_refused(data: bytes | str, v1: bool) -> None:
    with pytest.raises(ValueError):
        unpack(data, v1)


def test_the_server_s_own_rooms_name_the_same_subprotocol() -> None:
    assert frames.V1 == V1
