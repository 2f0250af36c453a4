"""Sessions' kernels through Jupyter's own REST API and mapping manager."""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager

from jupyter_sessions.kernels.registry import UNKNOWN, RemoteKernel, utcnow
from jupyter_sessions.model.states import State
from tests.kernels.peer import until
from tests.kernels.room import RESOLVES, SPEC, TAKES_IDS, Room, a_room, an_app

STOCK_KEYS = {"id", "name", "last_activity", "execution_state", "connections"}


def emitted(app: Any) -> list[dict[str, Any]]:
    """Note the kernel actions that are told from here on."""
    told: list[dict[str, Any]] = []

    async def note(logger: Any, schema_id: str, data: dict[str, Any]) -> None:
        told.append(data)

    app.event_logger.add_listener(
        schema_id="https://events.jupyter.org/jupyter_server/kernel_actions/v1", listener=note
    )
    return told


@pytest.mark.skipif(not TAKES_IDS, reason="this Jupyter Server hands no browser's id on")
async def test_start_by_rest_takes_the_browsers_id_and_answers_a_running_one(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            os.mkdir(os.path.join(app.root_dir, "work"))
            wanted = str(uuid.uuid4())
            model = await room.start(kernel_id=wanted, path="work/a.ipynb")
            assert model["id"] == wanted and set(model) == STOCK_KEYS and model["name"] == SPEC
            _, _, body = room.peer.requests[-1]
            assert body["cwd"] == os.path.join(app.root_dir, "work") and body["name"] == "python3"
            assert body["env"] == {}
            again = await room.start(kernel_id=wanted)
            assert again["id"] == wanted and len(room.peer.requests) == 1
            assert [each["id"] for each in await room.get("api/kernels")] == [wanted]
            assert (await room.get(f"api/kernels/{wanted}"))["id"] == wanted
            assert wanted in app.kernel_manager and len(app.kernel_manager) == 1
            assert wanted not in app.kernel_manager._kernels


async def test_actions_reach_the_host_and_are_told_in_jupyters_words(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            told = emitted(app)
            model = await room.start()
            path = f"api/kernels/{model['id']}"
            assert (await room.call("POST", f"{path}/interrupt")).code == 204
            assert (await room.call("POST", f"{path}/restart")).code == 200
            assert (await room.call("DELETE", path)).code == 204
            assert (await room.call("GET", path)).code == 404
            assert [(method, path.rpartition("/")[2]) for method, path, _ in room.peer.requests][1:] == [
                ("POST", "interrupt"),
                ("POST", "restart"),
                ("DELETE", model["id"]),
            ]
            await until(lambda: len(told) == 4)
            assert [each["action"] for each in told] == ["start", "interrupt", "restart", "shutdown"]
            assert {each["status"] for each in told} == {"success"}
            assert told[0]["msg"] == f"Kernel {model['id']} was started." and told[0]["kernel_name"] == SPEC
            assert told[3]["msg"] == f"Kernel {model['id']} was shutdown."


async def test_failures_say_why_and_no_more(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            told = emitted(app)
            room.peer.answer = (500, {"message": "no space left on device"})
            refused = await room.call("POST", "api/kernels", {"name": SPEC})
            assert "no space left on device" in json.loads(refused.body)["message"]
            body = {"path": "a.ipynb", "name": "a.ipynb", "type": "notebook", "kernel": {"name": SPEC}}
            refused = await room.call("POST", "api/sessions", body)
            message = json.loads(refused.body)["message"]
            assert refused.code == 500 and "no space left on device" in message and "HTTP" not in message
            assert await room.get("api/kernels") == [] and await room.get("api/sessions") == []
            await until(lambda: len(told) == 2)
            assert told[0]["status"] == "error" and "no space left" in told[0]["msg"]


async def test_a_start_waits_for_the_sessions_to_be_known(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app, attach=False) as room:
            body = {"path": "a.ipynb", "name": "a.ipynb", "type": "notebook", "kernel": {"name": SPEC}}
            asked = [
                asyncio.ensure_future(room.call("POST", "api/kernels", {"name": SPEC})),
                asyncio.ensure_future(room.call("POST", "api/sessions", body)),
            ]
            # A local kernel's start does not wait.
            local = await room.call("POST", "api/kernels", {"name": "python3"})
            assert local.code == 201 and not any(each.done() for each in asked)
            room.mounted.attach(room.hosts)
            assert [each.code for each in await asyncio.gather(*asked)] == [201, 201]
            assert [each["kernel"]["name"] for each in await room.get("api/sessions")] == [SPEC]
            await app.kernel_manager.shutdown_all()


async def test_a_start_waits_for_no_service_that_never_comes(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app, attach=False) as room:
            asked = asyncio.ensure_future(room.call("POST", "api/kernels", {"name": SPEC}))
            assert (await room.call("GET", "api/kernels")).code == 200 and not asked.done()
            room.mounted.attach_nothing()
            assert (await asked).code == 500


async def test_an_ended_session_is_refused_by_its_reason(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            room.hosts.end("out of memory")
            body = {"path": "a.ipynb", "name": "a.ipynb", "type": "notebook", "kernel": {"name": SPEC}}
            refused = await room.call("POST", "api/sessions", body)
            assert json.loads(refused.body)["message"].endswith("the session etl is FAILED: out of memory")
            assert (await room.call("POST", "api/kernels", {"name": SPEC})).code == 409
            assert (await room.call("POST", "api/sessions", {**body, "kernel": {"name": "never.was"}})).code in (
                500,
                501,
            )


async def test_the_end_of_a_session_kills_its_kernels_at_once(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            told = emitted(app)
            model = await room.start()
            room.hosts.end("ttl reached", State.TERMINATING)
            dead = await room.get(f"api/kernels/{model['id']}")
            assert dead["execution_state"] == "dead"
            assert dead["reason"] == "the session etl is TERMINATING: ttl reached"
            assert set(dead) == STOCK_KEYS | {"reason"}
            assert SPEC not in (await room.get("api/kernelspecs"))["kernelspecs"]
            assert len(app.kernel_manager) == 0
            assert app.kernel_manager.get_kernel(model["id"]).kernel_spec.metadata == {"debugger": True}
            assert (await room.call("POST", f"api/kernels/{model['id']}/interrupt")).code == 409
            await until(lambda: len(told) == 3)
            outcomes = [(each["action"], each["status"]) for each in told]
            assert outcomes == [("start", "success"), ("shutdown", "success"), ("interrupt", "error")]
            asked = len(room.peer.requests)
            assert (await room.call("DELETE", f"api/kernels/{model['id']}")).code == 204
            assert len(room.peer.requests) == asked and await room.get("api/kernels") == []


async def test_a_kernel_that_died_in_a_living_session_restarts_under_its_id(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            model = await room.start()
            room.mounted.registry.mark_dead(model["id"], "segmentation fault")
            assert (await room.call("POST", f"api/kernels/{model['id']}/restart")).code == 200
            _, path, body = room.peer.requests[-1]
            assert path == "/api/kernels" and body["kernel_id"] == model["id"]
            assert "reason" not in await room.get(f"api/kernels/{model['id']}")


async def test_concurrent_starts_of_one_id_are_one(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            wanted = str(uuid.uuid4())
            manager = app.kernel_manager
            starts = [manager.start_kernel(kernel_name=SPEC, kernel_id=wanted) for _ in range(3)]
            assert [await each for each in starts] == [wanted] * 3
            assert len(room.peer.requests) == 1


async def test_stopping_leaves_remote_kernels_alone(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            model = await room.start()
            assert model["id"] in app.kernel_manager.list_kernel_ids()
            await app.kernel_manager.shutdown_all()
            assert [method for method, _, _ in room.peer.requests] == ["POST"]
            assert model["id"] in app.kernel_manager


async def test_activity_of_remote_kernels_keeps_the_server_up(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            model = await room.start()
            manager = app.kernel_manager
            manager.last_kernel_activity = before = utcnow() - timedelta(hours=1)
            registry = room.mounted.registry
            registry.update(model["id"], {"execution_state": "busy", "last_activity": utcnow().isoformat()})
            assert manager.last_kernel_activity > before
            skewed = (utcnow() + timedelta(hours=3)).isoformat()
            registry.update(model["id"], {"execution_state": "idle", "last_activity": skewed})
            assert manager.last_kernel_activity <= utcnow()


def old(room: Room, kernel_id: str, state: str = "idle", connections: int = 0) -> RemoteKernel:
    """Make a kernel idle for an hour."""
    kernel = room.mounted.registry.get(kernel_id)
    assert kernel is not None
    kernel.execution_state, kernel.connections = state, connections
    kernel.last_activity = utcnow() - timedelta(hours=1)
    return kernel


@pytest.mark.parametrize(
    ("state", "connections", "settings", "culled"),
    [
        ("idle", 0, {}, True),
        ("busy", 0, {}, False),
        ("busy", 0, {"cull_busy": True}, True),
        ("idle", 1, {}, False),
        ("idle", 1, {"cull_connected": True}, True),
        (UNKNOWN, 0, {"cull_busy": True}, False),
        ("idle", 0, {"cull_idle_timeout": 7200}, False),
    ],
)
async def test_culling_reads_the_registry_and_the_users_settings(
    jp_configurable_serverapp: Any, state: str, connections: int, settings: dict[str, Any], culled: bool
) -> None:
    config = {"cull_idle_timeout": 60, "cull_interval": 1000, **settings}
    with an_app(jp_configurable_serverapp, MappingKernelManager=config) as app:
        async with a_room(app) as room:
            model = await room.start()
            await until(lambda: room.peer.streams)
            old(room, model["id"], state, connections)
            await app.kernel_manager.cull_kernels()
            assert (model["id"] not in app.kernel_manager) is culled


async def test_the_culler_starts_for_adopted_kernels(jp_configurable_serverapp: Any) -> None:
    config = {"cull_idle_timeout": 60}
    with an_app(jp_configurable_serverapp, MappingKernelManager=config) as app:
        async with a_room(app) as room:
            assert app.kernel_manager._culler_callback is None
            await until(lambda: room.peer.streams)
            other = {"id": str(uuid.uuid4()), "name": "python3", "execution_state": "idle", "connections": 2}
            room.peer.tell({"type": "kernel", "kernel": other})
            await until(lambda: other["id"] in app.kernel_manager)
            assert app.kernel_manager._culler_callback is not None
            app.kernel_manager._culler_callback.stop()
            assert (await room.get("api/kernels"))[0] | {"last_activity": ""} == {
                **other,
                "name": SPEC,
                "last_activity": "",
            }


def a_file(*parts: str) -> str:
    """Make an empty file and its folder; gives its path."""
    file = Path(*parts)
    file.parent.mkdir()
    file.touch()
    return str(file)


@pytest.mark.skipif(not RESOLVES, reason="this Jupyter Server resolves no paths")
async def test_paths_resolve_where_the_kernel_runs(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            file = a_file(app.root_dir, "deep", "m.py")
            model = await room.start(path="deep")
            found = await room.get(f"api/resolvePath?path=m.py&kernel={model['id']}")
            assert {"scope": "kernel", "path": file} in found["resolved"]


async def test_local_kernels_are_the_users_own_classes_business(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            manager = app.kernel_manager
            assert isinstance(manager, AsyncMappingKernelManager)
            assert type(manager).__name__ == "AsyncMappingKernelManager"
            assert type(manager).__module__ != "traitlets.traitlets"
            remote = await room.start()
            answer = await room.call("POST", "api/kernels", {"name": "python3"})
            local = json.loads(answer.body)
            assert answer.code == 201 and local["id"] in manager._kernels
            assert {each["id"] for each in await room.get("api/kernels")} == {local["id"], remote["id"]}
            await manager.shutdown_all()
            assert manager.list_kernel_ids() == [remote["id"]]
