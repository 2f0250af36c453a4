"""A slow end holds back the other: what a kernel's websocket costs in memory, and what counts as activity."""

from __future__ import annotations

import asyncio
import os
import socket
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from jupyter_server.services.kernels.connection.base import BaseKernelWebsocketConnection
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from tornado.websocket import WebSocketClosedError
from traitlets.config import Config

from jupyter_sessions.kernels.connection import RemoteConnection, wrap_connection
from jupyter_sessions.relay import frames
from tests.kernels.peer import KERNEL, Bench, Channels, bench, message, raw_browser, until

MB = 1 << 20


class Pump:
    """Sends frames from the host's side as fast as they are taken, and counts."""

    def __init__(self, host: Channels, frame: bytes, count: int) -> None:
        self.sent = 0
        self.task = asyncio.ensure_future(self._run(host, frame, count))

    async def _run(self, host: Channels, frame: bytes, count: int) -> None:
        try:
            for _ in range(count):
                await host.write_message(frame, binary=True)
                self.sent += len(frame)
        except WebSocketClosedError:
            return


async def settled(read: Any) -> Any:
    """Give what ``read()`` gives once it has not changed for 30 looks."""
    last, same = read(), 0
    while same < 30:
        await asyncio.sleep(0.01)
        same = same + 1 if read() == last else 0
        last = read()
    return last


async def drained(sock: socket.socket, size: int) -> int:
    """Read ``size`` bytes or to the end; gives how many came."""
    loop, got = asyncio.get_running_loop(), 0
    sock.setblocking(False)
    while got < size:
        data = await asyncio.wait_for(loop.sock_recv(sock, 1 << 20), 10)
        if not data:
            break
        got += len(data)
    return got


@pytest.mark.parametrize("size", [400, 60_000, 2 * MB])
async def test_a_browser_that_stops_reading_holds_back_its_host(jp_serverapp: Any, size: int) -> None:
    frame = frames.pack_v1("iopub", [b"{}"] * 4 + [os.urandom(size)])
    count = min(64 * MB // len(frame), 30_000)
    with bench(jp_serverapp) as b, raw_browser(b) as sock:
        pump = Pump(await b.host_side(), frame, count)
        taken = await settled(lambda: pump.sent)
        # Both sockets' buffers, what the relay gathers, and a few frames under way.
        assert taken <= 8 * MB + 4 * len(frame)
        assert taken < count * len(frame)
        expected = count * (len(frame) + (4 if len(frame) <= 0xFFFF else 10))
        assert await drained(sock, expected) >= expected
        await pump.task
        assert pump.sent == count * len(frame)


async def test_a_slow_browser_delays_nobody_else(jp_serverapp: Any) -> None:
    frame = frames.pack_v1("iopub", [b"{}"] * 4 + [bytes(MB)])
    with bench(jp_serverapp) as b, raw_browser(b):
        pump = Pump(await b.host_side(), frame, 64)
        await settled(lambda: pump.sent)
        async with b.browser(session_id="quick") as ws:
            await until(lambda: len(b.peer.sockets) == 2)
            b.peer.sockets[-1].write_message(frame, binary=True)
            assert await asyncio.wait_for(ws.read_message(), 5) == frame
        pump.task.cancel()


async def test_a_host_that_stops_reading_holds_back_its_browser(jp_serverapp: Any) -> None:
    frame = frames.pack_v1("shell", [b"{}"] * 4 + [os.urandom(MB)])
    with bench(jp_serverapp) as b:
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        b.peer.gate = gate
        async with b.browser() as ws:
            await b.host_side()
            sent = 0

            async def push() -> None:
                nonlocal sent
                for _ in range(64):
                    await ws.write_message(frame, binary=True)
                    sent += 1

            task = asyncio.ensure_future(push())
            assert await settled(lambda: sent) <= 24
            gate.set_result(None)
            await asyncio.wait_for(task, 10)
            await until(lambda: len(b.peer.received) == 64)
            assert set(b.peer.received) == {frame}


async def test_64_mb_of_buffers_arrive_byte_equal(jp_serverapp: Any) -> None:
    frame = frames.pack_v1("iopub", [b"{}"] * 4 + [os.urandom(64 * MB)])
    with bench(jp_serverapp) as b:
        async with b.browser() as ws:
            (await b.host_side()).write_message(frame, binary=True)
            assert await asyncio.wait_for(ws.read_message(), 30) == frame


async def test_small_and_large_frames_keep_their_order(jp_serverapp: Any) -> None:
    sizes = [10, 65_000, 70_000, 1, 500_000, 3, 3, 65_536, 2]
    sent = [frames.pack_v1("iopub", [b"{}"] * 4 + [os.urandom(size)]) for size in sizes * 8]
    with bench(jp_serverapp) as b:
        async with b.browser() as ws:
            host = await b.host_side()
            for frame in sent:
                host.write_message(frame, binary=True)
            assert [await ws.read_message() for _ in sent] == sent


async def activity_after(b: Bench, ws: Any, frame: bytes) -> bool:
    """Say whether ``frame`` from the host moves the server's last kernel activity."""
    manager, old = b.app.kernel_manager, datetime.now(timezone.utc) - timedelta(hours=1)
    manager.last_kernel_activity = old
    RemoteConnection.open_connections[(KERNEL, "browser-1")]._next_note = 0.0
    (await b.host_side()).write_message(frame, binary=True)
    assert await ws.read_message() == frame
    return bool(manager.last_kernel_activity > old)


async def test_what_counts_as_activity_is_what_counts_locally(jp_serverapp: Any) -> None:
    with bench(jp_serverapp) as b:
        async with b.browser() as ws:
            assert await activity_after(b, ws, message("status", execution_state="busy"))
            assert await activity_after(b, ws, message("stream", text="x"))
            assert not await activity_after(b, ws, message("status", "kernel_info_request", execution_state="busy"))
            assert not await activity_after(b, ws, message("status", "debug_request", execution_state="idle"))
            assert not await activity_after(b, ws, message("kernel_info_reply", "kernel_info_request", "shell"))
            b.kernel.execution_state = "busy"
            assert await activity_after(b, ws, message("debug_event", "debug_request"))


async def test_only_allowed_types_pass_where_the_user_says_so(jp_serverapp: Any) -> None:
    jp_serverapp.kernel_manager.allowed_message_types = ["kernel_info_request"]
    allowed = message("kernel_info_request", "", "shell")
    with bench(jp_serverapp) as b:
        async with b.browser() as ws:
            await ws.write_message(message("execute_request", "", "shell", code="1"), binary=True)
            await ws.write_message(allowed, binary=True)
            await until(lambda: b.peer.received)
            assert b.peer.received == [allowed]


class Fancy(ZMQChannelsWebsocketConnection):
    """A user's own class."""


def test_the_users_class_stays_itself() -> None:
    wrapped = wrap_connection(Fancy)
    assert issubclass(wrapped, Fancy)
    assert (wrapped.__name__, wrapped.__module__) == ("Fancy", "jupyter_sessions.kernels.connection")
    assert wrap_connection(wrapped) is wrapped
    made = wrapped(config=Config({"Fancy": {"limit_rate": False}}))
    assert isinstance(made, Fancy) and made.limit_rate is False


async def test_the_users_own_protocol_setting_counts(jp_serverapp: Any) -> None:
    jp_serverapp.web_app.settings["config"] = Config({"ZMQChannelsWebsocketConnection": {"kernel_ws_protocol": ""}})
    with bench(jp_serverapp) as b:
        async with b.browser() as ws:
            assert ws.selected_subprotocol is None
            await b.host_side()
            assert b.peer.dialed[0][2] is None


async def test_close_all_closes_ours_and_theirs(jp_serverapp: Any) -> None:
    closed = []

    class Counting(BaseKernelWebsocketConnection):
        @classmethod
        async def close_all(cls) -> None:
            closed.append(cls)

    with bench(jp_serverapp) as b:
        async with b.browser():
            await b.host_side()
            wrapped: Any = wrap_connection(Counting)
            await wrapped.close_all()
            await until(lambda: not b.peer.sockets)
        assert closed == [wrapped]
    bare: Any = wrap_connection(BaseKernelWebsocketConnection)
    await bare.close_all()
