"""Speaks to a server as a client without cookies, and keeps all that it says: status lines, headers, bodies, frames."""

from __future__ import annotations

import contextlib
import secrets
from typing import Any, Protocol

import requests
import websocket

from jupyter_sessions.handlers.routes import ROUTES

DECOY = f"decoy-{secrets.token_hex(16)}"
PREFIX = "jupyter-sessions/v1"
LOCAL = {"project": "local", "location": "local"}
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


class Speaker(Protocol):
    """A running server: its address, what a request's Authorization says, what is closed at its end."""

    url: str
    closing: contextlib.ExitStack

    @property
    def authorization(self) -> str: ...


class Listener:
    """Calls a server and keeps all it says. ``prefix`` is where the sessions API is."""

    def __init__(self, server: Speaker, prefix: str = PREFIX) -> None:
        self.server = server
        self.prefix = prefix
        self.heard: list[tuple[str, bytes]] = []
        self.pages: list[tuple[str, bytes]] = []
        self.driven: set[tuple[str, str]] = set()
        self.http = requests.Session()
        self.http.trust_env = False
        server.closing.callback(self.http.close)

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        """Send one request as a client without cookies."""
        headers = {"Authorization": self.server.authorization, **more.pop("headers", {})}
        self.http.cookies.clear()
        answer = self.http.request(method, f"{self.server.url}/{path}", headers=headers, timeout=60, **more)
        said = repr((answer.status_code, answer.reason, dict(answer.headers))).encode()
        # Jupyter's own error page gives whoever has shown the server's token that token again.
        page = answer.headers.get("Content-Type", "").startswith("text/html")
        assert not (page and path.startswith(self.prefix)), path
        (self.pages if page else self.heard).append((f"{method} {path}", said + answer.content))
        return answer

    def api(self, method: str, path: str, **more: Any) -> requests.Response:
        """Send one request to the sessions API."""
        return self.call(method, f"{self.prefix}/{path}", **more)

    def route(self, route_id: str, ok: bool = True, **more: Any) -> requests.Response:
        """Call a method of the table for the names given; it must succeed unless ``ok`` is False."""
        names = {**LOCAL, **more.pop("names", {})}
        (found,) = [route for route in ROUTES if route.id == route_id]
        answer = self.api(found.verb, found.path.format(**names), **more)
        assert answer.ok or not ok, answer.text
        self.driven.add((route_id, f"projects/{names['project']}/locations/{names['location']}"))
        return answer

    def fail(self, names: dict[str, str], there: str) -> None:
        """Call every method of the table in every faulty way, and HEAD and a wrong method of each path.

        ``there`` is the id of a session that exists.
        """
        names = {**LOCAL, **names}
        for route in ROUTES:
            path = route.path.format(**names)
            for wrong in WRONG:
                more = json_free(wrong)
                if route.id == "sessions.create":
                    # One that is there: what is no fault here must not make a session.
                    more["params"] = {**more.get("params", {}), "sessionId": there}
                self.api(route.verb, path, **more)
            for verb in ("HEAD", "PUT"):
                self.api(verb, path)
        spark = "projects/{project}/locations/{location}/sessions/{session}/sparkApplications".format(**names)
        for path in ("nothing", spark, "openapi.json", "connect"):
            for wrong in WRONG:
                self.api("GET", path, **json_free(wrong))

    def events(self, path: str, last: str = '"TERMINATED"') -> None:
        """Read a change stream up to what holds ``last``, as server-sent events and as a websocket."""
        headers = {"Accept": "text/event-stream", "Authorization": self.server.authorization}
        url = f"{self.server.url}/{self.prefix}/{path}"
        with requests.get(url, headers=headers, stream=True, timeout=60) as answer:
            lines = []
            for line in answer.iter_lines():
                lines.append(line)
                if last.encode() in line:
                    break
            self.heard.append((f"events {path}", repr(dict(answer.headers)).encode() + b"\n".join(lines)))
        self.frames(path, self.open(f"{self.prefix}/{path}"), last)

    def open(self, path: str) -> websocket.WebSocket:
        """Open a websocket as a client without cookies."""
        url = f"{self.server.url}/{path}".replace("http", "ws", 1)
        header = [f"Authorization: {self.server.authorization}"]
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
