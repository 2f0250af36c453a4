"""Kernels, sessions and servers that go away while code runs."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_sessions.client import KernelDied, ServerGone, SessionEnded, SessionsClient
from jupyter_sessions.client import kernel as kernels
from tests.real.server import TOKEN, RealServer, real_server, wait_for

COUNT = "import time\nfor number in range(150):\n    print(number, flush=True)\n    time.sleep(0.02)"
FOREVER = "import time\nprint('on\\n', end='', flush=True)\nwhile True: time.sleep(0.01)"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """Run one server for this module."""
    with real_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def client(server: RealServer) -> Iterator[SessionsClient]:
    """Give a client of it."""
    with SessionsClient(server.url, TOKEN) as made:
        yield made


def test_a_killed_kernel_ends_its_execution_in_words(client: SessionsClient) -> None:
    with client.session("ends-1") as session:
        pid = int(session.run("import os\nprint(os.getpid())").text)
        execution = session.start(FOREVER)
        assert next(execution).text == "on\n"
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(KernelDied, match=r"restarted|died"):
            execution.result(60)


def test_a_restart_ends_what_runs(client: SessionsClient) -> None:
    with client.session("ends-2") as session:
        execution = session.start(FOREVER)
        assert next(execution).text == "on\n"
        thread = threading.Thread(target=session.connect().restart)
        thread.start()
        with pytest.raises(KernelDied, match="restarted"):
            execution.result(60)
        thread.join(60)
        assert session.run("1 + 1").data["text/plain"] == "2"


def test_a_session_that_ends_says_why(client: SessionsClient) -> None:
    with client.session("ends-3") as session:
        execution = session.start(FOREVER)
        assert next(execution).text == "on\n"
        ending = session.terminate()
        with pytest.raises(KernelDied, match="ends-3 is TERMINAT"):
            execution.result(60)
        ending.result(60)
        with pytest.raises(SessionEnded, match="TERMINATED"):
            session.run("1")


def test_output_goes_on_where_a_killed_server_left_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "AWAY", 120.0)
    with real_server(tmp_path) as server, SessionsClient(server.url, TOKEN) as client:
        with client.session("ends-4") as session:
            execution = session.start(COUNT)
            outputs = [next(execution).text]
            server.kill()
            server.start()
            outputs += [one.text for one in execution]
            told = [int(word) for word in "".join(outputs).split()]
            # What the server held as it was killed is lost, at one place, and that is said.
            assert told == sorted(set(told)) and (told[0], told[-1]) == (0, 149)
            lost = set(range(150)) - set(told)
            assert not lost or (len(lost) < 20 and lost == set(range(min(lost), max(lost) + 1)))
            assert "some of its output may be missing" in execution.result(60).missing
            assert session.run("number").data["text/plain"] == "149"


def test_a_server_that_stays_away_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "AWAY", 1.0)
    with real_server(tmp_path) as server, SessionsClient(server.url, TOKEN) as client:
        with client.session("ends-5") as session:
            execution = session.start(FOREVER)
            assert next(execution).text == "on\n"
            server.kill()
            with pytest.raises(ServerGone, match=r"cannot be reached: Connection refused.*may still be running in the"):
                execution.result(60)
        server.start()
        with client.session("ends-5") as again:
            again.connect().interrupt()


def test_a_closed_connection_ends_what_waits(client: SessionsClient) -> None:
    session = client.session("ends-6")
    execution = session.start(FOREVER)
    assert next(execution).text == "on\n"
    session.close()
    with pytest.raises(ServerGone, match="closed"):
        execution.result(60)
    session.connect().interrupt()
    wait_for(lambda: session.kernels()[0]["execution_state"] == "idle", "the code to be interrupted")
    assert session.run("'back'").data["text/plain"] == "'back'"
    session.close()
