"""How the gateway tells of kernels that died, and what it holds for who does not read."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import websocket

from jupyter_sessions.model.hostfile import MARK
from tests.real.kernel import execution
from tests.real.server import wait_for
from tests.serve.gatewaying import GatewayUser, activate, close_of, served_for_long
from tests.serve.serving import LOCATION, OWN, Served

FLOOD_BYTES = 300_000_000
FLOOD = f"for _ in range({FLOOD_BYTES // 1_000_000}):\n    print('x' * 999_999, flush=True)\n"
READ_BYTES = 20_000_000
ALLOWED_BYTES = 40_000_000
"""What a service may grow by, whatever is waiting for a client that does not read."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service of one user."""
    with served_for_long(tmp_path_factory.mktemp("gateway"), [OWN]) as running:
        yield running


@pytest.fixture
def user(served: Served) -> Iterator[GatewayUser]:
    """The user."""
    made = GatewayUser(served, OWN)
    with made.closing:
        yield made


def dead(user: GatewayUser, kernel: str) -> str:
    """Wait until a kernel is dead and give why, as its model says."""

    def look() -> str:
        model = user.json("GET", f"api/kernels/{kernel}")
        return str(model["message"]) if model["execution_state"] == "dead" else ""

    return wait_for(look, f"{kernel} to be dead")


def hosts_of(served: Served, uuid: str) -> list[psutil.Process]:
    """Give the processes of a session's host, which have no kernel's command line."""
    found = [process for process in served.processes() if uuid in process.environ().get(MARK, "")]
    return [process for process in found if "jupyter_sessions.host" in " ".join(process.cmdline())]


def test_a_kernel_that_dies_for_good_says_why_until_it_is_deleted(user: GatewayUser, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    properties = {"local:python": str(python)}
    activate(user.served, OWN, "fragile", runtimeConfig={"properties": properties})
    kernel = user.start("fragile.python3")
    socket = user.channels(kernel)
    pid = int(socket.text("import os; print(os.getpid())"))
    python.unlink()
    os.kill(pid, signal.SIGKILL)
    assert close_of(socket)[0] == 1000
    assert dead(user, kernel) == "the kernel died and could not be started again"
    assert user.kernels()[kernel]["message"] == "the kernel died and could not be started again"
    code, reason, messages = close_of(user.channels(kernel))
    assert (code, reason) == (1000, "the kernel died and could not be started again")
    assert b'"dead"' in messages[0]
    assert user.ask("DELETE", f"api/kernels/{kernel}").status_code == 204
    assert "does not exist" in user.refused(404, "GET", f"api/kernels/{kernel}")


@pytest.mark.parametrize("v1", [True, False])
def test_kernels_of_a_terminated_session_are_dead_to_who_asks_for_one(user: GatewayUser, v1: bool) -> None:
    name = f"ending-{v1}".lower()
    activate(user.served, OWN, name)
    kernel = user.start(f"{name}.python3")
    socket = user.channels(kernel, v1=v1)
    socket.ready()
    user.json("POST", f"v1/{LOCATION}/sessions/{name}:terminate", {})
    code, _, messages = close_of(socket)
    assert (code, b'"dead"' in messages[-1]) == (1000, True)
    assert "the session" in dead(user, kernel)
    assert f"{name}.python3" not in user.json("GET", "api/kernelspecs")["kernelspecs"]
    assert kernel not in user.kernels()
    code, reason, messages = close_of(user.channels(kernel, v1=v1))
    assert (code, "the session" in reason, b'"dead"' in messages[0]) == (1000, True, True)
    for action in ("restart", "interrupt"):
        assert "the session" in user.refused(400, "POST", f"api/kernels/{kernel}/{action}")
    user.refused(404, "POST", "api/kernels", {"name": f"{name}.python3"})
    user.json("DELETE", f"v1/{LOCATION}/sessions/{name}")
    gone = f"api/kernels/{kernel}"
    wait_for(lambda: user.ask("GET", gone).status_code == 404, "the kernel to go with its session")


def test_a_killed_host_closes_its_websockets_and_its_kernels_are_dead(user: GatewayUser) -> None:
    uuid = str(activate(user.served, OWN, "killed-host")["uuid"])
    kernel = user.start("killed-host.python3")
    socket = user.channels(kernel)
    socket.ready()
    stream = user.side_stream("killed-host")
    for process in hosts_of(user.served, uuid):
        process.kill()
    assert close_of(stream)[0] == 1011
    code, reason, messages = close_of(socket)
    # Whether the death is known in time is the engine's look-out; else the client may come again, and is told then.
    assert (code, bool(reason)) in ((1000, True), (1011, True))
    assert code == 1011 or b'"dead"' in messages[-1]
    assert "killed-host" in dead(user, kernel)
    code, reason, messages = close_of(user.channels(kernel))
    assert (code, "killed-host" in reason, b'"dead"' in messages[0]) == (1000, True, True)


def test_kernels_outlive_the_service_and_its_first_list_names_them(user: GatewayUser) -> None:
    activate(user.served, OWN, "lasting")
    kernel = user.start("lasting.python3")
    socket = user.channels(kernel)
    socket.ready()
    socket.text("kept = 41")
    assert asyncio.run(user.served.stop()) == 0
    asyncio.run(user.served.start())
    user.url = user.served.url
    assert user.kernels()[kernel]["name"] == "lasting.python3"
    assert user.channels(kernel).text("print(kept + 1)") == "42\n"


def test_a_flood_that_nobody_reads_costs_no_memory_and_is_there_when_they_do(user: GatewayUser) -> None:
    activate(user.served, OWN, "flooded")
    kernel = user.start("flooded.python3")
    other = user.channels(kernel)
    other.ready()
    service = psutil.Process(user.served.pid)
    idle = user.idle_socket(kernel, "not-reading")
    before = service.memory_info().rss
    other.send("shell", "execute_request", execution(FLOOD))
    other.close()
    end = time.monotonic() + 120
    most = before
    wait_for(lambda: user.kernels()[kernel]["execution_state"] == "busy", "the flood to begin")
    while user.kernels()[kernel]["execution_state"] == "busy":
        most = max(most, service.memory_info().rss)
        assert time.monotonic() < end, "the kernel did not finish: it must never wait for a client"
    assert max(most, service.memory_info().rss) - before < ALLOWED_BYTES
    read = 0
    while read < READ_BYTES:
        read += len(idle.recv())
        most = max(most, service.memory_info().rss) if read % 7 == 0 else most
    assert max(most, service.memory_info().rss) - before < ALLOWED_BYTES


def test_a_client_that_sends_much_is_held_back_not_buffered(user: GatewayUser) -> None:
    uuid = str(activate(user.served, OWN, "stopped-host")["uuid"])
    kernel = user.start("stopped-host.python3")
    socket = user.channels(kernel)
    socket.ready()
    service = psutil.Process(user.served.pid)
    before = service.memory_info().rss
    hosts = hosts_of(user.served, uuid)
    for host in hosts:
        host.suspend()
    try:
        socket.socket.settimeout(2)
        sent = 0
        with pytest.raises(websocket.WebSocketTimeoutException):
            while sent < FLOOD_BYTES:
                socket.send("shell", "comm_msg", {"comm_id": "c", "data": {}}, (bytes(2_000_000),))
                sent += 2_000_000
        assert service.memory_info().rss - before < ALLOWED_BYTES
        assert user.json("GET", "api/kernelspecs")["kernelspecs"]["stopped-host.python3"]
    finally:
        for host in hosts:
            host.resume()
