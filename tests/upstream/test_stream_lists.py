"""What a change stream's upstream lists and answers beside it: pages without end, rows of others, sessions unread."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, HTTPError, RequestHandler
from tornado.websocket import WebSocketHandler

from jupyter_sessions.model.api import Caller, Change, ListRequest, Reset
from jupyter_sessions.upstream import stream
from jupyter_sessions.upstream.sessions import UpstreamSessions
from tests.upstream.proxies import FAR, proxy, until, upstream_at

NAME = f"{FAR}/sessions"
TIME = "2026-01-01T00:00:00Z"
Pages = Callable[[str], tuple[list[dict[str, Any]], str]]


def row(session_id: str, **fields: Any) -> dict[str, Any]:
    """Write an ACTIVE session."""
    return {"name": f"{NAME}/{session_id}", "uuid": f"u-{session_id}", "state": "ACTIVE", "createTime": TIME, **fields}


def change(sequence: int, session_id: str, **fields: Any) -> str:
    """Write a change of one, its becoming ACTIVE."""
    names = {"session": f"{NAME}/{session_id}", "sessionUuid": f"u-{session_id}"}
    states = {"oldState": "CREATING", "newState": "ACTIVE"}
    return json.dumps({"sequence": sequence, "time": TIME, **names, **states, **fields})


class Far:
    """An upstream: its sessions, its open streams, how it pages, and the sessions that it fails to give."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self.rows = {one["name"].rpartition("/")[2]: one for one in rows}
        self.streams: list[Watched] = []
        self.pages: Pages = lambda token: (list(self.rows.values()), "")
        self.failing: set[str] = set()
        self.lists = 0

    def told(self, text: str) -> None:
        """Say something on the stream that is open."""
        self.streams[-1].write_message(text)


class Answers(RequestHandler):
    """Its REST."""

    def initialize(self, far: Far) -> None:
        self.far = far

    def get(self) -> None:
        parts = self.request.path.removeprefix("/v1/").split("/")
        if len(parts) == 4:
            self.write({"metadata": {"service": "jupyter_sessions"}})
        elif len(parts) == 5:
            self.far.lists += 1
            rows, token = self.far.pages(self.get_query_argument("pageToken", ""))
            self.write({"sessions": rows, "nextPageToken": token})
        elif parts[5] in self.far.failing:
            raise HTTPError(500)
        else:
            self.write(self.far.rows[parts[5]])


class Watched(WebSocketHandler):
    """Its change stream."""

    def initialize(self, far: Far) -> None:
        self.far = far

    def open(self) -> None:
        self.far.streams.append(self)


@contextlib.asynccontextmanager
async def followed(far: Far, data_dir: Path) -> AsyncIterator[UpstreamSessions]:
    """Serve an upstream and run its proxy, which has listed it."""
    app = Application([(r"/v1/.*sessions:watch", Watched, {"far": far}), (r"/v1/.*", Answers, {"far": far})])
    socket, port = bind_unused_port()
    server = HTTPServer(app)
    server.add_socket(socket)
    try:
        async with proxy(upstream_at(f"http://127.0.0.1:{port}"), data_dir) as api:
            await until(lambda: api._place.read.is_set() and far.streams, "the first list")
            yield api
    finally:
        server.stop()
        await server.close_all_connections()


def known(api: UpstreamSessions) -> set[str]:
    """Give the ids of the sessions in memory."""
    return {name.rpartition("/")[2] for name in api._place.mirror.names()}


@pytest.mark.parametrize("following", [{"": "a", "a": "a"}, {"": "a", "a": "b", "b": "a"}], ids=["itself", "a circle"])
async def test_pages_without_an_end_are_no_list(
    following: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "PAUSE", (0.02, 0.1))
    far = Far(row("one-1"), row("two-2"))
    async with followed(far, tmp_path) as api:
        whole = far.pages
        far.pages = lambda token: ([row("one-1")], following[token])
        far.told(json.dumps({"reset": True, "sequence": 7}))
        await until(lambda: len(far.streams) > 2, "it to be listed again and again")
        assert known(api) == {"one-1", "two-2"}, "a list that cannot be read whole ends nothing"
        far.pages = whole
        far.rows["new-3"] = row("new-3")
        await until(lambda: "new-3" in known(api), "the news afterwards")


async def test_rows_that_are_no_session_of_the_location_are_left_out(tmp_path: Path) -> None:
    strange = [{"state": "ACTIVE"}, row("x-1", name="projects/acme/locations/elsewhere/sessions/one-1"), row("../..")]
    far = Far(row("one-1"))
    far.pages = lambda token: ([*strange, *far.rows.values()], "")
    async with followed(far, tmp_path) as api:
        assert known(api) == {"one-1"}
        api._place.changed()
        await api.list_sessions(Caller("me"), FAR, ListRequest(7))
        assert known(api) == {"one-1"}


async def test_a_session_that_could_not_be_read_when_it_changed_is_read_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "PAUSE", (0.02, 0.1))
    far = Far(row("one-1"))
    async with followed(far, tmp_path) as api:
        heard: list[Change] = []
        api.subscribe(heard.append)
        far.rows["new-2"] = row("new-2")
        far.failing.add("new-2")
        far.told(change(1, "new-2"))
        await until(lambda: heard, "the change to be told all the same")
        await until(lambda: "new-2" in known(api), "the session, of which no other change is told")
        assert [one.sequence for one in heard] == [1]


async def test_what_comes_while_a_stream_that_has_told_nothing_is_broken_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "PAUSE", (0.02, 0.1))
    far = Far(row("one-1"))
    async with followed(far, tmp_path) as api:
        await until(lambda: api._feed.holds > 0, "the stream to be followed")
        first = asyncio.ensure_future(anext(api.watch(Caller("me"), FAR, {})))
        far.rows["new-2"] = row("new-2")
        far.streams[0].close()
        await until(lambda: "new-2" in known(api), "what was made meanwhile")
        assert isinstance(await asyncio.wait_for(first, 10), Reset), "watchers list again"


async def test_a_watcher_that_does_not_read_holds_back_the_upstream(tmp_path: Path) -> None:
    far, many = Far(row("one-1")), range(4, 404)
    async with followed(far, tmp_path) as api:
        await until(lambda: api._feed.holds > 0, "the stream to be followed")
        far.told(json.dumps({"reset": True, "sequence": 1000}))
        early = api.watch(Caller("me"), FAR, {FAR: 3})
        await until(lambda: api._feed._feed._floor == 1000, "where the memory begins")  # type: ignore[union-attr]  # it is there
        first = asyncio.ensure_future(anext(early))
        await until(lambda: len(far.streams) == 2, "a stream of its own")
        long = "x" * 100_000
        writes = [far.streams[1].write_message(change(number, "one-1", stateMessage=long)) for number in many]
        assert (await asyncio.wait_for(first, 10)).sequence == 4
        _, waiting = await asyncio.wait([asyncio.ensure_future(one) for one in writes], timeout=1)
        assert len(waiting) > 100, "what nobody reads lies at the upstream"
        told = [(await asyncio.wait_for(anext(early), 10)).sequence for _ in many[1:]]
        assert told == list(many[1:]), "and nothing of it is lost"
        await early.aclose()  # type: ignore[attr-defined]  # a generator
