"""The way to a host: who holds the socket, what is sent, how failures look."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tornado import web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket
from tornado.websocket import WebSocketHandler

from jupyter_sessions.engines.hostlink import MAX_ANSWER, HostLink, HostRefused, HostUnreachable, WrongPeer, peer_uid

TOKEN = "5ec7e7" * 10
SEEN: list[str] = []
OPENED: list[EchoSocket] = []


class Echo(web.RequestHandler):
    """Answers with what it was asked."""

    def prepare(self) -> None:
        SEEN.append(self.request.headers.get("Authorization", ""))

    def get(self, what: str) -> None:
        if what == "moved":
            self.redirect("/r/elsewhere")
        elif what == "text":
            self.write("no json")
        elif what == "empty":
            self.set_status(204)
        elif what == "huge":
            self.write(b" " * (MAX_ANSWER + 1))
        elif what == "deep":
            self.write(b"[" * 100_000)
        elif what == "teapot":
            self.set_status(418)
            self.write({"message": "short and stout"})
        else:
            self.write({"method": "GET", "what": what})

    def post(self, what: str) -> None:
        self.write({"method": "POST", "body": self.request.body.decode()})

    delete = get


class Slow(web.RequestHandler):
    """Never answers in time."""

    async def get(self) -> None:
        await asyncio.sleep(30)


class EchoSocket(WebSocketHandler):
    """Sends back what comes."""

    def open(self) -> None:
        OPENED.append(self)

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return subprotocols[0] if subprotocols else None

    def on_message(self, message: str | bytes) -> None:
        if message == "close":
            self.close(4001, "asked")
        elif isinstance(message, str) and message.startswith("big "):
            self.write_message(os.urandom(int(message[4:])), binary=True)
        else:
            self.write_message(message, binary=isinstance(message, bytes))


@contextlib.contextmanager
def serving(**settings: Any) -> Iterator[str]:
    """Serve the peer on a Unix socket of its own and give its path."""
    with tempfile.TemporaryDirectory(prefix="hl") as folder:
        path = os.path.join(folder, "s")
        app = web.Application([("/r/(.*)", Echo), ("/slow", Slow), ("/ws", EchoSocket)], **settings)
        server = HTTPServer(app)
        server.add_socket(bind_unix_socket(path))
        SEEN.clear()
        OPENED.clear()
        try:
            yield path
        finally:
            server.stop()


@contextlib.contextmanager
def linked(path: str, uid: int | None = None) -> Iterator[HostLink]:
    """Give a link to ``path`` and close it."""
    link = HostLink(f"unix:{path}", TOKEN, os.getuid() if uid is None else uid)
    try:
        yield link
    finally:
        link.close()


@pytest.mark.parametrize("address", ["", "unix:", "http://localhost", "/tmp/s"])
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"address: must be unix:"):
        HostLink(address, TOKEN, 0)


async def test_requests_carry_the_token_and_json() -> None:
    with serving() as path, linked(path) as link:
        assert await link.request("GET", "/r/one") == (200, {"method": "GET", "what": "one"})
        assert await link.request("POST", "/r/x", {"a": [1, "ü"]}) == (
            200,
            {"method": "POST", "body": '{"a": [1, "\\u00fc"]}'},
        )
        assert (await link.request("POST", "/r/x"))[1]["body"] == ""
        assert (await link.request("DELETE", "/r/gone"))[0] == 200
        assert set(SEEN) == {f"token {TOKEN}"}


async def test_any_status_is_an_answer_and_no_redirect_is_followed() -> None:
    with serving() as path, linked(path) as link:
        assert await link.request("GET", "/r/teapot") == (418, {"message": "short and stout"})
        assert await link.request("GET", "/r/text") == (200, "no json")
        assert await link.request("GET", "/r/empty") == (204, None)
        assert (await link.request("GET", "/r/moved"))[0] == 302
        assert len(SEEN) == 4


async def test_an_answer_is_read_up_to_a_size_and_a_depth() -> None:
    with serving() as path, linked(path) as link:
        with pytest.raises(HostUnreachable):
            await link.request("GET", "/r/huge")
        assert await link.request("GET", "/r/deep") == (200, "[" * 100_000)
        assert (await link.request("GET", "/r/one"))[0] == 200


async def test_no_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with serving() as path, linked(path) as link:
        assert (await link.request("GET", "/r/one"))[0] == 200


async def test_websocket_messages_and_close_code() -> None:
    with serving() as path, linked(path) as link:
        ws = await link.websocket("/ws?session_id=a", ["v1.test", "v0.test"])
        assert ws.selected_subprotocol == "v1.test"
        for message in (b"\0\xff" * 10, "text"):
            await ws.write_message(message, binary=isinstance(message, bytes))
            assert await ws.read_message() == message
        await ws.write_message("close")
        assert await ws.read_message() is None
        assert ws.close_code == 4001
        ws.close()


async def test_messages_larger_than_tornados_own_limits_arrive() -> None:
    with serving() as path, linked(path) as link:
        ws = await link.websocket("/ws")
        await ws.write_message(f"big {120 << 20}")
        message = await ws.read_message()
        assert isinstance(message, bytes) and len(message) == 120 << 20
        ws.close()


async def test_a_sink_holds_back_the_next_message() -> None:
    got: list[str | bytes | None] = []
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    first, last = asyncio.Event(), asyncio.Event()

    def sink(message: str | bytes | None) -> asyncio.Future[None] | None:
        got.append(message)
        first.set()
        if message is None:
            last.set()
            return None
        return gate

    with serving() as path, linked(path) as link:
        ws = await link.websocket("/ws", sink=sink)
        for text in ("a", "b", "close"):
            await ws.write_message(text)
        await asyncio.wait_for(first.wait(), 5)
        for _ in range(20):
            await link.request("GET", "/r/one")
        assert got == ["a"]
        gate.set_result(None)
        await asyncio.wait_for(last.wait(), 5)
        assert got == ["a", "b", None]
        ws.close()


async def test_a_wrong_account_gets_no_byte() -> None:
    with tempfile.TemporaryDirectory(prefix="hl") as folder:
        path = os.path.join(folder, "s")
        with socket.socket(socket.AF_UNIX) as listener, linked(path, os.getuid() + 1) as link:
            listener.bind(path)
            listener.listen()
            if os.getuid() == 0:
                # The file is the account's, whoever listens is not.
                os.chown(path, 1, -1)
            for attempt in (link.request("GET", "/r/one"), link.websocket("/ws")):
                with pytest.raises(WrongPeer, match="nothing was sent") as caught:
                    await attempt
                assert isinstance(caught.value, PermissionError) and isinstance(caught.value, HostUnreachable)
                if os.getuid() == 0 or sys.platform != "linux":
                    other, _ = listener.accept()
                    with other:
                        assert other.recv(1) == b""


@pytest.mark.skipif(sys.platform != "linux", reason="sessions of other accounts are Linux's")
async def test_no_link_is_followed_to_another_accounts_socket() -> None:
    with tempfile.TemporaryDirectory(prefix="hl") as folder:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.join(folder, "target"))
            listener.listen()
            listener.setblocking(False)
            inside = os.path.join(folder, "inside")
            os.mkdir(inside)
            os.symlink("../target", os.path.join(inside, "link"))
            os.mkfifo(os.path.join(inside, "pipe"))
            os.symlink("..", os.path.join(inside, "folder"))
            for name in ("inside/link", "inside/pipe", "inside/folder/target", "target"):
                with linked(os.path.join(folder, name), os.getuid() + 1) as link:
                    with pytest.raises(HostUnreachable):
                        await link.request("GET", "/r/one")
                    with pytest.raises(HostUnreachable):
                        await link.websocket("/ws")
            with pytest.raises(BlockingIOError):
                listener.accept()


def test_the_peers_account_is_read() -> None:
    left, right = socket.socketpair()
    with left, right:
        assert peer_uid(left) == os.getuid()


async def test_a_missing_or_deaf_socket_is_unreachable(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="hl") as folder:
        missing = os.path.join(folder, "none")
        with linked(missing) as link:
            with pytest.raises(HostUnreachable, match="no socket at"):
                await link.request("GET", "/")
            with pytest.raises(HostUnreachable, match="no socket at"):
                await link.websocket("/ws")
        deaf = os.path.join(folder, "deaf")
        with socket.socket(socket.AF_UNIX) as bound, linked(deaf) as link:
            bound.bind(deaf)
            with pytest.raises(HostUnreachable, match="nobody listens"):
                await link.request("GET", "/")
        with linked(os.path.join(folder, "x" * 200)) as link, pytest.raises(HostUnreachable, match="cannot be reached"):
            await link.request("GET", "/")


async def test_a_full_backlog_is_waited_for_and_then_unreachable() -> None:
    with tempfile.TemporaryDirectory(prefix="hl") as folder, contextlib.ExitStack() as stack:
        path = os.path.join(folder, "s")
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(path)
        link = stack.enter_context(linked(path))
        with pytest.raises(HostUnreachable, match=r"no connection in time|gave no answer"):
            await link.request("GET", "/", timeout=0.3)


async def test_a_host_that_does_not_answer_times_out() -> None:
    with serving() as path, linked(path) as link:
        with pytest.raises(HostUnreachable, match="gave no answer"):
            await link.request("GET", "/slow", timeout=0.2)
        with pytest.raises(HostUnreachable):
            await link.websocket("/slow", timeout=0.2)


async def test_a_refused_websocket_tells_its_status() -> None:
    with serving() as path, linked(path) as link:
        for target, status in (("/nowhere", 404), ("/r/one", 200)):
            with pytest.raises(HostRefused) as caught:
                await link.websocket(target)
            assert caught.value.status == status


async def test_a_cancelled_dial_leaves_nothing_open() -> None:
    with serving() as path, linked(path) as link:
        dial = asyncio.ensure_future(link.websocket("/ws"))
        await asyncio.sleep(0)
        dial.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dial
        deadline = asyncio.get_running_loop().time() + 5
        while not OPENED or OPENED[0].ws_connection is not None:
            assert asyncio.get_running_loop().time() < deadline
            await link.request("GET", "/r/one")


async def test_the_token_shows_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []
    with serving() as path, linked(path) as link, linked(path + "x") as gone, linked(path, 12345) as wrong:
        shown += [repr(link), str(link)]
        await link.request("GET", "/r/one")
        for attempt in (
            gone.request("GET", "/"),
            gone.websocket("/"),
            wrong.request("GET", "/"),
            link.websocket("/r/one"),
            link.request("GET", "/slow", timeout=0.1),
        ):
            with pytest.raises(HostUnreachable) as caught:
                await attempt
            error: BaseException | None = caught.value
            while error is not None:
                shown += [repr(error), str(error), repr(error.args)]
                error = error.__cause__
            assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert TOKEN not in "".join(shown) + caplog.text
