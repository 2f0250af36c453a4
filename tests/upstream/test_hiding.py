"""Credentials that an upstream says back are gone from its answer before anything else is done with it."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest

from jupyter_sessions.engines.hostlink import HostRefused
from jupyter_sessions.model.api import Change
from jupyter_sessions.model.errors import SessionsError, Unavailable
from jupyter_sessions.model.names import LocationName
from jupyter_sessions.upstream.errors import HIDDEN
from jupyter_sessions.upstream.gateway_wire import Wire
from jupyter_sessions.upstream.hiding import SHORT, Hidden
from jupyter_sessions.upstream.stream import read_change
from tests.faults.replies import HTML, JSON, raw
from tests.faults.server import FaultServer, Request
from tests.faults.server import Wire as Line
from tests.real.echoing import closing
from tests.upstream.carrying import SESSIONS, Passes, carried

TOKEN = "QuiteLong/Token+of=4711"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "X-Goog-User-Project": "a-project-of-somebody"}


def read(content: bytes, headers: dict[str, str]) -> Any:
    hidden = Hidden(headers)
    content = hidden.of_bytes(content)
    return hidden.of_json(content, json.loads(content))


def test_in_data_it_is_hidden_in_values_and_keys_and_nothing_else_changes() -> None:
    given = {"a": f"{TOKEN} {TOKEN}", TOKEN: [1, None, {"b": f"Bearer {TOKEN}"}], "project": "a-project-of-somebody"}
    hidden = {"a": f"{HIDDEN} {HIDDEN}", HIDDEN: [1, None, {"b": HIDDEN}], "project": "a-project-of-somebody"}
    assert read(json.dumps(given).encode(), HEADERS) == hidden


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_it_is_known_however_json_spells_it(encoding: str) -> None:
    escaped = "".join(f"\\u{ord(sign):04x}" for sign in TOKEN)
    slashed = TOKEN.replace("/", "\\/")
    text = f'{{"escaped": "{escaped}", "slashed": "{slashed}", "plain": "{TOKEN}"}}'
    assert set(read(text.encode(encoding), HEADERS).values()) == {HIDDEN}


def test_in_headers_its_case_does_not_matter() -> None:
    value = f"https://{TOKEN.lower()}.example/{TOKEN}"
    assert Hidden(HEADERS).of_header(value) == f"https://{HIDDEN}.example/{HIDDEN}"


@pytest.mark.parametrize("depth", [700, 200_000])
async def test_an_answer_that_is_nested_too_deeply_is_none(depth: int) -> None:
    body = b"[" * depth + b'"\\\\"' + b"]" * depth
    async with FaultServer(otherwise=raw(200, b'{"a": %s}' % body, JSON)) as server:
        async with carried(server.url, Passes([TOKEN])) as transport:
            with pytest.raises(Unavailable, match="where a JSON object was expected"):
                await transport.call("GET", SESSIONS)
        with contextlib.closing(Wire(server.url, Passes([TOKEN]))) as wire:
            assert isinstance((await wire.request("GET", "/api/kernels"))[1], str)


def test_a_short_word_is_none_in_data() -> None:
    short = "s" * (SHORT - 1 - len("Bearer "))
    assert read(json.dumps({"a": short}).encode(), {"Authorization": f"Bearer {short}"}) == {"a": short}


def test_what_is_hidden_is_not_shown_by_what_hides_it() -> None:
    assert TOKEN not in repr(Hidden(HEADERS))


async def test_what_is_shown_of_a_page_holds_no_part_of_it() -> None:
    for padding in range(160, 200):
        page = f"<p>{'x' * padding} {TOKEN}</p>".encode()
        async with FaultServer(otherwise=raw(200, page, HTML)) as server, carried(server.url, Passes([TOKEN])) as there:
            with pytest.raises(SessionsError) as caught:
                await there.call("GET", SESSIONS)
        assert TOKEN[:4] not in caught.value.message


async def test_a_kind_of_answer_or_a_host_that_is_the_token_is_not_told() -> None:
    token = TOKEN.replace("/", "-")
    kind = raw(200, b"x", {"Content-Type": f"{'x' * 45}{token}"})
    away = raw(302, b"", {"Location": f"https://{token}.example/"})
    async with FaultServer(kind, otherwise=away) as server, carried(server.url, Passes([token])) as there:
        for _ in range(2):
            with pytest.raises(SessionsError) as caught:
                await there.call("GET", SESSIONS)
            assert TOKEN[:4].lower() not in caught.value.message.lower()


async def test_headers_that_are_none_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    answer = f"HTTP/1.1 200 {TOKEN}\r\n{TOKEN}\r\nBearer:{TOKEN}\r\n\r\n".encode()

    async def reply(wire: Line, request: Request) -> bool:
        await wire.send(answer)
        return False

    async with FaultServer(otherwise=reply) as server, carried(server.url, Passes([TOKEN])) as there:
        assert (await there.call("GET", SESSIONS)).body == {}
    assert f'"GET /v1/{SESSIONS} HTTP/1.1" 200' in caplog.text and TOKEN not in caplog.text


async def test_good_answers_hold_it_no_more() -> None:
    body = json.dumps({"sessions": [], "headers": {"Authorization": f"Bearer {TOKEN}"}}).encode()
    async with FaultServer(otherwise=raw(200, body, JSON)) as server, carried(server.url, Passes([TOKEN])) as there:
        answer = await there.call("GET", SESSIONS)
    assert answer.body == {"sessions": [], "headers": {"Authorization": HIDDEN}}


@pytest.mark.parametrize("status", [200, 403])
async def test_a_gateways_answers_hold_it_no_more(status: int) -> None:
    escaped = "".join(f"\\u{ord(sign):04x}" for sign in TOKEN)
    replies = [raw(status, f'{{"message": "{word}"}}'.encode(), JSON) for word in (TOKEN, f"Bearer {TOKEN}", escaped)]
    async with FaultServer(*replies, otherwise=raw(status, f"{TOKEN} as text".encode(), HTML)) as server:
        wire = Wire(server.url, Passes([TOKEN]))
        for _ in replies:
            assert await wire.request("GET", "/api/kernelspecs") == (status, {"message": HIDDEN})
        assert await wire.request("GET", "/api/kernelspecs") == (status, f"{HIDDEN} as text")
        with pytest.raises(HostRefused) as caught:
            await wire.websocket("/api/kernels/1/channels")
        assert TOKEN not in str(caught.value)
        wire.close()


async def test_the_reason_of_a_websockets_end_holds_it_no_more() -> None:
    async with FaultServer(route=closing) as server:
        wire = Wire(server.url, Passes([TOKEN]))
        socket = await wire.websocket("/api/kernels/1/channels")
        assert await socket.read_message() is None
        assert (socket.close_code, socket.close_reason) == (1011, HIDDEN)
        socket.close()
        wire.close()


@pytest.mark.parametrize("escaped", [False, True])
def test_a_change_that_is_told_holds_it_no_more(escaped: bool) -> None:
    word = "".join(f"\\u{ord(sign):04x}" for sign in TOKEN) if escaped else TOKEN
    told = (
        f'{{"sequence": 1, "session": "{SESSIONS}/far-one", "sessionUuid": "u", "oldState": "CREATING", '
        f'"newState": "ACTIVE", "stateMessage": "{word}", "time": "2026-01-01T00:00:00Z"}}'
    )
    change = read_change(LocationName("p", "l"), told, Hidden(HEADERS))
    assert isinstance(change, Change) and change.state_message == HIDDEN
