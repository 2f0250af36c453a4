"""Another jupyter_sessions as upstream: its own sequences, handed on and resumed; a real one, stopped and started."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_sessions.config.locations import LocationConfig
from jupyter_sessions.model.api import Caller, Change, ListRequest, Reset
from jupyter_sessions.model.errors import DeadlineExceeded, Unavailable
from jupyter_sessions.model.names import LOCAL, SessionName
from jupyter_sessions.model.resources import Session
from jupyter_sessions.model.states import State
from tests.real.server import PARENT, TOKEN, RealServer, real_server
from tests.upstream.proxies import proxy, until, upstream_at

ME = Caller("me")


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """Run one server for this module."""
    with real_server(tmp_path_factory.mktemp("up")) as server:
        yield server


def towards(server: RealServer, folder: Path) -> LocationConfig:
    """Configure a server as a location."""
    token = folder / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    return upstream_at(f"{server.url}/jupyter-sessions", LOCAL, token, request_timeout=10.0)


async def create(server: RealServer, name: str) -> None:
    """Make a session as another client of the upstream does."""
    await asyncio.to_thread(server.create, name)


async def test_changes_keep_the_upstreams_sequences_and_are_not_polled_for(
    upstream: RealServer, tmp_path: Path
) -> None:
    async with proxy(towards(upstream, tmp_path), tmp_path / "data") as api:
        heard: list[Change] = []
        api.subscribe(heard.append)
        await until(lambda: api._place.read.is_set(), "the first list")
        await create(upstream, "seen-one")
        await until(lambda: heard and heard[-1].new_state is State.ACTIVE, "the news")
        answer = await asyncio.to_thread(
            upstream.http.get,
            f"{upstream.url}/jupyter-sessions/v1/{PARENT}/sessions:watch",
            params={"after": str(heard[0].sequence)},
            headers={"Accept": "text/event-stream"},
            stream=True,
            timeout=10,
        )
        with answer:
            lines = (line for line in answer.iter_lines(decode_unicode=True) if line.startswith("id:"))
            first = await asyncio.to_thread(next, lines)
        assert int(first.removeprefix("id:")) == heard[1].sequence
        assert api._place.mirror.get(f"{PARENT}/sessions/seen-one") is not None
        page = await api.list_sessions(ME, LOCAL, ListRequest())
        for _ in range(20):
            again = await api.list_sessions(ME, LOCAL, ListRequest())
            assert [row.name for row in again.items] == [row.name for row in page.items]
        assert api._feed.holds > 0


async def test_a_stream_goes_on_after_its_last_change_when_the_upstream_is_back(
    upstream: RealServer, tmp_path: Path
) -> None:
    config = towards(upstream, tmp_path)
    async with proxy(config, tmp_path / "data") as api:
        heard: list[Change] = []
        api.subscribe(heard.append)
        await create(upstream, "lasting-one")
        await until(lambda: heard and heard[-1].new_state is State.ACTIVE, "the news")
        last = heard[-1].sequence
        await asyncio.to_thread(upstream.kill)
        await until(lambda: not api._pulse.reach.reachable, "it to be found gone", 20)
        page = await api.list_sessions(ME, LOCAL, ListRequest())
        assert f"{PARENT}/sessions/lasting-one" in [row.name for row in page.items]
        assert page.unreachable == [str(LOCAL)]
        assert (await api.get_session(ME, SessionName(LOCAL, "lasting-one"))).state is State.ACTIVE
        with pytest.raises((Unavailable, DeadlineExceeded)):
            await api.create_session(ME, LOCAL, Session(), "never-one")
        assert heard[-1].sequence == last, "an upstream that is away changes nothing"
        await asyncio.to_thread(upstream.start)
        await asyncio.to_thread(upstream.call, "POST", f"{PARENT}/sessions/lasting-one:terminate")
        await until(lambda: heard[-1].new_state is State.TERMINATED, "the news afterwards", 40)
        assert [one.sequence for one in heard] == sorted({one.sequence for one in heard})
        await until(lambda: api._pulse.reach.reachable, "the location to say so")
        assert not (await api.list_sessions(ME, LOCAL, ListRequest())).unreachable


async def test_what_happened_while_this_server_was_away_is_told(upstream: RealServer, tmp_path: Path) -> None:
    config = towards(upstream, tmp_path)
    async with proxy(config, tmp_path / "data") as api:
        heard: list[Change] = []
        api.subscribe(heard.append)
        await create(upstream, "before-one")
        await until(lambda: heard and heard[-1].new_state is State.ACTIVE, "the news")
        last, end = heard[-1].sequence, time.monotonic() + 10
        while await api._place.journal.sequence() != last:
            assert time.monotonic() < end, "the last change is not written down"
            await asyncio.sleep(0.01)
    await create(upstream, "meanwhile-one")
    async with proxy(config, tmp_path / "data") as api:
        heard = []
        api.subscribe(heard.append)
        await until(lambda: heard and heard[-1].new_state is State.ACTIVE, "the news")
        assert {one.session for one in heard} == {f"{PARENT}/sessions/meanwhile-one"}
        assert heard[0].sequence > last
        watch = api.watch(ME, LOCAL, {LOCAL: last})
        assert await asyncio.wait_for(anext(watch), 10) == heard[0]
        early = api.watch(ME, LOCAL, {LOCAL: 0})
        first = await asyncio.wait_for(anext(early), 10)
        assert isinstance(first, Change) and first.sequence == 1, "what is not remembered here comes from there"
        beyond = api.watch(ME, LOCAL, {LOCAL: 10**9})
        assert isinstance(await asyncio.wait_for(anext(beyond), 10), Reset)


async def test_its_location_is_described_by_what_it_says(upstream: RealServer, tmp_path: Path) -> None:
    async with proxy(towards(upstream, tmp_path), tmp_path / "data") as api:
        await until(lambda: api._place.read.is_set(), "the first list")
        metadata = (await api.get_location(LOCAL)).metadata
        assert (metadata["provider"], metadata["upstream"], metadata["engine"]) == (
            "upstream",
            "jupyter_sessions",
            "process",
        )
        assert metadata["capabilities"]["update"] is True and metadata["limits"]["maxTtl"] == "1209600s"
        assert TOKEN not in str(metadata)
