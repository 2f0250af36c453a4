"""``jupyter sessions logs``."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.cli.beside import ran, started
from tests.real.server import PARENT, RealServer, real_server, wait_for

NAME = "etl-nightly"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    with real_server(tmp_path_factory.mktemp("logs")) as running:
        running.create(NAME)
        yield running


def write(server: RealServer, name: str, *lines: str) -> None:
    """Make a kernel of a session write lines to the session's log: to the stderr that it was started with."""
    data = "".join(f"{line}\n" for line in lines).encode()
    code = f"import os, sys; os.write(getattr(sys.stderr, '_original_stdstream_copy', 2), {data!r})"
    done = ran(server, "exec", name, code)
    assert done.returncode == 0, done.stderr


def until(running: subprocess.Popen[str], wanted: str) -> list[str]:
    """Read stdout's lines up to one; without the kernel's label, which stands before each."""
    assert running.stdout is not None
    lines = []
    for line in running.stdout:
        lines.append(line.rstrip("\n").rpartition("] ")[2])
        if lines[-1] == wanted:
            return lines
    raise AssertionError(f"{wanted!r} did not come, but {lines}")


def test_the_log_and_its_last_lines(server: RealServer) -> None:
    write(server, NAME, *(f"line {i} ä" for i in range(3000)))

    def read() -> subprocess.CompletedProcess[str] | None:
        done = ran(server, "logs", NAME)
        return done if "line 2999" in done.stdout else None

    whole = wait_for(read, "the last line in the log")
    assert (whole.returncode, whole.stderr) == (0, "")
    rows = [row.rpartition("] ")[2] for row in whole.stdout.splitlines()]
    assert [row for row in rows if row.startswith("line ")] == [f"line {i} ä" for i in range(3000)]
    for count in (0, 1, 7, 2500, 10**6):
        last = ran(server, "logs", "--tail", str(count))
        wanted = whole.stdout.splitlines()[-count:] if count else []
        assert last.returncode == 0 and last.stdout.splitlines() == wanted


def test_following_goes_on_to_the_end_and_says_why(server: RealServer) -> None:
    server.create("short-lived")
    write(server, "short-lived", "first", "second")
    with started(server, "logs", "short-lived", "-f", "--tail", "1") as running:
        assert until(running, "second") == ["second"]
        write(server, "short-lived", "third")
        assert until(running, "third") == ["third"]
        server.call("POST", f"{PARENT}/sessions/short-lived:terminate")
        _, err = running.communicate(timeout=90)
    assert running.returncode == 0 and err.startswith("short-lived is TERMINAT")
    after = ran(server, "logs", "short-lived")
    assert after.returncode == 0 and "third" in after.stdout


def test_ctrl_c_ends_following_quietly(server: RealServer) -> None:
    write(server, NAME, "here")
    with started(server, "logs", NAME, "--follow", "--tail", "1") as running:
        until(running, "here")
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (130, "")


def test_an_empty_log_says_what_a_log_holds(server: RealServer) -> None:
    server.create("says-nothing")
    done = ran(server, "logs", "says-nothing")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("the log of says-nothing is empty: it holds what the host and the kernels write")
    assert done.stderr.endswith("not what cells print\n")


def test_a_session_that_is_not_there(server: RealServer) -> None:
    done = ran(server, "logs", "nobody-here")
    assert (done.returncode, done.stdout) == (1, "") and "nobody-here" in done.stderr
