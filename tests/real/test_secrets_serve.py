"""No secret of a service, its users or its sessions leaves its place, on any of its paths, with whatever token."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import websocket

from jupyter_sessions.handlers.routes import ROUTES
from tests.real.kernel import KernelSocket
from tests.real.listening import DECOY, WRONG, Listener, json_free
from tests.real.secrets import Watcher, check_modes, found_in, hmac_key, kernel_keys, open_files, parts_of
from tests.real.upstreams import Service, fresh, services
from tests.serve.serving import OWN

GATEWAY: dict[str, tuple[str, ...]] = {
    "api/kernelspecs": ("GET", "HEAD", "POST"),
    "api/kernelspecs/{spec}": ("GET", "HEAD", "DELETE"),
    "kernelspecs/{spec}/logo-64x64.png": ("GET", "HEAD"),
    "kernelspecs/{spec}/..%2Ftoken": ("GET",),
    "api/kernels": ("GET", "HEAD", "POST", "PUT"),
    "api/kernels/{kernel}": ("GET", "HEAD", "PATCH"),
    "api/kernels/{kernel}/interrupt": ("POST", "GET"),
    "api/kernels/{kernel}/channels": ("GET", "POST"),
    "host/stream?session={session}": ("GET", "POST"),
    "healthz": ("GET", "HEAD", "POST"),
    "login": ("GET", "POST"),
    "": ("GET",),
    "api/sessions": ("GET",),
    "static/style.css": ("GET",),
}
"""Every path besides the API's, and some that are not there, with methods that are and are not."""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Run a service whose log says all that it has to say."""
    with services(tmp_path, ["serve"]) as served:
        yield served["serve"]


def active(service: Service, name: str) -> dict[str, Any]:
    """Make a session and wait until it is ACTIVE."""
    body = {"runtimeConfig": {"properties": {"local:env.NOTHING": "special"}}}
    assert service.request(OWN, "POST", f"v1/{service.location}/sessions?sessionId={name}", body).ok
    service.until(name, "ACTIVE")
    found: dict[str, Any] = service.request(OWN, "GET", f"v1/{service.location}/sessions/{name}").json()
    return found


def start_kernel(listener: Listener, service: Service) -> tuple[str, str]:
    """Start a kernel through the gateway, run a cell, and give its kernelspec's name and its id."""
    specs = listener.call("GET", "api/kernelspecs").json()
    kernel = str(listener.call("POST", "api/kernels", json={"name": specs["default"]}).json()["id"])
    socket = KernelSocket(service, kernel)  # type: ignore[arg-type]  # it has what is used of a server
    socket.ready()
    frames = socket.execute("import os\nprint(list(os.environ.values()))")
    listener.heard.append(("frames", repr(frames).encode()))
    assert "special" in repr(frames)
    return specs["default"], kernel


def secrets_of(service: Service, session: dict[str, Any]) -> dict[str, bytes]:
    """Give what must be found nowhere."""
    directory = service.data_dir / "sessions" / session["uuid"]
    place = Path(json.loads((directory / "intent.json").read_text())["socket_dir"])
    check_modes([service.data_dir, place])
    return {
        "the user's token": service.secret.encode(),
        "the host's token": (directory / "token").read_bytes(),
        "the key of the page tokens": hmac_key(service.data_dir),
        **kernel_keys(place),
    }


def drive(listener: Listener, location: str, session: str) -> None:
    """Call every method of the API with success, but for the end of the session."""
    parent = {"project": "local", "location": location}
    one, template = {**parent, "session": session}, {**parent, "template": "plain"}
    name = f"projects/local/locations/{location}/sessionTemplates/plain"
    listener.route("locations.list", names=parent)
    listener.route("locations.get", names=parent)
    listener.route("sessionTemplates.create", names=parent, json={"name": name})
    listener.route("sessionTemplates.patch", names=template, json={"description": "plain"})
    for route in ("sessionTemplates.get", "sessionTemplates.delete"):
        listener.route(route, names=template)
    made = listener.route("sessions.create", names=parent, params={"sessionId": "brief"}, json={}).json()
    operation = {**parent, "operation": made["name"].rpartition("/")[2]}
    for route in ("operations.get", "operations.cancel", "operations.delete"):
        listener.route(route, names=operation)
    for route in ("sessions.get", "sessions.logs", "sessions.kernels"):
        listener.route(route, names=one)
    for route in ("sessions.list", "sessionTemplates.list", "operations.list"):
        listener.route(route, names=parent, params={"pageSize": 1})
    listener.route("sessions.patch", names=one, params={"updateMask": "labels"}, json={"labels": {"a": "b"}})
    for path in ("projects/-/locations/-/sessions", "projects/-/locations", "openapi.json"):
        assert listener.api("GET", path).ok


def gateway(listener: Listener, names: dict[str, str]) -> None:
    """Call every path besides the API's, with the right token, a wrong one, none, and in every faulty way."""
    for template, methods in GATEWAY.items():
        path = template.format(**names)
        for method in methods:
            for wrong in ({}, *WRONG, {"headers": {"Authorization": f"token {DECOY}"}}, {"params": {"token": DECOY}}):
                answer = listener.call(method, path, **json_free(wrong))
                if wrong.get("headers", {}).get("Authorization") is not None and path != "healthz":
                    assert answer.status_code in (401, 403, 404, 405), (method, path, answer.status_code)


def refuse_streams(service: Service, listener: Listener, names: dict[str, str]) -> None:
    """Open every websocket without a token and with wrong ones."""
    paths = ("api/kernels/{kernel}/channels", "host/stream?session={session}", "v1/{parent}/sessions:watch")
    for template in paths:
        path = template.format(**names)
        for header in ([], [f"Authorization: Bearer {DECOY}"], [f"Cookie: token={DECOY}"]):
            url = f"{service.url}/{path}".replace("http", "ws", 1)
            with pytest.raises(websocket.WebSocketBadStatusException) as caught:
                websocket.create_connection(url, header=header, timeout=30, suppress_origin=True)
            assert caught.value.status_code in (401, 403)
            said = repr((caught.value.resp_headers, caught.value.resp_body)).encode()
            listener.heard.append((f"refused {path}", said))


def test_no_secret_of_a_service_leaves_its_place(tmp_path: Path, service: Service) -> None:
    with Watcher(tmp_path) as watcher:
        session = active(service, "lasting")
        listeners = [Listener(service, prefix) for prefix in ("v1", "jupyter-sessions/v1")]
        first = listeners[0]
        spec, kernel = start_kernel(first, service)
        kept = secrets_of(service, session)
        whole = quote(session["name"], safe="")
        names = {"spec": spec, "kernel": kernel, "session": whole, "parent": service.location}
        first.frames("host/stream", first.open(f"host/stream?session={whole}"), kernel)
        gateway(first, names)
        refuse_streams(service, first, names)
        for listener in listeners:
            drive(listener, "serve", "lasting")
            failing = {"project": "local", "location": "serve", "session": "brief", "template": "no", "operation": "no"}
            listener.fail(failing, there="lasting")
            service.request(OWN, "DELETE", f"v1/{service.location}/sessions/brief")
        first.call("DELETE", f"api/kernels/{kernel}")
        lasting = {"project": "local", "location": "serve", "session": "lasting"}
        first.route("sessions.terminate", names=lasting)
        service.until("lasting", "TERMINATED")
        for listener in listeners:
            listener.events(f"{service.location}/sessions:watch?after=0")
        logs = [*service.data_dir.rglob("*/log/*.log"), service.home / "serve.log"]
        check(listeners, kept, logs)
        first.route("sessions.delete", names=lasting)
        assert {route for route, _ in first.driven} == {route.id for route in ROUTES}
        check_modes([service.data_dir])
        for path in open_files(service.home):
            assert found_in(path.read_bytes(), kept) == [], path
        for _, words, environment in watcher.seen:
            assert found_in(words + b"\0" + environment, kept) == [], words
        assert any(b"jupyter_sessions.host" in words for _, words, _ in watcher.seen)


def check(listeners: list[Listener], kept: dict[str, bytes], logs: list[Path]) -> None:
    """Look through every answer, frame and log; what must be there is, so that they are what they should be."""
    everything = parts_of(kept)
    for listener in listeners:
        for what, text in [*listener.heard, *listener.pages]:
            assert found_in(text, everything) == [], what
    assert len(logs) >= 2
    for path in logs:
        text = path.read_bytes()
        assert found_in(text, {**everything, "a key that a caller sent": DECOY.encode()}) == [], path
    said = logs[-1].read_text()
    assert "200 GET /jupyter-sessions/v1/" in said and "401 GET /api/kernels" in said and "404 GET /static" in said


def test_the_token_made_at_a_start_is_said_once(tmp_path: Path) -> None:
    """Without users' tokens one is made: it stands in one line on stdout and in one file of its owner's."""
    one = Service(tmp_path / "alone", "serve")
    words = one.command
    one.command = lambda: [word for word in words() if not word.startswith("--tokens")]  # type: ignore[method-assign]  # no users
    try:
        asyncio.run(one.start())
        (found,) = re.findall(r"with the token (\S+)", one.log)
        one.secret = found
        secret = {"the token": found.encode()}
        listener = Listener(one, "v1")
        assert listener.api("GET", f"{one.location}/sessions").ok
        for wrong in WRONG:
            listener.api("GET", f"{one.location}/sessions", **json_free(wrong))
            listener.call("GET", "healthz", **json_free(wrong))
        for what, text in listener.heard:
            assert found_in(text, secret) == [], what
        assert one.log.count(found) == 1
        holding = [path for path in one.home.rglob("*") if path.is_file() and found_in(path.read_bytes(), secret)]
        assert {*holding} == {one.home / "serve.log", one.data_dir / "serve.token"}
        assert (one.data_dir / "serve.token").stat().st_mode & 0o077 == 0
    finally:
        one.closing.close()
        asyncio.run(one.close())


def test_a_users_token_in_a_url_is_refused_and_not_logged(service: Service) -> None:
    """What is in a URL lands in logs of proxies: it is no credential here, and in no log of ours."""
    listener = Listener(service, "v1")
    for name in ("token", "access_token", "key"):
        for path in (f"v1/{service.location}/sessions", "api/kernels", "healthz", "nothing"):
            answer = listener.call("GET", path, params={name: service.secret}, headers={"Authorization": ""})
            assert answer.status_code in ((200,) if path == "healthz" else (401, 403, 404)), path
    other = {"another's": fresh().encode()}
    listener.call("GET", "api/kernels", headers={"Authorization": b"Bearer " + other["another's"]})
    for what, text in listener.heard:
        assert found_in(text, {"the token": service.secret.encode(), **other}) == [], what
    assert found_in(service.log.encode(), {"the token": service.secret.encode(), **other}) == []
    assert "GET /api/kernels" in service.log
