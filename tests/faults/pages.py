"""An upstream's list of sessions in pages, with the faults that real lists have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.faults.replies import error, ok
from tests.faults.server import Reply, Request

PARENT = "projects/p/locations/l"


def session(number: int, parent: str = PARENT, state: str = "ACTIVE") -> dict[str, Any]:
    """Make one session as an upstream answers it."""
    time = f"2026-01-01T00:{number // 60 % 60:02}:{number % 60:02}Z"
    return {
        "name": f"{parent}/sessions/session-{number:05}",
        "uuid": f"00000000-0000-4000-8000-{number:012}",
        "createTime": time,
        "state": state,
        "stateTime": time,
        "creator": "somebody@example.com",
        "jupyterSession": {"kernel": "PYTHON", "displayName": f"Session {number}"},
        "runtimeInfo": {},
    }


class Pages:
    """A list in pages; ``reply`` is a route for a FaultServer.

    ``duplicate``: each page starts with the last row of the one before. ``vanished``: from this page on (0 is the
    first) a token is refused, as of a list that went away between two calls. ``circle``: the last page's token leads
    back to the first. ``largest`` caps the page's size, whatever is asked for.
    """

    def __init__(
        self,
        rows: Sequence[Mapping[str, Any]],
        *,
        key: str = "sessions",
        largest: int = 1000,
        duplicate: bool = False,
        vanished: int | None = None,
        circle: bool = False,
        elsewhere: Callable[[Request], Reply] | None = None,
    ) -> None:
        self.rows = list(rows)
        self.key = key
        self.largest = largest
        self.duplicate = duplicate
        self.vanished = vanished
        self.circle = circle
        self._elsewhere = elsewhere or (lambda request: error(404, "NOT_FOUND", f"{request.path} was not found."))

    def reply(self, request: Request) -> Reply:
        """Answer a list call with its page, any other with ``elsewhere`` (404 unless told)."""
        if request.method != "GET" or not request.path.endswith(f"/{self.key}"):
            return self._elsewhere(request)
        token = request.query.get("pageToken", "")
        start = int(token.removeprefix("from-") or 0)
        size = min(int(request.query.get("pageSize") or 100), self.largest)
        if self.vanished is not None and start // size >= self.vanished:
            return error(400, "INVALID_ARGUMENT", "The page token is invalid.")
        first = start - 1 if self.duplicate and start else start
        page: dict[str, Any] = {self.key: self.rows[first : start + size]}
        if start + size < len(self.rows):
            page["nextPageToken"] = f"from-{start + size}"
        elif self.circle:
            page["nextPageToken"] = "from-0"
        return ok(page)
