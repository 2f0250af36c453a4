"""A cell on a real kernel behind a real Jupyter server as the gateway, message for message."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import AsyncHTTPClient

from jupyter_sessions.config.locations import LocationConfig, Provider
from jupyter_sessions.upstream.gateway import make_gateway
from tests.kernels.gateway_peer import PARENT, Gateway, starter_of
from tests.kernels.gateway_room import GatewayRoom, a_cell
from tests.kernels.peer import until
from tests.kernels.room import an_app
from tests.real.server import free_port
from tests.upstream.carrying import Passes

SECRET = "5ec4e7" * 8


@contextlib.contextmanager
def jupyter_server(folder: Path) -> Iterator[str]:
    """Run a stock Jupyter server of its own and give its address."""
    env = {**os.environ, "JUPYTER_TOKEN": SECRET, "JUPYTER_NO_CONFIG": "1"}
    env |= {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    # An older server does not say which port it took where it was told to take any.
    options = [
        f"--ServerApp.port={free_port()}",
        "--ServerApp.port_retries=0",
        "--no-browser",
        f"--ServerApp.root_dir={folder}",
    ]
    command = [sys.executable, "-m", "jupyter_server", *options, "--ServerApp.jpserver_extensions={}", "--allow-root"]
    with (folder / "log").open("w+") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log, cwd=folder)
        try:
            yield _address(process, folder)
        finally:
            process.terminate()
            process.wait(20)


def _address(process: subprocess.Popen[bytes], folder: Path) -> str:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, (folder / "log").read_text()
        for file in (folder / "runtime").glob("jpserver-*.json"):
            with contextlib.suppress(ValueError):
                return f"http://127.0.0.1:{json.loads(file.read_text())['port']}"
        time.sleep(0.05)
    raise AssertionError("the gateway did not start")


@pytest.fixture
def app(jp_configurable_serverapp: Any) -> Iterator[Any]:
    """Make a server with the kernels room."""
    with an_app(jp_configurable_serverapp) as made:
        yield made


async def test_a_cell_on_a_kernel_of_a_stock_jupyter_server(app: Any, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    with jupyter_server(tmp_path / "far") as url:
        config = LocationConfig(PARENT, Provider.UPSTREAM, gateway=url)
        gateway = make_gateway(config, "other", Passes([SECRET]), {})
        assert gateway is not None
        room = GatewayRoom(app, Gateway(), gateway)
        gateway.start()
        try:
            await until(gateway.loose, 30)
            await room.mounted.start()
            room.mounted.attach(room.hosts)
            room.tell(starter_of(gateway))
            (name,) = [
                name for name in (await room.get("api/kernelspecs"))["kernelspecs"] if re.match("python3.", name)
            ]
            made = await room.post(name)
            kernel = room.known(made["id"])
            assert kernel.host_id != made["id"]
            await a_cell(room, made["id"])
            await until(lambda: kernel.execution_state == "idle")
            assert (await room.call("DELETE", f"api/kernels/{made['id']}")).code == 204
            there = await AsyncHTTPClient().fetch(f"{url}/api/kernels", headers={"Authorization": f"token {SECRET}"})
            assert json.loads(there.body) == []
        finally:
            await room.mounted.close()
            await gateway.close()
            room.server.stop()
