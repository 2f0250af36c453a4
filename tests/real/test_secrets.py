"""No secret of ours leaves its place: not in an answer, a log, a command line, an environment or an open file."""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import requests
import websocket

from jupyter_sessions.handlers.routes import ROUTES
from tests.real.kernel import KernelSocket
from tests.real.server import PARENT, TOKEN, RealServer, marked, real_server, wait_for

ENV_VALUE = f"env-value-{secrets.token_hex(16)}"
DECOY = f"decoy-{secrets.token_hex(16)}"
PREFIX = "jupyter-sessions/v1"
WRONG: list[dict[str, Any]] = [
    {"headers": {"Authorization": ""}},
    {"headers": {"Authorization": f"Bearer {DECOY}"}},
    {"params": {"key": DECOY, "access_token": DECOY, "oauth_token": DECOY}},
    {"params": {"nonsense": "1", "pageToken": "AAAA", "filter": "nonsense"}},
    {"data": b"{", "headers": {"Content-Type": "application/json"}},
    {"data": b'{"nonsense": 1}', "headers": {"Content-Type": "application/json"}},
    {"data": b"x" * (1 << 20) + b"x", "headers": {"Content-Type": "application/json"}},
    {"data": b"{}", "headers": {"Content-Type": "text/plain"}},
    {"headers": {"Host": "elsewhere.example"}},
    {"headers": {"Origin": "http://elsewhere.example"}},
]
"""What is added to a request so that it fails, or ought to change nothing."""


class Listener:
    """Calls a server and keeps all it says: status line, headers, bodies, frames."""

    def __init__(self, server: RealServer) -> None:
        self.server = server
        self.heard: list[tuple[str, bytes]] = []
        self.pages: list[tuple[str, bytes]] = []
        self.driven: set[str] = set()
        self.http = requests.Session()
        self.http.trust_env = False
        server.closing.callback(self.http.close)

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        """Send one request as a client without cookies."""
        headers = {"Authorization": f"token {TOKEN}", **more.pop("headers", {})}
        self.http.cookies.clear()
        answer = self.http.request(method, f"{self.server.url}/{path}", headers=headers, timeout=60, **more)
        said = repr((answer.status_code, answer.reason, dict(answer.headers))).encode()
        # Jupyter's own error page gives whoever has shown the server's token that token again.
        page = answer.headers.get("Content-Type", "").startswith("text/html")
        assert not (page and path.startswith(PREFIX)), path
        (self.pages if page else self.heard).append((f"{method} {path}", said + answer.content))
        return answer

    def api(self, method: str, path: str, **more: Any) -> requests.Response:
        """Send one request to the sessions API."""
        return self.call(method, f"{PREFIX}/{path}", **more)

    def route(self, route_id: str, **more: Any) -> requests.Response:
        """Call a method of the table for the session, template or operation named, which must succeed."""
        names = {"project": "local", "location": "local", **more.pop("names", {})}
        (found,) = [route for route in ROUTES if route.id == route_id]
        answer = self.api(found.verb, found.path.format(**names), **more)
        assert answer.ok, answer.text
        self.driven.add(route_id)
        return answer

    def fail(self, names: dict[str, str]) -> None:
        """Call every method of the table in every faulty way, and HEAD and a wrong method of each path."""
        for route in ROUTES:
            path = route.path.format(project="local", location="local", **names)
            for wrong in WRONG:
                more = json_free(wrong)
                if route.id == "sessions.create":
                    # One that is there: what is no fault here must not make a session.
                    more["params"] = {**more.get("params", {}), "sessionId": "quiet"}
                self.api(route.verb, path, **more)
            for verb in ("HEAD", "PUT"):
                self.api(verb, path)
        for path in ("nothing", f"{PARENT}/sessions/{names['session']}/sparkApplications", "openapi.json"):
            for wrong in WRONG:
                self.api("GET", path, **json_free(wrong))

    def events(self, path: str) -> None:
        """Read a change stream from its beginning, as server-sent events and as a websocket."""
        headers = {"Accept": "text/event-stream", "Authorization": f"token {TOKEN}"}
        url = f"{self.server.url}/{PREFIX}/{path}"
        with requests.get(url, headers=headers, stream=True, timeout=60) as answer:
            lines = []
            for line in answer.iter_lines():
                lines.append(line)
                if b'"TERMINATED"' in line:
                    break
            self.heard.append((f"events {path}", repr(dict(answer.headers)).encode() + b"\n".join(lines)))
        self.frames(path, self.open(f"{PREFIX}/{path}"), '"TERMINATED"')

    def open(self, path: str) -> websocket.WebSocket:
        """Open a websocket as a client without cookies."""
        url = f"{self.server.url}/{path}".replace("http", "ws", 1)
        header = [f"Authorization: token {TOKEN}"]
        opened = websocket.create_connection(url, header=header, timeout=60, suppress_origin=True)
        self.server.closing.callback(opened.close)
        return opened

    def frames(self, path: str, opened: websocket.WebSocket, last: str) -> None:
        """Read a websocket up to the frame that holds ``last``."""
        frames = [repr(opened.getheaders())]
        while last not in frames[-1]:
            frames.append(str(opened.recv()))
        opened.close()
        self.heard.append((f"websocket {path}", "\n".join(frames).encode()))


def json_free(wrong: dict[str, Any]) -> dict[str, Any]:
    """Give a copy of a way to fail: the listener takes its headers out."""
    return {key: dict(value) if isinstance(value, dict) else value for key, value in wrong.items()}


def spellings(value: bytes) -> list[bytes]:
    """Give how a secret may be written down."""
    encoded = [base64.b64encode(value), base64.urlsafe_b64encode(value)]
    escaped = quote(value, safe="").encode()
    return [value, value.hex().encode(), escaped, json.dumps(value.decode("latin-1"))[1:-1].encode(), *encoded]


def found_in(text: bytes, named: dict[str, bytes]) -> list[str]:
    """Give the names of the secrets that stand in a text."""
    return [name for name, value in named.items() if any(form in text for form in spellings(value))]


def hmac_key(server: RealServer) -> bytes:
    """Read the key of the page tokens from the store."""
    with contextlib.closing(sqlite3.connect(server.data / "sessions.db")) as store:
        (key,) = store.execute("SELECT value FROM meta WHERE key = 'hmac_key'").fetchone()
    assert len(key) >= 32
    return bytes(key)


def directory_of(server: RealServer, name: str) -> Path:
    """Give a session's directory."""
    return server.data / "sessions" / str(server.session(name)["uuid"])


def socket_place(server: RealServer, name: str) -> Path:
    """Give the directory of a session's sockets."""
    return Path(json.loads((directory_of(server, name) / "intent.json").read_text())["socket_dir"])


def kernel_keys(place: Path) -> dict[str, bytes]:
    """Read the keys of a session's kernels."""
    files = list((place / "kernels").glob("*.json"))
    assert files, f"no connection file in {place}"
    return {f"the key of a kernel ({path.name})": json.loads(path.read_text())["key"].encode() for path in files}


def open_files(home: Path) -> Iterator[Path]:
    """Give every file below ``home`` that its own mode lets somebody else read, whatever its directories say."""
    for path in home.rglob("*"):
        if path.is_file() and path.stat().st_mode & 0o077:
            yield path


def check_modes(places: list[Path]) -> None:
    """See that every directory and file of ours, and the host's socket, is closed to all but their owner.

    A kernel makes its own sockets, with its own umask: their directory is what closes them.
    """
    for place in places:
        assert place.lstat().st_mode & 0o077 == 0 and not place.is_symlink(), place
        for path in place.rglob("*"):
            with contextlib.suppress(FileNotFoundError):  # a file that is being replaced
                if path.is_socket() and path.name != "host.sock":
                    continue
                assert path.lstat().st_mode & 0o077 == 0, path


def run_cell(server: RealServer, name: str) -> str:
    """Open a notebook on a session, run a cell, and give the kernel's id."""
    kernel = {"name": f"{name}.python3"}
    made = server.jupyter(
        "POST", "sessions", {"path": "a.ipynb", "name": "a.ipynb", "type": "notebook", "kernel": kernel}
    )
    kernel_id = str(made["kernel"]["id"])
    socket = KernelSocket(server, kernel_id)
    assert socket.text("import os\nprint(len(os.environ['SECRET']))").strip() == str(len(ENV_VALUE))
    return kernel_id


def drive(listener: Listener, kernel_id: str) -> None:
    """Call every method of the API with success, then Jupyter's own about the same kernels."""
    session, template = {"session": "quiet"}, {"template": "plain"}
    listener.route("locations.list")
    listener.route("locations.get")
    listener.route("sessionTemplates.create", json={"name": f"{PARENT}/sessionTemplates/plain"})
    listener.route("sessionTemplates.patch", names=template, json={"description": "plain"})
    listener.route("sessionTemplates.get", names=template)
    listener.route("sessionTemplates.list", params={"pageSize": 1})
    made = listener.route("sessions.create", params={"sessionId": "second", "requestId": "one"}, json={}).json()
    operation = {"operation": made["name"].rpartition("/")[2]}
    listener.route("operations.get", names=operation)
    listener.route("operations.list", params={"pageSize": 1})
    listener.route("operations.cancel", names=operation)
    for route in ("sessions.get", "sessions.logs", "sessions.kernels"):
        listener.route(route, names=session)
    assert "nextPageToken" in listener.route("sessions.list", params={"pageSize": 1}).json()
    listener.api("GET", "projects/-/locations/-/sessions", params={"pageSize": 1})
    listener.route("sessions.patch", names=session, params={"updateMask": "labels"}, json={"labels": {"a": "b"}})
    listener.route("sessionTemplates.delete", names=template)
    listener.route("operations.delete", names=operation)
    listener.api("GET", "openapi.json")
    for path in ("kernels", f"kernels/{kernel_id}", "sessions", "kernelspecs", "kernelspecs/quiet.python3", "status"):
        assert listener.call("GET", f"api/{path}").ok
    listener.call("POST", f"api/kernels/{kernel_id}/interrupt")
    listener.call("POST", f"api/kernels/{kernel_id}/restart")
    listener.call("POST", "api/kernels", json={"name": "nothing.python3"})
    listener.call("GET", f"api/kernels/{kernel_id}/channels")
    for name in ("logo-svg.svg", "logo-64x64.png", "kernel.json", "..%2Ftoken"):
        listener.call("GET", f"kernelspecs/quiet.python3/{name}")


def end(listener: Listener) -> None:
    """Terminate the session, read all that is told of its end, and delete it."""
    server = listener.server
    listener.route("sessions.terminate", names={"session": "quiet"})
    server.until("quiet", "TERMINATED")
    for parent in (PARENT, "projects/-/locations/-"):
        first = "0" if parent == PARENT else f"{PARENT},0"
        listener.events(f"{parent}/sessions:watch?after={first}")
    listener.route("sessions.logs", names={"session": "quiet"})
    listener.call("GET", "api/kernels")
    listener.call("GET", "api/kernelspecs")
    listener.route("sessions.delete", names={"session": "quiet"})


def process_texts(processes: list[psutil.Process]) -> Iterator[tuple[str, bytes]]:
    """Give command line and environment of each process."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            yield f"argv of {process.pid}", "\0".join(process.cmdline()).encode()
            yield f"environment of {process.pid}", repr(process.environ()).encode()


def test_no_secret_leaves_its_place(tmp_path: Path) -> None:
    """Drive a real server through every endpoint, well and badly, then look for each secret everywhere."""
    with real_server(tmp_path, options=("--log-level=DEBUG", "--ServerApp.allow_origin=")) as server:
        properties = {"local:env.SECRET": ENV_VALUE}
        server.create("quiet", runtimeConfig={"properties": properties})
        listener = Listener(server)
        bus = listener.open("api/events/subscribe")
        kernel_id = run_cell(server, "quiet")
        place = socket_place(server, "quiet")
        kept = {
            "the host's token": (directory_of(server, "quiet") / "token").read_bytes(),
            "the key of the page tokens": hmac_key(server),
            **kernel_keys(place),
        }
        check_modes([server.data, place])
        ours = marked(tmp_path)
        assert {"jupyter_sessions.host" in " ".join(process.cmdline()) for process in ours} == {True, False}
        check_processes(server, ours, kept)
        check_files(tmp_path, kept)
        drive(listener, kernel_id)
        listener.fail({"session": "second", "template": "plain", "operation": "none"})
        log = (directory_of(server, "quiet") / "log" / "host.log").read_bytes()
        end(listener)
        listener.frames("events", bus, '"TERMINATED"')
        assert listener.driven == {route.id for route in ROUTES}
        check_said(listener, log, kept)
        wait_for(lambda: not place.exists(), "the session's directories to go")
        check_modes([server.data])
        check_files(tmp_path, kept)


def check_said(listener: Listener, log: bytes, kept: dict[str, bytes]) -> None:
    """Look through every answer, the server's log and the session's log."""
    token, server_log = {"the server's token": TOKEN.encode()}, listener.server.log.encode()
    for what, text in [*listener.heard, ("the server's log", server_log), ("the session's log", log)]:
        assert found_in(text, {**kept, **token}) == [], what
    for what, text in listener.pages:
        assert found_in(text, kept) == [], what
    # What must be found is: the session's own answer, and the requests in the log.
    value = {"a variable's value": ENV_VALUE.encode()}
    assert any(found_in(text, value) for what, text in listener.heard if what.endswith("/sessions/quiet"))
    assert "access_token=[secret]" in listener.server.log and "GET /jupyter-sessions/v1/" in listener.server.log
    for what, text in listener.heard:
        if what.split()[1].startswith(("api/", "events")):
            assert found_in(text, value) == [], what
    callers = {**value, "a key that a caller sent": DECOY.encode()}
    for what, text in (("the server's log", server_log), ("the session's log", log)):
        assert found_in(text, callers) == [], what


def check_files(home: Path, kept: dict[str, bytes]) -> None:
    """Look through every file that others may read; Jupyter itself leaves its token in its runtime directory."""
    for path in open_files(home):
        named = {**kept, "a variable's value": ENV_VALUE.encode()}
        if path.parent != home / "runtime":
            named["the server's token"] = TOKEN.encode()
        assert found_in(path.read_bytes(), named) == [], path


def check_processes(server: RealServer, ours: list[psutil.Process], kept: dict[str, bytes]) -> None:
    """Look through hosts, kernels and the server; a variable of the session is the kernels' alone."""
    assert server.process is not None
    for what, text in process_texts([*ours, psutil.Process(server.process.pid)]):
        assert found_in(text, kept) == [], what
    for what, text in process_texts(ours):
        assert found_in(text, {"the server's token": TOKEN.encode()}) == [], what
    for process in ours:
        environment = process.environ()
        is_host = "jupyter_sessions.host" in " ".join(process.cmdline())
        assert environment.get("SECRET") == (None if is_host else ENV_VALUE)
        assert [name for name in environment if name.startswith(("JUPYTERHUB_", "JUPYTER_GATEWAY_"))] == []
        assert set(environment) & {"JUPYTER_TOKEN", "JPY_API_TOKEN"} == set()
