"""Starts through a gateway that take their time: answered soon, seen through, never made twice."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from jupyter_sessions.kernels import actions, starts
from jupyter_sessions.model.names import SessionName
from jupyter_sessions.upstream import gateway as gateways
from tests.kernels.gateway_peer import PARENT, host_of
from tests.kernels.gateway_room import MINE, TEMPLATE, a_gateway_room, read_json, request_frame
from tests.kernels.peer import until
from tests.kernels.room import an_app


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for little."""
    monkeypatch.setattr(gateways, "QUICK", 0.05)
    monkeypatch.setattr(gateways, "SLOW", 0.05)
    monkeypatch.setattr(actions, "ANSWER_WITHIN", 0.3)
    monkeypatch.setattr(starts, "LOOK_EVERY", 0.05)


@pytest.fixture
def app(jp_configurable_serverapp: Any) -> Iterator[Any]:
    """Make a server with the kernels room."""
    with an_app(jp_configurable_serverapp) as made:
        yield made


async def test_the_picker_has_the_sessions_kernels_and_the_gateways_own(app: Any) -> None:
    async with a_gateway_room(app) as room:
        specs = (await room.get("api/kernelspecs"))["kernelspecs"]
        mine, template = specs[MINE]["spec"], specs[TEMPLATE]["spec"]
        assert mine["display_name"] == "etl-1: The etl-1.python3" and mine["argv"] == []
        assert mine["metadata"]["jupyter_sessions"]["session"] == "projects/p/locations/l/sessions/etl-1"
        assert template["display_name"] == "The tpl-daily"
        assert template["metadata"]["jupyter_sessions"] == {"location": "projects/p/locations/l"}
        assert "cluster-spark" in specs and "secret" not in json.dumps(specs)


async def test_a_quick_start_has_our_id_and_is_followed(app: Any) -> None:
    async with a_gateway_room(app) as room:
        made = await room.post(MINE)
        kernel = room.known(made["id"])
        # On a slow machine the answer may come before the start is through.
        await until(lambda: not kernel.pending)
        (far,) = room.far.models.values()
        assert kernel.host_id == far["id"] != made["id"]
        assert [model["id"] for model in await room.get("api/kernels")] == [made["id"]]
        far["execution_state"] = "busy"
        await until(lambda: kernel.execution_state == "busy")
        assert [model["id"] for model in await room.get("api/kernels")] == [made["id"]]
        for action in ("interrupt", "restart"):
            assert (await room.call("POST", f"api/kernels/{made['id']}/{action}", {})).code < 300
            assert room.far.asked("POST", f"/api/kernels/{far['id']}/{action}") == 1
        assert (await room.call("DELETE", f"api/kernels/{made['id']}")).code == 204
        assert room.far.models == {} and await room.get("api/kernels") == []


async def test_a_slow_start_is_answered_and_its_frames_are_held(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jupyter_sessions.kernels.relay.PATIENCE", 0.1)
    async with a_gateway_room(app) as room:
        room.far.gate = asyncio.Event()
        made = await room.post(MINE)
        assert made["execution_state"] == "starting" and room.far.models == {}
        async with room.browser(made["id"]) as browser:
            assert browser.selected_subprotocol is None
            await browser.write_message(request_frame("execute_request", code="1"))
            await asyncio.sleep(0.5)
            assert room.known(made["id"]).pending and room.far.opened == 0
            refused = await room.call("POST", f"api/kernels/{made['id']}/interrupt", {})
            assert refused.code == 409 and "still starting" in json.loads(refused.body)["message"]
            assert (await room.call("POST", f"api/kernels/{made['id']}/restart", {})).code == 200
            room.far.gate.set()
            await until(lambda: len(room.far.received) == 2)
            probe, held = room.far.received
            assert probe["channel"] == "control" and held["header"]["msg_id"] == "m-execute_request"
            room.far.sockets[0].reply("stream", held["header"], "iopub", text="1")
            assert (await read_json(browser))["content"] == {"text": "1"}
        assert room.far.asked("POST", "/api/kernels") == 1
        assert len(await room.get("api/kernels")) == 1


async def test_a_failure_in_time_is_the_answer(app: Any) -> None:
    async with a_gateway_room(app) as room:
        room.far.failure = (503, {"message": "the quota of CPUS is used up"})
        told = await room.post(MINE, 503)
        assert "the quota of CPUS is used up" in told["message"]
        assert await room.get("api/kernels") == []
        answer = await room.call(
            "POST", "api/sessions", {"path": "a", "name": "a", "type": "notebook", "kernel": {"name": MINE}}
        )
        assert answer.code == 500 and "the quota of CPUS is used up" in json.loads(answer.body)["message"]


async def test_a_late_failure_is_the_kernels_death(app: Any) -> None:
    async with a_gateway_room(app) as room:
        room.far.gate = asyncio.Event()
        room.far.failure = (500, {"message": "the session etl-1 has FAILED: no quota"})
        made = await room.post(MINE)
        async with room.browser(made["id"]) as browser:
            room.far.gate.set()
            dead = await read_json(browser)
            assert dead["content"]["execution_state"] == "dead" and "no quota" in dead["content"]["reason"]
            assert await browser.read_message() is None and browser.close_code == 1000
        model = await room.get(f"api/kernels/{made['id']}")
        assert model["execution_state"] == "dead" and "no quota" in model["reason"]
        # It may be started again, under its id.
        room.far.failure = None
        assert (await room.call("POST", f"api/kernels/{made['id']}/restart", {})).code == 200
        await until(lambda: not room.known(made["id"]).pending)
        assert room.known(made["id"]).host_id in room.far.models and not room.known(made["id"]).dead


async def test_a_retry_starts_no_second_kernel(app: Any) -> None:
    async with a_gateway_room(app) as room:
        room.far.gate = asyncio.Event()
        manager = room.app.kernel_manager
        wanted = str(uuid.uuid4())
        again = [manager.start_kernel(kernel_id=wanted, kernel_name=MINE) for _ in range(3)]
        assert await asyncio.gather(*again) == [wanted] * 3
        assert await manager.start_kernel(kernel_id=wanted, kernel_name=MINE) == wanted
        room.far.gate.set()
        await until(lambda: not room.known(wanted).pending)
        assert room.far.asked("POST", "/api/kernels") == 1 and len(room.far.models) == 1


async def test_a_shutdown_while_starting_ends_what_comes_up(app: Any) -> None:
    async with a_gateway_room(app) as room:
        room.far.gate = asyncio.Event()
        made = await room.post(MINE)
        async with room.browser(made["id"]) as browser:
            assert (await room.call("DELETE", f"api/kernels/{made['id']}")).code == 204
            assert "shut down" in (await read_json(browser))["content"]["reason"]
        assert await room.get("api/kernels") == []
        room.far.gate.set()
        await until(lambda: any(request[0] == "DELETE" for request in room.far.requests))
        await until(lambda: not room.mounted.starts.open(made["id"]))
        assert room.far.models == {} and await room.get("api/kernels") == []


async def test_a_lost_answer_is_found_among_the_kernels(app: Any) -> None:
    async with a_gateway_room(app) as room:
        old = str(room.far.make("etl-1.python3")["id"])
        await until(lambda: room.known(old))
        room.far.lose = True
        made = await room.post(MINE)
        await until(lambda: not room.known(made["id"]).pending)
        (new,) = set(room.far.models) - {old}
        assert room.known(made["id"]).host_id == new
        assert room.far.asked("POST", "/api/kernels") == 1
        assert {model["id"] for model in await room.get("api/kernels")} == {old, made["id"]}


async def test_a_lost_answer_to_nothing_is_given_up(app: Any) -> None:
    async with a_gateway_room(app) as room:
        room.far.lose, room.far.session = True, f"{PARENT}/sessions/another-1"
        room.gateway.start_timeout = 0.5
        made = await room.post(MINE)
        assert room.known(made["id"]).pending
        await until(lambda: room.known(made["id"]).dead)
        assert "the answer to its start was lost" in room.known(made["id"]).reason
        assert not room.mounted.starts.open(made["id"])


async def test_no_limit_of_ours_ends_a_start_before_the_configured_one(app: Any) -> None:
    async with a_gateway_room(app) as room:
        room.gateway.start_timeout = 0.8
        room.far.gate = asyncio.Event()
        made = await room.post(MINE)
        began = asyncio.get_running_loop().time()
        await until(lambda: room.known(made["id"]).dead)
        assert asyncio.get_running_loop().time() - began > 0.3
        assert "the answer to its start was lost" in room.known(made["id"]).reason


async def test_a_templates_start_moves_to_the_session_it_makes(app: Any) -> None:
    made_session = SessionName(PARENT, "fresh-1")
    async with a_gateway_room(app) as room:
        room.far.session = str(made_session)
        made = await room.post(TEMPLATE)
        kernel = room.known(made["id"])
        await until(lambda: not kernel.pending)
        assert kernel.session_uuid == f"gateway:{PARENT}" and kernel.linked == str(made_session)
        room.tell(host_of(room.gateway, made_session))
        assert (kernel.session_uuid, kernel.session) == ("uuid-fresh-1", str(made_session))
        room.far.models[kernel.host_id]["execution_state"] = "busy"
        await until(lambda: kernel.execution_state == "busy")
        assert [model["id"] for model in await room.get("api/kernels")] == [made["id"]]
        del room.far.models[kernel.host_id]
        await until(lambda: kernel.dead)


async def test_a_session_known_before_the_start_is_answered_takes_the_kernel(app: Any) -> None:
    made_session = SessionName(PARENT, "fresh-1")
    async with a_gateway_room(app) as room:
        room.far.session, room.far.gate = str(made_session), asyncio.Event()
        made = await room.post(TEMPLATE)
        room.tell(host_of(room.gateway, made_session))
        room.far.gate.set()
        await until(lambda: room.known(made["id"]).session_uuid == "uuid-fresh-1")
        assert [model["id"] for model in await room.get("api/kernels")] == [made["id"]]


async def test_kernels_of_others_are_adopted_once(app: Any) -> None:
    async with a_gateway_room(app) as room:
        theirs = str(room.far.make("etl-1.python3")["id"])
        # Jupyter's routes take no such id.
        room.far.make("cluster-spark", "cluster", session="projects/p/regions/l/clusters/c1")
        room.far.make("tpl-daily", "unknown", session=f"{PARENT}/sessions/not-known-yet")
        registry = room.mounted.registry
        await until(lambda: room.known(theirs) and registry.find(f"gateway:{PARENT}", "cluster"))
        assert room.known(theirs).session_uuid == "uuid-etl-1" and room.known(theirs).name == MINE
        cluster = registry.find(f"gateway:{PARENT}", "cluster")
        assert cluster is not None
        await asyncio.sleep(0.2)
        assert registry.all() == [room.known(theirs), cluster]
        for kernel_id in (theirs, cluster.kernel_id):
            async with room.browser(kernel_id) as browser:
                assert browser.selected_subprotocol is None
                await until(lambda: room.far.sockets)
                assert room.far.sockets[0].kernel_id in (theirs, "cluster")
            await until(lambda: not room.far.sockets)


async def test_a_gateway_of_our_own_takes_ids_and_v1(app: Any) -> None:
    async with a_gateway_room(app, streams=True) as room:
        made = await room.post(MINE)
        assert list(room.far.models) == [made["id"]]
        (started,) = [body for method, _, body in room.far.requests if method == "POST"]
        assert started == {"name": "etl-1.python3", "kernel_id": made["id"], "env": {}}
        async with room.browser(made["id"]) as browser:
            assert browser.selected_subprotocol == "v1.kernel.websocket.jupyter.org"
            await until(lambda: room.far.opened == 1)
        room.far.side[0].tell({"type": "gone", "id": made["id"], "reason": "it crashed"})
        await until(lambda: room.known(made["id"]) is None)


async def test_a_gateway_that_cannot_be_reached_is_said(app: Any) -> None:
    async with a_gateway_room(app) as room:
        room.far.answers["/api/kernels"] = (403, {"message": "you may not"})
        told = await room.post(MINE, 403)
        assert "you may not" in told["message"] and await room.get("api/kernels") == []
