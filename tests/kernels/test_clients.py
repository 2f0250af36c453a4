"""ZMQ clients of a session's kernel, for packages that execute on the server: where, whose, and what they wait for."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
from pathlib import Path
from typing import Any, ClassVar

import pytest
from jupyter_client.manager import AsyncKernelManager
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from jupyter_server.services.sessions.sessionmanager import SessionManager

from jupyter_sessions.kernels.refused import Refused
from jupyter_sessions.kernels.registry import Registry, RemoteKernel
from jupyter_sessions.model.hostfile import connection_file
from tests.kernels.peer import until
from tests.kernels.room import a_host, a_room, an_app
from tests.kernels.test_manager_methods import KERNEL, bound

KEY = "0123-a-key"
INFO = {
    "transport": "tcp",
    "ip": "127.0.0.1",
    **{f"{channel}_port": 1 for channel in ("shell", "iopub", "stdin", "control", "hb")},
    "signature_scheme": "hmac-sha256",
    "key": KEY,
}


def a_kernel(address: str, state: str = "idle") -> RemoteKernel:
    """Give a kernel of a session whose host is at ``address``."""
    registry = Registry()
    registry.set_host(dataclasses.replace(a_host(), address=address, uid=os.getuid()))
    kernel = RemoteKernel(
        kernel_id=KERNEL, name="etl.python3", host_kernel="python3", session_uuid="uuid-etl", session="s"
    )
    registry.add(kernel)
    kernel.execution_state = state
    return kernel


def written(folder: Path, info: dict[str, Any], mode: int = 0o600) -> str:
    """Write a kernel's connection file as its host does, and give the host's address."""
    file = Path(connection_file(str(folder), KERNEL))
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(info))
    file.chmod(mode)
    return f"unix:{folder}/host.sock"


async def test_a_kernel_on_this_machine_gives_its_addresses_and_a_client(tmp_path: Path) -> None:
    kernel = a_kernel(written(tmp_path, INFO))
    assert kernel.get_connection_info() == {**INFO, "key": KEY.encode()}
    assert kernel.get_connection_info(session=True)["session"].key == KEY.encode()
    client = kernel.client()
    assert isinstance(client, kernel.client_factory)
    assert (client.shell_port, client.session.key) == (1, KEY.encode())
    assert KEY not in json.dumps(kernel.model()) and KEY not in repr(client) + repr(kernel)


async def test_a_kernel_elsewhere_is_refused_in_words() -> None:
    kernel = a_kernel("https://far.example/etl")
    for ask in (kernel.get_connection_info, kernel.client, lambda: kernel.client_factory):
        with pytest.raises(Refused, match="on another machine") as refusal:
            ask()
        assert refusal.value.status_code == 501


@pytest.mark.parametrize("wrong", ["open", "link", "missing", "broken"])
def test_a_connection_file_that_is_not_the_hosts_alone_is_refused(tmp_path: Path, wrong: str) -> None:
    address = written(tmp_path, INFO, 0o644 if wrong == "open" else 0o600)
    file = Path(connection_file(str(tmp_path), KERNEL))
    if wrong == "link":
        file.rename(tmp_path / "other")
        file.symlink_to(tmp_path / "other")
    elif wrong == "missing":
        file.unlink()
    elif wrong == "broken":
        file.write_text(f'{{"key": "{KEY}"')
    with pytest.raises(Refused, match="cannot be read") as refusal:
        a_kernel(address).get_connection_info()
    assert refusal.value.status_code == 503 and KEY not in str(refusal.value)
    assert refusal.value.__cause__ is None and refusal.value.__suppress_context__


async def test_a_dead_kernel_gives_no_client_and_says_why(tmp_path: Path) -> None:
    kernel = a_kernel(written(tmp_path, INFO))
    client = kernel.client()
    assert kernel.registry is not None
    kernel.registry.mark_dead(KERNEL, "out of memory")
    with pytest.raises(Refused, match="out of memory"):
        kernel.client()
    with pytest.raises(Refused, match="out of memory"):
        await client._async_wait_for_ready()
    assert not await client.is_alive()


async def test_a_client_waits_until_the_host_has_heard_the_kernel(tmp_path: Path) -> None:
    manager: Any = AsyncKernelManager()
    manager.connection_file = str(tmp_path / "own.json")
    await manager.start_kernel()
    try:
        address = written(tmp_path, json.loads((tmp_path / "own.json").read_text()))
        kernel = a_kernel(address, "restarting")
        client = kernel.client()
        client.start_channels()
        client.hb_channel.unpause()
        await until(client.hb_channel.is_beating)
        # The heartbeat may be the old process's.
        assert not await client.is_alive()
        # Not heard yet, it does not listen where the host lifts the limits of those who do.
        assert client._iopub_channel is None
        kernel.execution_state = "idle"
        await client.wait_for_ready(timeout=30)
        assert await client.is_alive()
        reply = await client.execute_interactive("1 + 1", timeout=30, output_hook=lambda message: None)
        assert reply["content"]["status"] == "ok"
        client.stop_channels()
    finally:
        await manager.shutdown_kernel(now=True)


async def test_what_callbacks_give_is_awaited_one_after_another() -> None:
    manager, registry, _ = bound(AsyncMappingKernelManager)
    heard: list[str] = []
    gate = asyncio.Event()

    async def on_restart() -> None:
        heard.append("restart")
        await gate.wait()
        heard.append("restarted")
        raise RuntimeError("no matter")

    async def on_dead() -> None:
        heard.append("dead")

    def broken() -> None:
        raise RuntimeError("no matter either")

    manager.add_restart_callback(KERNEL, broken)
    manager.add_restart_callback(KERNEL, on_restart)
    manager.add_restart_callback(KERNEL, on_dead, "dead")
    # Told once a restart, whatever else changes meanwhile.
    registry.update(KERNEL, {"execution_state": "restarting"})
    registry.update(KERNEL, {"execution_state": "restarting", "connections": 1})
    await until(lambda: heard)
    registry.remove(KERNEL)
    gate.set()
    await until(lambda: heard[-1] == "dead")
    assert heard == ["restart", "restarted", "dead"]


class Told(SessionManager):
    """As jupyter_server_documents does: connects what it makes, and knows no other."""

    told: ClassVar[list[tuple[str, str, str]]] = []
    fault: ClassVar[Exception | None] = None

    async def create_session(self, *args: Any, **kwargs: Any) -> Any:
        """Make one and note it."""
        model = await super().create_session(*args, **kwargs)
        if self.fault is not None:
            raise self.fault
        self.told.append(("made", model["id"], model["kernel"]["id"]))
        return model

    async def delete_session(self, session_id: str) -> None:
        """End one and note it."""
        model = await self.get_session(session_id=session_id)  # type: ignore[no-untyped-call]  # Jupyter Server's own
        self.told.append(("deleted", session_id, model["kernel"]["id"]))
        await super().delete_session(session_id)  # type: ignore[no-untyped-call]  # as above


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """What the user's class was told, as (what, notebook session, kernel)."""
    heard: list[tuple[str, str, str]] = []
    monkeypatch.setattr(Told, "told", heard)
    return heard


async def test_the_users_class_makes_moves_and_ends_notebook_sessions(
    jp_configurable_serverapp: Any, told: list[tuple[str, str, str]]
) -> None:
    with an_app(jp_configurable_serverapp, ServerApp={"session_manager_class": Told}) as app:
        async with a_room(app) as room:
            opened = await room.open("a.ipynb")
            moved = await room.call("PATCH", f"api/sessions/{opened['id']}", {"kernel": {"name": "etl.python3"}})
            second = json.loads(moved.body)
            assert [each["id"] for each in await room.get("api/sessions")] == [opened["id"]]
            assert (await room.call("DELETE", f"api/sessions/{opened['id']}")).code == 204
            assert await room.get("api/sessions") == [] and await room.get("api/kernels") == []
    made = opened["id"]
    kernels = (opened["kernel"]["id"], second["kernel"]["id"])
    assert told == [("made", made, kernels[0]), ("made", made, kernels[1]), ("deleted", made, kernels[1])]


@pytest.mark.parametrize("refused", [True, False])
async def test_a_users_class_that_fails(
    jp_configurable_serverapp: Any, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    """What we refuse leaves nothing; a fault of its own leaves the kernel's websocket as the way in."""
    monkeypatch.setattr(Told, "fault", Refused(501, "on another machine") if refused else RuntimeError("its own"))
    body = {"path": "a.ipynb", "name": "a.ipynb", "type": "notebook", "kernel": {"name": "etl.python3"}}
    with an_app(jp_configurable_serverapp, ServerApp={"session_manager_class": Told}) as app:
        async with a_room(app) as room:
            answer = await room.call("POST", "api/sessions", body)
            sessions, kernels = await room.get("api/sessions"), await room.get("api/kernels")
    if refused:
        assert answer.code == 500 and "on another machine" in answer.body.decode()
        assert sessions == kernels == []
    else:
        assert answer.code == 201 and [each["id"] for each in sessions] == [json.loads(answer.body)["id"]]
        assert len(kernels) == 1
