"""What an upstream costs the others that never answers, and what many browsers cost an upstream that does."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import requests
import websocket

from tests.benchmarks.figures import measured, verdict
from tests.benchmarks.peers import PARENT, Hole, Listening
from tests.benchmarks.servers import Server

ROUNDS, MOST = 100, 1.5
SESSIONS, SECONDS, BROWSERS = 1000, 60.0, 10
EVERYWHERE = "jupyter-sessions/v1/projects/-/locations/-"
PANEL = (f"{EVERYWHERE}/sessions?pageSize=1000", f"{EVERYWHERE}/sessionTemplates?pageSize=1000")
LOCATIONS = "jupyter-sessions/v1/projects/-/locations"


def silence() -> None:
    """Print how quickly a server answers beside an upstream that accepts and never answers, and without it.

    Both have one more location that does answer. Measured from the first second on, and once more when it is known.
    """
    with Listening(20) as peer, Hole() as hole:
        both = peer.locations + hole.locations.replace("locations:\n", "")
        with (
            Server(extension=True, locations=peer.locations) as plain,
            Server(extension=True, locations=both) as beside,
        ):
            for server in (plain, beside):
                server.create_session("here")
            for moment in ("from the first second on", "after that"):
                print(f"\nBeside an upstream that never answers, {moment}")
                for name, paths in (
                    ("GET /api/kernelspecs", ("api/kernelspecs",)),
                    ("GET /api/kernels", ("api/kernels",)),
                    ("the panel's lists", (LOCATIONS, *PANEL)),
                ):
                    _compare(name, plain, beside, paths)


def _compare(name: str, plain: Server, beside: Server, paths: tuple[str, ...]) -> None:
    with _calling(plain) as call_plain, _calling(beside) as call_beside:

        def run(call: Callable[[str], object]) -> None:
            for path in paths:
                call(path)

        times = measured({"without": lambda: run(call_plain), "with": lambda: run(call_beside)}, ROUNDS)
    medians = {key: sorted(values)[len(values) // 2] for key, values in times.items()}
    ratio = verdict(medians["with"] / medians["without"], MOST, "times its time without")
    worst = max(times["with"])
    print(f"  {name:24} {medians['with'] * 1e3:7.2f} ms: {ratio}; the longest {worst * 1e3:.0f} ms")


@contextlib.contextmanager
def _calling(server: Server) -> Iterator[Callable[[str], bytes]]:
    with requests.Session() as http:
        http.trust_env = False
        http.headers["Authorization"] = f"token {server.token}"

        def call(path: str) -> bytes:
            answer = http.get(f"http://127.0.0.1:{server.port}/{path}", timeout=90)
            answer.raise_for_status()
            return answer.content

        yield call


class Browser:
    """What one page of the panel does: it opens the stream, lists, and gets each session that a change names."""

    def __init__(self, server: Server, call: Callable[[str], bytes]) -> None:
        self._call = call
        url = f"ws://127.0.0.1:{server.port}/{EVERYWHERE}/sessions:watch"
        header = [f"Authorization: token {server.token}"]
        self._stream = websocket.create_connection(url, header=header, timeout=60, suppress_origin=True)
        self._stream.settimeout(0.01)
        self.heard = 0
        self.rows = 0
        self.load()

    def load(self) -> None:
        """List everything, as a page does when it is opened."""
        self._call(LOCATIONS)
        self._call(PANEL[1])
        rows, token = 0, ""
        while True:
            page = json.loads(self._call(PANEL[0] + (f"&pageToken={token}" if token else "")))
            rows, token = rows + len(page.get("sessions", [])), page.get("nextPageToken", "")
            if not token:
                break
        self.rows = rows

    def look(self) -> None:
        """Take what the stream has to say."""
        with contextlib.suppress(websocket.WebSocketTimeoutException):
            while True:
                message = json.loads(self._stream.recv())
                if message.get("reset"):
                    self.load()
                    continue
                self.heard += 1
                self._call(f"jupyter-sessions/v1/{message['session']}")

    def close(self) -> None:
        """Leave the page."""
        self._stream.close()


def crowd_of_browsers() -> None:
    """Print how many list calls one browser and ten cost an upstream of a thousand sessions in a minute.

    The minute begins once all have opened, somewhere between two jittered polls: so either may see one call more.
    """
    counts = {}
    for number in (1, BROWSERS):
        with Listening(SESSIONS) as peer, Server(extension=True, locations=peer.locations) as server:
            with _calling(server) as call:
                browsers = [Browser(server, call) for _ in range(number)]
                before, end, turn = peer.lists["sessions"], time.monotonic() + SECONDS, 0
                while time.monotonic() < end:
                    turn += 1
                    if turn % 50 == 0:
                        peer.change(f"step {turn}")
                    for browser in browsers:
                        browser.look()
                counts[number] = peer.lists["sessions"] - before
                for browser in browsers:
                    browser.close()
            heard, rows = {browser.heard for browser in browsers}, {browser.rows for browser in browsers}
            print(f"\n{number} browsers for {SECONDS:.0f} s: {dict(peer.lists)}; rows {rows}, changes heard {heard}")
    more = counts[BROWSERS] - counts[1]
    print(f"  ten cost {counts[BROWSERS]} list calls, one {counts[1]}: {verdict(more, 1, 'calls more')} ({PARENT})")


def upstream(store: Path) -> None:
    """Print both; the store of the crowd is not needed."""
    silence()
    crowd_of_browsers()
