"""No public method of a mapping manager reaches into ``_kernels`` for a remote kernel."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from jupyter_core.utils import ensure_async
from jupyter_server.gateway.managers import GatewayMappingKernelManager
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager, MappingKernelManager

from jupyter_sessions.kernels.actions import Actions
from jupyter_sessions.kernels.manager import SessionKernelManager
from jupyter_sessions.kernels.mount import mixed
from jupyter_sessions.kernels.records import Records
from jupyter_sessions.kernels.refused import Refused
from jupyter_sessions.kernels.registry import Registry, RemoteKernel, utcnow
from jupyter_sessions.model.states import State
from tests.kernels.peer import until
from tests.kernels.room import a_host

KERNEL = "11111111-2222-3333-4444-555555555555"
REFUSED = {
    "client",
    "connect_control",
    "connect_hb",
    "connect_iopub",
    "connect_shell",
    "connect_stdin",
    "get_connection_info",
}
EXTRA: dict[str, dict[str, Any]] = {
    "add_restart_callback": {"callback": print, "event": "dead"},
    "remove_restart_callback": {"callback": print, "event": "dead"},
    "signal_kernel": {"signum": signal.SIGINT},
    "start_buffering": {"session_key": "key", "channels": {}},
    "get_buffer": {"session_key": "key"},
    "update_env": {"env": {"JPY_SESSION_NAME": "new.ipynb", "SECRET": "no"}},
}


class Untouchable(dict[str, Any]):
    """A manager's own kernels; asking for the remote one is the bug this file is about."""

    def __getitem__(self, kernel_id: str) -> Any:
        raise AssertionError(f"_kernels[{kernel_id}] was reached")


class NoHosts:
    """Hosts that do all they are asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def start(self, *args: Any) -> dict[str, Any]:
        self.asked.append("start")
        self.meanwhile()
        return {"id": args[2], "execution_state": "starting"}

    def meanwhile(self) -> None:
        """What happens while a start is under way: nothing, unless a test says otherwise."""

    async def interrupt(self, kernel: RemoteKernel) -> None:
        self.asked.append("interrupt")

    async def restart(self, kernel: RemoteKernel) -> None:
        self.asked.append("restart")

    async def shutdown(self, kernel: RemoteKernel) -> None:
        self.asked.append("shutdown")


def bound(user_class: type) -> tuple[Any, Registry, NoHosts]:
    """Make a manager of ours before the user's class, with one remote kernel."""
    manager: Any = mixed(SessionKernelManager, user_class)()
    registry, hosts = Registry(), NoHosts()
    manager.bind_sessions(registry, Actions(hosts, registry, lambda data: None))
    registry.set_host(a_host())
    registry.add(
        RemoteKernel(kernel_id=KERNEL, name="etl.python3", host_kernel="python3", session_uuid="uuid-etl", session="s")
    )
    manager._kernels = Untouchable()
    return manager, registry, hosts


def methods(user_class: type) -> list[str]:
    """Name the public methods that take a kernel's id."""
    found = inspect.getmembers(user_class, inspect.isroutine)
    return [
        name
        for name, method in found
        if not name.startswith("_") and "kernel_id" in inspect.signature(method).parameters
    ]


CASES = [
    (user_class, method)
    for user_class in (MappingKernelManager, AsyncMappingKernelManager, GatewayMappingKernelManager)
    for method in methods(user_class)
]


def test_the_list_of_methods_is_not_empty() -> None:
    assert {"shutdown_kernel", "kernel_model", "ports_changed", "update_env", "is_alive", "get_buffer"} <= {
        name for _, name in CASES
    }
    assert len(methods(AsyncMappingKernelManager)) >= 30


@pytest.mark.parametrize(("user_class", "name"), CASES, ids=[f"{c.__name__}.{m}" for c, m in CASES])
async def test_a_remote_kernel_is_never_looked_up_locally(user_class: type, name: str) -> None:
    manager, _, _ = bound(user_class)
    call = getattr(manager, name)
    if name in REFUSED:
        with pytest.raises(Refused) as refusal:
            await ensure_async(call(kernel_id=KERNEL, **EXTRA.get(name, {})))
        assert "websocket" in str(refusal.value)
    else:
        await ensure_async(call(kernel_id=KERNEL, **EXTRA.get(name, {})))


async def test_positional_ids_work_as_well() -> None:
    manager, registry, hosts = bound(AsyncMappingKernelManager)
    await manager.interrupt_kernel(KERNEL)
    await manager.signal_kernel(KERNEL, signal.SIGINT)
    await manager.restart_kernel(KERNEL, now=True)
    kernel = manager.get_kernel(KERNEL)
    await kernel.shutdown_kernel()
    assert hosts.asked == ["interrupt", "interrupt", "restart", "shutdown"]
    assert registry.all() == [] and KERNEL not in manager


async def test_a_signal_other_than_an_interrupt_is_refused_by_name() -> None:
    manager, _, _ = bound(AsyncMappingKernelManager)
    with pytest.raises(Refused, match=str(int(signal.SIGTERM))):
        await ensure_async(manager.signal_kernel(KERNEL, signal.SIGTERM))


async def test_update_env_keeps_the_notebooks_name_and_nothing_else() -> None:
    manager, registry, _ = bound(AsyncMappingKernelManager)
    manager.update_env(kernel_id=KERNEL, **EXTRA["update_env"])
    kernel = registry.get(KERNEL)
    assert kernel is not None and kernel.env == {"JPY_SESSION_NAME": "new.ipynb"}


async def test_callbacks_hear_of_restart_and_death() -> None:
    manager, registry, _ = bound(AsyncMappingKernelManager)
    heard: list[str] = []
    manager.add_restart_callback(KERNEL, lambda: heard.append("restart"))
    manager.add_restart_callback(KERNEL, lambda: heard.append("dead"), "dead")
    registry.update(KERNEL, {"execution_state": "autorestarting"})
    registry.mark_dead(KERNEL, "gone")
    assert heard == ["restart", "dead"]


async def test_a_gateways_coroutines_stay_coroutines() -> None:
    manager, _, _ = bound(GatewayMappingKernelManager)
    assert (await manager.kernel_model(KERNEL))["id"] == KERNEL


async def test_an_unbound_mixin_does_nothing() -> None:
    plain: Any = mixed(SessionKernelManager, AsyncMappingKernelManager)()
    assert plain.list_kernel_ids() == [] and plain.list_kernels() == [] and len(plain) == 0
    assert KERNEL not in plain
    with pytest.raises(Exception, match="Kernel does not exist"):
        plain.get_kernel(KERNEL)
    manager, registry, _ = bound(AsyncMappingKernelManager)
    unbind = manager.bind_sessions(registry, manager._actions)
    unbind()
    assert KERNEL not in manager


async def test_what_the_host_streams_during_a_start_is_not_lost() -> None:
    manager, registry, hosts = bound(AsyncMappingKernelManager)
    streamed = {"id": "k2", "name": "python3", "execution_state": "idle", "connections": 0}
    hosts.meanwhile = lambda: registry.take("uuid-etl", streamed)  # type: ignore[method-assign]  # a lever
    await manager.start_kernel(kernel_name="etl.python3", kernel_id="k2", env={"JPY_SESSION_NAME": "a", "X": "y"})
    kernel = registry.get("k2")
    assert kernel is not None and kernel.execution_state == "idle" and kernel.env == {"JPY_SESSION_NAME": "a"}


async def test_a_host_that_gives_an_id_of_its_own_keeps_it() -> None:
    manager, registry, hosts = bound(AsyncMappingKernelManager)

    async def start(*args: Any) -> dict[str, Any]:
        return {"id": "its-own", "execution_state": "starting"}

    hosts.start = start  # type: ignore[method-assign]  # a lever
    assert await manager.start_kernel(kernel_name="etl.python3", kernel_id="k2") == "its-own"
    assert registry.get("k2") is None and manager.get_kernel("its-own").host_kernel == "python3"


async def test_a_kernel_that_the_stream_brought_first_stays_the_same(tmp_path: Path) -> None:
    manager, registry, hosts = bound(AsyncMappingKernelManager)
    told: list[tuple[str, RemoteKernel]] = []
    registry.subscribe(lambda kernel, what: told.append((what, kernel)))
    streamed = {"id": "k2", "name": "python3", "execution_state": "idle", "connections": 0}
    hosts.meanwhile = lambda: registry.take("uuid-etl", streamed)  # type: ignore[method-assign]  # a lever
    records = Records(tmp_path, str(tmp_path))
    records.follow(registry)
    manager.root_dir = str(tmp_path)
    await manager.start_kernel(kernel_name="etl.python3", kernel_id="k2", path="")
    # A websocket opened meanwhile holds the first one, and must hear what becomes of it.
    assert {kernel for _, kernel in told} == {registry.get("k2")}
    await records.flush()
    assert [(kernel.kernel_id, kernel.cwd) for kernel in records.load()[0]] == [("k2", str(tmp_path))]
    await records.close()


async def test_a_deaf_host_delays_no_other_kernels_culling() -> None:
    manager, registry, hosts = bound(AsyncMappingKernelManager)
    manager._kernels, manager.cull_idle_timeout = {}, 60
    gate = asyncio.Event()

    async def shutdown(kernel: RemoteKernel) -> None:
        if kernel.kernel_id == KERNEL:
            await gate.wait()

    hosts.shutdown = shutdown  # type: ignore[method-assign]  # a lever
    registry.add(
        RemoteKernel(kernel_id="k2", name="etl.python3", host_kernel="python3", session_uuid="uuid-etl", session="s")
    )
    for kernel in registry.all():
        kernel.execution_state, kernel.last_activity = "idle", utcnow() - timedelta(hours=1)
    culling = asyncio.ensure_future(manager.cull_kernels())
    await until(lambda: [kernel.kernel_id for kernel in registry.all()] == [KERNEL])
    gate.set()
    await culling
    assert registry.all() == []


async def test_a_session_that_ends_during_a_start_leaves_a_dead_kernel() -> None:
    manager, registry, hosts = bound(AsyncMappingKernelManager)
    ended = dataclasses.replace(a_host(), state=State.FAILED, state_message="out of memory")
    hosts.meanwhile = lambda: registry.set_host(ended)  # type: ignore[method-assign]  # a lever
    await manager.start_kernel(kernel_name="etl.python3", kernel_id="k2")
    assert (await ensure_async(manager.kernel_model("k2")))["reason"] == "the session etl is FAILED: out of memory"


async def test_a_browser_that_leaves_during_a_start_leaves_no_unknown_kernel() -> None:
    manager, registry, hosts = bound(AsyncMappingKernelManager)
    gate = asyncio.Event()

    async def slow(*args: Any) -> dict[str, Any]:
        await gate.wait()
        return {"id": "k2"}

    hosts.start = slow  # type: ignore[method-assign]  # a lever
    start = asyncio.ensure_future(manager.start_kernel(kernel_name="etl.python3", kernel_id="k2"))
    await asyncio.sleep(0)
    start.cancel()
    gate.set()
    await until(lambda: registry.get("k2"))
