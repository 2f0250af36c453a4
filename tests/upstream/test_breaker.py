"""The circuit: when it opens, what is answered meanwhile, and how it closes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jupyter_sessions.model.errors import DeadlineExceeded, SessionsError, Unauthenticated, Unavailable
from jupyter_sessions.upstream.base import Reach
from jupyter_sessions.upstream.breaker import FAILURES, RETRIAL, Breaker
from tests.faults.replies import black_hole, denied, error, html, internal, ok, reset, too_many, unauthenticated
from tests.faults.replies import unavailable as unavailable_reply
from tests.faults.server import FaultServer, Reply
from tests.upstream.carrying import BASE, SESSIONS, Hand, Passes, carried, until

START = 1_700_000_000
GONE = Unavailable("gone")


def breaker(hand: Hand) -> Breaker:
    return Breaker("h", hand.now, hand.steady)


def test_before_the_first_answer_it_is_closed() -> None:
    assert breaker(Hand()).reach == Reach(True, 0, "", "")


def test_it_opens_after_failures_in_a_row_and_tells_since_when() -> None:
    hand = Hand(START)
    one = breaker(hand)
    for _ in range(FAILURES - 1):
        one.failed(GONE)
        one.check()
    one.answered()
    for _ in range(FAILURES - 1):
        one.failed(GONE)
    hand.seconds += 5
    one.failed(GONE)
    with pytest.raises(Unavailable, match=r"^h is unreachable since 2023-11-14T22:13:25Z: gone$"):
        one.check()
    hand.seconds += 60
    one.failed(Unavailable("still gone"))
    assert one.reach == Reach(False, (START + 5) * 10**9, "UNAVAILABLE", "still gone")


def test_one_that_waited_in_vain_opens_it_alone() -> None:
    one = breaker(Hand())
    one.failed(GONE, at_once=True)
    assert one.open


def test_an_answer_closes_it() -> None:
    hand = Hand(START)
    one = breaker(hand)
    one.failed(GONE, at_once=True)
    hand.seconds += 1
    one.answered()
    one.check()
    assert one.reach == Reach(True, (START + 1) * 10**9, "", "")
    one.failed(GONE)
    one.check()


def test_refused_headers_are_remembered_until_others_come() -> None:
    one = breaker(Hand(START))
    one.unauthenticated(Unauthenticated("no", [{"@type": "t"}]), {"Authorization": "Bearer a"})
    one.check()
    assert one.reach == Reach(False, START * 10**9, "UNAUTHENTICATED", "no")
    refusal = one.refusal({"Authorization": "Bearer a"})
    assert isinstance(refusal, Unauthenticated) and refusal.details == [{"@type": "t"}]
    assert one.refusal({"Authorization": "Bearer b"}) is None
    one.answered()
    assert one.refusal({"Authorization": "Bearer a"}) is None


def test_missing_credentials_do_not_hide_a_dead_upstream() -> None:
    one = breaker(Hand())
    one.failed(GONE, at_once=True)
    one.unauthenticated(Unauthenticated("none"))
    assert one.reach.status == "UNAVAILABLE"
    one.unauthenticated(Unauthenticated("refused"), {})
    assert one.reach.status == "UNAUTHENTICATED"


def test_listeners_hear_changes_alone() -> None:
    one = breaker(Hand(START))
    heard: list[Reach] = []
    forget = one.watch(heard.append)
    one.answered()
    one.answered()
    one.failed(GONE, at_once=True)
    one.failed(GONE)
    one.answered()
    forget()
    forget()
    one.failed(GONE, at_once=True)
    assert [reach.reachable for reach in heard] == [True, False, True]


def test_a_retrial_comes_once_in_a_while() -> None:
    hand = Hand()
    one = breaker(hand)
    assert not one.retrial()
    one.failed(GONE, at_once=True)
    assert not one.retrial()
    hand.seconds += RETRIAL
    assert one.retrial()
    assert not one.retrial()


async def test_while_open_calls_fail_at_once_and_a_probe_goes_through() -> None:
    hand = Hand(START)
    config = replace(BASE, request_timeout=0.2)
    async with (
        FaultServer(black_hole(), ok({"name": "x"}), ok()) as server,
        carried(server.url, config=config, clocks=hand.clocks) as transport,
    ):
        with pytest.raises(DeadlineExceeded):
            await transport.call("GET", SESSIONS, safe=True)
        for _ in range(5):
            with pytest.raises(Unavailable, match=r"unreachable since 2023-11-14T22:13:20Z: .*did not answer within"):
                await transport.call("GET", SESSIONS, safe=True)
        assert len(server.requests) == 1
        hand.seconds += 1
        assert (await transport.call("GET", SESSIONS, safe=True, probe=True)).body == {"name": "x"}
        assert transport.reach == Reach(True, (START + 1) * 10**9)
        assert (await transport.call("GET", SESSIONS)).body == {}


async def test_where_nobody_polls_a_call_has_the_upstream_tried_unseen() -> None:
    hand = Hand(START)
    async with (
        FaultServer(reset(), reset(), reset(), ok()) as server,
        carried(server.url, clocks=hand.clocks) as transport,
    ):
        with pytest.raises(Unavailable):
            await transport.call("GET", SESSIONS, safe=True)
        hand.seconds += RETRIAL
        with pytest.raises(Unavailable):
            await transport.call("POST", SESSIONS, {}, {})
        assert len(server.requests) == 3
        with pytest.raises(Unavailable, match="unreachable since"):
            await transport.call("GET", SESSIONS, safe=True)
        await until(lambda: transport.reach.reachable)
        assert len(server.requests) == 4


@pytest.mark.parametrize(
    "reply", [denied(), internal(), too_many(), error(404, "NOT_FOUND", "no"), error(400, "INVALID_ARGUMENT", "no")]
)
async def test_an_answer_that_says_no_is_an_answer(reply: Reply) -> None:
    async with FaultServer(otherwise=reply) as server, carried(server.url) as transport:
        for _ in range(FAILURES + 1):
            with pytest.raises(SessionsError):
                await transport.call("GET", SESSIONS)
        assert transport.reach.reachable and transport.reach.since > 0
        assert len(server.requests) == FAILURES + 1


@pytest.mark.parametrize("reply", [html(200), html(502), unavailable_reply()])
async def test_what_answers_in_the_services_place_opens_it_after_some_calls(reply: Reply) -> None:
    async with FaultServer(otherwise=reply) as server, carried(server.url) as transport:
        for number in range(FAILURES):
            assert transport.reach.reachable, number
            with pytest.raises(Unavailable):
                await transport.call("GET", SESSIONS, safe=True)
        assert transport.reach.status == "UNAVAILABLE"


async def test_refused_credentials_fail_at_once_until_there_are_others() -> None:
    passes = Passes(["old"])
    async with FaultServer(unauthenticated(), ok()) as server, carried(server.url, passes) as transport:
        for _ in range(3):
            with pytest.raises(Unauthenticated, match=r"\[Sign in again\.\]$"):
                await transport.call("GET", SESSIONS, safe=True)
        assert len(server.requests) == 1
        assert transport.reach.status == "UNAUTHENTICATED"
        passes.tokens = ["new"]
        await transport.call("GET", SESSIONS, safe=True)
        assert server.requests[1].headers["authorization"] == "Bearer new"
        assert transport.reach.reachable


async def test_a_probe_finds_out_that_the_same_credentials_are_good_again() -> None:
    async with FaultServer(unauthenticated(), ok(), ok()) as server, carried(server.url, Passes(["a"])) as transport:
        with pytest.raises(Unauthenticated):
            await transport.call("GET", SESSIONS)
        await transport.call("GET", SESSIONS, safe=True, probe=True)
        await transport.call("GET", SESSIONS)
        assert len(server.requests) == 3
