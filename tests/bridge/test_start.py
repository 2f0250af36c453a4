"""A bridge's start over a line that loses what it asks, and what a start that fails leaves."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_sessions.bridge.bridge import Bridge
from jupyter_sessions.bridge.report import READY, Report
from jupyter_sessions.bridge.sockets import Sockets, read_connection_file
from jupyter_sessions.bridge.target import Target
from jupyter_sessions.bridge.wanted import Wanted
from jupyter_sessions.client.client import SessionsClient
from jupyter_sessions.client.errors import ServerGone
from jupyter_sessions.client.kernel import KernelConnection
from jupyter_sessions.client.operation import OperationHandle
from tests.bridge.managers import live_beside
from tests.bridge.programs import ended, made_of
from tests.bridge.test_parts import connection_file
from tests.cli.beside import ran
from tests.client.line import Line
from tests.real.server import TOKEN, RealServer, wait_for


@pytest.fixture(autouse=True)
def beside(server: RealServer, monkeypatch: pytest.MonkeyPatch) -> None:
    live_beside(server, monkeypatch)
    monkeypatch.setenv("JUPYTER_SESSIONS_TOKEN", TOKEN)


@pytest.fixture
def line(server: RealServer) -> Iterator[Line]:
    with Line(server.port) as made:
        yield made


def test_a_question_that_is_lost_at_the_start_is_asked_again(
    server: RealServer, line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.create("asked-again")
    opened: list[KernelConnection] = []
    real = KernelConnection.open

    def opening(self: KernelConnection, timeout: float = 60.0) -> KernelConnection:
        opened.append(real(self, timeout))
        line.up = False
        return self

    monkeypatch.setattr(KernelConnection, "open", opening)
    ours, theirs = os.pipe()
    wanted = Wanted(session="asked-again", url=line.url)
    sockets = Sockets(read_connection_file(connection_file(tmp_path)))
    bridge = Bridge(sockets, Target(wanted, lambda words: None), Report(theirs, quiet=True))
    try:
        bridge._open()
        line.cut()
        wait_for(lambda: bridge._done, "the kernel to have answered")
        bridge._turn()
        assert READY in json.loads(os.read(ours, 4096))
        opened[0].shutdown()
    finally:
        bridge._leave()
        os.close(ours)
        os.close(theirs)


def test_a_session_that_was_made_is_ended_also_where_it_cannot_be_looked_at(
    server: RealServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ran(server, "templates", "create", "unseen").returncode == 0
    target = Target(Wanted(template="unseen"), lambda words: None)
    real: Any = SessionsClient.get

    def gone(self: object, name: str = "") -> None:
        raise ServerGone("it has gone")

    monkeypatch.setattr(SessionsClient, "get", gone)
    monkeypatch.setattr(OperationHandle, "refresh", gone)
    with pytest.raises(ServerGone):
        target.find()
    monkeypatch.setattr(SessionsClient, "get", real)
    target.release()
    (session,) = made_of(server, "unseen")
    ended(server, session["name"].rpartition("/")[2])
