"""``jupyter sessions get``, ``extend`` and ``history``: one session, named or the only live one."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from tests.cli.beside import answer, ran
from tests.real.server import PARENT, RealServer, marked, real_server

NAME = "etl-nightly"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    with real_server(tmp_path_factory.mktemp("one")) as running:
        limits = {"executionConfig": {"ttl": "28800s", "idleTtl": "3600s"}}
        running.create(NAME, labels={"team": "fx"}, environmentConfig=limits)
        yield running


def ended(server: RealServer, name: str) -> dict[str, object]:
    """Make a session that is TERMINATED, and give it."""
    server.create(name)
    server.call("POST", f"{PARENT}/sessions/{name}:terminate")
    return server.until(name, "TERMINATED")


def test_get_shows_what_is_set(server: RealServer) -> None:
    done = ran(server, "get", NAME)
    facts = {line[:14].strip(): line[14:].strip() for line in done.stdout.splitlines() if line[:1].strip()}
    assert (done.returncode, done.stderr) == (0, "")
    assert facts["name"] == f"{PARENT}/sessions/{NAME}" and facts["labels"] == "team=fx"
    assert facts["state"].startswith("● ACTIVE for ") and " if idle until then, " in facts["state"]
    assert facts["longest life"] == "8 h" and facts["longest idle"] == "1 h" and "template" not in facts


def test_get_in_json_and_yaml_is_what_rest_answers(server: RealServer) -> None:
    told = ended(server, "stays-so")
    assert answer(server, "get", "stays-so") == told
    assert yaml.safe_load(ran(server, "get", f"{PARENT}/sessions/stays-so", "-o", "yaml").stdout) == told
    assert ran(server, "get", "stays-so", "-o", "name").stdout == f"{told['name']}\n"


def test_a_name_that_is_none(server: RealServer) -> None:
    missing = ran(server, "get", "nowhere")
    assert (missing.returncode, missing.stdout) == (1, "") and "nowhere does not exist" in missing.stderr
    faulty = ran(server, "get", "No Name")
    assert (faulty.returncode, faulty.stdout) == (1, "") and faulty.stderr.startswith("name: must be an id of 4 to 63")
    assert len(missing.stderr.splitlines()) == len(faulty.stderr.splitlines()) == 1


def test_extend_says_when_it_ends_now(server: RealServer) -> None:
    server.create("to-extend")
    done = ran(server, "extend", "to-extend", "--ttl", "2d", "--idle-ttl", "12h")
    assert done.returncode == 0 and done.stdout.startswith("to-extend ends ") and "at the latest" in done.stdout
    limits = server.session("to-extend")["environmentConfig"]["executionConfig"]
    assert limits == {"ttl": "172800s", "idleTtl": "43200s"}
    told = answer(server, "extend", "to-extend", "--idle-ttl", "90m")
    assert told["environmentConfig"]["executionConfig"] == {"ttl": "172800s", "idleTtl": "5400s"}


def test_extend_refuses_what_is_no_length_and_what_has_ended(server: RealServer) -> None:
    assert ran(server, "extend", NAME).returncode == 2
    faulty = ran(server, "extend", NAME, "--ttl", "for ever")
    assert faulty.returncode == 2 and "--ttl: must be" in faulty.stderr
    ended(server, "too-late")
    late = ran(server, "extend", "too-late", "--ttl", "1h")
    assert (late.returncode, late.stdout) == (1, "") and "TERMINATED" in late.stderr


def test_history_draws_the_line_and_tells_each_state(server: RealServer) -> None:
    ended(server, "all-of-it")
    done = ran(server, "history", "all-of-it")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("■ all-of-it TERMINATED  since ")
    assert lines[2].split() == ["CREATING", "ACTIVE", "TERMINATING", "TERMINATED"]
    assert lines[3].count("╋") == 3 and lines[3].endswith("■") and set(lines[3]) == {"━", "╋", "■"}
    states = [line.split()[3] for line in lines if line[:4].isdigit()]
    assert states == ["CREATING", "ACTIVE", "TERMINATING", "TERMINATED"]


def test_history_as_json_adds_lengths(server: RealServer) -> None:
    told = ended(server, "in-json")
    rows = answer(server, "history", "in-json")
    wire = [{key: row[key] for key in ("state", "stateMessage", "stateStartTime")} for row in rows]
    assert wire[:-1] == told["stateHistory"]
    assert (wire[-1]["state"], wire[-1]["stateStartTime"]) == (told["state"], told["stateTime"])
    assert all(row["duration"].endswith("s") for row in rows) and [row["current"] for row in rows][-1] is True
    assert yaml.safe_load(ran(server, "history", "in-json", "-o", "yaml").stdout) == rows


def test_history_of_a_failed_one_leads_with_its_reason(server: RealServer) -> None:
    before = {one.pid for one in marked(server.home)}
    server.create("will-fail")
    for process in (one for one in marked(server.home) if one.pid not in before):
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    reason = server.until("will-fail", "FAILED")["stateMessage"]
    head = ran(server, "history", "will-fail").stdout
    assert head.startswith("✕ will-fail FAILED  since ") and reason.split("\n")[0] in head.splitlines()[0]


def test_the_only_live_one_needs_no_name(tmp_path: Path) -> None:
    with real_server(tmp_path) as server:
        none = ran(server, "get")
        assert (none.returncode, none.stdout) == (1, "") and "no session is live" in none.stderr
        server.create("only-one")
        assert answer(server, "get")["name"].endswith("only-one")
        assert ran(server, "extend", "--ttl", "1d").stdout.startswith("only-one ends ")
        assert "● only-one ACTIVE" in ran(server, "history").stdout
        server.create("another-one")
        several = ran(server, "get")
        assert (several.returncode, several.stdout) == (1, "")
        assert "only-one" in several.stderr and "another-one" in several.stderr
