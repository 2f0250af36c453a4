"""``jupyter sessions create``."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from jupyter_sessions.model.names import check_session_id
from tests.cli.beside import answer, ran, started
from tests.cli.terminals import CTRL_C, terminal
from tests.real.server import PARENT, RealServer, real_server

# Runs first in each host of a session: waits while one file is there, breaks while another is.
FIRST = """
import os, sys, time
if "jupyter_sessions.host" in " ".join(sys.orig_argv):
    while os.path.exists({held!r}):
        time.sleep(0.05)
    if os.path.exists({broken!r}):
        print("no luck today", file=sys.stderr, flush=True)
        os._exit(7)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    home = tmp_path_factory.mktemp("create")
    (home / "first").mkdir()
    code = FIRST.format(held=str(home / "held"), broken=str(home / "broken"))
    (home / "first" / "sitecustomize.py").write_text(code)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(home / "first"))
        with real_server(home) as running:
            yield running


@pytest.fixture
def held(server: RealServer) -> Iterator[None]:
    """Keep sessions CREATING for the length of a test."""
    gate = server.home / "held"
    gate.touch()
    yield
    gate.unlink()


@pytest.fixture
def broken(server: RealServer) -> Iterator[None]:
    """Break the hosts that are started during a test."""
    fault = server.home / "broken"
    fault.touch()
    yield
    fault.unlink()


def test_waiting_tells_its_steps_and_gives_the_name(server: RealServer) -> None:
    done = ran(server, "create", "etl-nightly", "--label", "team=fx", "--ttl", "8h", "--wait")
    assert (done.returncode, done.stdout) == (0, "etl-nightly\n")
    steps = [line.split() for line in done.stderr.splitlines()]
    assert steps and all(step[1:3] == ["s", "etl-nightly"] for step in steps)
    assert steps[0][3] == "CREATING:" and steps[-1][3:] == ["ACTIVE:", "Ready"]
    made = server.session("etl-nightly")
    assert made["state"] == "ACTIVE" and made["labels"] == {"team": "fx"}
    assert made["environmentConfig"]["executionConfig"]["ttl"] == "28800s"


def test_without_waiting_it_says_how_to_follow(server: RealServer) -> None:
    done = ran(server, "create", "goes-on", "-o", "name")
    assert (done.returncode, done.stdout) == (0, f"{PARENT}/sessions/goes-on\n")
    wait = next(word for word in done.stderr.split("; ") if word.startswith("to wait for it: "))
    words = wait.partition("jupyter sessions ")[2].split()
    assert ran(server, *words).returncode == 0 and server.session("goes-on")["state"] == "ACTIVE"
    assert "jupyter sessions logs -f goes-on" in done.stderr and "jupyter sessions terminate goes-on" in done.stderr


def test_without_a_name_the_server_makes_one(server: RealServer) -> None:
    told = answer(server, "create", "--wait")
    assert told["state"] == "ACTIVE" and check_session_id(told["name"].rpartition("/")[2])


def test_flags_win_over_set_and_set_over_a_file(server: RealServer, tmp_path: Path) -> None:
    file = tmp_path / "session.yaml"
    limits = {"executionConfig": {"ttl": "1h", "idleTtl": "600s"}}
    labels, runtime = dict.fromkeys("abc", "file"), {"properties": {"local:env.A": "file"}}
    content = {"labels": labels, "environmentConfig": limits, "runtimeConfig": runtime}
    file.write_text(yaml.safe_dump(content))
    sets = ("labels.b=set", "labels.c=set", "runtimeConfig.properties.local:env.B=2")
    words = ("--file", str(file), *(word for one in sets for word in ("--set", one)))
    told = answer(server, "create", "layered", *words, "--label", "c=flag", "--idle-ttl", "20m")
    assert told["labels"] == {"a": "file", "b": "set", "c": "flag"}
    assert told["environmentConfig"]["executionConfig"] == {"ttl": "3600s", "idleTtl": "1200s"}
    assert told["runtimeConfig"]["properties"] == {"local:env.A": "file", "local:env.B": "2"}


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_what_get_writes_can_be_made_again(server: RealServer, form: str) -> None:
    assert ran(server, "create", f"first-{form}", "-l", "team=fx", "--ttl", "2h").returncode == 0
    written = ran(server, "get", f"first-{form}", "-o", form).stdout
    done = ran(server, "create", f"again-{form}", "--file", "-", stdin=written)
    assert done.returncode == 0, done.stderr
    again, first = server.session(f"again-{form}"), server.session(f"first-{form}")
    assert (again["labels"], again["environmentConfig"]) == (first["labels"], first["environmentConfig"])


def test_from_a_template(server: RealServer) -> None:
    assert ran(server, "templates", "create", "small", "--label", "size=small").returncode == 0
    told = answer(server, "create", "from-small", "--template", "small")
    assert told["sessionTemplate"].endswith("/sessionTemplates/small") and told["labels"] == {"size": "small"}
    done = ran(server, "create", "from-nothing", "--template", "nowhere")
    assert (done.returncode, done.stdout) == (1, "") and "nowhere" in done.stderr


def test_every_faulty_field_is_told_on_a_line_of_its_own(server: RealServer) -> None:
    sets = ("--set", "nope=3", "--set", "environmentConfig.executionConfig.ttl=soon", "--set", "labels.a=1")
    done = ran(server, "create", "faulty", *sets)
    assert (done.returncode, done.stdout) == (1, "")
    fields = [line.partition(": ")[0] for line in done.stderr.splitlines()]
    assert fields == ["nope", "environmentConfig.executionConfig.ttl"]
    assert server.call("GET", f"{PARENT}/sessions/faulty", ok=False)["error"]["code"] == 404


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--label", "team"), "--label team: write --label NAME=VALUE"),
        (("--set", "x"), "write --set PATH=VALUE"),
        (("--file", "/nowhere/x.yaml"), "No such file"),
        (("--colour", "red"), "--colour"),
    ],
)
def test_words_that_do_not_fit_exit_with_2(server: RealServer, words: tuple[str, ...], said: str) -> None:
    done = ran(server, "create", "a-session", *words, env={"COLUMNS": "200"})
    assert (done.returncode, done.stdout) == (2, "") and said in done.stderr and "Usage" in done.stderr


def test_a_length_that_is_none(server: RealServer) -> None:
    done = ran(server, "create", "a-session", "--set", "environmentConfig.executionConfig.ttl=soon")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("environmentConfig.executionConfig.ttl: must be seconds")


def test_a_name_that_is_taken(server: RealServer) -> None:
    assert ran(server, "create", "taken", "--wait").returncode == 0
    done = ran(server, "create", "taken")
    assert (done.returncode, done.stdout) == (1, "") and "exists already" in done.stderr


def test_a_name_of_an_ended_session_is_made_anew(server: RealServer) -> None:
    assert ran(server, "create", "anew-one", "--wait").returncode == 0
    live = ran(server, "create", "anew-one", "--replace")
    assert (live.returncode, live.stdout) == (1, "") and "anew-one is ACTIVE: only one that has ended" in live.stderr
    assert ran(server, "terminate", "anew-one").returncode == 0
    done = ran(server, "create", "anew-one")
    assert (done.returncode, done.stdout) == (1, "") and "anew-one is TERMINATED: it ended" in done.stderr
    assert "add --replace, or delete it first (jupyter sessions delete anew-one)" in done.stderr
    again = ran(server, "create", "anew-one", "--replace", "--wait")
    assert (again.returncode, again.stdout) == (0, "anew-one\n") and state(server, "anew-one") == "ACTIVE"


@pytest.mark.usefixtures("held")
def test_ctrl_c_leaves_the_session_and_says_so(server: RealServer) -> None:
    with started(server, "create", "slow-one", "--wait") as running:
        assert running.stderr is not None
        first = running.stderr.readline()
        assert "slow-one CREATING" in first
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, "")
    assert "session slow-one is still CREATING" in err and "jupyter sessions logs -f slow-one" in err
    assert "jupyter sessions terminate slow-one" in err and "Traceback" not in err
    assert state(server, "slow-one") == "CREATING"
    assert ran(server, "terminate", "slow-one").returncode == 0


@pytest.mark.usefixtures("held")
def test_on_a_terminal_the_steps_move_and_ctrl_c_says_the_same(server: RealServer) -> None:
    with terminal(server, "create", "slow-two", "--wait") as screen:
        screen.until("slow-two CREATING: ")
        screen.type(CTRL_C)
        assert screen.end() == 130
    assert "session slow-two is still CREATING" in " ".join(screen.text.split())
    assert "\x1b[?25h" in screen.raw, "the cursor is shown again"
    assert ran(server, "terminate", "slow-two").returncode == 0


@pytest.mark.usefixtures("held")
def test_a_wait_that_is_too_long_ends_and_the_start_goes_on(server: RealServer) -> None:
    done = ran(server, "create", "slow-three", "--wait", "--timeout", "0.2")
    assert (done.returncode, done.stdout) == (1, "")
    assert "not done after 0.2 s" in done.stderr and "jupyter sessions operations wait" in done.stderr
    assert state(server, "slow-three") == "CREATING"
    assert ran(server, "terminate", "slow-three").returncode == 0


@pytest.mark.usefixtures("broken")
def test_a_start_that_fails_says_why_and_where_its_log_is(server: RealServer) -> None:
    done = ran(server, "create", "broken-one", "--wait")
    reason = server.session("broken-one")["stateMessage"]
    assert (done.returncode, done.stdout) == (1, "") and reason in done.stderr
    assert "jupyter sessions logs broken-one" in done.stderr and "Traceback" not in done.stderr
    told = ran(server, "history", "broken-one")
    assert told.returncode == 0 and "✕ broken-one FAILED" in told.stdout and reason in told.stdout


def state(server: RealServer, name: str) -> str:
    """Give a session's state, empty where it is not there."""
    found = server.call("GET", f"{PARENT}/sessions/{name}", ok=False)
    return str(found.get("state", ""))
