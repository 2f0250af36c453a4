"""A kernel's channels over a line that breaks, swallows what is said, or falls silent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_sessions.client import KernelDied, ServerGone, SessionHandle, SessionsClient, TransferRefused
from jupyter_sessions.client import kernel as kernels
from jupyter_sessions.client import socket as sockets
from jupyter_sessions.client.kernel import KernelConnection
from tests.client.line import Line
from tests.real.server import TOKEN, RealServer, real_server, wait_for


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """Run one server for this module."""
    with real_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def direct(server: RealServer) -> Iterator[SessionHandle]:
    """Give a session, reached without the line."""
    with SessionsClient(server.url, TOKEN) as client, client.session("lines") as session:
        yield session


@pytest.fixture
def line(server: RealServer) -> Iterator[Line]:
    """Lead a line to the server."""
    with Line(server.port) as made:
        yield made


@pytest.fixture
def session(line: Line, direct: SessionHandle) -> Iterator[SessionHandle]:
    """Give the session over the line, connected to its kernel."""
    with SessionsClient(line.url, TOKEN) as client, client.session("lines") as made:
        made.run("lines = []")
        yield made
        line.cut()


def until_the_file(path: Path) -> str:
    """Give code that prints, waits for a file, and prints again."""
    wait = f"while not os.path.exists({str(path)!r}): time.sleep(0.01)"
    return f"import os, time\nprint('before', flush=True)\n{wait}\nprint('after')\n'end'"


def test_code_and_its_output_go_on_over_a_line_that_was_cut(line: Line, session: SessionHandle, tmp_path: Path) -> None:
    execution = session.start(until_the_file(tmp_path / "go"))
    before = next(execution).text
    line.cut()
    (tmp_path / "go").touch()
    result = execution.result(60)
    assert before.startswith("before") and result.text == "before\nafter\n'end'\n"
    assert result.status == "ok" and result.breaks == 1


def test_what_is_sent_while_there_is_no_line_arrives_once(line: Line, session: SessionHandle) -> None:
    line.answering = False
    line.cut()
    wait_for(lambda: line.refused, "the client to have noticed")
    threads = [threading.Thread(target=session.run, args=(f"lines.append({number})",)) for number in range(3)]
    for thread in threads:
        thread.start()
    line.answering = True
    for thread in threads:
        thread.join(60)
    assert session.run("sorted(lines)").data["text/plain"] == "[0, 1, 2]"


def test_a_request_that_was_lost_is_said_to_be(line: Line, session: SessionHandle) -> None:
    line.up = False
    execution = session.start("lines.append('lost')")
    connection = session.connect()
    pending = connection.ask("shell", "kernel_info_request", {})
    on_control = connection.ask("control", "kernel_info_request", {})
    line.cut()
    with pytest.raises(ServerGone, match=r"lost.*run it again if it did not"):
        execution.result(60)
    for each in (pending, on_control):
        with pytest.raises(ServerGone, match="lost"):
            each.result(60)
    assert session.run("lines").data["text/plain"] == "[]"


def test_an_answer_that_was_lost_is_said_to_be(line: Line, session: SessionHandle, direct: SessionHandle) -> None:
    line.down = False
    execution = session.start("lines.append('ran')")
    wait_for(lambda: direct.run("lines").data["text/plain"] == "['ran']", "the code to have run")
    line.cut()
    with pytest.raises(ServerGone, match="look whether it ran"):
        execution.result(60)
    assert session.run("len(lines)").data["text/plain"] == "1"


def test_a_server_that_falls_silent_is_given_up(
    line: Line, session: SessionHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "SILENCE", 0.2)
    monkeypatch.setattr(kernels, "AWAY", 2.0)
    connection = KernelConnection(session.client.transport, session.connect().kernel_id).open()
    execution = connection.execute("import time\nwhile True: time.sleep(0.01)")
    line.up = line.down = False
    with pytest.raises(ServerGone, match=rf"{line.url} cannot be reached"):
        execution.result(60)
    with pytest.raises(ServerGone):
        connection.execute("1")
    line.cut()
    session.connect().interrupt()


def test_a_quiet_server_is_not_given_up(line: Line, session: SessionHandle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "SILENCE", 0.05)
    monkeypatch.setattr(kernels, "AWAY", 1.0)
    with KernelConnection(session.client.transport, session.connect().kernel_id) as connection:
        result = connection.execute("import time\ntime.sleep(1.5)\n'awake'").result(60)
        assert result.data["text/plain"] == "'awake'" and result.breaks == 0


def test_a_kernel_that_was_shut_down_while_the_line_was_cut(session: SessionHandle, line: Line) -> None:
    connection = session.connect("new")
    execution = connection.execute("import time\nwhile True: time.sleep(0.01)")
    connection.shutdown()
    line.cut()
    with pytest.raises(KernelDied, match=connection.kernel_id):
        execution.result(60)
    assert connection.closed
    with pytest.raises(KernelDied):
        connection.execute("1")
    with pytest.raises(KernelDied, match="no kernel"):
        KernelConnection(session.client.transport, connection.kernel_id).open(5)


def test_a_message_too_large_for_a_server_is_refused(session: SessionHandle) -> None:
    with pytest.raises(TransferRefused, match=r"10,485,760.*push"):
        session.run("x = '" + "a" * (11 << 20) + "'")
    assert session.run("1").data["text/plain"] == "1"


def test_what_waits_on_a_broken_line_may_be_closed(line: Line, session: SessionHandle) -> None:
    connection = session.connect("new")
    execution = connection.execute("import time\nwhile True: time.sleep(0.01)")
    line.up = line.down = False
    connection.close()
    with pytest.raises(ServerGone, match="closed"):
        execution.result(60)
    line.cut()
    connection.shutdown()
