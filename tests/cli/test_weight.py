"""What a command loads, and what it says where it cannot reach a server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.beside import environment, ran
from tests.cli.running import run
from tests.real.server import RealServer, free_port, real_server

LOADED = (
    "import atexit, sys\n"
    "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
    "from jupyter_sessions.cli.main import main\n"
    "main()"
)
ROOMS = {"jupyter_sessions.cli", "jupyter_sessions.client", "jupyter_sessions.model"}
HEAVY = {"jupyter_server", "tornado", "zmq", "jupyter_client", "traitlets", "IPython", "nbformat", "psutil"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    with real_server(tmp_path_factory.mktemp("weight")) as running:
        running.create("etl-nightly")
        yield running


@pytest.mark.parametrize("words", [("list",), ("list", "-o", "json"), ("get", "etl-nightly"), ("history",)])
def test_a_command_loads_none_of_the_servers_rooms(server: RealServer, words: tuple[str, ...]) -> None:
    argv = [sys.executable, "-c", LOADED, *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, env=environment(server), check=True)
    assert "etl-nightly" in done.stdout
    loaded = set(done.stderr.split())
    rooms = {".".join(name.split(".")[:2]) for name in loaded if name.startswith("jupyter_sessions.")}
    assert rooms == ROOMS
    assert not {name.partition(".")[0] for name in loaded} & HEAVY and "rich.markdown" not in loaded
    assert "json" not in words or not any(name.startswith("rich") for name in loaded)


@pytest.mark.parametrize(
    "words", [("list",), ("get",), ("create", "a-session"), ("terminate", "a-session"), ("history", "a-session")]
)
def test_where_no_server_runs_each_says_so_in_a_line(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = run(*words, env={**os.environ, "JUPYTER_RUNTIME_DIR": str(tmp_path)})
    assert (done.returncode, done.stdout) == (1, "") and len(done.stderr.splitlines()) == 1
    assert "no running Jupyter server was found" in done.stderr and "JUPYTER_SESSIONS_URL" in done.stderr


def test_a_server_that_is_gone_and_one_that_lets_nobody_in(server: RealServer) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    gone = ran(server, "list", "--url", url)
    assert (gone.returncode, gone.stdout) == (1, "") and url in gone.stderr and "Traceback" not in gone.stderr
    stranger = ran(server, "list", env={"JUPYTER_SESSIONS_URL": server.url, "JUPYTER_SESSIONS_TOKEN": "wrong"})
    assert (stranger.returncode, stranger.stdout) == (1, "") and "JUPYTER_SESSIONS_TOKEN" in stranger.stderr


def test_a_url_given_in_words(server: RealServer) -> None:
    done = ran(server, "list", "--url", f"{server.url}/lab/tree", "--location", "local", "-o", "name")
    assert done.returncode == 0 and done.stdout.rstrip().endswith("/sessions/etl-nightly")
    faulty = ran(server, "list", "--location", "nowhere")
    assert (faulty.returncode, faulty.stdout) == (1, "") and faulty.stderr.startswith("location: 'nowhere'")
