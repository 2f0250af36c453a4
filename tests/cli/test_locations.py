"""``jupyter sessions locations``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.beside import answer, ran
from tests.real.server import PARENT, RealServer, free_port, real_server, wait_for

AWAY = "projects/away/locations/north"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    home = tmp_path_factory.mktemp("locations")
    folder = home / "config" / "jupyter_sessions"
    folder.mkdir(parents=True)
    entry = f"{{project: away, location: north, display_name: Far away, endpoint: 'http://127.0.0.1:{free_port()}', "
    (folder / "away.yaml").write_text(f"locations:\n  - {entry}auth: none}}\n")
    with real_server(home) as running:
        yield running


def unreachable(server: RealServer) -> bool:
    """Say whether the server knows that its second location does not answer."""
    status = server.call("GET", AWAY)["metadata"]["status"]
    return not status["reachable"] and bool(status["since"])


def test_the_table_says_what_answers_and_since_when_not(server: RealServer) -> None:
    wait_for(lambda: unreachable(server), "the location to be known as unreachable")
    done = ran(server, "locations")
    assert (done.returncode, done.stderr) == (0, "")
    rows = {line.split()[0]: line for line in done.stdout.splitlines()[2:]}
    assert set(rows) == {PARENT, AWAY}
    assert (
        all(
            word in rows[PARENT] for word in ("embedded", "process", "ready", "ttl 14 d", "idle ttl 1 d (at most 14 d)")
        )
        and "*" in rows[PARENT]
    )
    assert "Far away" in rows[AWAY] and "upstream" in rows[AWAY] and "unreachable since 2" in rows[AWAY]


def test_names_and_json(server: RealServer) -> None:
    assert set(ran(server, "locations", "-o", "name").stdout.split()) == {PARENT, AWAY}
    told = {row["name"]: row for row in answer(server, "locations")}
    assert told[PARENT] == server.call("GET", PARENT)


def test_the_word_list_may_be_said(server: RealServer) -> None:
    assert ran(server, "locations", "list", "-o", "name").stdout == ran(server, "locations", "-o", "name").stdout
    other = ran(server, "locations", "north")
    assert other.returncode == 2 and "jupyter sessions locations" in other.stderr
