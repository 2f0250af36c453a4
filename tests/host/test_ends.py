"""What is left of a kernel however it ends: no process, no file, no socket, no second start."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
from pathlib import Path

import psutil
import pytest

from jupyter_sessions.host.__main__ import _clear
from jupyter_sessions.host.kernel import Kernel
from jupyter_sessions.host.kernels import HostKernels, Refused
from jupyter_sessions.host.manager import Manager
from jupyter_sessions.model.hostfile import CONNECTIONS, MARK

from .serving import Host, make_intent, python_entry, serving, text_of, until


def files_of_kernels(host: Host) -> list[str]:
    """Give the names of all connection files and kernels' sockets."""
    place = Path(host.path).parent
    return sorted(
        path.name for path in place.rglob("*") if path.is_file() or (path.is_socket() and path.name[0].isdigit())
    )


def kernel_processes() -> list[psutil.Process]:
    return [p for p in psutil.Process().children() if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


async def reaped(manager: Manager) -> None:
    """Wait for the end of a manager's process."""
    if manager.provisioner is not None:
        await manager.provisioner.wait()


async def running(host: Host) -> Kernel:
    """Start a kernel and give it once it answers."""
    kernel = await host.start()
    async with host.channels(kernel) as channels:
        await channels.run("pass")
    return host.kernels.get(kernel)


async def test_a_kernel_that_hears_nothing_leaves_no_socket_when_time_is_up() -> None:
    async with serving() as host:
        kernel = await running(host)
        manager = kernel.manager
        assert manager is not None
        os.kill(kernel.pid, signal.SIGSTOP)
        try:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(host.kernels.shutdown_all(now=False), 0.3)
            # An open one would keep the host's context, and so the host, from ending.
            assert manager._control_socket is None
            assert files_of_kernels(host) == []
            assert host.kernels.count() == 0
        finally:
            os.kill(kernel.pid, signal.SIGKILL)
            await reaped(manager)


async def test_a_kernel_that_dies_for_good_leaves_no_file() -> None:
    async with serving() as host:
        kernel = await running(host)
        assert files_of_kernels(host)
        assert kernel.manager is not None
        kernel.manager.kernel_spec.argv[:] = ["/nonexistent/python"]
        os.kill(kernel.pid, signal.SIGKILL)
        await until(lambda: host.kernels.count() == 0)
        assert files_of_kernels(host) == []


async def test_a_kernel_that_cannot_start_leaves_no_file() -> None:
    async with serving(kernels={"python3": python_entry(argv=["/nonexistent/python", "-m", "ipykernel"])}) as host:
        assert (await host.request("/api/kernels", "POST", {})).code == 500
        assert files_of_kernels(host) == []
        assert host.kernels.spool.logs == set()


async def test_what_a_killed_host_left_goes_with_the_next() -> None:
    with tempfile.TemporaryDirectory(prefix="host") as name:
        left = [Path(name) / CONNECTIONS / "kernel-1-1-1-1-1.json", Path(name) / "1-1"]
        left[0].parent.mkdir()
        for path in left:
            path.touch()
        kept = Path(name) / "other.json"
        kept.touch()
        kernels = HostKernels(make_intent(Path(name)), lambda _label: 2)
        assert os.listdir(name) == [kept.name]
        await kernels.close()


async def test_no_process_starts_once_all_are_to_end() -> None:
    async with serving() as host:
        kernel = await running(host)
        manager = kernel.manager
        assert manager is not None
        restarting = asyncio.create_task(kernel.restart())
        await until(lambda: kernel.activity.execution_state == "restarting")
        # On a busy machine the new process may be there before this is reached.
        before = {process.pid for process in kernel_processes()}
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(host.kernels.shutdown_all(now=False), 0.02)
        with contextlib.suppress(Exception):
            await restarting
        # The old one is the end's to kill, where it did not go by itself.
        assert {process.pid for process in kernel_processes()} <= before
        for pid in before:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await reaped(manager)
        assert kernel.activity.execution_state == "dead"
        with pytest.raises(Refused, match="ending"):
            await host.kernels.start()


async def test_a_restart_that_waited_for_the_end_starts_nothing() -> None:
    async with serving() as host:
        kernel = await running(host)
        ends = asyncio.create_task(kernel.shutdown())
        await asyncio.sleep(0)
        answer = await host.request(f"/api/kernels/{kernel.id}/restart", "POST", {})
        await ends
        assert answer.code in (404, 500)
        assert kernel_processes() == []


async def test_every_kernel_carries_the_sessions_own_mark() -> None:
    entry = python_entry(env={MARK: "store/other/1"})
    async with serving(kernels={"python3": entry}, kernel_env={MARK: "store/other/2"}) as host:
        async with host.channels(await host.start(env={MARK: "store/other/3"})) as channels:
            said = text_of(await channels.run(f"import os; print(os.environ[{MARK!r}])"))
        assert said.strip() == host.kernels.intent.mark


class SlowToLeave:
    """A client's websocket that takes its time to stop writing."""

    def __init__(self) -> None:
        self.may_leave = asyncio.Event()
        self.leaving = self.closed = False

    async def leave(self) -> None:
        self.leaving = True
        await self.may_leave.wait()

    def close(self) -> None:
        self.closed = True


async def test_of_many_websockets_of_one_client_one_stays() -> None:
    async with serving() as host:
        kernel = await running(host)
        slow = SlowToLeave()
        kernel.sockets["same"] = slow
        async with host.channels(kernel.id, "same") as first, host.channels(kernel.id, "same") as second:
            await until(lambda: slow.leaving and "same" in kernel.sockets)
            slow.may_leave.set()
            for ends in asyncio.as_completed([first.parts(), second.parts()]):
                assert await ends is None
                break
            assert slow.closed
            assert kernel.consumers["same"].attached
            assert kernel.model()["connections"] == 1


def test_a_host_whose_directory_is_gone_still_ends(tmp_path: Path) -> None:
    _clear(tmp_path / "gone", tmp_path / "gone" / "host.sock")
    (tmp_path / "token").touch()
    _clear(tmp_path, tmp_path / "gone" / "host.sock")
    assert not (tmp_path / "token").exists()
