"""``jupyter sessions list``, once and on and on."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.beside import answer, ran, started
from tests.cli.terminals import CTRL_C, terminal
from tests.real.server import PARENT, RealServer, free_port, real_server, wait_for

COLOUR = "\x1b["


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    with real_server(tmp_path_factory.mktemp("list")) as running:
        running.create("etl-nightly", labels={"team": "fx", "env": "prod"})
        running.create("has-ended")
        running.call("POST", f"{PARENT}/sessions/has-ended:terminate")
        running.until("has-ended", "TERMINATED")
        yield running


def row(text: str, name: str) -> dict[str, str]:
    """Give a session's cells by their columns; columns stand apart by two spaces or more."""
    head, line, *rows = text.splitlines()
    assert set(line) == {"─"}
    starts = [(found.start(), found[0]) for found in re.finditer(r"\S+", head)]
    (mine,) = [one for one in rows if one.startswith(f"{name} ")]
    ends = [start for start, _ in starts[1:]] + [None]
    return {word: mine[start:end].strip() for (start, word), end in zip(starts, ends, strict=True)}


def test_the_table(server: RealServer) -> None:
    kernel = offered(server, "etl-nightly")
    done = ran(server, "list")
    assert (done.returncode, done.stderr) == (0, "") and COLOUR not in done.stdout
    assert all(line == line.rstrip() for line in done.stdout.splitlines())
    cells = row(done.stdout, "etl-nightly")
    assert cells["state"] == "● ACTIVE" and cells["kernel"] == "Python" and cells["labels"] == "env=prod team=fx"
    assert re.fullmatch(r"[\d.]+ [smhd]( \d+ [smh])?", cells["for"]) and "location" not in cells
    assert cells["ends"].endswith("(idle)") and cells["kernels"] == "1"
    ended = row(done.stdout, "has-ended")
    assert ended["state"] == "■ TERMINATED" and not ended["ends"] and ended["message"].startswith("Terminated")
    server.jupyter("DELETE", f"kernels/{kernel}")


def offered(server: RealServer, name: str) -> str:
    """Start a kernel in a session and give its id, once it is idle."""

    def spec() -> str:
        found = server.jupyter("GET", "kernelspecs")["kernelspecs"].values()
        meant = (one for one in found if name in json.dumps(one["spec"].get("metadata", {})))
        return str(next((one["name"] for one in meant), ""))

    kernel = str(server.jupyter("POST", "kernels", {"name": wait_for(spec, f"a kernelspec of {name}")})["id"])
    wait_for(lambda: server.jupyter("GET", f"kernels/{kernel}")["execution_state"] == "idle", "the kernel to be idle")
    return kernel


def test_json_yaml_and_names_are_of_the_same_sessions(server: RealServer) -> None:
    # An ACTIVE one's usage goes on.
    rows = answer(server, "list", "--state", "TERMINATED")
    assert rows == [server.session("has-ended")]
    assert yaml.safe_load(ran(server, "list", "--state", "terminated", "-o", "yaml").stdout) == rows
    names = ran(server, "list", "-o", "name").stdout.split()
    assert f"{PARENT}/sessions/etl-nightly" in names and f"{PARENT}/sessions/has-ended" in names


def test_a_terminal_that_knows_no_signs(server: RealServer) -> None:
    plain = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = ran(server, "list", env=plain)
    assert done.returncode == 0 and "ACTIVE" in done.stdout and done.stdout.isascii()
    assert json.loads(ran(server, "list", "-o", "json", "--state", "ACTIVE", env=plain).stdout)


def test_filters_and_states(server: RealServer) -> None:
    def found(*words: str) -> set[str]:
        return {one["name"].rpartition("/")[2] for one in answer(server, "list", *words)}

    assert found("--filter", "labels.team = fx") == {"etl-nightly"}
    assert found("--state", "ACTIVE", "--state", "TERMINATED") >= {"etl-nightly", "has-ended"}
    assert found("--state", "TERMINATED", "--filter", "session_id = has-ended OR session_id = etl-nightly") == {
        "has-ended"
    }
    nothing = ran(server, "list", "--filter", "labels.team = nobody")
    assert (nothing.returncode, nothing.stdout) == (0, "") and "no session matches" in nothing.stderr
    faulty = ran(server, "list", "--filter", "state =")
    assert (faulty.returncode, faulty.stdout) == (1, "") and "filter: column 8" in faulty.stderr
    none = ran(server, "list", "--state", "READY")
    assert none.returncode == 2 and "--state READY: must be one of CREATING, ACTIVE" in none.stderr


@pytest.mark.parametrize("form", ["table", "json", "yaml"])
def test_nothing_from_elsewhere_acts_on_a_terminal(server: RealServer, form: str) -> None:
    shown = "red \x1b[31m, red again \x9b31m"
    server.call("POST", f"{PARENT}/sessions", {"jupyterSession": {"displayName": shown}}, sessionId=f"acts-{form}")
    server.until(f"acts-{form}", "ACTIVE")
    told = ran(server, "get", f"acts-{form}", "-o", form).stdout
    assert "red again" in told and not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", told)
    assert form == "table" or yaml.safe_load(told)["jupyterSession"]["displayName"] == shown


def test_a_pipe_that_closes_early_is_no_fault(server: RealServer) -> None:
    with started(server, "list", "-o", "json") as running:
        assert running.stdout is not None and running.stderr is not None
        running.stdout.close()
        err = running.stderr.read()
        assert running.wait(60) in (0, 1) and err == ""


def test_every_location_and_which_do_not_answer(tmp_path: Path) -> None:
    (tmp_path / "config" / "jupyter_sessions").mkdir(parents=True)
    place = {"project": "far", "location": "away", "endpoint": f"http://127.0.0.1:{free_port()}", "auth": "none"}
    (tmp_path / "config" / "jupyter_sessions" / "far.yaml").write_text(yaml.safe_dump({"locations": [place]}))
    with real_server(tmp_path) as server:
        server.create("near-one")

        def away() -> Any:
            done = ran(server, "list", "--all-locations")
            return done if "far" in done.stderr else None

        done = wait_for(away, "the location to be told as unreachable")
        assert done.returncode == 0 and "projects/far/locations/away does not answer" in done.stderr
        assert row(done.stdout, "near-one")["location"] == "local/local"
        alone = ran(server, "list")
        assert alone.stderr == "" and "location" not in alone.stdout.splitlines()[0]


def told(server: RealServer, name: str, *words: str) -> list[str]:
    """Give the lines that a watch writes while a session is made and deleted; Ctrl-C then ends it, quietly."""
    lines: list[str] = []
    with started(server, "list", "--watch", *words) as running:
        assert running.stdout is not None and running.stderr is not None
        assert running.stderr.readline().startswith("watching ")
        server.create(name)
        server.call("DELETE", f"{PARENT}/sessions/{name}")
        for line in running.stdout:
            lines.append(line)
            if "deleted" in line or '"newState": "STATE_UNSPECIFIED"' in line:
                break
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (130, "")
    return lines


def test_watching_in_a_pipe_writes_a_line_for_each_change(server: RealServer) -> None:
    lines = told(server, "watched-one")
    words = [line.split()[1:] for line in lines]
    assert words[0][:2] == ["watched-one", "CREATING"] and words[-1][:2] == ["watched-one", "deleted"]
    assert ["watched-one", "CREATING", "→", "ACTIVE"] in [one[:4] for one in words]
    assert all(re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z ", line) for line in lines)


def test_watching_as_json_writes_an_object_for_each_change(server: RealServer) -> None:
    rows = [json.loads(line) for line in told(server, "watched-two", "-o", "json")]
    assert {one["session"] for one in rows} == {f"{PARENT}/sessions/watched-two"}
    assert {one["newState"] for one in rows} >= {"CREATING", "ACTIVE", "STATE_UNSPECIFIED"}
    sequences = [int(one["sequence"]) for one in rows]
    assert sequences == sorted(sequences)


def test_watching_those_that_match(server: RealServer) -> None:
    with started(server, "list", "--watch", "--filter", "labels.seen = yes") as running:
        assert running.stdout is not None and running.stderr is not None
        running.stderr.readline()
        server.create("not-seen")
        server.create("is-seen", labels={"seen": "yes"})
        assert running.stdout.readline().split()[1] == "is-seen"


def test_a_narrow_terminal_says_why_a_session_ended_and_what_it_has_no_room_for(server: RealServer) -> None:
    with terminal(server, "list", columns=80) as screen:
        assert screen.end() == 0
    head = next(line for line in screen.text.splitlines() if line.startswith("name"))
    ended = next(line for line in screen.text.splitlines() if line.startswith("has-ended "))
    assert "message" in head and "Terminated" in ended and "labels" not in head
    said = next(line for line in screen.text.splitlines() if line.startswith("no room for "))
    assert "labels" in said and "widen the terminal" in said


def test_a_wide_terminal_and_a_pipe_have_it_all(server: RealServer) -> None:
    with terminal(server, "list", columns=200) as screen:
        assert screen.end() == 0
    piped = ran(server, "list").stdout
    assert "no room" not in screen.text
    for text in (screen.text, piped):
        assert "labels" in text and "message" in text and "env=prod team=fx" in text


def test_a_narrow_terminal_that_follows_says_so_too(server: RealServer) -> None:
    with terminal(server, "list", "--watch", columns=80) as screen:
        screen.until("no room for ")
        screen.type(CTRL_C)
        assert screen.end() == 130


def test_a_terminal_has_colours_and_follows(server: RealServer) -> None:
    with terminal(server, "list", "--watch") as screen:
        screen.until("etl-nightly")
        server.create("on-screen")
        screen.until("on-screen")
        screen.type(CTRL_C)
        assert screen.end() == 130
    assert COLOUR in screen.raw and "Traceback" not in screen.text
    assert screen.raw.rstrip().endswith("\x1b[?25h"), "the cursor is shown again"
