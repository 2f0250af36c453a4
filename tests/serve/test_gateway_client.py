"""Jupyter Server's own gateway client in front of a service: a server whose kernels are those of sessions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.kernel import KernelSocket
from tests.real.server import RealServer, wait_for
from tests.serve.gatewaying import GatewayUser, activate, served_for_long
from tests.serve.serving import LOCATION, OWN, Served

SPEC = "work.python3"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service of one user, with the ACTIVE session ``work``."""
    with served_for_long(tmp_path_factory.mktemp("service"), [OWN]) as running:
        activate(running, OWN, "work")
        yield running


@pytest.fixture
def front(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RealServer]:
    """A Jupyter server whose gateway is the service, without our extension; the token is in no command line."""
    monkeypatch.setenv("JUPYTER_GATEWAY_AUTH_TOKEN", served.token(OWN))
    monkeypatch.setenv("JUPYTER_GATEWAY_AUTH_SCHEME", "Bearer")
    options = (f"--gateway-url={served.url}", "--ServerApp.jpserver_extensions", "jupyter_sessions=False")
    server = RealServer(tmp_path, options=options)
    try:
        yield server.start()
    finally:
        server.closing.close()
        server.stop()
        server.http.close()


def test_a_server_with_our_gateway_lists_and_runs_the_sessions_kernels(front: RealServer, served: Served) -> None:
    user = GatewayUser(served, OWN)
    # Its client takes the gateway's default with the first list, and tells it with the second.
    front.jupyter("GET", "kernelspecs")
    listed = front.jupyter("GET", "kernelspecs")
    assert (listed["default"], list(listed["kernelspecs"])) == (SPEC, [SPEC])
    resources = listed["kernelspecs"][SPEC]["resources"]
    assert resources["endpointParentResource"].endswith(f"{LOCATION}/sessions/work")
    logo = front.http.get(f"{front.url}{resources['logo-64x64']}", timeout=30)
    assert logo.content.startswith(b"\x89PNG")
    body = {"path": "a.ipynb", "name": "a.ipynb", "type": "notebook", "kernel": {"name": SPEC}}
    kernel = front.jupyter("POST", "sessions", body)["kernel"]["id"]
    assert set(user.kernels()) == {kernel}
    socket = KernelSocket(front, kernel, v1=False)
    socket.ready()
    assert socket.text("x = 20; print(x + 1)") == "21\n"
    running = socket.begin("import time; time.sleep(600)")
    wait_for(lambda: user.kernels()[kernel]["execution_state"] == "busy", "the kernel to be busy")
    front.jupyter("POST", f"kernels/{kernel}/interrupt", {})
    assert "KeyboardInterrupt" in {m["content"].get("ename") for m in socket.answers(running)}
    front.jupyter("POST", f"kernels/{kernel}/restart", {})
    socket.ready()
    assert [model["id"] for model in front.jupyter("GET", "kernels")] == [kernel]
    front.jupyter("DELETE", f"kernels/{kernel}")
    assert user.kernels() == {}
