"""A list among a thousand sessions, against the plainest request of the same server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import requests

from tests.benchmarks.figures import measured, table
from tests.benchmarks.servers import SESSIONS, Server

ROUNDS = 200
MOST = 6.0


def lists(store: Path) -> None:
    """Print how long a page of 100 takes, the first and the last, and ``GET /api/status``."""
    with Server(extension=True, store=store) as server, requests.Session() as http:
        http.headers["Authorization"] = f"token {server.token}"
        http.trust_env = False
        root = f"http://127.0.0.1:{server.port}"

        def get(path: str) -> bytes:
            answer = http.get(f"{root}/{path}", timeout=60)
            answer.raise_for_status()
            return answer.content

        first, token, pages = f"{SESSIONS}?pageSize=100", "", 0
        last = first
        while token or not pages:
            last = f"{first}&pageToken={token}"
            token, pages = json.loads(get(last)).get("nextPageToken", ""), pages + 1
        targets: dict[str, Callable[[], object]] = {
            "a page of 100": lambda: get(first),
            "GET /api/status": lambda: get("api/status"),
            "the last page of all": lambda: get(last),
            "50 live ones by filter": lambda: get(f"{first}&filter=state%20%3D%20ACTIVE"),
            "one session": lambda: get(f"{SESSIONS}/crowd-0500"),
        }
        measured(targets, 1)
        table(f"A list of sessions ({pages} pages in all)", measured(targets, ROUNDS), {"GET /api/status": MOST})
