"""``jupyter sessions operations``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.beside import answer, ran
from tests.real.server import PARENT, RealServer, real_server

NAME = "etl-nightly"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    with real_server(tmp_path_factory.mktemp("operations")) as running:
        yield running


def begin(server: RealServer, name: str) -> str:
    """Begin to make a session and give the operation's full name."""
    answered: str = server.call("POST", f"{PARENT}/sessions", {}, sessionId=name)["name"]
    return answered


def test_waiting_and_what_is_listed_then(server: RealServer) -> None:
    name = begin(server, NAME)
    short = name.rpartition("/")[2]
    done = ran(server, "operations", "wait", short, "--timeout", "1m")
    assert done.returncode == 0 and short in done.stdout and f"{NAME} ACTIVE" in done.stderr
    told = answer(server, "operations", "get", short)
    assert told["done"] is True and told["response"]["name"] == f"{PARENT}/sessions/{NAME}"
    assert answer(server, "operations", "get", name) == told
    line = next(line for line in ran(server, "operations", "list").stdout.splitlines() if line.startswith(short))
    assert line.split()[:4] == [short, "create", NAME, "done"]
    rows = answer(server, "operations", "list", "--filter", f'session = "{PARENT}/sessions/{NAME}"', "--all-locations")
    assert [row["name"] for row in rows] == [name]
    assert name in ran(server, "operations", "list", "-o", "name").stdout.split()


def test_a_create_that_is_cancelled_and_forgotten(server: RealServer) -> None:
    name = begin(server, "cut-short")
    short = name.rpartition("/")[2]
    cancelled = ran(server, "operations", "cancel", name)
    assert cancelled.returncode == 0 and "Create session cut-short" in cancelled.stderr
    done = ran(server, "operations", "wait", name)
    told = answer(server, "operations", "get", name)
    if "error" in told:  # else the session had started before
        assert told["error"]["code"] == 1 and done.returncode == 1
        assert "CANCELLED" in done.stdout
    assert ran(server, "operations", "delete", name).returncode == 0
    gone = ran(server, "operations", "get", name)
    assert (gone.returncode, gone.stdout) == (1, "") and short in gone.stderr


def test_a_filter_and_a_name_that_are_wrong(server: RealServer) -> None:
    done = ran(server, "operations", "list", "--filter", "colour = red")
    assert (done.returncode, done.stdout) == (1, "") and "column 1" in done.stderr
    assert ran(server, "operations", "get").returncode == 2
