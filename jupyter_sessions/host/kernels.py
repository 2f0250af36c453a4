"""All kernels of a session: started as its intent says, found by id, ended together."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import re
import resource
import sys
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import zmq
import zmq.asyncio

from jupyter_sessions.host.drain import Drain
from jupyter_sessions.host.feed import Feed
from jupyter_sessions.host.kernel import GONE, Kernel
from jupyter_sessions.host.manager import Manager, check_socket_dir, remove_leftovers, speaks_ipc
from jupyter_sessions.host.spool import Spool
from jupyter_sessions.model.hostfile import CONNECTIONS, MARK, Intent, KernelSpecEntry, connection_file

_ID = re.compile(r"\w+-\w+-\w+-\w+-\w+\Z", re.ASCII)
_SOCKETS = 16_384
_FILES = 16_384
_SWITCH = 0.001
_MMAP_THRESHOLD, _LARGE = -3, 1 << 17
_EXPIRY_CHECK = 600.0
log = logging.getLogger(__name__)


class UnknownKernel(LookupError):
    """There is no such kernel; the text says so in Jupyter's words."""


class Refused(ValueError):
    """A start that cannot be: the text names the field, the rule and the remedy."""


def _prepare_process() -> None:
    """Allow the sockets of many kernels with many clients, give large blocks back, let the iopub thread give way."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    # glibc keeps the blocks of large messages for ever once it has seen one freed, unless the threshold is set.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE)
    sys.setswitchinterval(min(_SWITCH, sys.getswitchinterval()))


class HostKernels:
    """The kernels of one host. Made, and used, on the event loop.

    ``log_fd`` gives, for a label, the file descriptor for a kernel's stdout and stderr; ``log_release`` is told a
    label that no kernel uses any more. ``spool_dir`` is where output goes that memory has no room for: the intent's
    ``lock_dir`` (never on a network file system) unless given. ``gone`` is how many seconds the place of a client
    that went away is kept. Raises ValueError where the intent's ``socket_dir`` is too long for a socket's path.
    """

    def __init__(
        self,
        intent: Intent,
        log_fd: Callable[[str], int],
        log_release: Callable[[str], None] | None = None,
        spool_dir: Path | None = None,
        gone: float = GONE,
    ) -> None:
        check_socket_dir(intent.socket_dir)
        remove_leftovers(intent.socket_dir)
        _prepare_process()
        self.intent = intent
        self._log_fd, self._log_release = log_fd, log_release
        self._gone = gone
        self._kernels: dict[str, Kernel] = {}
        self._starting: dict[str, asyncio.Task[Kernel]] = {}
        self._newcomers: set[Kernel] = set()
        self._last_execution = 0.0
        self._ending = False
        self._number = 0
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._context.max_sockets = _SOCKETS
        self._managers_context = zmq.asyncio.Context.shadow(self._context.underlying)
        self.spool = Spool(spool_dir or Path(intent.lock_dir), intent.spool_memory, intent.spool_disk)
        self._drain = Drain(self._context, self.spool)
        self.feed = Feed(self._kernels.values)
        self._loop = asyncio.get_running_loop()
        self._expiry = self._loop.call_later(_EXPIRY_CHECK, self._expire)

    # What the host's other half asks

    def count(self) -> int:
        """Give how many kernels there are."""
        return len(self._kernels)

    def busy(self) -> int:
        """Give how many kernels are executing."""
        return sum(kernel.activity.execution_state == "busy" for kernel in self._kernels.values())

    def last_activity(self) -> float:
        """Give the last execution in any kernel there is or was, seconds since the epoch, 0.0 for none."""
        times = (kernel.activity.last_execution for kernel in self._kernels.values())
        self._last_execution = max(self._last_execution, *times, 0.0)
        return self._last_execution

    def models(self) -> list[dict[str, Any]]:
        """Give Jupyter's models of all kernels, oldest first."""
        return [kernel.model() for kernel in self._kernels.values()]

    def pids(self) -> list[int]:
        """Give the pids of the kernels' own processes."""
        return sorted({kernel.pid for kernel in (*self._kernels.values(), *self._newcomers)} - {0})

    async def shutdown_all(self, now: bool) -> None:
        """End all kernels at once, politely unless ``now``; none starts any more. Raises nothing."""
        self._ending = True
        for kernel in (*self._kernels.values(), *self._newcomers):
            kernel.begin_ending()
        for starting in list(self._starting.values()):
            await asyncio.wait([starting])
        ends = (kernel.shutdown(now, "the session ended") for kernel in list(self._kernels.values()))
        for result in await asyncio.gather(*ends, return_exceptions=True):
            if isinstance(result, Exception):
                log.error("a kernel could not be shut down: %s", result)
        remove_leftovers(self.intent.socket_dir)

    async def close(self) -> None:
        """Stop the thread and give up all sockets; after :meth:`shutdown_all`."""
        self._expiry.cancel()
        self.feed.close()
        await self._drain.close()
        self._context.destroy(0)

    # What handlers ask

    def get(self, kernel_id: str) -> Kernel:
        """Give a kernel; raises UnknownKernel."""
        try:
            return self._kernels[kernel_id]
        except KeyError:
            raise UnknownKernel(f"Kernel does not exist: {kernel_id}") from None

    async def start(
        self, name: str | None = None, kernel_id: str | None = None, cwd: str = "", env: Mapping[str, str] | None = None
    ) -> Kernel:
        """Start a kernel, or give the one that has this id already; raises Refused and what the start itself raises.

        ``name`` defaults to the intent's first. ``cwd`` counts unless the intent fixes the directory.
        """
        kernel_id = kernel_id or str(uuid.uuid4())
        if not _ID.match(kernel_id):
            raise Refused(f"kernel_id {kernel_id!r} is none: five words with dashes between, such as a UUID")
        if kernel_id in self._kernels:
            return self._kernels[kernel_id]
        if self._ending:
            raise Refused("the session is ending and starts no kernel any more; use another session")
        if kernel_id not in self._starting:
            name, entry = self._entry(name)
            task = asyncio.create_task(self._start(name, entry, kernel_id, self._launch(kernel_id, name, cwd, env)))
            self._starting[kernel_id] = task
            task.add_done_callback(lambda _: self._starting.pop(kernel_id, None))
        # Whoever asked may go away; the start goes on for those who ask again.
        return await asyncio.shield(self._starting[kernel_id])

    async def shutdown(self, kernel_id: str) -> None:
        """End a kernel; raises UnknownKernel."""
        await self.get(kernel_id).shutdown()

    # How

    @property
    def default(self) -> str:
        """The name of the kernel that is started where none is named; empty where there is none."""
        return next(iter(self.intent.kernels), "")

    @property
    def _connections(self) -> Path:
        # Not socket_dir itself: jupyter_client changes the mode of the directory it writes into.
        return Path(self.intent.socket_dir) / CONNECTIONS

    def _entry(self, name: str | None) -> tuple[str, KernelSpecEntry]:
        name = name or self.default
        if name not in self.intent.kernels:
            raise Refused(f"name {name!r} is no kernel of this session; it offers {', '.join(self.intent.kernels)}")
        return name, self.intent.kernels[name]

    async def _start(self, name: str, entry: KernelSpecEntry, kernel_id: str, launch: Mapping[str, Any]) -> Kernel:
        kernel = Kernel(kernel_id, name, self.spool, self._drain, self._context, self.feed.changed, self._ended)
        self._connections.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._newcomers.add(kernel)
        try:
            await kernel.start(self._manager(kernel, entry), launch)
            self._kernels[kernel_id] = kernel
        finally:
            self._newcomers.discard(kernel)
        self.feed.changed(kernel, True)
        return kernel

    def _manager(self, kernel: Kernel, entry: KernelSpecEntry) -> Manager:
        self._number += 1
        place: dict[str, str] = {"ip": "127.0.0.1", "transport": "tcp"}
        if speaks_ipc(entry):
            place = {"ip": os.path.join(self.intent.socket_dir, str(self._number)), "transport": "ipc"}
        return Manager(
            entry,
            kernel.prepare,
            kernel_id=kernel.id,
            kernel_name=kernel.name,
            context=self._managers_context,
            connection_file=connection_file(self.intent.socket_dir, kernel.id),
            **place,
        )

    def _launch(self, kernel_id: str, name: str, cwd: str, env: Mapping[str, str] | None) -> dict[str, Any]:
        out = self._log_fd(_label(name, kernel_id))
        merged = {**os.environ, **(env or {}), **self.intent.kernel_env, MARK: self.intent.mark}
        return {"cwd": self._cwd(cwd), "env": merged, "stdout": out, "stderr": out}

    def _cwd(self, wanted: str) -> str:
        """Give the first directory there is: the wanted one, the session's, the home, the root."""
        first = [] if self.intent.cwd_fixed or not wanted else [os.path.join(self.intent.cwd, wanted)]
        for place in (*first, self.intent.cwd, os.path.expanduser("~")):
            if os.path.isdir(place):
                return place
        return "/"

    def _ended(self, kernel: Kernel, reason: str) -> None:
        self.last_activity()
        if self._kernels.get(kernel.id) is kernel:
            del self._kernels[kernel.id]
            self.feed.gone(kernel, reason)
        if self._log_release is not None:
            self._log_release(_label(kernel.name, kernel.id))

    def _expire(self) -> None:
        for kernel in self._kernels.values():
            kernel.expire(self._loop.time(), self._gone)
        self._expiry = self._loop.call_later(_EXPIRY_CHECK, self._expire)


def _label(name: str, kernel_id: str) -> str:
    return f"{name} {kernel_id}"
