"""``jupyter sessions console``: driven at a terminal."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.bridge.programs import ended, execute, kernels
from tests.cli.beside import ran
from tests.cli.terminals import CTRL_C, terminal
from tests.real.server import RealServer, real_server, wait_for

CTRL_D = "\x04"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    with real_server(tmp_path_factory.mktemp("server")) as running:
        yield running


def test_it_shares_the_main_kernel_and_leaves_it(server: RealServer) -> None:
    server.create("for-console")
    execute(server, "for-console", "x = 20")
    with terminal(server, "console") as screen:
        screen.until("In [")
        screen.type("print('x is', x + 1)\r")
        screen.until("x is 21")
        screen.type("while True: pass\r\r")
        wait_for(lambda: kernels(server, "for-console")[0]["execution_state"] == "busy", "the code to run")
        screen.type(CTRL_C)
        screen.until("KeyboardInterrupt")
        screen.type("x = 5\r")
        screen.type("print('set', x)\r")
        screen.until("set 5\n")
        screen.until("In [6]")
        screen.type(CTRL_D)
        screen.until("Do you really want to exit")
        screen.type("y\r")
        assert screen.end() == 0, screen.text
        (kernel,) = kernels(server, "for-console")
        assert f"left session for-console; kernel {kernel['id']} goes on" in screen.text
    with terminal(server, "console") as screen:
        screen.until("In [1]")
        screen.type("exit\r")
        assert screen.end() == 0, screen.text
    assert execute(server, "for-console", "print(x)") == "5\n"
    ran(server, "terminate", "for-console")


def test_a_new_kernel_ends_with_it(server: RealServer) -> None:
    server.create("for-new")
    with terminal(server, "console", "for-new", "--kernel", "new") as screen:
        screen.until("In [1]")
        screen.type("exit\r")
        assert screen.end() == 0, screen.text
    wait_for(lambda: kernels(server, "for-new") == [], "its kernel to end")
    ran(server, "terminate", "for-new")


def test_it_leaves_once_its_session_has_ended(server: RealServer) -> None:
    server.create("ends-below")
    with terminal(server, "console", "ends-below") as screen:
        screen.until("In [1]")
        ran(server, "terminate", "ends-below")
        ended(server, "ends-below")
        screen.type("1\r")
        assert screen.end(90) == 1, screen.text
        assert "ends-below is TERMINA" in screen.text
        assert "Traceback" not in screen.text


def test_without_a_terminal_or_a_session_it_says_so(server: RealServer) -> None:
    done = ran(server, "console", "no-such-one")
    assert done.returncode == 2
    assert "a console needs a terminal" in " ".join(done.stderr.replace("│", " ").split())
    with terminal(server, "console", "no-such-one") as screen:
        assert screen.end() == 1
        assert "there is no session" in screen.text
        assert "Traceback" not in screen.text
