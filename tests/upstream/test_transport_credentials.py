"""Credentials on their way: renewed once when refused, missing, slow, and never shown."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from jupyter_sessions.config.locations import Auth
from jupyter_sessions.model.errors import DeadlineExceeded, FailedPrecondition, Unauthenticated, Unavailable
from tests.faults.replies import error, html, ok, unauthenticated
from tests.faults.server import FaultServer
from tests.upstream.carrying import BASE, SESSIONS, Passes, carried


async def test_refused_then_good_is_good() -> None:
    passes = Passes(["old", "new"])
    async with FaultServer(unauthenticated(), ok({"name": "x"})) as server, carried(server.url, passes) as transport:
        # Also a call that is not safe: who is refused has done nothing.
        assert (await transport.call("POST", SESSIONS, {}, {"a": 1})).body == {"name": "x"}
        sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer old", "Bearer new"]
    assert [request.body for request in server.requests] == [b'{"a": 1}'] * 2
    assert passes.refusals == [{"Authorization": "Bearer old"}]


async def test_refused_twice_is_one_clear_error_with_the_remedy() -> None:
    passes = Passes(["old", "new", "newer"])
    async with FaultServer(otherwise=unauthenticated()) as server, carried(server.url, passes) as transport:
        with pytest.raises(Unauthenticated) as caught:
            await transport.call("GET", SESSIONS, safe=True)
        assert len(server.requests) == 2
    assert caught.value.message == "Request had invalid authentication credentials. [Sign in again.]"
    assert len(passes.refusals) == 2


async def test_a_refusal_that_is_no_json_is_a_refusal() -> None:
    async with FaultServer(html(401)) as server, carried(server.url, Passes(["a"])) as transport:
        with pytest.raises(Unauthenticated, match=r"refused the credentials \(HTTP 401\) \[Sign in again"):
            await transport.call("GET", SESSIONS)


async def test_without_credentials_nothing_is_sent() -> None:
    passes = Passes(["a"], error=Unauthenticated("nobody is signed in"))
    async with FaultServer() as server, carried(server.url, passes) as transport:
        with pytest.raises(Unauthenticated, match="nobody is signed in"):
            await transport.call("GET", SESSIONS, safe=True)
        assert (server.requests, passes.asked) == ([], 1)
        assert transport.reach.status == "UNAUTHENTICATED"
        passes.error = None
        await transport.call("GET", SESSIONS, safe=True)
        assert transport.reach.reachable


async def test_an_issuer_that_is_away_for_a_moment_is_asked_again() -> None:
    class Flaky(Passes):
        async def headers(self) -> Mapping[str, str]:
            self.error = Unavailable("no issuer") if self.asked < 2 else None
            return await super().headers()

    async with FaultServer() as server, carried(server.url, Flaky(["a"])) as transport:
        await transport.call("GET", SESSIONS, safe=True)
        assert transport.reach.reachable
    async with FaultServer() as server, carried(server.url, Flaky(["a"])) as transport:
        with pytest.raises(Unavailable, match="no issuer"):
            await transport.call("POST", SESSIONS)
        assert server.requests == []


async def test_an_issuer_that_stays_away_opens_the_circuit() -> None:
    passes = Passes(["a"], error=Unavailable("no issuer"))
    async with FaultServer() as server, carried(server.url, passes) as transport:
        for words in ("^no issuer$", "unreachable since .*: no issuer$"):
            with pytest.raises(Unavailable, match=words):
                await transport.call("GET", SESSIONS, safe=True)
        assert passes.asked == 3
        passes.error = None
        await transport.call("GET", SESSIONS, probe=True)
        assert transport.reach.reachable


async def test_slow_credentials_are_within_the_deadline() -> None:
    class Slow(Passes):
        async def headers(self) -> Mapping[str, str]:
            await asyncio.Event().wait()
            return {}

    async with FaultServer() as server, carried(server.url, Slow(["a"])) as transport:
        with pytest.raises(DeadlineExceeded, match="no credentials came in time"):
            await transport.call("GET", SESSIONS, safe=True, deadline=0.05)
        assert server.requests == []


@pytest.mark.parametrize("status", [400, 401, 403, 500, 503])
async def test_an_upstream_that_says_our_token_back_does_not_spread_it(status: int) -> None:
    words = 'Bad "Authorization: Bearer top/secret+token=" (top/secret+token=)'
    reply = error(status, "", words, [{"@type": "t", "metadata": {"header": "Bearer top/secret+token="}}])
    async with FaultServer(otherwise=reply) as server, carried(server.url, Passes(["top/secret+token="])) as transport:
        with pytest.raises(Exception, match="hidden") as caught:
            await transport.call("GET", SESSIONS)
        assert "secret" not in repr(caught.value.__dict__) + str(caught.value) + repr(transport.reach)


async def test_a_strange_answer_that_says_our_token_back_does_not_spread_it() -> None:
    from tests.faults.replies import HTML, raw

    page = raw(500, b"<p>you sent Bearer top-secret</p>", HTML)
    async with FaultServer(page) as server, carried(server.url, Passes(["top-secret"])) as transport:
        with pytest.raises(Unavailable, match=r"you sent \[hidden\]") as caught:
            await transport.call("GET", SESSIONS)
        assert "top-secret" not in str(caught.value)


async def test_googles_credentials_go_to_google_alone() -> None:
    async with FaultServer() as server:
        config = replace(BASE, auth=Auth.GOOGLE)
        async with carried(server.url, Passes(["secret"]), config) as transport:
            with pytest.raises(FailedPrecondition, match=r"only to \*\.googleapis\.com"):
                await transport.call("GET", SESSIONS, safe=True)
        assert server.connections == 0
