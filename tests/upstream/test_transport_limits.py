"""No upstream holds a caller, a thread or a server's end longer than it may, nor fills its memory."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from jupyter_sessions.model.errors import DeadlineExceeded, SessionsError, Unavailable
from jupyter_sessions.upstream.retry import Patience
from tests.faults.replies import black_hole, drip, endless, gzip_bomb, held, ok, slow, unavailable
from tests.faults.server import FaultServer, Reply
from tests.faults.sockets import full_queue, nobody
from tests.upstream.carrying import BASE, SESSIONS, Passes, carried, until

SHORT = replace(BASE, request_timeout=0.2)


def threads() -> list[str]:
    """Give the names of the threads that carry requests."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("upstream ")]


async def gone() -> None:
    """Wait until no such thread is left."""
    await until(lambda: not threads())


@pytest.mark.parametrize(
    "reply", [black_hole(), drip(), drip(in_headers=True), slow(ok(), 30.0)], ids=["black", "drip", "headers", "slow"]
)
async def test_what_does_not_end_is_ended_with_its_thread(reply: Reply) -> None:
    async with FaultServer(otherwise=reply) as server, carried(server.url, config=SHORT) as transport:
        start = time.monotonic()
        with pytest.raises(DeadlineExceeded, match=r"did not answer within 0\.2 s"):
            await transport.call("GET", SESSIONS, safe=True)
        assert time.monotonic() - start < 2.0
        assert not transport.reach.reachable
        await gone()
        assert len(server.requests) == 1


async def test_a_slow_first_byte_within_the_time_is_no_fault() -> None:
    gate = asyncio.Event()
    async with FaultServer(held(ok({"name": "x"}), gate)) as server, carried(server.url) as transport:
        call = asyncio.create_task(transport.call("GET", SESSIONS))
        await server.asked(1)
        gate.set()
        assert (await call).body == {"name": "x"}
        assert transport.reach.reachable


async def test_a_host_that_lets_nobody_connect_is_told_as_that() -> None:
    async with full_queue() as port, carried(f"http://127.0.0.1:{port}", config=SHORT) as transport:
        with pytest.raises(DeadlineExceeded, match=r"took no connection within 0\.2 s"):
            await transport.call("GET", SESSIONS, safe=True)
        assert not transport.reach.reachable


async def test_a_port_where_nobody_listens() -> None:
    with nobody() as port:
        async with carried(f"http://127.0.0.1:{port}") as transport:
            with pytest.raises(Unavailable, match=f"127.0.0.1:{port}: connection refused"):
                await transport.call("GET", SESSIONS, safe=True)
            assert not transport.reach.reachable


async def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*arguments: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    async with carried("https://sessions.invalid") as transport:
        with pytest.raises(Unavailable, match=r"sessions\.invalid: its name is not known"):
            await transport.call("GET", SESSIONS, safe=True)


async def test_a_callers_deadline_is_kept() -> None:
    async with FaultServer(otherwise=black_hole()) as server, carried(server.url) as transport:
        start = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await transport.call("GET", SESSIONS, safe=True, deadline=0.1)
        assert time.monotonic() - start < 2.0
        # A hurried caller alone does not make the others believe that nobody is there.
        assert transport.reach.reachable


async def test_a_call_that_cannot_be_repeated_may_take_its_whole_deadline() -> None:
    async with FaultServer(slow(ok({"name": "x"}), 0.5)) as server, carried(server.url, config=SHORT) as transport:
        assert (await transport.call("POST", SESSIONS, {}, {}, deadline=5.0)).body == {"name": "x"}


@pytest.mark.parametrize("make", [endless, gzip_bomb], ids=["endless", "bomb"])
async def test_an_answer_is_read_up_to_a_size(make: Callable[[], Reply]) -> None:
    async with FaultServer(otherwise=make()) as server, carried(server.url, largest=4 << 20) as transport:
        tracemalloc.start()
        try:
            with pytest.raises(Unavailable, match="sent more than 4 MiB"):
                await transport.call("GET", SESSIONS, safe=True)
            assert tracemalloc.get_traced_memory()[1] < 60 << 20
        finally:
            tracemalloc.stop()
        await gone()
        assert len(server.requests) == 1


async def test_close_ends_what_is_under_way() -> None:
    async with FaultServer(otherwise=black_hole()) as server, carried(server.url) as transport:
        calls = [asyncio.create_task(transport.call("GET", SESSIONS, safe=True)) for _ in range(3)]
        await server.asked(3)
        start = time.monotonic()
        await transport.close()
        for call in calls:
            with pytest.raises(Unavailable, match="closed"):
                await call
        await gone()
        assert time.monotonic() - start < 1.0
        assert len(server.requests) == 3


async def test_close_waits_for_no_connect() -> None:
    async with full_queue() as port, carried(f"http://127.0.0.1:{port}") as transport:
        call = asyncio.create_task(transport.call("GET", SESSIONS, safe=True))
        await until(threads)
        start = time.monotonic()
        await transport.close()
        with pytest.raises(Unavailable, match="closed"):
            await call
        assert time.monotonic() - start < 1.0
        # The thread may wait for its connect; none that does holds the end of the program.
        assert all(thread.daemon for thread in threading.enumerate() if thread.name in threads())
    await gone()


async def test_a_cancelled_call_gives_its_thread_back() -> None:
    async with FaultServer(black_hole(), ok({"name": "x"})) as server, carried(server.url, threads=1) as transport:
        call = asyncio.create_task(transport.call("GET", SESSIONS, safe=True))
        await server.asked(1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await transport.call("GET", SESSIONS)).body == {"name": "x"}


async def test_more_calls_than_threads_wait_for_their_turn() -> None:
    gate = asyncio.Event()
    async with FaultServer(otherwise=held(ok(), gate)) as server, carried(server.url, threads=2) as transport:
        calls = [asyncio.create_task(transport.call("GET", SESSIONS)) for _ in range(6)]
        await server.asked(2)
        await asyncio.sleep(0)
        assert len(threads()) == 2
        gate.set()
        await asyncio.gather(*calls)
        assert len(server.requests) == 6


async def test_who_waits_for_a_turn_in_vain_blames_nobody() -> None:
    async with FaultServer(otherwise=black_hole()) as server, carried(server.url, threads=1) as transport:
        first = asyncio.create_task(transport.call("GET", SESSIONS))
        await server.asked(1)
        with pytest.raises(DeadlineExceeded, match="too many requests wait"):
            await transport.call("GET", SESSIONS, deadline=0.05)
        assert transport.reach.reachable
        await transport.close()
        with pytest.raises(SessionsError):
            await first


async def test_the_loop_and_other_locations_go_on_meanwhile() -> None:
    async with FaultServer(otherwise=black_hole()) as dead, FaultServer() as good:
        async with carried(dead.url) as hanging, carried(good.url) as other:
            calls = [asyncio.create_task(hanging.call("GET", SESSIONS)) for _ in range(20)]
            await dead.asked(8)
            start = time.monotonic()
            for _ in range(10):
                await other.call("GET", SESSIONS)
            assert time.monotonic() - start < 2.0
            await hanging.close()
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {Unavailable}


async def test_who_is_cancelled_while_it_closes_leaves_no_error_behind() -> None:
    unheard: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: unheard.append(context))
    async with FaultServer(otherwise=black_hole()) as server, carried(server.url) as transport:
        call = asyncio.create_task(transport.call("GET", SESSIONS, safe=True))
        await server.asked(1)
        call.cancel()
        await transport.close()
        with pytest.raises(asyncio.CancelledError):
            await call
        await gone()
    del call
    gc.collect()
    assert unheard == []


class Slow(Passes):
    """Credentials that do not come."""

    async def headers(self) -> Mapping[str, str]:
        """Wait."""
        self.asked += 1
        await asyncio.Event().wait()
        return {}


@pytest.mark.parametrize("waits", ["for credentials", "to try again"])
async def test_a_close_ends_what_waits_at_once(waits: str) -> None:
    credentials = Slow(["t"]) if waits == "for credentials" else Passes(["t"])
    patience = Patience(first=60.0, longest=60.0)
    async with FaultServer(otherwise=unavailable()) as server:
        config = replace(BASE, request_timeout=100.0)
        async with carried(server.url, credentials, config, patience=patience) as transport:
            call = asyncio.ensure_future(transport.call("GET", SESSIONS, safe=True))
            await until(lambda: credentials.asked and (server.requests or waits == "for credentials"))
            await transport.close()
            with pytest.raises(Unavailable, match="the connection was closed"):
                await asyncio.wait_for(call, 5)


async def test_a_thread_that_cannot_be_had_takes_no_place_from_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async with FaultServer() as server, carried(server.url, Passes(["t"]), threads=1) as transport:
        for _ in range(2):
            with monkeypatch.context() as full, pytest.raises(Unavailable, match="no thread"):
                full.setattr(threading.Thread, "start", none_left)
                await transport.call("GET", SESSIONS, deadline=2.0)
        assert await transport.call("GET", SESSIONS)
