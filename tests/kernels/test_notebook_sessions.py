"""Notebook sessions on remote kernels, through Jupyter's REST API, also over a restart of the server."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from jupyter_core.paths import jupyter_data_dir
from jupyter_server.services.sessions.sessionmanager import SessionManager

from jupyter_sessions.kernels import settling
from jupyter_sessions.model.api import Caller
from jupyter_sessions.model.errors import NotFound, Unavailable
from jupyter_sessions.model.states import State
from tests.kernels.peer import until
from tests.kernels.room import SPEC, TAKES_IDS, Room, a_room, an_app


async def test_a_notebook_session_starts_in_the_notebooks_folder(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            os.mkdir(os.path.join(app.root_dir, "sub"))
            opened = await room.open("sub/a.ipynb")
            _, _, body = room.peer.requests[-1]
            assert body["cwd"] == os.path.join(app.root_dir, "sub")
            # The whole environment of the server is what the stock manager passes here.
            assert list(body["env"]) == ["JPY_SESSION_NAME"] and body["env"]["JPY_SESSION_NAME"].endswith("a.ipynb")
            assert opened["notebook"] == {"path": "sub/a.ipynb", "name": "a.ipynb"}
            again = await room.open("sub/a.ipynb")
            assert again["id"] == opened["id"] and len(room.peer.requests) == 1
            assert [each["id"] for each in await room.get("api/sessions")] == [opened["id"]]
            assert (await room.get(f"api/sessions/{opened['id']}"))["kernel"]["name"] == SPEC


async def test_rename_and_delete(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            opened = await room.open("a.ipynb")
            path = f"api/sessions/{opened['id']}"
            renamed = await room.call("PATCH", path, {"path": "b.ipynb", "name": "b.ipynb"})
            assert renamed.code == 200 and json.loads(renamed.body)["path"] == "b.ipynb"
            kernel = room.mounted.registry.get(opened["kernel"]["id"])
            assert kernel is not None and kernel.env["JPY_SESSION_NAME"].endswith("b.ipynb")
            assert "PATH" not in kernel.env
            assert (await room.call("DELETE", path)).code == 204
            assert room.peer.requests[-1][0] == "DELETE"
            assert await room.get("api/sessions") == [] and await room.get("api/kernels") == []
            assert (await room.call("DELETE", path)).code == 404


async def test_a_second_notebook_shares_a_kernel(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            first = await room.open("a.ipynb")
            second = await room.open("b.ipynb", id=first["kernel"]["id"])
            assert second["kernel"]["id"] == first["kernel"]["id"] and len(room.peer.requests) == 1
            # As a frontend does that restores its kernel under the id it knew.
            wanted = str(uuid.uuid4())
            third = await room.open("c.ipynb", name=SPEC, id=wanted)
            assert third["kernel"]["id"] == wanted or not TAKES_IDS


async def test_changing_kernels_moves_the_row_from_side_to_side(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            opened = await room.open("a.ipynb", name="python3")
            local = opened["kernel"]["id"]
            path = f"api/sessions/{opened['id']}"
            moved = json.loads((await room.call("PATCH", path, {"kernel": {"name": SPEC}})).body)
            assert moved["id"] == opened["id"] and moved["kernel"]["name"] == SPEC and moved["path"] == "a.ipynb"
            assert local not in app.kernel_manager
            assert [each["id"] for each in await room.get("api/sessions")] == [opened["id"]]
            back = json.loads((await room.call("PATCH", path, {"kernel": {"name": "python3"}})).body)
            assert back["id"] == opened["id"] and back["kernel"]["name"] == "python3"
            assert room.peer.requests[-1][0] == "DELETE" and not room.peer.models
            assert [each["kernel"]["name"] for each in await room.get("api/sessions")] == ["python3"]
            await app.kernel_manager.shutdown_all()


async def test_a_local_kernel_taken_up_learns_the_notebooks_name(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            opened = await room.open("a.ipynb")
            local = (await room.open("b.ipynb", name="python3"))["kernel"]["id"]
            moved = await room.call("PATCH", f"api/sessions/{opened['id']}", {"kernel": {"id": local}})
            assert json.loads(moved.body)["kernel"]["id"] == local
            environment = app.kernel_manager.get_kernel(local)._launch_args["env"]
            assert environment["JPY_SESSION_NAME"].endswith("a.ipynb")
            await app.kernel_manager.shutdown_all()


async def test_a_restart_finds_everything_again(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            opened = await room.open("a.ipynb")
            lone = await room.start()
            models = dict(room.peer.models)
    file = Path(jupyter_data_dir()) / "jupyter_sessions" / "kernels.sqlite"
    assert file.stat().st_mode & 0o777 == 0o600 and file.parent.stat().st_mode & 0o777 == 0o700
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app, attach=False) as room:
            ids = {opened["kernel"]["id"], lone["id"]}
            listed = await room.get("api/kernels")
            assert {each["id"] for each in listed} == ids
            assert {each["execution_state"] for each in listed} == {"unknown"}
            again = await room.get("api/sessions")
            assert [{**each, "kernel": None} for each in again] == [{**opened, "kernel": None}]
            assert (await room.open("a.ipynb"))["id"] == opened["id"] and room.peer.requests == []
            restart = asyncio.ensure_future(room.call("POST", f"api/kernels/{lone['id']}/restart"))
            # Every listing answers meanwhile; what is done to a kernel waits until its host is known.
            assert len(await room.get("api/kernels")) == 2 and not restart.done()
            room.peer.models = {key: {**model, "execution_state": "idle"} for key, model in models.items()}
            room.mounted.attach(room.hosts)
            assert (await restart).code == 200
            registry = room.mounted.registry
            await until(lambda: {kernel.execution_state for kernel in registry.all()} == {"idle"})


async def test_a_kernel_without_a_host_cannot_be_acted_on(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            lone = await room.start()
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app, attach=False) as room:
            room.mounted.attach_nothing()
            refused = await room.call("POST", f"api/kernels/{lone['id']}/interrupt")
            assert refused.code == 503 and "cannot be reached yet, try again" in json.loads(refused.body)["message"]


async def test_rows_belong_to_the_root_they_were_made_in(jp_configurable_serverapp: Any, tmp_path: Path) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            opened = await room.open("a.ipynb")
    other = tmp_path / "other_root"
    other.mkdir()

    def elsewhere(**options: Any) -> Any:
        return jp_configurable_serverapp(root_dir=other, **options)

    with an_app(elsewhere) as app:
        async with a_room(app, attach=False) as room:
            assert await room.get("api/sessions") == []
            assert [each["id"] for each in await room.get("api/kernels")] == [opened["kernel"]["id"]]
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app, attach=False) as room:
            assert [each["id"] for each in await room.get("api/sessions")] == [opened["id"]]


async def test_the_users_database_of_sessions_holds_no_row_of_ours(
    jp_configurable_serverapp: Any, tmp_path: Path
) -> None:
    database = tmp_path / "shared.sqlite"
    with an_app(jp_configurable_serverapp, SessionManager={"database_filepath": str(database)}) as app:
        async with a_room(app) as room:
            await room.open("a.ipynb")
            await room.open("l.ipynb", name="python3")
            await app.kernel_manager.shutdown_all()
    connection = sqlite3.connect(database)
    rows = connection.execute("SELECT path FROM session").fetchall()
    connection.close()
    assert rows == [("l.ipynb",)]
    app.session_manager.close()
    app.session_manager.connection.close()


class Asked:
    """The one method of the service that is asked after restored kernels."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self.answer = answer

    async def get_session(self, caller: Caller, name: Any) -> Any:
        assert str(name) == "projects/local/locations/local/sessions/etl"
        return self.answer()


@dataclasses.dataclass
class Found:
    """As much of a session as is looked at."""

    uuid: str
    state: State
    state_message: str


def fails(error: Exception) -> Any:
    raise error


async def restored(make: Any, answer: Callable[[], Any]) -> list[str]:
    """Restart a server whose session is not ACTIVE any more; gives its kernel's state and reason, then the rows."""
    with an_app(make) as app:
        async with a_room(app) as room:
            await room.open("a.ipynb")
    with an_app(make) as app:
        async with a_room(app, attach=False) as room:
            asked: list[bool] = []

            def counted() -> Any:
                asked.append(True)
                return answer()

            room.hosts.hosts.clear()
            service: Any = Asked(counted)
            room.mounted.attach(room.hosts, service, Caller("me"))
            await until(lambda: asked)
            (kernel,) = await room.get("api/kernels")
            await room.mounted.records.flush()
            kept = len(room.mounted.records.load()[1])
            return [kernel["execution_state"], kernel.get("reason", ""), str(kept)]


async def test_a_session_that_ended_meanwhile_takes_its_kernels(jp_configurable_serverapp: Any) -> None:
    name = "the session projects/local/locations/local/sessions/etl"
    found = Found("uuid-1", State.TERMINATED, "ended by idleTtl")
    ended = ["dead", f"{name} is TERMINATED: ended by idleTtl", "0"]
    assert await restored(jp_configurable_serverapp, lambda: found) == ended


async def test_a_deleted_session_and_one_made_anew_take_them_too(jp_configurable_serverapp: Any) -> None:
    name = "the session projects/local/locations/local/sessions/etl"
    assert await restored(jp_configurable_serverapp, lambda: fails(NotFound("no"))) == ["dead", f"{name} is gone", "0"]
    anew = Found("uuid-2", State.ACTIVE, "")
    assert await restored(jp_configurable_serverapp, lambda: anew) == ["dead", f"{name} is gone", "0"]


async def test_who_cannot_tell_removes_nothing(jp_configurable_serverapp: Any) -> None:
    assert await restored(jp_configurable_serverapp, lambda: fails(Unavailable("no"))) == ["unknown", "", "1"]


async def test_a_fault_of_the_service_is_not_the_end_of_asking(
    jp_configurable_serverapp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "ASK_AGAIN", 0.01)
    answers: list[Exception] = [NotFound("no"), RuntimeError("a fault")]
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            await room.open("a.ipynb")
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app, attach=False) as room:
            room.hosts.hosts.clear()
            service: Any = Asked(lambda: fails(answers.pop()))
            room.mounted.attach(room.hosts, service, Caller("me"))
            await until(lambda: {kernel.execution_state for kernel in room.mounted.registry.all()} == {"dead"})


async def assert_no_way_back(room: Room, kernel_id: str) -> None:
    """Look that a document does not get a kernel that ended with its session, and does get another."""
    body = {"path": "a.ipynb", "name": "a.ipynb", "type": "notebook"}
    refused = await room.call("POST", "api/sessions", {**body, "kernel": {"id": kernel_id}})
    assert refused.code >= 400 and "choose another kernel" in json.loads(refused.body)["message"]
    assert await room.get("api/sessions") == []


async def test_the_end_of_a_session_drops_what_would_be_restored(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            opened = await room.open("a.ipynb")
            room.hosts.end()
            # The page that is open learns that it has no kernel by the row, and why by the kernel.
            assert await room.get("api/sessions") == []
            dead = await room.get(f"api/kernels/{opened['kernel']['id']}")
            assert dead["execution_state"] == "dead" and dead["reason"]
            await assert_no_way_back(room, opened["kernel"]["id"])
            await room.mounted.records.flush()
            assert room.mounted.records.load() == ([], [])


class Rooms(SessionManager):
    """As jupyter_server_documents does: what it has not made itself it neither changes nor ends."""

    made: ClassVar[set[str]] = set()

    async def create_session(self, *args: Any, **kwargs: Any) -> Any:
        """Make one, and a room for it."""
        model = await super().create_session(*args, **kwargs)
        self.made.add(model["id"])
        return model

    async def update_session(self, session_id: str, **changes: Any) -> None:
        """Change one that has a room."""
        if session_id not in self.made:
            raise LookupError(session_id)
        await super().update_session(session_id, **changes)  # type: ignore[no-untyped-call]  # Jupyter Server's own

    async def delete_session(self, session_id: str) -> None:
        """End one that has a room."""
        self.made.remove(session_id)
        await super().delete_session(session_id)  # type: ignore[no-untyped-call]  # as above


async def test_a_notebook_that_goes_local_becomes_the_users_own(jp_configurable_serverapp: Any) -> None:
    with an_app(jp_configurable_serverapp, ServerApp={"session_manager_class": Rooms}) as app:
        async with a_room(app) as room:
            opened = await room.open("a.ipynb")
            path = f"api/sessions/{opened['id']}"
            for kernel in ({"kernel": {"name": "python3"}}, {"path": "b.ipynb"}):
                moved = await room.call("PATCH", path, kernel)
                assert moved.code == 200 and json.loads(moved.body)["id"] == opened["id"]
            assert [each["path"] for each in await room.get("api/sessions")] == ["b.ipynb"]
            assert (await room.call("DELETE", path)).code == 204
            assert await room.get("api/sessions") == [] and await room.get("api/kernels") == []
