"""What ends under ``exec``: its session, its server; and which server it finds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.beside import environment, ran, started
from tests.cli.running import run
from tests.real.server import PARENT, RealServer, real_server

WAITS = "import time\nprint('on', flush=True)\nwhile True: time.sleep(0.05)"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RealServer]:
    with real_server(tmp_path) as running:
        yield running


def test_a_session_that_dies_while_its_code_runs(server: RealServer) -> None:
    server.create("short-lived")
    with started(server, "exec", "short-lived", WAITS) as running:
        assert running.stdout is not None and running.stdout.readline() == "on\n"
        server.call("POST", f"{PARENT}/sessions/short-lived:terminate")
        out, err = running.communicate(timeout=90)
    assert (running.returncode, out) == (1, "")
    assert "short-lived is TERMINAT" in err.splitlines()[-1] and "jupyter_sessions" not in err
    done = ran(server, "exec", "short-lived", "1")
    assert (done.returncode, done.stdout) == (1, "") and "TERMINATED" in done.stderr
    done = ran(server, "exec", "1")
    assert done.returncode == 1 and "no session is live" in done.stderr


def test_a_server_that_goes_away_while_code_runs(server: RealServer) -> None:
    server.create("goes-on")
    with started(server, "exec", "goes-on", WAITS) as running:
        assert running.stdout is not None and running.stdout.readline() == "on\n"
        server.kill()
        out, err = running.communicate(timeout=170)
    assert (running.returncode, out) == (1, "")
    assert f":{server.port} cannot be reached" in err and "Traceback" not in err


def test_a_server_that_comes_back_while_code_runs(server: RealServer, tmp_path: Path) -> None:
    server.create("comes-back")
    wait = f"while not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.02)"
    waits = f"import os, time\nprint('on', flush=True)\n{wait}"
    with started(server, "exec", "-q", "comes-back", f"{waits}\nprint('off')") as running:
        assert running.stdout is not None and running.stdout.readline() == "on\n"
        server.kill()
        server.start()
        (tmp_path / "go").touch()
        out, err = running.communicate(timeout=170)
    assert (running.returncode, out) == (0, "off\n")
    assert err == "the connection broke while the code ran: some of its output may be missing\n"


def test_two_servers(server: RealServer, tmp_path: Path) -> None:
    server.create("first-one")
    other = RealServer(tmp_path / "other")
    for name in ("config", "runtime"):
        (other.home / name).rmdir()
        (other.home / name).symlink_to(server.home / name)
    try:
        other.start()
        done = ran(server, "exec", "-q", "1", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert all(f":{one.port}" in done.stderr for one in (server, other))
        assert "use --url, or set JUPYTER_SESSIONS_URL" in done.stderr and "url=" not in done.stderr
        assert ran(server, "exec", "-q", "1", cwd=server.root).stdout == "1\n"
        done = ran(server, "exec", "-q", "1", cwd=other.root)
        assert done.returncode == 1 and "no session is live" in done.stderr
        assert ran(server, "exec", "-q", "1", "--url", server.url, cwd=other.root).stdout == "1\n"
        chosen = {**environment(other), "JUPYTER_SESSIONS_URL": server.url}
        assert run("exec", "-q", "1", env=chosen, cwd=other.root).stdout == "1\n"
    finally:
        other.end_all()
        other.stop()
        other.http.close()


def test_no_server(tmp_path: Path) -> None:
    nowhere = RealServer(tmp_path)
    done = ran(nowhere, "exec", "1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no running Jupyter server" in done.stderr and "jupyter lab" in done.stderr
    nowhere.http.close()
