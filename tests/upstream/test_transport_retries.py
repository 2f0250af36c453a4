"""What is sent again, when, and what never is."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate

import pytest
import stamina

from jupyter_sessions.model.errors import ResourceExhausted, SessionsError, Unavailable
from jupyter_sessions.upstream.retry import Failed, Patience, pause, retry_after
from tests.faults.replies import cut, error, html, internal, ok, reset, too_many, truncated, unavailable
from tests.faults.server import FaultServer, Reply
from tests.faults.sockets import nobody
from tests.upstream.carrying import SESSIONS, Hand, carried, until

HELPED = {
    "429": too_many(),
    "502": html(502),
    "503": unavailable(),
    "504": error(504, "DEADLINE_EXCEEDED", "Deadline exceeded."),
    "reset": reset(),
    "reset in the body": reset(b"{" + b" " * 5000),
    "cut": cut(),
    "truncated": truncated(),
}


@pytest.mark.parametrize("reply", HELPED.values(), ids=HELPED)
async def test_a_safe_call_is_sent_again(reply: Reply) -> None:
    async with FaultServer(reply, reply, ok({"name": "x"})) as server, carried(server.url) as transport:
        answer = await transport.call("POST", SESSIONS, {"requestId": "r"}, {"labels": {}}, safe=True)
        assert answer.body == {"name": "x"}
        assert [request.query for request in server.requests] == [{"requestId": "r"}] * 3
        assert {request.body for request in server.requests} == {b'{"labels": {}}'}
        assert transport.reach.reachable


@pytest.mark.parametrize("reply", HELPED.values(), ids=HELPED)
async def test_a_call_that_may_have_done_something_is_not(reply: Reply) -> None:
    async with FaultServer(reply, ok()) as server, carried(server.url) as transport:
        with pytest.raises(SessionsError):
            await transport.call("POST", SESSIONS, {}, {})
        assert len(server.requests) == 1


@pytest.mark.parametrize("reply", [internal(), error(404, "NOT_FOUND", "no"), html(200), html(500)])
async def test_what_a_retry_does_not_help_is_sent_once(reply: Reply) -> None:
    async with FaultServer(reply, ok()) as server, carried(server.url) as transport:
        with pytest.raises(SessionsError):
            await transport.call("GET", SESSIONS, safe=True)
        assert len(server.requests) == 1


async def test_there_is_an_end_to_it() -> None:
    async with FaultServer(otherwise=unavailable()) as server, carried(server.url) as transport:
        with pytest.raises(Unavailable, match=r"^The service is currently unavailable\.$"):
            await transport.call("GET", SESSIONS, safe=True)
        assert len(server.requests) == 3


async def test_of_what_was_surely_not_sent_any_call_is_sent_again() -> None:
    async with FaultServer(ok({"name": "x"})) as server:
        port = server.port
        await server.__aexit__(None, None, None)
        async with carried(
            f"http://127.0.0.1:{port}", patience=Patience(attempts=200, first=0.01, longest=0.02)
        ) as lost:
            call = asyncio.create_task(lost.call("POST", SESSIONS, {}, {}, deadline=20.0))
            await until(lambda: not lost.reach.reachable)
            await server.__aenter__()
            assert (await call).body == {"name": "x"}
        assert len(server.requests) == 1


async def test_a_refused_connection_is_tried_as_often_as_the_rest() -> None:
    tries = []
    with nobody() as port:
        async with carried(f"http://127.0.0.1:{port}") as transport:
            transport.watch(lambda reach: tries.append(reach))
            with pytest.raises(Unavailable):
                await transport.call("POST", SESSIONS, {}, {})
    assert [reach.status for reach in tries] == ["UNAVAILABLE"]


@pytest.mark.parametrize("attempts", [1, 3])
async def test_retries_can_be_seen(attempts: int) -> None:
    with stamina.set_testing(True, attempts=attempts, cap=True):
        async with FaultServer(otherwise=too_many("1")) as server, carried(server.url) as transport:
            with pytest.raises(ResourceExhausted):
                await transport.call("GET", SESSIONS, safe=True)
            assert len(server.requests) == attempts


async def test_the_upstream_says_when_to_come_again() -> None:
    async with FaultServer(too_many("1"), ok({"name": "x"})) as server, carried(server.url) as transport:
        start = time.monotonic()
        assert (await transport.call("GET", SESSIONS, safe=True)).body == {"name": "x"}
        assert 1.0 <= time.monotonic() - start < 4.0
        assert len(server.requests) == 2


async def test_a_pause_longer_than_the_deadline_is_not_begun() -> None:
    async with FaultServer(too_many("3600"), ok()) as server, carried(server.url) as transport:
        start = time.monotonic()
        with pytest.raises(ResourceExhausted, match=r"^Quota exceeded\. \[It asks to wait 3600 s\.\]$"):
            await transport.call("GET", SESSIONS, safe=True, deadline=10.0)
        assert time.monotonic() - start < 2.0
        assert len(server.requests) == 1


async def test_a_date_to_come_again_is_read_by_the_given_clock() -> None:
    hand = Hand()
    when = formatdate(hand.seconds + 7, usegmt=True)
    async with FaultServer(unavailable(when)) as server, carried(server.url, clocks=hand.clocks) as transport:
        with pytest.raises(Unavailable, match="wait 7 s"):
            await transport.call("GET", SESSIONS)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        (" 12 ", 12.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0),
        ("soon", None),
        ("", None),
        ("-3", None),
        ("1.5", None),
        ("٣", None),
        ("9" * 400, 999_999_999.0),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert retry_after(value, lambda: 1_700_000_000.0) == seconds


def test_a_pause_is_decided_by_the_fault_and_the_time_left() -> None:
    error = Unavailable("no")
    patience = Patience(first=0.5, jitter=0.4)
    most = lambda low, high: high  # noqa: E731  # a name for one number
    assert pause(ValueError(), 100.0, patience) is False
    assert pause(Failed(error), 100.0, patience) is False
    assert pause(Failed(error, again=True), 100.0, patience) is True
    assert pause(Failed(error, again=True), 0.4, patience) is False
    assert pause(Failed(error, again=True, pause=3.0), 100.0, patience, most) == 3.4
    assert pause(Failed(error, again=True, pause=3.0), 3.2, patience, most) is False
