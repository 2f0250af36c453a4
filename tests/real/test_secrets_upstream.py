"""No credential of an upstream leaves its place, however it is asked for and whatever the upstream says back."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from jupyter_sessions.handlers.routes import ROUTES
from tests.real.kernel import KernelSocket
from tests.real.listening import DECOY, Listener
from tests.real.secrets import Watcher, check_modes, found_in, hmac_key, kernel_keys, open_files, parts_of
from tests.real.server import PARENT, TOKEN, RealServer, real_server, wait_for
from tests.real.upstreams import BEHIND, GOOGLE, VARIABLE, Upstreams, private, upstreams
from tests.serve.serving import OWN
from tests.upstream.signing_in import ISSUER

SERVE = "projects/local/locations/serve"
LOUD = "import logging\nlogging.basicConfig(level=logging.DEBUG)\n"
"""Has every library say all that it has to say, on the server's standard error."""
ENVIRONMENT = "import os\nprint([value for name, value in os.environ.items() if 'proxy' not in name.lower()])"
"""Prints what a kernel has been given; a proxy, password included, is for kernels too."""
SERVER_TOKEN = {"the server's token": TOKEN.encode()}


def names_of(location: dict[str, Any]) -> dict[str, str]:
    """Give what a location's paths are made with."""
    return {"project": location["project"], "location": location["location"]}


def spoken_with(listener: Listener, server: RealServer, spec: str, code: str) -> str:
    """Open a notebook on a kernel, run a cell over its websocket, keep every frame, and give the kernel's id."""
    made = listener.call(
        "POST", "api/sessions", json={"path": "a.ipynb", "name": "a", "type": "notebook", "kernel": {"name": spec}}
    ).json()
    kernel_id = str(made["kernel"]["id"])
    socket = KernelSocket(server, kernel_id)
    socket.ready()
    frames = socket.execute(code)
    listener.heard.append((f"frames of {spec}", repr(frames).encode()))
    assert any(frame["header"]["msg_type"] == "stream" for frame in frames), frames
    listener.call("GET", f"api/kernels/{kernel_id}")
    listener.call("POST", f"api/kernels/{kernel_id}/interrupt")
    listener.call("POST", f"api/kernels/{kernel_id}/restart")
    return kernel_id


def drive(listener: Listener, names: dict[str, str]) -> None:
    """Call every method of a location whose upstream works, with success; its session ``far-one`` is ACTIVE."""
    parent = f"projects/{names['project']}/locations/{names['location']}"
    session, template = {**names, "session": "far-one"}, {**names, "template": "plain"}
    listener.route("locations.list", names=names)
    listener.route("locations.get", names=names)
    listener.route("sessionTemplates.create", names=names, json={"name": f"{parent}/sessionTemplates/plain"})
    listener.route("sessionTemplates.patch", names=template, json={"description": "plain"})
    listener.route("sessionTemplates.get", names=template)
    listener.route("sessionTemplates.list", names=names, params={"pageSize": 1})
    made = listener.route("sessions.create", names=names, params={"sessionId": "far-two", "requestId": "one"}, json={})
    operation = {**names, "operation": made.json()["name"].rpartition("/")[2]}
    listener.route("operations.get", names=operation)
    listener.route("operations.list", names=names, params={"pageSize": 1})
    listener.route("operations.cancel", names=operation)
    for route in ("sessions.get", "sessions.logs", "sessions.kernels"):
        listener.route(route, names=session)
    listener.route("sessions.list", names=names, params={"pageSize": 1})
    listener.route("sessions.patch", names=session, params={"updateMask": "labels"}, json={"labels": {"a": "b"}})
    listener.route("sessionTemplates.delete", names=template)
    listener.route("operations.delete", names=operation)


def end(listener: Listener, server: RealServer, names: dict[str, str]) -> None:
    """Terminate the session ``far-one``, follow its end, and delete it."""
    parent = f"projects/{names['project']}/locations/{names['location']}"
    session = {**names, "session": "far-one"}
    listener.route("sessions.terminate", names=session)
    wait_for(
        lambda: server.call("GET", f"{parent}/sessions/far-one")["state"] == "TERMINATED", "the far session to end"
    )
    listener.events(f"{parent}/sessions:watch?after=0")
    listener.events(f"projects/-/locations/-/sessions:watch?after={parent},0")
    listener.route("sessions.delete", names=session)


def stumble(server: RealServer, location: dict[str, Any]) -> Listener:
    """Call every method of a location whose upstream says credentials back, and open its change stream."""
    listener, names = Listener(server), names_of(location)
    for route in ROUTES:
        path = route.path.format(**names, session="mirrored", template="mirrored", operation="mirrored")
        listener.api(route.verb, path, **({"json": {}} if route.body else {}))
        if route.verb == "GET":
            listener.api("HEAD", path)
    listener.open(f"{listener.prefix}/{SERVE}/sessions:watch").close()
    return listener


def stumble_on_kernels(server: RealServer, spec: str) -> Listener:
    """Start a kernel of a gateway that says credentials back, and open its channels."""
    listener = Listener(server)
    made = listener.call("POST", "api/kernels", json={"name": spec})
    listener.call("GET", f"api/kernelspecs/{spec}")
    if made.status_code == 201:
        kernel = made.json()["id"]
        frames = listener.open(f"api/kernels/{kernel}/channels?session_id={secrets.token_hex(8)}")
        frames.settimeout(2)
        told = []
        with contextlib.suppress(Exception):
            while True:
                told.append(str(frames.recv()))
        listener.heard.append((f"frames of {spec}", "\n".join([*told, repr(frames.getheaders())]).encode()))
        for method, path in (("GET", ""), ("POST", "/interrupt"), ("POST", "/restart"), ("DELETE", "")):
            listener.call(method, f"api/kernels/{kernel}{path}")
    return listener


def overview(listener: Listener) -> None:
    """Ask for what tells of all locations at once, and for Jupyter's own lists."""
    for path in ("sessions", "sessionTemplates", "operations?returnPartialSuccess=true"):
        assert listener.api("GET", f"projects/-/locations/-/{path}").ok
    for project in ("-", "faults", "somebodys"):
        assert listener.api("GET", f"projects/{project}/locations").ok
    for path in ("openapi.json", "connect"):
        assert listener.api("GET", path).ok
    for path in ("kernels", "sessions", "kernelspecs", "status", "me", "terminals"):
        listener.call("GET", f"api/{path}")
    for spec in json.loads(listener.call("GET", "api/kernelspecs").content)["kernelspecs"]:
        for name in ("logo-svg.svg", "logo-64x64.png", "kernel.json", "..%2Ftoken"):
            listener.call("GET", f"kernelspecs/{spec}/{name}")


def kept(data: Path, sessions: list[str]) -> dict[str, bytes]:
    """Give the secrets of one service's own: its hosts' tokens, its kernels' keys, the key of its page tokens."""
    found = {f"the key of page tokens in {data}": hmac_key(data)}
    for uuid in sessions:
        directory = data / "sessions" / uuid
        found[f"the token of the host of {uuid}"] = (directory / "token").read_bytes()
        place = Path(json.loads((directory / "intent.json").read_text())["socket_dir"])
        check_modes([data, place])
        with contextlib.suppress(AssertionError):  # one that never had a kernel
            found |= kernel_keys(place)
    return found


@contextlib.contextmanager
def chain(home: Path) -> Iterator[tuple[Upstreams, RealServer]]:
    """Run every kind of upstream, and a Jupyter server before them whose libraries all log what they can."""
    with upstreams(home) as found, pytest.MonkeyPatch.context() as patch:
        lab = home / "lab"
        found.configure(lab / "config")
        private(lab / "config" / "jupyter_server_config.py", LOUD)
        for name, value in found.environment.items():
            patch.setenv(name, value)
        with real_server(lab, options=("--log-level=DEBUG",)) as server:
            yield found, server


def test_no_credential_of_an_upstream_leaves_its_place(tmp_path: Path) -> None:
    with Watcher(tmp_path) as watcher, chain(tmp_path) as (found, server):
        listener = Listener(server)
        here = server.create("here-one")["uuid"]
        bus = listener.open("api/events/subscribe")
        listeners, named = work(found, server, listener, here)
        listener.frames("events", bus, '"TERMINATED"')
        found.secrets |= named
        # What a peer only got to see while all this went on is known now.
        everything = parts_of(found.secrets)
        for who in [listener, *listeners]:
            for what, text in [*who.heard, *who.pages]:
                assert found_in(text, everything) == [], what
            for what, text in who.heard:
                assert found_in(text, SERVER_TOKEN) == [], what
        check_logs(found, server, everything)
        check_peers(found)
        check_disk(found, server, everything)
        check_processes(found, server, watcher)
        check_worked(found, server, listener, listeners)


def work(
    found: Upstreams, server: RealServer, listener: Listener, here: str
) -> tuple[list[Listener], dict[str, bytes]]:
    """Do with every location all that can be done; give who else listened, and the secrets that came up.

    ``here`` is the uuid of the session ``here-one`` of the server's own.
    """
    serve = {"project": "local", "location": "serve"}
    for service in found.services.values():
        listener.api("POST", f"{service.location}/sessions", params={"sessionId": "far-one"}, json={})
    for service in found.services.values():
        service.until("far-one", "ACTIVE")
    kernels = ("here-one.python3", *(f"local.{name}.far-one.python3" for name in found.services))
    wait_for(lambda: {*kernels} <= {*server.jupyter("GET", "kernelspecs")["kernelspecs"]}, "kernels to be offered")
    for spec in kernels:
        spoken_with(listener, server, spec, ENVIRONMENT)
    named = kept(server.data, [here])
    for service in found.services.values():
        row = service.request(OWN, "GET", f"v1/{service.location}/sessions/far-one").json()
        named |= kept(service.data_dir, [row["uuid"]])
    drive(listener, serve)
    overview(listener)
    faulty = [one for one in found.locations if one["project"] != "local"]
    with ThreadPoolExecutor(8) as pool:
        listeners = list(pool.map(lambda one: stumble(server, one), faulty))
        specs = [name for name in server.jupyter("GET", "kernelspecs")["kernelspecs"] if name.startswith("echoing")]
        listeners += pool.map(lambda spec: stumble_on_kernels(server, spec), specs)
    listener.fail({**serve, "session": "far-two", "template": "plain", "operation": "none"}, there="far-one")
    found.google_says_no = True
    found.use_service_account()
    wait_for(lambda: refused_by_google(listener), "Google's refusal to be told")
    overview(listener)
    end(listener, server, serve)
    server.call("POST", f"{PARENT}/sessions/here-one:terminate")
    server.until("here-one", "TERMINATED")
    return listeners, named


def refused_by_google(listener: Listener) -> bool:
    """Call the location of Google's and say whether it has become known that the issuer says no."""
    listener.api("GET", f"{GOOGLE}/sessions")
    return "no access token" in listener.api("GET", GOOGLE).text


def check_logs(found: Upstreams, server: RealServer, everything: dict[str, bytes]) -> None:
    """Look through the logs of all servers and sessions."""
    decoy = {"a key that a caller sent": DECOY.encode()}
    logs = [server.home / "server.log", *(service.home / "serve.log" for service in found.services.values())]
    logs += found.home.rglob("*/log/*.log")
    assert len(logs) > len(found.services) + 1
    for path in logs:
        assert found_in(path.read_bytes(), {**everything, **SERVER_TOKEN, **decoy}) == [], path


def check_peers(found: Upstreams) -> None:
    """See that each peer got the credentials of its own locations, and nobody anything else."""
    assert found.elsewhere.requests == []
    own = {f"the token of {one['project']} {one['location']}": one for one in found.locations}
    for request in found.faults.requests:
        got = found_in(repr(request).encode(), {**found.secrets, **SERVER_TOKEN})
        if request.path.startswith("/issuer/"):
            assert all(name.startswith("assertion") for name in got), request.path
            continue
        assert len(got) == 1 and got[0] in own, (request.path, got)
        places = [urlsplit(own[got[0]][kind]).path + "/" for kind in ("endpoint", "gateway")]
        assert request.path.startswith(tuple(places)), (request.path, got)
    for request in found.google.requests:
        got = found_in(repr(request).encode(), {**found.secrets, **SERVER_TOKEN})
        signing_in = request.headers["host"] == ISSUER
        allowed = ("the refresh token", "the client's secret", "assertion") if signing_in else ("access token",)
        assert got and all(name.startswith(allowed) for name in got), (request.target, got)
    for request in found.proxy.requests:
        got = found_in(repr(request).encode(), {**found.secrets, **SERVER_TOKEN})
        assert got == ["the proxy's password"], (request.target, got)


def check_disk(found: Upstreams, server: RealServer, everything: dict[str, bytes]) -> None:
    """Look through every file that others may read, and through all that servers keep."""
    data = [server.data, *(service.data_dir for service in found.services.values())]
    check_modes(data)
    for path in open_files(found.home):
        named = {**everything, **({} if path.parent.name == "runtime" else SERVER_TOKEN)}
        assert found_in(path.read_bytes(), named) == [], path
    upstream = {name: value for name, value in found.secrets.items() if "host" not in name and "key of" not in name}
    kept_files = [path for place in data for path in place.rglob("*") if path.is_file()]
    assert any(path.name.startswith("upstream") for path in kept_files), kept_files
    for path in kept_files:
        assert found_in(path.read_bytes(), {**upstream, **SERVER_TOKEN}) == [], path


def check_processes(found: Upstreams, server: RealServer, watcher: Watcher) -> None:
    """Look through what every process showed from first to last: only the server, and its own programs, were given any.

    These are the program that prints a token, and what JupyterLab itself runs.
    """
    assert server.process is not None
    (lab,) = {words for pid, words, environment in watcher.seen if pid == server.process.pid and b"-m" in words}
    ours = (b"jupyter_sessions.host", b"jupyter_sessions.serve", b"ipykernel")
    seen = set()
    for _, words, environment in watcher.seen:
        assert found_in(words, {**found.secrets, **SERVER_TOKEN}) == [], words
        kinds = {kind for kind in ours if kind in words}
        # A process that is about to become another one shows what its maker was given.
        if words != lab and (kinds or b"JUPYTER_SESSIONS_MARK=" in environment):
            seen |= kinds
            got = found_in(environment, {**found.secrets, **SERVER_TOKEN})
            assert got in ([], ["the proxy's password"]), words
            assert f"{VARIABLE}=".encode() not in environment
    assert seen == {*ours}


def check_worked(found: Upstreams, server: RealServer, listener: Listener, listeners: list[Listener]) -> None:
    """See that all this could have failed: credentials were sent, said back, shown as hidden, and logs were loud."""
    sent = found_in(found.received(), found.secrets)
    assert {name for name in found.secrets if name.startswith(("the token of faults", "the token of ch"))} <= {*sent}
    assert {"the refresh token", "the client's secret"} <= {*sent} and any(name.startswith("access") for name in sent)
    assert any(name.startswith("assertion") for name in found.secrets)
    asked = {request.path.split("/")[2] for request in found.faults.requests if request.path.endswith("/channels")}
    assert {*BEHIND} <= asked
    assert {(route.id, SERVE) for route in ROUTES} <= listener.driven
    heard = b"".join(text for who in listeners for _, text in who.heard)
    assert heard.count(b"[hidden]") > 100
    log = server.log
    assert "DEBUG:urllib3.connectionpool" in log and '"POST /token HTTP/1.1" 200' in log and "[hidden]" in log
    environment = Path(f"/proc/{server.process.pid}/environ").read_bytes() if server.process else b""
    assert "the token of environment" in found_in(environment, found.secrets)
