"""The change stream: websocket and server-sent events, where it begins, how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from jupyter_sessions.handlers import streams
from jupyter_sessions.handlers.streams import LISTENS, parse_after
from jupyter_sessions.model.api import Reset
from jupyter_sessions.model.errors import InvalidArgument, Unavailable
from jupyter_sessions.model.names import LOCAL, LocationName
from jupyter_sessions.router import Router
from tests.handlers.scripted import ScriptedSessions, change
from tests.handlers.serving import PARENT, ROOT, Rest, embedded, query, rest, serve, until

WATCH = f"{PARENT}/sessions:watch"
EVERYWHERE = "projects/-/locations/-/sessions:watch"
OTHER = LocationName("other", "place")


@pytest.fixture
def api(jp_serverapp: Any) -> ScriptedSessions:
    """Give the scripted default location behind the server, which has another one beside it."""
    scripted = ScriptedSessions(LOCAL)
    serve(jp_serverapp, Router({LOCAL: scripted, OTHER: ScriptedSessions(OTHER)}))
    return scripted


class Server:
    """Opens streams on a server."""

    def __init__(self, serverapp: Any, port: int) -> None:
        self.token = serverapp.identity_provider.token
        self.port = port

    async def socket(self, path: str, **headers: str) -> WebSocketClientConnection:
        sent = {"Authorization": f"token {self.token}", **headers}
        return await websocket_connect(HTTPRequest(f"ws://127.0.0.1:{self.port}{ROOT}{path}", headers=sent))

    @contextlib.asynccontextmanager
    async def events(self, path: str, last: str = "") -> AsyncIterator[asyncio.StreamReader]:
        """Open a stream of events and give it from its first byte after the headers."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        resume = f"Last-Event-ID: {last}\r\n" if last else ""
        writer.write(
            f"GET {ROOT}{path} HTTP/1.1\r\nHost: localhost:{self.port}\r\nAccept: text/event-stream\r\n{resume}"
            f"Authorization: Bearer {self.token}\r\n\r\n".encode()
        )
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        assert head.startswith(b"HTTP/1.1 200 ") and b"Content-Type: text/event-stream" in head, head
        try:
            yield reader
        finally:
            writer.close()


@pytest.fixture
def server(jp_serverapp: Any, http_server_client: Any, jp_http_port: int) -> Server:
    """Give the server to open streams on."""
    return Server(jp_serverapp, jp_http_port)


async def read(socket: WebSocketClientConnection) -> Any:
    text = await asyncio.wait_for(asyncio.ensure_future(socket.read_message()), 10)
    return None if text is None else json.loads(text)


async def event(reader: asyncio.StreamReader) -> tuple[str, Any]:
    """Give the next event's id and JSON; comments are passed over."""
    while True:
        fields = {}
        while line := (await asyncio.wait_for(reader.readline(), 10)).strip():
            name, _, value = line.decode().partition(": ")
            fields[name] = value
            if len(line) < 6 and name.strip("0123456789abcdef") == "":
                fields.pop(name)
        if "data" in fields:
            return fields.get("id", ""), json.loads(fields["data"])


async def test_a_websocket_tells_changes_as_they_come(api: ScriptedSessions, server: Server) -> None:
    api.tell(change(LOCAL, 1))
    socket = await server.socket(WATCH)
    api.tell(change(LOCAL, 2))
    assert await read(socket) == {
        "sequence": 2,
        "session": f"{PARENT}/sessions/abcd",
        "sessionUuid": "uuid",
        "oldState": "CREATING",
        "newState": "ACTIVE",
        "stateMessage": "",
        "time": "1970-01-01T00:00:02Z",
    }
    api.tell(Reset(LOCAL, 9))
    assert await read(socket) == {"reset": True, "sequence": 9}
    socket.close()
    await until(lambda: api.readers == 0, "the feed to lose its reader")


async def test_a_client_that_sends_much_is_cut_off(api: ScriptedSessions, server: Server, jp_serverapp: Any) -> None:
    jp_serverapp.web_app.settings["websocket_max_message_size"] = 1 << 30
    socket = await server.socket(WATCH)
    await socket.write_message("x" * 1000)
    api.tell(change(LOCAL, 1))
    assert (await read(socket))["sequence"] == 1
    await socket.write_message("x" * (LISTENS + 1))
    assert await read(socket) is None
    socket.close()
    await until(lambda: api.readers == 0, "the feed to lose its reader")


async def test_a_websocket_resumes_after_a_sequence(api: ScriptedSessions, server: Server) -> None:
    for sequence in (1, 2, 3):
        api.tell(change(LOCAL, sequence))
    socket = await server.socket(f"{WATCH}?after=1")
    assert [(await read(socket))["sequence"], (await read(socket))["sequence"]] == [2, 3]
    socket.close()


async def test_several_locations_are_one_stream(api: ScriptedSessions, server: Server) -> None:
    for sequence in (1, 2):
        api.tell(change(LOCAL, sequence))
    socket = await server.socket(EVERYWHERE + query(after=f"{PARENT},1"))
    found = await read(socket)
    assert (found["sequence"], found["location"]) == (2, PARENT)
    api.tell(Reset(LOCAL, 5))
    assert await read(socket) == {"reset": True, "sequence": 5, "location": PARENT}
    socket.close()
    await until(lambda: api.readers == 0, "the feed to lose its reader")


async def test_events_are_told_with_an_id_to_resume_from(api: ScriptedSessions, server: Server) -> None:
    api.tell(change(LOCAL, 1))
    async with server.events(f"{WATCH}?after=0") as reader:
        assert [(await event(reader))[0]] == ["1"]
        api.tell(change(LOCAL, 2))
        last, found = await event(reader)
        assert (last, found["sequence"]) == ("2", 2)
    await until(lambda: api.readers == 0, "the feed to lose its reader")
    api.tell(change(LOCAL, 3))
    async with server.events(f"{WATCH}?after=0", last=last) as reader:
        assert (await event(reader))[1]["sequence"] == 3


async def test_events_of_several_locations_carry_every_position(api: ScriptedSessions, server: Server) -> None:
    api.tell(change(LOCAL, 1))
    async with server.events(EVERYWHERE + query(after=f"{PARENT},0") + f"&after={OTHER},7") as reader:
        last, _ = await event(reader)
        assert last == f"{PARENT},1 {OTHER},7"
    api.tell(change(LOCAL, 2))
    async with server.events(EVERYWHERE, last=last) as reader:
        assert (await event(reader))[1]["sequence"] == 2


async def test_a_silent_stream_of_events_says_that_it_lives(
    api: ScriptedSessions, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "KEEPALIVE", 0.02)
    async with server.events(WATCH) as reader:
        assert await asyncio.wait_for(reader.readuntil(b": alive\n\n"), 10)
        assert await asyncio.wait_for(reader.readuntil(b": alive\n\n"), 10)
        api.tell(change(LOCAL, 1))
        assert (await event(reader))[1]["sequence"] == 1


async def test_a_feed_that_breaks_ends_its_stream_in_words(api: ScriptedSessions, server: Server) -> None:
    socket = await server.socket(WATCH)
    api.failures["watch_step"] = Unavailable("the disk is away")
    api.tell(change(LOCAL, 1))
    assert await read(socket) is None
    assert (socket.close_code, socket.close_reason) == (1011, "the disk is away")
    socket.close()
    async with server.events(WATCH) as reader:
        api.failures["watch_step"] = Unavailable("the disk is away")
        api.tell(change(LOCAL, 2))
        assert (await event(reader))[1]["error"]["status"] == "UNAVAILABLE"
    await until(lambda: api.readers == 0, "the feed to lose its reader")


async def test_a_stream_ends_with_the_service(
    jp_serverapp: Any, http_server_client: Any, server: Server, tmp_path: Path
) -> None:
    call = rest(jp_serverapp, http_server_client)
    async with embedded(jp_serverapp, tmp_path):
        socket = await server.socket(WATCH)
        wide = await server.socket(EVERYWHERE)
        await call("POST", f"{PARENT}/sessions?sessionId=my-session", {})
        states = [(await read(socket))["newState"]]
        while states[-1] != "ACTIVE":
            states.append((await read(socket))["newState"])
        assert states[0] == "CREATING"
        assert (await read(wide))["location"] == PARENT
    assert await read(socket) is None
    assert socket.close_code == 1001
    for each in (socket, wide):
        each.close()


async def test_nothing_is_left_running_when_clients_have_gone(api: ScriptedSessions, server: Server) -> None:
    before = len(asyncio.all_tasks())
    for path in (WATCH, EVERYWHERE):
        (await server.socket(path)).close()
        async with server.events(path) as reader:
            assert await asyncio.wait_for(reader.readuntil(b": open\n\n"), 10)
    await until(lambda: api.readers == 0 and len(asyncio.all_tasks()) <= before, "every task to end")


REFUSED = [
    (f"{WATCH}?after=x", 400),
    (f"{WATCH}?after=-1", 400),
    (f"{WATCH}?after=1&after=2", 400),
    (f"{WATCH}?after={PARENT},1", 400),
    (f"{EVERYWHERE}?after=1", 400),
    (f"{EVERYWHERE}?after=projects/-/locations/-,1", 400),
    (f"{EVERYWHERE}?after=projects/no/locations/where,1", 400),
    (f"{WATCH}?before=1", 400),
    ("projects/-/locations/local/sessions:watch", 400),
    ("projects/local/locations/nowhere/sessions:watch", 404),
]


async def test_a_faulty_request_is_refused_before_the_stream_opens(
    api: ScriptedSessions, server: Server, jp_serverapp: Any, http_server_client: Any
) -> None:
    call = rest(jp_serverapp, http_server_client)
    for path, status in REFUSED:
        with pytest.raises(HTTPClientError) as caught:
            await server.socket(path)
        assert caught.value.code == status, path
        answer = await call("GET", path, headers={"Accept": "text/event-stream"})
        answer.refused(status, "NOT_FOUND" if status == 404 else "INVALID_ARGUMENT")
    assert api.readers == 0


async def test_a_plain_request_is_told_how_to_open_the_stream(
    api: ScriptedSessions, jp_serverapp: Any, http_server_client: Any
) -> None:
    call = rest(jp_serverapp, http_server_client)
    assert "websocket" in (await call("GET", WATCH)).refused(400, "INVALID_ARGUMENT")
    half = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    (await call("GET", WATCH, headers=half)).refused(400, "INVALID_ARGUMENT")
    assert (await call("HEAD", WATCH)).headers["Content-Type"] == "text/event-stream"


async def test_a_stream_needs_a_user_and_its_own_origin(
    api: ScriptedSessions, server: Server, http_server_client: Any
) -> None:
    nobody = Rest(http_server_client, None)
    (await nobody("GET", WATCH)).refused(401, "UNAUTHENTICATED")
    with pytest.raises(HTTPClientError) as caught:
        await server.socket(WATCH, Authorization="token wrong")
    assert caught.value.code == 401
    # A token is proof enough whatever the origin, as for Jupyter's own websockets; a cookie is not.
    (await server.socket(WATCH, Origin="http://evil.example")).close()
    cookie = (await Rest(http_server_client, server.token)("GET", PARENT)).headers["Set-Cookie"].partition(";")[0]
    refused = await nobody(
        "GET", WATCH, headers={"Cookie": cookie, "Origin": "http://evil.example", "Accept": "text/event-stream"}
    )
    assert refused.status in (401, 403)
    assert api.readers == 0


def test_after_is_one_sequence_or_one_for_each_location() -> None:
    everywhere = LocationName("-", "-")
    assert parse_after(LOCAL, []) == {}
    assert parse_after(LOCAL, ["0"]) == {LOCAL: 0}
    assert parse_after(everywhere, [f"{LOCAL},3", f"{OTHER},4"]) == {LOCAL: 3, OTHER: 4}
    for parent, texts in [(LOCAL, ["٣"]), (everywhere, [f"{LOCAL},3", f"{LOCAL},4"]), (everywhere, ["a,1"])]:
        with pytest.raises(InvalidArgument, match="after"):
            parse_after(parent, texts)
