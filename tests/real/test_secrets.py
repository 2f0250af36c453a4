"""No secret of ours leaves its place: not in an answer, a log, a command line, an environment or an open file."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import psutil

from jupyter_sessions.handlers.routes import ROUTES
from tests.real.kernel import KernelSocket
from tests.real.listening import DECOY, Listener
from tests.real.secrets import check_modes, found_in, hmac_key, kernel_keys, open_files, process_texts
from tests.real.server import PARENT, TOKEN, RealServer, marked, real_server, wait_for

ENV_VALUE = f"env-value-{secrets.token_hex(16)}"


def directory_of(server: RealServer, name: str) -> Path:
    """Give a session's directory."""
    return server.data / "sessions" / str(server.session(name)["uuid"])


def socket_place(server: RealServer, name: str) -> Path:
    """Give the directory of a session's sockets."""
    return Path(json.loads((directory_of(server, name) / "intent.json").read_text())["socket_dir"])


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


def end(server: RealServer, listener: Listener) -> None:
    """Terminate the session, read all that is told of its end, and delete it."""
    listener.route("sessions.terminate", names={"session": "quiet"})
    server.until("quiet", "TERMINATED")
    for parent in (PARENT, "projects/-/locations/-"):
        first = "0" if parent == PARENT else f"{PARENT},0"
        listener.events(f"{parent}/sessions:watch?after={first}")
    listener.route("sessions.logs", names={"session": "quiet"})
    listener.call("GET", "api/kernels")
    listener.call("GET", "api/kernelspecs")
    listener.route("sessions.delete", names={"session": "quiet"})


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
            "the key of the page tokens": hmac_key(server.data),
            **kernel_keys(place),
        }
        check_modes([server.data, place])
        ours = marked(tmp_path)
        assert {"jupyter_sessions.host" in " ".join(process.cmdline()) for process in ours} == {True, False}
        check_processes(server, ours, kept)
        check_files(tmp_path, kept)
        drive(listener, kernel_id)
        listener.fail({"session": "second", "template": "plain", "operation": "none"}, there="quiet")
        log = (directory_of(server, "quiet") / "log" / "host.log").read_bytes()
        end(server, listener)
        listener.frames("events", bus, '"TERMINATED"')
        assert listener.driven == {(route.id, PARENT) for route in ROUTES}
        check_said(server, listener, log, kept)
        wait_for(lambda: not place.exists(), "the session's directories to go")
        check_modes([server.data])
        check_files(tmp_path, kept)


def check_said(server: RealServer, listener: Listener, log: bytes, kept: dict[str, bytes]) -> None:
    """Look through every answer, the server's log and the session's log."""
    token, server_log = {"the server's token": TOKEN.encode()}, server.log.encode()
    for what, text in [*listener.heard, ("the server's log", server_log), ("the session's log", log)]:
        assert found_in(text, {**kept, **token}) == [], what
    for what, text in listener.pages:
        assert found_in(text, kept) == [], what
    # What must be found is: the session's own answer, and the requests in the log.
    value = {"a variable's value": ENV_VALUE.encode()}
    assert any(found_in(text, value) for what, text in listener.heard if what.endswith("/sessions/quiet"))
    assert "access_token=[secret]" in server.log and "GET /jupyter-sessions/v1/" in server.log
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
