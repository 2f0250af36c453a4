"""``jupyter sessions terminate`` and ``delete``."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.beside import answer, environment, ran
from tests.cli.running import command
from tests.cli.terminals import CTRL_C, terminal
from tests.real.server import PARENT, RealServer, real_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    with real_server(tmp_path_factory.mktemp("ending")) as running:
        yield running


def gone(server: RealServer, name: str) -> bool:
    """Say whether a session is not there."""
    return "error" in server.call("GET", f"{PARENT}/sessions/{name}", ok=False)


def test_terminate_waits_and_says_the_reason(server: RealServer) -> None:
    server.create("ends-soon")
    done = ran(server, "terminate", "ends-soon")
    assert (done.returncode, done.stdout) == (0, "ends-soon\n")
    told = server.session("ends-soon")
    assert told["state"] == "TERMINATED" and f"ends-soon is TERMINATED: {told['stateMessage']}" in done.stderr


def test_several_end_side_by_side_and_a_fault_keeps_no_other_back(server: RealServer) -> None:
    server.create("first-one")
    server.create("second-one")
    done = ran(server, "terminate", "first-one", "nowhere", "second-one", "-o", "name")
    assert done.returncode == 1 and "nowhere" in done.stderr
    assert done.stdout.split() == [f"{PARENT}/sessions/first-one", f"{PARENT}/sessions/second-one"]
    assert server.session("second-one")["state"] == "TERMINATED"


def test_without_waiting_it_goes_on_at_the_server(server: RealServer) -> None:
    server.create("goes-on")
    done = ran(server, "terminate", "goes-on", "--no-wait")
    assert (done.returncode, done.stdout) == (0, "goes-on\n") and "goes on at the server" in done.stderr
    server.until("goes-on", "TERMINATED")


def test_delete_as_json_tells_what_it_was(server: RealServer) -> None:
    server.create("to-delete", labels={"team": "fx"})
    (told,) = answer(server, "delete", "to-delete")
    assert told["name"] == f"{PARENT}/sessions/to-delete" and told["labels"] == {"team": "fx"}
    assert gone(server, "to-delete")
    again = ran(server, "delete", "to-delete")
    assert (again.returncode, again.stdout) == (1, "") and "does not exist" in again.stderr


def test_all_that_match_need_a_yes_where_nobody_can_be_asked(server: RealServer) -> None:
    for name in ("red-one", "red-two"):
        server.create(name, labels={"colour": "red"})
    server.create("blue-one", labels={"colour": "blue"})
    words = ("delete", "--all", "--filter", "labels.colour = red")
    asked = ran(server, *words)
    assert (asked.returncode, asked.stdout) == (2, "") and "--yes" in asked.stderr and not gone(server, "red-one")
    done = ran(server, *words, "--yes")
    assert done.returncode == 0 and set(done.stdout.split()) == {"red-one", "red-two"}
    assert gone(server, "red-one") and gone(server, "red-two") and not gone(server, "blue-one")
    nothing = ran(server, *words, "--yes")
    assert (nothing.returncode, nothing.stdout) == (0, "") and "no session" in nothing.stderr


def test_all_on_a_terminal_is_asked_about(server: RealServer) -> None:
    server.create("asked-about", labels={"group": "asked"})
    for answered, code in ((CTRL_C, 130), ("\x04", 1), ("n\n", 1), ("y\n", 0)):
        with terminal(server, "terminate", "--all", "--filter", "labels.group = asked") as screen:
            screen.until("Terminate 1: asked-about?")
            screen.type(answered)
            assert screen.end() == code
            assert ("nothing was done" in screen.text) is (code != 0)
    assert server.session("asked-about")["state"] == "TERMINATED"


def test_a_question_is_not_among_the_data(server: RealServer) -> None:
    server.create("piped-one", labels={"group": "piped"})
    words = command("delete", "--all", "--filter", "labels.group = piped")
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            words, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, env=environment(server)
        ) as it:
            os.write(ours, b"y\n")
            out, _ = it.communicate(timeout=60)
    finally:
        os.close(ours)
        os.close(theirs)
    assert (it.returncode, out) == (0, b"piped-one\n")


@pytest.mark.parametrize("words", [("a-session", "--all"), ("--filter", "state = ACTIVE")])
def test_words_that_do_not_fit(server: RealServer, words: tuple[str, ...]) -> None:
    done = ran(server, "delete", *words)
    assert (done.returncode, done.stdout) == (2, "") and "--all" in done.stderr


def test_the_only_live_one_needs_no_name_but_is_named(tmp_path: Path) -> None:
    with real_server(tmp_path) as server:
        none = ran(server, "terminate")
        assert (none.returncode, none.stdout) == (1, "") and "no session is live" in none.stderr
        server.create("only-one")
        with terminal(server, "terminate") as screen:
            screen.until("Terminate the only live session, only-one?")
            screen.type("n\n")
            assert screen.end() == 1
        assert server.session("only-one")["state"] == "ACTIVE"
        done = ran(server, "terminate")
        assert (done.returncode, done.stdout) == (0, "only-one\n") and "the only live session, only-one" in done.stderr


def test_delete_asks_about_a_live_one_on_a_terminal_and_not_about_an_ended(server: RealServer) -> None:
    server.create("still-live")
    for answered, code in (("n\n", 1), ("y\n", 0)):
        with terminal(server, "delete", "still-live") as screen:
            screen.until("Delete still-live (ACTIVE): it ends with its kernels and variables; go on?")
            assert not gone(server, "still-live")
            screen.type(answered)
            assert screen.end() == code
    assert gone(server, "still-live")
    server.create("over-now")
    assert ran(server, "terminate", "over-now").returncode == 0
    with terminal(server, "delete", "over-now") as screen:
        assert screen.end() == 0 and "?" not in screen.text
    server.create("no-question")
    with terminal(server, "delete", "no-question", "--yes") as screen:
        assert screen.end() == 0 and "?" not in screen.text
