"""Runtime files that are not what they seem: of servers that ended, of other programs, of other kinds."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from jupyter_sessions.client.discovery import HUB, find_server, running_servers
from jupyter_sessions.client.errors import ServerNotFound
from tests.real.server import free_port


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """An empty runtime directory."""
    path = tmp_path / "runtime"
    path.mkdir()
    return path


@pytest.fixture
def port() -> Iterator[int]:
    """A port that this process listens on, as a server does."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def write(runtime: Path, pid: int, port: int, **fields: Any) -> Path:
    """Write the file of a server as Jupyter does."""
    row = {
        "base_url": "/",
        "hostname": "127.0.0.1",
        "password": False,
        "pid": pid,
        "port": port,
        "root_dir": str(runtime.parent),
        "secure": False,
        "sock": "",
        "token": "t",
        "url": f"http://127.0.0.1:{port}/",
        "version": "2.16.0",
    }
    path = runtime / f"jpserver-{pid}{fields.pop('suffix', '')}.json"
    path.write_text(json.dumps({**row, **fields}))
    return path


def environ(runtime: Path, **more: str) -> dict[str, str]:
    return {"JUPYTER_RUNTIME_DIR": str(runtime), **more}


class Answering(BaseHTTPRequestHandler):
    """Answers each GET with the server's status and headers."""

    def do_GET(self) -> None:
        status, headers = self.server.answer  # type: ignore[attr-defined]  # set by answering()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def answering(status: int, **headers: str) -> Iterator[int]:
    """Run a server in this process that gives one answer to everything; give its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        server.answer = status, {name.replace("_", "-"): value for name, value in headers.items()}  # type: ignore[attr-defined]  # read by Answering
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def test_none_says_where_was_looked_and_how_to_name_one(runtime: Path) -> None:
    with pytest.raises(ServerNotFound) as caught:
        find_server(environ=environ(runtime))
    for words in (str(runtime), "jupyter lab", "pass url=", "JUPYTER_SESSIONS_URL", "JUPYTER_SESSIONS_TOKEN"):
        assert words in str(caught.value)


def test_a_directory_that_is_not_there_is_none(runtime: Path) -> None:
    assert running_servers(environ(runtime / "no")) == []


def test_a_file_whose_process_has_ended_is_passed_over(runtime: Path, port: int) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    write(runtime, ended.pid, port)
    assert running_servers(environ(runtime)) == []
    with pytest.raises(ServerNotFound, match="1 file of servers that have ended"):
        find_server(environ=environ(runtime))


def test_a_file_whose_port_nobody_listens_on_is_passed_over(runtime: Path) -> None:
    write(runtime, os.getpid(), free_port())
    assert running_servers(environ(runtime)) == []


def test_a_file_of_a_host_that_cannot_be_is_passed_over(runtime: Path, port: int) -> None:
    write(runtime, os.getpid(), port, suffix="-faulty", hostname="x" * 64)
    path = write(runtime, os.getpid(), port)
    assert [server.source for server in running_servers(environ(runtime))] == [path.name]


@pytest.mark.skipif(sys.platform != "linux", reason="only /proc says whose a port is")
def test_a_stale_file_does_not_win_when_pid_and_port_were_given_to_others(runtime: Path, port: int) -> None:
    """The process is younger than the file, and the port is this test's, not that process's."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        path = write(runtime, other.pid, port)
        os.utime(path, (1e9, 1e9))
        assert running_servers(environ(runtime)) == []
        # Its file is of another time, too (the clock was set), but the port is its own.
        os.utime(write(runtime, os.getpid(), port), (1e9, 1e9))
        assert [server.pid for server in running_servers(environ(runtime))] == [os.getpid()]
        other.communicate(b"\n")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"pid": 1}', '{"url": "http://[", "pid": "x"}', "\xff" * 9])
def test_a_file_that_is_none_is_passed_over(runtime: Path, port: int, text: str) -> None:
    (runtime / "jpserver-1.json").write_text(text, encoding="latin-1")
    write(runtime, os.getpid(), port)
    assert [server.pid for server in running_servers(environ(runtime))] == [os.getpid()]


def test_one_root_twice_is_not_guessed(runtime: Path, port: int) -> None:
    for suffix in ("", "-second"):
        write(runtime, os.getpid(), port, suffix=suffix)
    with pytest.raises(ServerNotFound, match="2 of them have the root that contains"):
        find_server(runtime, environ(runtime))


def test_a_server_on_every_address_is_asked_on_this_machines(runtime: Path) -> None:
    with socket.socket() as listening:
        listening.bind(("0.0.0.0", 0))  # noqa: S104 - what is tried
        listening.listen()
        port = listening.getsockname()[1]
        write(runtime, os.getpid(), port, hostname="0.0.0.0", url=f"http://no-such-name.invalid:{port}/base/")  # noqa: S104 - as above
        assert find_server(environ=environ(runtime)).url == f"http://127.0.0.1:{port}/base"


def test_a_unix_socket_is_said_to_be_out_of_reach(runtime: Path, tmp_path: Path) -> None:
    path = os.path.relpath(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        write(runtime, os.getpid(), 0, sock=path, url="http+unix://s/", token="")
        with pytest.raises(ServerNotFound, match=r"listens on the Unix socket .* cannot reach"):
            find_server(environ=environ(runtime))


def test_a_server_that_needs_no_token_is_used_without_one(runtime: Path) -> None:
    with answering(200) as port:
        write(runtime, os.getpid(), port, token="")
        assert find_server(environ=environ(runtime)).token == ""


def test_a_server_that_asks_to_sign_in_says_so(runtime: Path) -> None:
    with answering(403) as port:
        write(runtime, os.getpid(), port, token="")
        with pytest.raises(ServerNotFound, match="has no token that a program could use"):
            find_server(environ=environ(runtime))


def test_a_hubs_token_is_not_taken_from_the_servers_file(runtime: Path) -> None:
    with answering(403, X_JupyterHub_Version="5.0") as port:
        write(runtime, os.getpid(), port, url=f"http://127.0.0.1:{port}/user/ada/")
        with pytest.raises(ServerNotFound) as caught:
            find_server(environ=environ(runtime))
    for words in ("JupyterHub", f"127.0.0.1:{port}/user/ada", "JUPYTER_SESSIONS_URL", "JUPYTER_SESSIONS_TOKEN"):
        assert words in str(caught.value)
    assert "token page" in str(caught.value)


HUB_GIVES = {
    "JUPYTERHUB_API_TOKEN": "of-the-hub",
    "JUPYTERHUB_SERVICE_PREFIX": "/user/ada/",
    "JUPYTERHUB_SERVICE_URL": "http://0.0.0.0:1234/user/ada/",
    "JUPYTERHUB_USER": "ada",
}


def test_under_a_hub_its_server_is_taken_with_the_hubs_token(runtime: Path, port: int) -> None:
    write(runtime, os.getpid(), port, suffix="-other")
    write(runtime, os.getpid(), port, url=f"http://127.0.0.1:{port}/user/ada/", token="")
    found = find_server(environ=environ(runtime, **HUB_GIVES))
    assert (found.url, found.token, found.source) == (f"http://127.0.0.1:{port}/user/ada", "of-the-hub", HUB)


def test_under_a_hub_without_a_file_the_environment_says_where(runtime: Path) -> None:
    found = find_server(environ=environ(runtime, **HUB_GIVES))
    assert (found.url, found.token) == ("http://127.0.0.1:1234/user/ada", "of-the-hub")


def test_a_service_of_the_hub_is_no_users_server(runtime: Path) -> None:
    service = {name: value for name, value in HUB_GIVES.items() if name != "JUPYTERHUB_USER"}
    with pytest.raises(ServerNotFound):
        find_server(environ=environ(runtime, **service))
