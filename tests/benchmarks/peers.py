"""Upstreams to measure against: one that answers like a server of the v1 API and counts, one that never answers."""

from __future__ import annotations

import json
import socket
import threading
import uuid
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

PARENT = "projects/far/locations/away"
LOCATION = """
locations:
- project: far
  location: {location}
  endpoint: http://127.0.0.1:{port}
  auth: none
"""
"""What configures one of these peers as a location."""


class Listening:
    """An upstream of ``sessions`` ACTIVE sessions, whose first one gets a new message with each ``change``.

    ``lists`` counts the list calls by their path; a list of several pages is as many calls.
    """

    def __init__(self, sessions: int) -> None:
        self.lists: Counter[str] = Counter()
        self.rows = [_session(number) for number in range(sessions)]
        self._lock = threading.Lock()
        peer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                status, body = peer._answer(self.path)
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing of a request."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.locations = LOCATION.format(location="away", port=self._server.server_port)

    def __enter__(self) -> Listening:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def change(self, message: str) -> None:
        """Say something new of the first session."""
        with self._lock:
            self.rows[0] = {**self.rows[0], "stateMessage": message}

    def _answer(self, target: str) -> tuple[int, dict[str, Any]]:
        url = urlsplit(target)
        query = parse_qs(url.query)
        with self._lock:
            if url.path == f"/v1/{PARENT}/sessions":
                self.lists["sessions"] += 1
                start = int(query.get("pageToken", ["0"])[0])
                size = min(int(query.get("pageSize", ["100"])[0]), 1000)
                more = {"nextPageToken": str(start + size)} if start + size < len(self.rows) else {}
                return 200, {"sessions": self.rows[start : start + size], **more}
            if url.path.rpartition("/")[2] in ("sessionTemplates", "operations"):
                self.lists[url.path.rpartition("/")[2]] += 1
                return 200, {}
            for row in self.rows:
                if url.path == f"/v1/{row['name']}":
                    return 200, row
        return 404, {"error": {"code": 404, "status": "NOT_FOUND", "message": "there is nothing", "details": []}}


def _session(number: int) -> dict[str, Any]:
    minute, second = divmod(number, 60)
    created = f"2026-01-01T{minute // 60:02}:{minute % 60:02}:{second:02}.000000001Z"
    return {
        "name": f"{PARENT}/sessions/crowd-{number:04}",
        "uuid": str(uuid.UUID(int=number + 1)),
        "createTime": created,
        "stateTime": created.replace("01Z", "02Z"),
        "state": "ACTIVE",
        "stateHistory": [{"state": "CREATING", "stateStartTime": created}],
        "creator": "somebody@example.com",
        "user": "somebody@example.com",
        "labels": {"team": "blue"},
        "jupyterSession": {"kernel": "PYTHON", "displayName": f"Crowd {number}"},
        "runtimeInfo": {},
        "runtimeConfig": {"version": "2.3", "properties": {"spark:spark.executor.instances": "2"}},
        "environmentConfig": {"executionConfig": {"ttl": "86400s", "idleTtl": "3600s"}, "peripheralsConfig": {}},
    }


class Hole:
    """An upstream that takes every connection and never says a word."""

    def __init__(self) -> None:
        self._door = socket.create_server(("127.0.0.1", 0))
        self._kept: list[socket.socket] = []
        self.locations = LOCATION.format(location="hole", port=self._door.getsockname()[1])

    def __enter__(self) -> Hole:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._door.close()
        for kept in self._kept:
            kept.close()

    def _accept(self) -> None:
        while True:
            try:
                self._kept.append(self._door.accept()[0])
            except OSError:
                # The door is closed: the measurement is over.
                return
