"""An upstream that speaks the public API and no more, over HTTP, kept in memory, with faults when a test wants them."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from jupyter_sessions.model.names import LocationName
from jupyter_sessions.model.times import format_time
from tests.faults import replies
from tests.faults.pages import Pages
from tests.faults.server import FaultServer, Reply, Request
from tests.upstream.discovery import faults
from tests.upstream.proxies import FAR

PREFIX = "type.googleapis.com/google.cloud.dataproc.v1."


class Cloud:
    """Sessions, templates and operations of one location.

    ``fault`` is answered to everything while it is set, ``paging`` are the faults of the list of sessions. ``wrong``
    holds what the discovery document does not know of the requests that came.
    """

    def __init__(self, location: LocationName = FAR) -> None:
        self.location = location
        self.rows: dict[str, dict[str, Any]] = {}
        self.templates: dict[str, dict[str, Any]] = {}
        self.operations: dict[str, dict[str, Any]] = {}
        self.fault: Reply | None = None
        self.paging: dict[str, Any] = {}
        self.wrong: list[str] = []
        self.counts: Counter[str] = Counter()
        self.asked: list[Request] = []

    @property
    def lists(self) -> int:
        """How many pages of sessions were asked for."""
        return self.counts["list"]

    def name(self, session_id: str) -> str:
        """Give a session's full name."""
        return f"{self.location}/sessions/{session_id}"

    def add(self, session_id: str, *states: str, **fields: Any) -> dict[str, Any]:
        """Make a session as another tool would, that went through ``states``."""
        row = {"name": self.name(session_id), "uuid": str(uuid.uuid4()), "createTime": now(), **fields}
        row |= {"state": "CREATING", "stateTime": row["createTime"]}
        self.rows[session_id] = row
        for state in states or ("ACTIVE",):
            self.move(session_id, state)
        return row

    def move(self, session_id: str, state: str, message: str = "") -> None:
        """Let a session change its state."""
        row = self.rows[session_id]
        if row["state"] == state:
            self.rows[session_id] = {**row, "stateMessage": message}
            return
        entry = {"state": row["state"], "stateStartTime": row["stateTime"]}
        if row.get("stateMessage"):
            entry["stateMessage"] = row["stateMessage"]
        history = [*row.get("stateHistory", []), entry]
        changed = {"state": state, "stateTime": now(), "stateMessage": message, "stateHistory": history}
        self.rows[session_id] = {**row, **changed}

    def route(self, request: Request) -> Reply:
        """Answer one request."""
        self.asked.append(request)
        if request.path == f"/v1/{self.location}":
            # Asked of whatever is not Google by its name; this API has no such method.
            return self.fault or replies.error(404, "NOT_FOUND", "The requested URL was not found on this server.")
        self.wrong += faults(request)
        if request.method == "GET" and request.path.endswith("/sessions"):
            self.counts["list"] += 1
        if self.fault is not None:
            return self.fault
        rows = sorted(self.rows.values(), key=lambda row: row["createTime"], reverse=True)
        return Pages(rows, elsewhere=self._elsewhere, **self.paging).reply(request)

    def _elsewhere(self, request: Request) -> Reply:
        parts = request.path.removeprefix("/v1/").split("/")
        collection, rest = parts[4], "/".join(parts[5:])
        name, _, action = rest.partition(":")
        verb = f"{request.method} {action}".strip()
        self.counts[f"{verb} {collection}"] += 1
        if collection == "sessions":
            return self._session(verb, name, request)
        return self._template(verb, name, request) if collection == "sessionTemplates" else self._operation(verb, name)

    def _session(self, verb: str, session_id: str, request: Request) -> Reply:
        if verb == "POST":
            session_id = request.query["sessionId"]
            if session_id in self.rows:
                return replies.error(409, "ALREADY_EXISTS", f"Already exists: {session_id}")
            row = self.add(session_id, "CREATING", **{**request.json(), "creator": "me@example.com"})
            return replies.ok(self._operated("CREATE", row))
        row = self.rows.get(session_id, {})
        if not row:
            return replies.error(404, "NOT_FOUND", f"Not found: session {self.name(session_id)}")
        if verb == "GET":
            return replies.ok(row)
        if verb == "POST terminate":
            self.move(session_id, "TERMINATING")
            return replies.ok(self._operated("TERMINATE", row))
        del self.rows[session_id]
        return replies.ok(self._operated("DELETE", row, done=True))

    def _operated(self, kind: str, row: dict[str, Any], done: bool = False) -> dict[str, Any]:
        operation_id = str(uuid.uuid4())
        operation: dict[str, Any] = {
            "name": f"projects/{self.location.project}/regions/{self.location.location}/operations/{operation_id}",
            "metadata": {
                "@type": PREFIX + "SessionOperationMetadata",
                "session": row["name"],
                "sessionUuid": row["uuid"],
                "createTime": now(),
                "operationType": kind,
            },
        }
        if done:
            operation |= {"done": True, "response": {"@type": PREFIX + "Session", **row}}
        self.operations[operation_id] = operation
        return operation

    def finish(self, operation_name: str) -> None:
        """End an operation with its session as it is."""
        operation = self.operations[operation_name.rpartition("/")[2]]
        row = self.rows[operation["metadata"]["session"].rpartition("/")[2]]
        operation |= {"done": True, "response": {"@type": PREFIX + "Session", **row}}

    def _template(self, verb: str, template_id: str, request: Request) -> Reply:
        if verb == "GET" and not template_id:
            return replies.ok({"sessionTemplates": list(self.templates.values())})
        if verb == "POST":
            body = request.json()
            self.templates[body["name"].rpartition("/")[2]] = {**body, "uuid": str(uuid.uuid4()), "createTime": now()}
            return replies.ok(self.templates[body["name"].rpartition("/")[2]])
        row = self.templates.get(template_id)
        if row is None:
            return replies.error(404, "NOT_FOUND", f"Not found: template {template_id}")
        if verb == "PATCH":
            self.templates[template_id] = {**request.json(), "uuid": row["uuid"], "createTime": row["createTime"]}
        if verb == "DELETE":
            del self.templates[template_id]
            return replies.ok()
        return replies.ok(self.templates[template_id])

    def _operation(self, verb: str, operation_id: str) -> Reply:
        if verb == "GET" and not operation_id:
            return replies.ok({"operations": list(self.operations.values())})
        if operation_id not in self.operations:
            return replies.error(404, "NOT_FOUND", f"Not found: operation {operation_id}")
        if verb == "DELETE":
            del self.operations[operation_id]
        return replies.ok(self.operations[operation_id] if verb == "GET" else {})


def now() -> str:
    """Give the time as the API writes it."""
    return format_time(time.time_ns())


@contextlib.asynccontextmanager
async def cloud(location: LocationName = FAR) -> AsyncIterator[tuple[Cloud, FaultServer]]:
    """Serve an empty one; at the end every request must have been one that the API knows."""
    made = Cloud(location)
    async with FaultServer(route=made.route) as server:
        yield made, server
    assert made.wrong == [], made.wrong
