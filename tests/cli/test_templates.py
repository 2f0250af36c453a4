"""``jupyter sessions templates``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
import yaml

from tests.cli.beside import answer, environment, ran
from tests.cli.running import MAIN
from tests.real.server import PARENT, RealServer, real_server

MEANWHILE = """
from jupyter_sessions.client.groups import Templates
update = Templates.update
def late(self, name, *words):
    update(self, name, {"labels": {"theirs": "2"}}, ["labels.theirs"])
    return update(self, name, *words)
Templates.update = late
"""
"""Lets somebody else change the template in the moment before a command does."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    with real_server(tmp_path_factory.mktemp("templates")) as running:
        yield running


def test_from_flags_and_what_is_shown_of_it(server: RealServer) -> None:
    flags = ("--label", "team=fx", "-p", "local:env.MODE=dry", "--kernel", "python", "--ttl", "8h", "--idle-ttl", "90m")
    done = ran(
        server, "templates", "create", "gpu", *flags, "--display-name", "Big one", "--description", "For training"
    )
    assert done.returncode == 0 and "--template gpu" in done.stderr
    told = answer(server, "templates", "get", "gpu")
    assert told["name"] == f"{PARENT}/sessionTemplates/gpu" and told["labels"] == {"team": "fx"}
    assert told["jupyterSession"] == {"kernel": "PYTHON"} and told["displayName"] == "Big one"
    assert told["runtimeConfig"]["properties"] == {"local:env.MODE": "dry"}
    assert told["environmentConfig"]["executionConfig"] == {"ttl": "28800s", "idleTtl": "5400s"}
    table = ran(server, "templates", "list").stdout
    row = next(line for line in table.splitlines() if line.startswith("gpu "))
    assert all(word in row for word in ("Big one", "python", "8 h", "1 h 30 m", "team=fx", "For training"))
    assert "local:env.MODE=dry" in ran(server, "templates", "get", "gpu").stdout
    assert told["name"] in ran(server, "templates", "list", "-o", "name").stdout.split()
    assert told in answer(server, "templates", "list", "--filter", "labels.team = fx", "--all-locations")


def test_there_and_back_through_a_file(server: RealServer) -> None:
    assert ran(server, "templates", "create", "first", "-l", "team=fx", "--ttl", "1h").returncode == 0
    text = ran(server, "templates", "get", "first", "-o", "yaml").stdout
    done = ran(server, "templates", "create", "copy", "-f", "-", "--set", "labels.kind=copy", stdin=text)
    assert done.returncode == 0, done.stderr
    assert answer(server, "templates", "get", "copy")["labels"] == {"team": "fx", "kind": "copy"}
    done = ran(server, "templates", "update", "copy", "-f", "-", stdin=yaml.safe_dump({"labels": {"only": "this"}}))
    told = answer(server, "templates", "get", "copy")
    assert done.returncode == 0 and told["labels"] == {"only": "this"} and "environmentConfig" not in told


def test_an_update_changes_what_is_said(server: RealServer) -> None:
    assert ran(server, "templates", "create", "changing", "-l", "team=fx", "--ttl", "1h").returncode == 0
    assert ran(server, "templates", "update", "changing", "--ttl", "2h", "-l", "tier=gold").returncode == 0
    told = answer(server, "templates", "get", "changing")
    assert told["labels"] == {"team": "fx", "tier": "gold"}
    assert told["environmentConfig"]["executionConfig"]["ttl"] == "7200s"
    done = ran(server, "templates", "update", "changing")
    assert done.returncode == 2 and "say what changes" in done.stderr


def test_two_updates_at_once_lose_nothing(server: RealServer) -> None:
    assert ran(server, "templates", "create", "shared", "-l", "team=fx", "--description", "Old").returncode == 0
    words = ("templates", "update", "shared", "-l", "mine=1", "--set", "description=", "--ttl", "2h")
    done = subprocess.run(
        [sys.executable, "-c", MEANWHILE + MAIN, *words],
        env=environment(server),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    told = answer(server, "templates", "get", "shared")
    assert told["labels"] == {"team": "fx", "mine": "1", "theirs": "2"} and "description" not in told
    assert told["environmentConfig"]["executionConfig"]["ttl"] == "7200s"


def test_from_a_session(server: RealServer) -> None:
    server.create("etl-nightly", labels={"team": "fx"}, runtimeConfig={"properties": {"local:env.MODE": "dry"}})
    assert ran(server, "templates", "create", "like-it", "--from-session", "etl-nightly").returncode == 0
    told = answer(server, "templates", "get", "like-it")
    assert told["labels"] == {"team": "fx"} and told["runtimeConfig"]["properties"]["local:env.MODE"] == "dry"
    done = ran(server, "templates", "create", "x", "--from-session", "etl-nightly", "-f", "-")
    assert done.returncode == 2 and "two beginnings" in done.stderr


def test_removing_and_what_is_refused(server: RealServer) -> None:
    assert ran(server, "templates", "create", "short-lived").returncode == 0
    again = ran(server, "templates", "create", "short-lived")
    assert (again.returncode, again.stdout) == (1, "") and "short-lived" in again.stderr
    assert "is removed" in ran(server, "templates", "delete", "short-lived").stderr
    gone = ran(server, "templates", "get", "short-lived")
    assert (gone.returncode, gone.stdout) == (1, "") and "short-lived" in gone.stderr
    done = ran(server, "templates", "create", "bad", "--ttl", "1s", "--set", "colour=red", "-l", "A=b")
    assert done.returncode == 1 and "colour" in done.stderr
