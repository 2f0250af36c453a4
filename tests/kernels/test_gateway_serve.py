"""The whole way: a Jupyter server, its gateway's end, a real service and the kernels of its real sessions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from jupyter_sessions.config.locations import LocationConfig, Provider
from jupyter_sessions.model.api import KernelHost
from jupyter_sessions.model.names import LocationName, SessionName
from jupyter_sessions.model.states import State
from jupyter_sessions.upstream import gateway as gateways
from jupyter_sessions.upstream.gateway import make_gateway
from tests.kernels.gateway_peer import Gateway
from tests.kernels.gateway_room import GatewayRoom, a_cell
from tests.kernels.peer import until
from tests.kernels.room import an_app
from tests.serve.serving import OWN, Served, serving
from tests.upstream.carrying import Passes

PLACE = LocationName("local", "serve")


@pytest.fixture
def app(jp_configurable_serverapp: Any) -> Iterator[Any]:
    """Make a server with the kernels room."""
    with an_app(jp_configurable_serverapp) as made:
        yield made


def a_session(served: Served, session_id: str) -> str:
    """Make a session and give its uuid once it is ACTIVE; blocks."""
    url = f"{served.url}/v1/{PLACE}/sessions"
    headers = served.headers(OWN)
    requests.post(f"{url}?sessionId={session_id}", json={}, headers=headers, timeout=10).raise_for_status()
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = requests.get(f"{url}/{session_id}", headers=headers, timeout=10).json()
        if found["state"] == "ACTIVE":
            return str(found["uuid"])
        time.sleep(0.1)
    raise AssertionError(f"{session_id} is {found['state']}")


@pytest.mark.parametrize("kind", ["jupyter_sessions", "google"])
async def test_a_cell_in_a_session_of_a_service(
    app: Any, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateways, "QUICK", 0.1)
    (tmp_path / "far").mkdir()
    async with serving(tmp_path / "far", users=[OWN], admins=[]) as served:
        uuid = await asyncio.to_thread(a_session, served, "chained")
        config = LocationConfig(PLACE, Provider.UPSTREAM, endpoint=served.url)
        if kind == "google":
            config = LocationConfig(PLACE, Provider.UPSTREAM, gateway=served.url)
        gateway = make_gateway(config, kind, Passes([served.token(OWN)]), {"gateway": {"path": "/"}})
        assert gateway is not None
        room = GatewayRoom(app, Gateway(), gateway)
        name = SessionName(PLACE, "chained")
        gateway.start()
        try:
            await until(lambda: gateway.offered(name), 30)
            await room.mounted.start()
            room.mounted.attach(room.hosts)
            offered = tuple(gateway.offered(name))
            room.tell(KernelHost(name, uuid, "", State.ACTIVE, "", offered, gateway.url, gateway=gateway))
            made = await room.post("local.serve.chained.python3")
            kernel = room.known(made["id"])
            assert kernel.spec["display_name"] == "chained: Python 3 (ipykernel)"
            await a_cell(room, made["id"], v1=kind == "jupyter_sessions")
            await until(lambda: kernel.execution_state == "idle" and not kernel.pending)
            assert len(await room.get("api/kernels")) == 1
            assert (await room.call("POST", f"api/kernels/{made['id']}/restart", {})).code == 200
            await a_cell(room, made["id"], v1=kind == "jupyter_sessions")
            assert (await room.call("DELETE", f"api/kernels/{made['id']}")).code == 204
            assert await room.get("api/kernels") == []
        finally:
            await room.mounted.close()
            await gateway.close()
            room.server.stop()
