"""A server that ends and starts again: what is behind a gateway is still there, and no start is made twice."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_sessions.kernels import actions, mount, starts
from jupyter_sessions.kernels.records import FILE, Records
from jupyter_sessions.kernels.settling import Settling
from jupyter_sessions.model.api import Caller
from jupyter_sessions.model.errors import NotFound
from jupyter_sessions.upstream import gateway as gateways
from tests.kernels.gateway_peer import PARENT, Gateway, a_gateway
from tests.kernels.gateway_room import MINE, TEMPLATE, GatewayRoom, a_gateway_room
from tests.kernels.peer import until
from tests.kernels.room import an_app


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for little."""
    monkeypatch.setattr(gateways, "QUICK", 0.05)
    monkeypatch.setattr(gateways, "SLOW", 0.05)
    monkeypatch.setattr(actions, "ANSWER_WITHIN", 0.2)
    monkeypatch.setattr(starts, "LOOK_EVERY", 0.05)


@pytest.fixture
def app(jp_configurable_serverapp: Any) -> Iterator[Any]:
    """Make a server with the kernels room."""
    with an_app(jp_configurable_serverapp) as made:
        yield made


@contextlib.asynccontextmanager
async def next_server(app: Any, far: Gateway) -> AsyncIterator[GatewayRoom]:
    """Serve as the next server does, which reads what the last one wrote."""
    app.web_app.settings["mounted"] = mount.load(app)
    async with a_gateway_room(app, far=far) as room:
        yield room


async def test_a_kernel_is_unknown_until_its_gateway_names_it(app: Any) -> None:
    async with a_gateway() as far:
        async with a_gateway_room(app, far=far) as room:
            one, two = await room.post(MINE), await room.post(MINE)
            await until(lambda: not room.known(one["id"]).pending and not room.known(two["id"]).pending)
            mine, gone = room.known(one["id"]).host_id, room.known(two["id"]).host_id
        del far.models[gone]
        far.models[mine]["execution_state"] = "busy"
        app.web_app.settings["mounted"] = mounted = mount.load(app)
        assert {kernel.execution_state for kernel in mounted.registry.all()} == {"unknown"}
        assert all(kernel.legacy for kernel in mounted.registry.all())
        async with a_gateway_room(app, far=far) as room:
            await until(lambda: room.known(one["id"]).execution_state == "busy")
            assert room.known(one["id"]).host_id == mine
            await until(lambda: room.known(two["id"]).dead)
            assert len(await room.get("api/kernels")) == 2


@pytest.mark.parametrize("spec", [MINE, TEMPLATE])
async def test_a_start_under_way_is_found_again(app: Any, spec: str) -> None:
    async with a_gateway() as far:
        far.make("etl-1.python3", "old")
        far.gate = asyncio.Event()
        async with a_gateway_room(app, far=far) as room:
            made = await room.post(spec)
            await until(lambda: far.asked("POST", "/api/kernels"))
        async with next_server(app, far) as room:
            kernel = room.known(made["id"])
            assert kernel.pending and kernel.execution_state == "starting" and kernel.host_id == ""
            far.gate.set()
            await until(lambda: not room.known(made["id"]).pending)
            (new,) = set(far.models) - {"old"}
            assert kernel.host_id == new and not room.mounted.starts.open(made["id"])
            assert far.asked("POST", "/api/kernels") == 1
            await until(lambda: len(room.mounted.registry.all()) == 2)
        async with next_server(app, far) as room:
            assert room.known(made["id"]).host_id == new and not room.known(made["id"]).pending


async def test_a_start_given_up_is_ended_by_the_next_server(app: Any) -> None:
    async with a_gateway() as far:
        far.gate = asyncio.Event()
        async with a_gateway_room(app, far=far) as room:
            made = await room.post(MINE)
            await until(lambda: far.asked("POST", "/api/kernels"))
            assert (await room.call("DELETE", f"api/kernels/{made['id']}")).code == 204
        async with next_server(app, far) as room:
            assert await room.get("api/kernels") == []
            far.gate.set()
            await until(lambda: any(request[0] == "DELETE" for request in far.requests))
            await until(lambda: not room.mounted.starts.open(made["id"]))
            assert far.models == {} and await room.get("api/kernels") == []


async def test_a_start_that_came_to_nothing_is_given_up_with_its_reason(app: Any) -> None:
    async with a_gateway() as far:
        far.gate = asyncio.Event()
        async with a_gateway_room(app, far=far) as room:
            made = await room.post(MINE)
            await until(lambda: far.asked("POST", "/api/kernels"))
        far.failure = (500, {"message": "no quota"})
        far.gate.set()
        async with next_server(app, far) as room:
            room.gateway.start_timeout = 0.1
            await until(lambda: room.known(made["id"]).dead)
            assert "the answer to its start was lost" in room.known(made["id"]).reason
            assert far.asked("POST", "/api/kernels") == 1


async def test_what_was_never_asked_for_is_forgotten(app: Any, jp_data_dir: Path) -> None:
    async with a_gateway() as far:
        far.gate = asyncio.Event()
        async with a_gateway_room(app, far=far) as room:
            made = await room.post(MINE)
            await until(lambda: far.asked("POST", "/api/kernels"))
        database = sqlite3.connect(jp_data_dir / "jupyter_sessions" / FILE)
        database.execute("DELETE FROM asked")
        database.commit()
        database.close()
        async with next_server(app, far) as room:
            assert room.known(made["id"]) is None


def test_an_older_file_is_read_and_stays_readable(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / FILE)
    database.execute(
        "CREATE TABLE kernel (kernel_id TEXT PRIMARY KEY, name TEXT, host_kernel TEXT, session_uuid TEXT, "
        "session TEXT, spec TEXT, cwd TEXT, started TEXT)"
    )
    database.execute(
        "CREATE TABLE notebook_session (root_dir TEXT, session_id TEXT, path TEXT, name TEXT, type TEXT, "
        "kernel_id TEXT)"
    )
    row = ("k1", "etl.python3", "python3", "u", "projects/p/locations/l/sessions/etl", "{}", "", "2026-11-24T10:00:00Z")
    database.execute("INSERT INTO kernel VALUES (?,?,?,?,?,?,?,?)", row)
    database.commit()
    database.close()
    records = Records(tmp_path, str(tmp_path))
    ((kernel,), rows) = records.load()
    assert (kernel.kernel_id, kernel.host_id, kernel.pending, kernel.legacy) == ("k1", "k1", False, False)
    assert rows == [] and records.load_asked() == []


class NoSessions:
    """A SessionsApi that knows none."""

    async def get_session(self, caller: Caller, name: object) -> object:
        """Know nothing."""
        raise NotFound(f"{name} not found")


async def test_a_gateways_own_kernels_are_not_asked_after_as_a_sessions(app: Any) -> None:
    async with a_gateway() as far:
        async with a_gateway_room(app, far=far) as room:
            far.session = ""
            made, mine = await room.post("cluster-spark"), await room.post(MINE)
        app.web_app.settings["mounted"] = mounted = mount.load(app)
        sessions: Any = NoSessions()
        settling = Settling(mounted.registry, sessions, Caller("me"))
        await until(lambda: mounted.registry.get(mine["id"]).dead)  # type: ignore[union-attr]  # it is there
        await settling.close()
        kernel = mounted.registry.get(made["id"])
        assert kernel is not None and kernel.execution_state == "unknown"
        assert kernel.session_uuid == f"gateway:{PARENT}"
        await mounted.close()
