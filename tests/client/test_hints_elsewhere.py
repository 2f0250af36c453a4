"""A session of another location, and one whose location does not answer: what a program and a terminal are told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_sessions.client import SessionsClient
from jupyter_sessions.client.reasons import in_words
from jupyter_sessions.model.errors import NotFound
from tests.cli.beside import ran
from tests.real.server import TOKEN, RealServer, real_server, wait_for
from tests.real.upstreams import Service, private, services


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Serve sessions, the location ``serve`` of the server."""
    with services(tmp_path_factory.mktemp("services"), ["serve"]) as made:
        yield made["serve"]


@pytest.fixture
def server(tmp_path: Path, service: Service) -> Iterator[RealServer]:
    """Run a server that shows the service's sessions beside its own, ``over-there`` among them."""
    token = private(tmp_path / "token", service.secret)
    place = f"project: local\n    location: serve\n    endpoint: {service.url}\n    auth: bearer\n"
    private(
        tmp_path / "config" / "jupyter_sessions" / "there.yaml",
        f"locations:\n  - {place}    bearer:\n      file: {token}\n",
    )
    with real_server(tmp_path) as running:
        yield running


def test_it_is_told_where_it_is_and_what_is_known_while_that_is_away(server: RealServer, service: Service) -> None:
    with SessionsClient(server.url, TOKEN) as client:
        client.create("over-there", location=service.location, wait=True)
        with pytest.raises(NotFound, match=r"it is at serve: --location serve .*serve/sessions/over-there"):
            client.get("over-there")
        said = ran(server, "exec", "over-there", "1").stderr
        assert "it is at serve: --location serve" in said
        client.session(f"{service.location}/sessions/over-there").terminate(wait=True)
        client.create("stays-there", location=service.location, wait=True)
    asyncio.run(service.stop())

    def marked() -> str:
        told = ran(server, "list", "-A").stdout
        return told if "unreachable since" in told else ""

    told = wait_for(marked, "the session to be marked")
    (line,) = [line for line in told.splitlines() if line.startswith("stays-there ")]
    assert "unreachable since" in line and "over-there" in told
    for command in ("get", "history"):
        last = ran(server, command, "--location", "serve", "stays-there")
        assert last.returncode == 0 and "ACTIVE" in last.stdout
        assert "has not answered for " in last.stderr and "stays-there as it was last seen" in last.stderr
    done = ran(server, "exec", "--location", "serve", "stays-there", "1")
    assert done.returncode == 1 and "stays-there is in projects/local/locations/serve: " in done.stderr
    assert " ago)" in done.stderr and "try again when it answers" in done.stderr and "T0" not in done.stderr


def test_moments_are_told_as_people_read_them() -> None:
    assert in_words("it is unreachable since 2026-01-31T06:03:29.414795557Z: no").startswith(
        "it is unreachable since 2026-01-31 "
    )
    assert in_words("since 2026-99-31T06:03:29Z: no") == "since 2026-99-31T06:03:29Z: no"
