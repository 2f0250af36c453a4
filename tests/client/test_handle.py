"""A handle's connections, and what becomes of Ctrl-C."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from jupyter_sessions.client import ServerGone, SessionHandle, SessionsClient
from jupyter_sessions.client.kernel import KernelConnection
from jupyter_sessions.client.socket import ChannelSocket
from tests.real.server import TOKEN, RealServer, real_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """Run one server for this module."""
    with real_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def session(server: RealServer) -> Iterator[SessionHandle]:
    """Give a handle that has no connection yet."""
    with SessionsClient(server.url, TOKEN) as client, client.session("handled") as made:
        yield made


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[KernelConnection]:
    """Note every connection that is opened."""
    found: list[KernelConnection] = []
    real = KernelConnection.open

    def opening(self: KernelConnection, timeout: float = 60.0) -> KernelConnection:
        found.append(self)
        return real(self, timeout)

    monkeypatch.setattr(KernelConnection, "open", opening)
    return found


def test_a_kernel_has_one_connection_by_whatever_name(session: SessionHandle, opened: list[KernelConnection]) -> None:
    first = session.connect("new")
    other = session.connect("new")
    assert session.connect(first.kernel_id) is session.connect(first.kernel_id[:12]) is first is not other
    assert session.connect() in (first, other) and len(opened) == 2
    session.close()
    assert all(connection.closed for connection in opened)


def test_threads_that_connect_at_once_get_one_connection(
    session: SessionHandle, opened: list[KernelConnection]
) -> None:
    session.connect().close()
    opened.clear()
    gate, got = threading.Barrier(4), []

    def connect() -> None:
        gate.wait(60)
        got.append(session.connect())

    threads = [threading.Thread(target=connect) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(got) == 4 and got.count(got[0]) == 4 and opened == got[:1]


def test_a_new_kernel_that_cannot_be_reached_is_not_left_behind(
    session: SessionHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = session.connect().kernel_id
    session.close()
    before = {str(kernel["id"]) for kernel in session.kernels()}

    def gone(self: KernelConnection, timeout: float = 60.0) -> KernelConnection:
        raise ServerGone("it has gone")

    monkeypatch.setattr(KernelConnection, "open", gone)
    for kernel in ("new", "main", main):
        with pytest.raises(ServerGone):
            session.connect(kernel)
    assert {str(kernel["id"]) for kernel in session.kernels()} == before


def test_ctrl_c_is_raised_on_also_where_the_interrupt_fails(
    session: SessionHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(output: Any) -> None:
        raise KeyboardInterrupt

    def gone(self: KernelConnection) -> None:
        raise ServerGone("it has gone")

    monkeypatch.setattr(KernelConnection, "interrupt", gone)
    with pytest.raises(KeyboardInterrupt) as stopped:
        session.run("print(1, flush=True)\nimport time\nwhile True: time.sleep(0.01)", on_output=stop)
    assert str(stopped.value.__cause__) == "it has gone"
    monkeypatch.undo()
    session.connect().interrupt()


def test_a_server_is_told_that_nobody_comes_back_once_all_is_answered(
    session: SessionHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []
    real = ChannelSocket.close

    def closing(self: ChannelSocket, polite: bool, done: bool = False) -> None:
        told.extend([done] if polite else [])
        real(self, polite, done)

    session.run("1")
    monkeypatch.setattr(ChannelSocket, "close", closing)
    session.close()
    execution = session.start("import time\nprint('on', flush=True)\nwhile True: time.sleep(0.01)")
    next(execution)
    session.close()
    assert told == [True, False]
    session.connect().interrupt()
