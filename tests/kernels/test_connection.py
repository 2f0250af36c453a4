"""A kernel's websocket between browser and host: what passes, what is held, how it ends."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import os
import random
import socket
import warnings
from typing import Any

import pytest
from jupyter_client.session import Session
from jupyter_server.services.kernels.connection.base import serialize_binary_message
from tornado.websocket import WebSocketClientConnection

from jupyter_sessions.kernels.connection import RemoteConnection
from jupyter_sessions.model.hostfile import CLIENT_DONE
from jupyter_sessions.model.states import State
from jupyter_sessions.relay import frames
from tests.kernels.peer import KERNEL, TOKEN, bench, listening, message, until


def legacy(kind: str, channel: str = "iopub", parent: str = "execute_request", **content: Any) -> str:
    """Write one legacy text frame."""
    session = Session()
    body = {**session.msg(kind, content, parent=session.msg_header(parent)), "channel": channel, "buffers": []}
    return json.dumps(body, default=str)


def legacy_binary(channel: str, *buffers: bytes) -> bytes:
    """Write one legacy binary frame."""
    session = Session()
    body = {**session.msg("comm_msg", {}), "channel": channel, "buffers": list(buffers)}
    pack: Any = serialize_binary_message
    return bytes(pack(body))


async def read_all(ws: WebSocketClientConnection) -> list[str | bytes]:
    """Read until the websocket closes."""
    read = []
    while (got := await asyncio.wait_for(ws.read_message(), 10)) is not None:
        read.append(got)
    return read


async def test_v1_frames_pass_as_they_are(jp_serverapp: Any) -> None:
    rng = random.Random(7)  # noqa: S311 - the same bytes in every run
    sent = [
        frames.pack_v1(
            rng.choice(["shell", "iopub"]), [rng.randbytes(rng.choice([0, 1, 300, 70_000])) for _ in range(4 + n % 3)]
        )
        for n in range(60)
    ]
    with bench(jp_serverapp) as b:
        async with b.browser() as ws:
            assert ws.selected_subprotocol == frames.V1
            for frame in sent:
                await ws.write_message(frame, binary=True)
            await until(lambda: len(b.peer.received) == len(sent))
            assert b.peer.received == sent
            host = await b.host_side()
            assert b.peer.dialed == [(KERNEL, "browser-1", frames.V1)]
            assert b.peer.tokens == {f"token {TOKEN}"}
            for frame in sent:
                host.write_message(frame, binary=True)
            assert [await ws.read_message() for _ in sent] == sent


@pytest.mark.parametrize("compress", [False, True])
async def test_legacy_frames_pass_as_they_are(jp_serverapp: Any, compress: bool) -> None:
    sent: list[str | bytes] = [legacy("stream", text="é" * n) for n in (1, 200, 80_000)]
    sent += [legacy_binary("shell", b"\0" * n, b"\xff") for n in (0, 5, 70_000)]
    options: dict[str, Any] = {"compression_options": {}} if compress else {}
    jp_serverapp.web_app.settings["websocket_compression_options"] = {} if compress else None
    with bench(jp_serverapp) as b:
        async with b.browser(v1=False, **options) as ws:
            host = await b.host_side()
            for frame in sent:
                await ws.write_message(frame, binary=isinstance(frame, bytes))
                host.write_message(frame, binary=isinstance(frame, bytes))
            await until(lambda: len(b.peer.received) == len(sent))
            assert b.peer.received == sent
            assert [await ws.read_message() for _ in sent] == sent
            assert b.peer.dialed == [(KERNEL, "browser-1", None)]


@pytest.mark.parametrize(("code", "told"), [(CLIENT_DONE, CLIENT_DONE), (1000, None), (1001, None), (None, None)])
async def test_the_host_is_told_of_a_client_that_will_not_come_back(
    jp_serverapp: Any, code: int | None, told: int | None
) -> None:
    with bench(jp_serverapp) as b:
        async with b.browser() as ws:
            host = await b.host_side()
            ws.close(code)
            await until(lambda: not b.peer.sockets)
            assert host.close_code == told


async def test_frames_before_the_host_are_held_and_then_sent_in_order(jp_serverapp: Any) -> None:
    sent = [message("execute_request", "", "shell", code=str(n)) for n in range(20)]
    with bench(jp_serverapp, known=False) as b:
        async with b.browser() as ws:
            for frame in sent[:10]:
                await ws.write_message(frame, binary=True)
            b.registry.set_host(b.peer.host())
            with listening(b.peer):
                for frame in sent[10:]:
                    await ws.write_message(frame, binary=True)
                await until(lambda: len(b.peer.received) == len(sent))
                assert b.peer.received == sent


async def test_what_is_held_is_bounded(jp_serverapp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jupyter_sessions.kernels.relay.HELD", 3 << 20)
    sent = [frames.pack_v1("shell", [b"{}"] * 4 + [os.urandom(1 << 20)]) for _ in range(12)]
    with bench(jp_serverapp, known=False) as b:
        async with b.browser() as ws:
            for frame in sent:
                ws.write_message(frame, binary=True)
            leg = RemoteConnection.open_connections[(KERNEL, "browser-1")]._leg
            await until(lambda: leg._held_size >= 3 << 20)
            for _ in range(50):
                await asyncio.sleep(0)
            assert len(leg._held) == 3
            b.registry.set_host(b.peer.host())
            with listening(b.peer):
                await until(lambda: len(b.peer.received) == len(sent))
                assert b.peer.received == sent


def offsets(*values: int, pad: int = 200) -> bytes:
    """Write a v1 table of just these offsets, with ``pad`` bytes behind it."""
    return b"".join(value.to_bytes(8, "little") for value in (len(values), *values)) + b" " * pad


MALFORMED: dict[str, str | bytes] = {
    "2**40 parts": (2**40).to_bytes(8, "little") + b" " * 100,
    "no table": b"abc",
    "nothing": b"",
    "too few": offsets(48, 53, 55, 57, 59),
    "past the end": offsets(56, 61, 63, 65, 67, 2**60),
    "into the table": offsets(8, 61, 63, 65, 67, 69),
    "backwards": offsets(56, 61, 65, 63, 67, 69),
    "text": '{"channel": "shell"}',
}


@pytest.mark.parametrize("what", list(MALFORMED))
async def test_a_malformed_table_is_refused_and_never_passed_on(jp_serverapp: Any, what: str) -> None:
    frame = MALFORMED[what]
    with bench(jp_serverapp) as b:
        async with b.browser() as ws:
            await b.host_side()
            await ws.write_message(frame, binary=isinstance(frame, bytes))
            assert await read_all(ws) == []
            assert ws.close_code == 1002
            assert str(ws.close_reason).startswith("malformed frame: ")
            await until(lambda: not b.peer.sockets)
            assert b.peer.received == []


async def test_a_malformed_legacy_table_is_refused(jp_serverapp: Any) -> None:
    with bench(jp_serverapp) as b:
        async with b.browser(v1=False) as ws:
            await b.host_side()
            await ws.write_message((2**31).to_bytes(4, "big") + b" " * 40, binary=True)
            assert await read_all(ws) == []
            assert ws.close_code == 1002
            assert b.peer.received == []


@pytest.mark.parametrize("v1", [True, False])
async def test_a_death_is_told_with_its_reason(jp_serverapp: Any, v1: bool) -> None:
    with bench(jp_serverapp) as b:
        async with b.browser(v1) as ws:
            host = await b.host_side()
            last = message("stream", text="last words") if v1 else legacy("stream", text="last words")
            await host.write_message(last, binary=v1)
            assert await ws.read_message() == last
            b.registry.set_host(b.peer.host(State.FAILED, "out of memory: 4.1 GB of 4 GB"))
            (dead,) = await read_all(ws)
            assert ws.close_code == 1000
            content = _content(dead, v1)
            assert content["execution_state"] == "dead"
            assert content["reason"] == "the session etl is FAILED: out of memory: 4.1 GB of 4 GB"
            await until(lambda: not b.peer.sockets)
            assert not RemoteConnection.open_connections


def _content(frame: str | bytes, v1: bool) -> dict[str, Any]:
    if not v1:
        data = json.loads(frame)
        assert data["channel"] == "iopub" and data["header"]["msg_type"] == "status" and data["buffers"] == []
        return dict(data["content"])
    assert isinstance(frame, bytes)
    count = int.from_bytes(frame[:8], "little")
    table = [int.from_bytes(frame[8 * n : 8 * n + 8], "little") for n in range(1, count + 1)]
    parts = [frame[start:end] for start, end in itertools.pairwise(table)]
    assert parts[0] == b"iopub" and json.loads(parts[1])["msg_type"] == "status" and table[-1] == len(frame)
    return dict(json.loads(parts[4]))


async def test_with_compression_a_death_is_told_as_well(jp_serverapp: Any) -> None:
    jp_serverapp.web_app.settings["websocket_compression_options"] = {}
    with bench(jp_serverapp) as b:
        async with b.browser(compression_options={}) as ws:
            host = await b.host_side()
            sent = [message("stream", text="x" * size) for size in (10, 200_000)]
            for frame in sent:
                await host.write_message(frame, binary=True)
            assert [await ws.read_message() for _ in sent] == sent
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                b.registry.mark_dead(KERNEL, "it crashed")
                (dead,) = await read_all(ws)
                gc.collect()
            assert _content(dead, True)["reason"] == "it crashed"
            assert [str(each.message) for each in caught if "never awaited" in str(each.message)] == []


async def test_a_kernel_that_is_dead_or_removed_says_so(jp_serverapp: Any) -> None:
    with bench(jp_serverapp) as b:
        async with b.browser(session_id="a") as first:
            await b.host_side()
            b.registry.mark_dead(KERNEL, "it crashed")
            b.registry.remove(KERNEL)
            assert len(await read_all(first)) == 1
            b.registry.add(b.kernel)
        async with b.browser(session_id="b") as late:
            (dead,) = await read_all(late)
            assert _content(dead, True)["reason"] == "it crashed" and late.close_code == 1000
            assert len(b.peer.dialed) == 1


async def test_last_words_come_before_the_death(jp_serverapp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jupyter_sessions.kernels.connection.LAST_WORDS", 30.0)
    words = [message("stream", text=str(n)) for n in range(50)]
    with bench(jp_serverapp) as b:
        async with b.browser() as ws:
            host = await b.host_side()
            # Our end of it may still be opening: then there is nothing to wait for.
            await until(lambda: RemoteConnection.open_connections[(KERNEL, "browser-1")]._leg.connected)
            b.registry.mark_dead(KERNEL, "it crashed")
            for frame in words:
                await host.write_message(frame, binary=True)
            host.close()
            *heard, dead = await read_all(ws)
            assert heard == words
            assert _content(dead, True)["reason"] == "it crashed" and ws.close_code == 1000


async def test_a_host_that_stays_does_not_put_off_the_death(jp_serverapp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jupyter_sessions.kernels.connection.LAST_WORDS", 0.05)
    with bench(jp_serverapp) as b:
        async with b.browser() as ws:
            await b.host_side()
            b.registry.mark_dead(KERNEL, "it crashed")
            assert len(await read_all(ws)) == 1
            assert ws.close_code == 1000


async def test_a_kernel_its_host_does_not_know_is_dead(jp_serverapp: Any) -> None:
    with bench(jp_serverapp) as b:
        b.peer.answer = (404, {})
        async with b.browser() as ws:
            (dead,) = await read_all(ws)
            assert ws.close_code == 1000
            assert _content(dead, True)["reason"] == "the session has no such kernel any more"
            assert b.kernel.dead


async def test_a_lost_host_is_dialed_again_under_the_browsers_open_websocket(jp_serverapp: Any) -> None:
    with bench(jp_serverapp, known=False) as b:
        b.registry.set_host(b.peer.host())
        async with b.browser() as ws:
            with listening(b.peer):
                await ws.write_message(message("a", "", "shell"), binary=True)
                await until(lambda: len(b.peer.received) == 1)
            await until(lambda: not b.peer.sockets)
            second = message("b", "", "shell")
            with listening(b.peer):
                await ws.write_message(second, binary=True)
                await until(lambda: len(b.peer.received) == 2)
                assert b.peer.received[1] == second
                assert b.peer.dialed == [(KERNEL, "browser-1", frames.V1)] * 2
                frame = message("stream", text="back")
                (await b.host_side()).write_message(frame, binary=True)
                assert await ws.read_message() == frame


@pytest.mark.parametrize(("code", "reason"), [(1013, "32 clients already"), (1007, "malformed message: no JSON")])
async def test_what_the_host_refuses_is_refused(jp_serverapp: Any, code: int, reason: str) -> None:
    with bench(jp_serverapp) as b:
        async with b.browser() as ws:
            (await b.host_side()).close(code, reason)
            assert await read_all(ws) == []
            assert (ws.close_code, ws.close_reason) == (code, reason)
            assert not b.kernel.dead and len(b.peer.dialed) == 1


async def test_without_a_host_for_long_the_browser_is_asked_to_come_again(
    jp_serverapp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_sessions.kernels.relay.PATIENCE", 0.2)
    with bench(jp_serverapp, known=False) as b:
        async with b.browser() as ws:
            assert await read_all(ws) == []
            assert ws.close_code == 1013
            assert not b.kernel.dead


async def test_a_second_websocket_of_the_same_session_closes_the_first(jp_serverapp: Any) -> None:
    with bench(jp_serverapp) as b:
        async with b.browser() as first, b.browser(session_id="other") as other:
            await until(lambda: len(b.peer.sockets) == 2)
            async with b.browser() as second:
                assert await read_all(first) == []
                await until(lambda: len(b.peer.dialed) == 3 and len(b.peer.sockets) == 2)
                for ws in (second, other):
                    await ws.write_message(message("x", "", "shell"), binary=True)
                await until(lambda: len(b.peer.received) == 2)


async def test_closing_the_browsers_end_closes_the_hosts(jp_serverapp: Any) -> None:
    with bench(jp_serverapp) as b:
        async with b.browser():
            await b.host_side()
        await until(lambda: not b.peer.sockets)
        assert not RemoteConnection.open_connections


async def test_nagle_is_off_towards_the_browser(jp_serverapp: Any) -> None:
    with bench(jp_serverapp) as b:
        async with b.browser():
            await b.host_side()
            handler: Any = RemoteConnection.open_connections[(KERNEL, "browser-1")].websocket_handler
            assert handler.ws_connection.stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_browsers_message_stays_within_tornados_limit(jp_serverapp: Any) -> None:
    with bench(jp_serverapp) as b:
        async with b.browser() as ws:
            await b.host_side()
            frame = frames.pack_v1("shell", [b"{}"] * 4 + [b"x" * (9 << 20)])
            await ws.write_message(frame, binary=True)
            await until(lambda: b.peer.received == [frame])
            ws.write_message(frames.pack_v1("shell", [b"{}"] * 4 + [b"x" * (11 << 20)]), binary=True)
            await read_all(ws)
            assert b.peer.received == [frame]
