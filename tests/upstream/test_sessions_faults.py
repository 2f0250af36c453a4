"""What a user sees of each way in which an upstream misbehaves, and that no session is lost over it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jupyter_sessions.model.api import Caller, Change, ListRequest
from jupyter_sessions.model.errors import (
    DeadlineExceeded,
    Internal,
    PermissionDenied,
    ResourceExhausted,
    SessionsError,
    Unauthenticated,
    Unavailable,
)
from jupyter_sessions.model.names import LOCAL as HERE
from jupyter_sessions.model.names import LocationName, SessionName, TemplateName
from jupyter_sessions.model.resources import Session
from jupyter_sessions.router import Router
from jupyter_sessions.upstream.sessions import UpstreamSessions
from tests.faults import replies
from tests.faults.server import FaultServer, Reply
from tests.handlers.scripted import ScriptedSessions, session
from tests.upstream.cloud import Cloud, cloud
from tests.upstream.proxies import FAR, proxy, until, upstream_at

ME = Caller("me")
ALL = LocationName("-", "-")
THERE = SessionName(FAR, "there-one")


@dataclass(frozen=True)
class Seen:
    """What a user sees: ``stale``: sessions as last seen, else the error in place of a list; ``act``: of a create."""

    reply: Reply
    act: type[SessionsError]
    stale: bool = True
    status: str = "UNAVAILABLE"


FAULTS = {
    "401": Seen(replies.unauthenticated(), Unauthenticated, False, "UNAUTHENTICATED"),
    "403": Seen(replies.denied(), PermissionDenied, False, ""),
    "429": Seen(replies.too_many(), ResourceExhausted, False, ""),
    "500": Seen(replies.internal(), Internal, False, ""),
    "503": Seen(replies.unavailable(), Unavailable),
    "garbage": Seen(replies.garbage(), Unavailable),
    "html": Seen(replies.html(), Unavailable),
    "a redirect to another host": Seen(replies.redirect("https://elsewhere.example/v1/"), Unavailable),
    "reset": Seen(replies.reset(), Unavailable),
    "reset in the body": Seen(replies.reset(b" " * 20_000), Unavailable),
    "truncated": Seen(replies.truncated(), Unavailable),
    "black hole": Seen(replies.black_hole(), DeadlineExceeded),
}


@contextlib.asynccontextmanager
async def known(tmp_path: Path) -> AsyncIterator[tuple[Cloud, UpstreamSessions, list[Change]]]:
    """Serve an upstream of one session that the proxy knows; ``list`` holds the changes told afterwards."""
    async with cloud() as (far, server):
        far.add(THERE.id, "ACTIVE")
        async with proxy(upstream_at(server.url, request_timeout=0.4), tmp_path) as api:
            await until(lambda: api._place.mirror.get(str(THERE)), "the first list")
            heard: list[Change] = []
            api.subscribe(heard.append)
            yield far, api, heard


async def asked(api: UpstreamSessions) -> SessionsError | tuple[list[str], list[str]]:
    """List as the panel does: the names and what is unreachable, or the error."""
    api._place.changed()
    try:
        page = await api.list_sessions(ME, FAR, ListRequest())
    except SessionsError as error:
        return error
    return [row.name for row in page.items], list(page.unreachable)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_what_a_user_sees(tmp_path: Path, fault: Seen) -> None:
    async with known(tmp_path) as (far, api, heard):
        far.fault = fault.reply
        with pytest.raises(fault.act) as caught:
            await api.create_session(ME, FAR, Session(), "made-one")
        assert "secret" not in str(caught.value)
        seen = await asked(api)
        if fault.stale:
            assert seen == ([str(THERE)], [str(FAR)])
            assert (await api.get_session(ME, THERE)).name == str(THERE)
        else:
            assert isinstance(seen, fault.act)
        status = (await api.get_location(FAR)).metadata["status"]
        if fault.status:
            await until(lambda: api._pulse.reach.status == fault.status, "the location to say so")
            status = (await api.get_location(FAR)).metadata["status"]
            assert status["reachable"] is False and status["since"] and status["remedy"] and status["message"]
        router = Router({HERE: here(), FAR: api})
        page = await router.list_sessions(ME, ALL, ListRequest())
        assert {row.name for row in page.items} >= {str(THERE), f"{HERE}/sessions/here"}, "no list is shortened"
        assert page.unreachable == [str(FAR)]
        assert heard == [], "no state is changed"
        far.fault = None
        far.move(THERE.id, "TERMINATING")
        await until(lambda: heard, "the news once it is back", 20)
        await until(lambda: api._pulse.reach.reachable, "the location to say so")
        assert await asked(api) == ([str(THERE)], [])


def here() -> ScriptedSessions:
    """Make a location of this machine with one session."""
    near = ScriptedSessions(HERE)
    near.sessions = [session(HERE, "here", 1)]
    return near


async def test_credentials_that_are_good_again_need_no_restart(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("an-old-one")
    token.chmod(0o600)

    async with cloud() as (far, server):
        far.add(THERE.id, "ACTIVE")
        good = far.route

        def route(request: object) -> Reply:
            fresh = getattr(request, "headers", {}).get("authorization") == "Bearer a-new-one"
            return good(request) if fresh else replies.unauthenticated()  # type: ignore[arg-type]  # the server's own

        server._route = route
        async with proxy(upstream_at(server.url, token=token), tmp_path / "data") as api:
            await until(lambda: api._pulse.reach.status == "UNAUTHENTICATED", "the refusal")
            with pytest.raises(Unauthenticated) as caught:
                await api.list_sessions(ME, FAR, ListRequest())
            status = (await api.get_location(FAR)).metadata["status"]
            assert status["remedy"] and "an-old-one" not in f"{caught.value}{status}"
            token.write_text("a-new-one")
            await until(lambda: api._place.mirror.get(str(THERE)), "its sessions", 20)
            assert [row.name for row in (await api.list_sessions(ME, FAR, ListRequest())).items] == [str(THERE)]
            assert (await api.get_location(FAR)).metadata["status"]["remedy"] == []


async def test_a_slow_upstream_is_waited_for_and_not_called_unreachable(tmp_path: Path) -> None:
    async with cloud() as (far, server):
        far.add(THERE.id, "ACTIVE")
        good = far.route
        server._route = lambda request: replies.slow(good(request), 0.3)
        async with proxy(upstream_at(server.url), tmp_path) as api:
            page = await api.list_sessions(ME, FAR, ListRequest())
            assert ([row.name for row in page.items], page.unreachable) == ([str(THERE)], ())


async def test_an_upstream_that_never_answered_holds_up_nobody(tmp_path: Path) -> None:
    async with FaultServer(otherwise=replies.black_hole()) as server:
        config = upstream_at(server.url, request_timeout=30.0)
        async with proxy(config, tmp_path) as api:
            router = Router({HERE: here(), FAR: api})
            await until(lambda: api._pulse.silent, "it to be found silent")
            for _ in range(3):
                began = time.monotonic()
                page = await router.list_sessions(ME, ALL, ListRequest())
                templates = await router.list_templates(ME, ALL, ListRequest())
                assert await router.list_locations("-")
                assert time.monotonic() - began < 0.3
                assert [row.name for row in page.items] == [f"{HERE}/sessions/here"]
                assert page.unreachable == templates.unreachable == [str(FAR)]
            with pytest.raises(Unavailable):
                await api.list_sessions(ME, FAR, ListRequest())
            began = time.monotonic()
            status = (await api.get_location(FAR)).metadata["status"]
            assert time.monotonic() - began < 0.1 and status["reachable"] is False
        assert time.monotonic() - began < 5, "nor its own end"


async def test_what_is_asked_for_by_name_says_since_when(tmp_path: Path) -> None:
    async with known(tmp_path) as (far, api, _):
        far.fault = replies.reset()
        await until(lambda: not api._pulse._transport.reach.reachable, "the circuit to open")
        for call in (
            api.get_template(ME, TemplateName(FAR, "abc")),
            api.get_session(ME, SessionName(FAR, "unknown-one")),
            api.terminate_session(ME, THERE),
        ):
            with pytest.raises(Unavailable, match="unreachable since"):
                await call


async def test_filters_and_pages_work_on_what_was_last_seen(tmp_path: Path) -> None:
    async with known(tmp_path) as (far, api, _):
        for number in range(5):
            far.add(f"more-{number}", "ACTIVE", labels={"odd": str(number % 2)})
        await until(lambda: len(api._place.mirror.names()) == 6, "all to be known")
        far.fault = replies.reset()
        api._place.changed()
        found, token = [], ""
        while True:
            page = await api.list_sessions(ME, FAR, ListRequest(2, token, "labels.odd = 0"))
            assert page.unreachable == [str(FAR)] or not page.unreachable
            found += [row.name.rpartition("/")[2] for row in page.items]
            token = page.next_page_token
            if not token:
                break
        assert found == ["more-4", "more-2", "more-0"]
        assert await asyncio.wait_for(api.list_locations("acme"), 1)
