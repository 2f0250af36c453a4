"""``ProcessEngine``: sessions as processes of this machine, needing no account, no configuration and no network."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_sessions.engines.base import Alive, Gone, Job, Observation
from jupyter_sessions.engines.process import machine
from jupyter_sessions.engines.process.ending import ASK_SECONDS, Ender, end_strangers
from jupyter_sessions.engines.process.kernelspecs import CannotHonour, KernelChoice, Specs, check_cwd
from jupyter_sessions.engines.process.logs import read_log
from jupyter_sessions.engines.process.observe import Observer, lock_is_held
from jupyter_sessions.engines.process.places import socket_directory
from jupyter_sessions.engines.process.spawn import Spawner
from jupyter_sessions.engines.process.wants import HONOURED, MEMORY, MEMORY_LIMITED, Wants, read_wants
from jupyter_sessions.model.api import LogPage, OfferedKernel
from jupyter_sessions.model.errors import FailedPrecondition, FieldViolation, InvalidArgument
from jupyter_sessions.model.hostfile import (
    FILES,
    HOST_LOCK,
    LOG_DIR,
    MARKED,
    TOKEN,
    Heartbeat,
    HostProcess,
    Intent,
    KernelSpecEntry,
    Ready,
    UnknownVersion,
    read,
    write,
)
from jupyter_sessions.model.states import State

if TYPE_CHECKING:
    from jupyter_sessions.model.resources import Session, SessionTemplate

HOST_COMMAND = (sys.executable, "-m", "jupyter_sessions.host")
POKE_SECONDS = 2.0
ADOPT_GRACE_SECONDS = 10.0
_STALE_FILES = (*(FILES[kind] for kind in (HostProcess, Ready, Heartbeat)), "end.json", TOKEN, MARKED)
_NS = 1e9

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bounds:
    """Bytes a session may take: its output spool in memory and on disk, each log file and how many of them."""

    spool_memory: int = 8 << 20
    spool_disk: int = 1 << 30
    log_bytes: int = 10 << 20
    log_files: int = 3


def unsupported(platform: str = sys.platform) -> str:
    """Say why this system cannot run sessions as processes, ``""`` where it can."""
    if platform == "win32":
        return "the process engine needs a POSIX system (Linux or macOS); local kernels are not affected"
    return ""


def _no_step(_name: str) -> None:
    """Do nothing: what an engine does between its steps outside a test."""


class ProcessEngine:
    """Runs each session as a host process of this user.

    ``specs`` gives the user's own kernelspecs as their KernelSpecManager's ``get_all_specs`` does (it is called on a
    worker thread), ``root_dir`` is the default working directory, ``default_kernel`` the name of the default Python
    kernel. The rest serves tests: ``command`` starts a host, ``clock`` gives wall-clock seconds, ``on_step`` is called
    with the name of each step of a start before it is taken, ``adopt_grace`` is how old in seconds a process must be to
    be taken for a left-over. Raises FailedPrecondition where the system is none that it can work on.
    """

    name = "process"

    def __init__(
        self,
        specs: Specs,
        root_dir: str,
        default_kernel: str = "python3",
        bounds: Bounds | None = None,
        *,
        command: Sequence[str] = HOST_COMMAND,
        clock: Callable[[], float] = time.time,
        on_step: Callable[[str], None] = _no_step,
        adopt_grace: float = ADOPT_GRACE_SECONDS,
    ) -> None:
        if why := unsupported():
            raise FailedPrecondition(why)
        self._choice = KernelChoice(specs, default_kernel)
        self._root_dir = os.path.abspath(os.path.expanduser(root_dir))
        self._bounds = bounds or Bounds()
        self._on_step = on_step
        self._adopt_grace = adopt_grace
        self._spawner = Spawner(command, clock)
        self._observer = Observer(self._spawner, clock)
        self._ender = Ender()
        self._pokes: set[asyncio.Task[None]] = set()

    def capabilities(self) -> Mapping[str, Any]:
        """Give what this engine honours, for the location's metadata."""
        properties = [name for name in HONOURED if MEMORY_LIMITED or name != MEMORY]
        return {"jupyterSession": True, "sparkConnectSession": False, "update": True, "properties": properties}

    async def check(self, wanted: Session | SessionTemplate) -> Sequence[FieldViolation]:
        """Name every field that cannot be honoured here; runs the interpreter that ``local:python`` names."""
        wants, faults = read_wants(wanted)
        return [*faults, *await asyncio.to_thread(self._machine_faults, wants, {fault.field for fault in faults})]

    async def kernels(self, job: Job) -> Sequence[OfferedKernel]:
        """Give the kernels the session was started with."""
        intent = await asyncio.to_thread(_intent, job.directory)
        entries = intent.kernels if intent else await asyncio.to_thread(self._resolve, job.session)
        return [_offered(name, entry) for name, entry in entries.items()]

    async def start(self, job: Job, incarnation: int) -> None:
        """Write the intent and spawn the host. Raises InvalidArgument where what was checked is there no more."""
        await asyncio.to_thread(self._start, job, incarnation)

    async def observe(self, job: Job) -> Observation:
        """Say whether the session's host lives."""
        seen = await self._observer.look(job)
        if isinstance(seen, Gone) and not seen.marked:
            self._ender.forget(job.uuid)
        return seen

    async def update(self, job: Job) -> None:
        """Hand limits and ACTIVE time to the live host, and have it look at once."""
        if await asyncio.to_thread(self._rewrite, job):
            await self._poke(job)

    async def stop(self, job: Job, reason: str, elapsed: float) -> None:
        """Take the next step of the end; see the protocol."""
        lives, news = await asyncio.to_thread(self._stop, job, reason, elapsed)
        if lives and news:
            await self._poke(job)

    async def logs(self, job: Job, offset: int, limit: int) -> LogPage:
        """Read the log of the host and its kernels."""
        return await asyncio.to_thread(self._logs, job, offset, limit)

    async def adopt(self, store_uuid: str, known: Mapping[str, Job]) -> Sequence[str]:
        """End this store's processes of sessions that are not known; returns when they are gone (20 s at most)."""
        return await end_strangers(store_uuid, known, self._adopt_grace)

    async def close(self) -> None:
        """Let go of the hosts, which go on; called once at the server's end."""
        for poke in list(self._pokes):
            poke.cancel()
        await asyncio.gather(*self._pokes, return_exceptions=True)
        self._spawner.close()

    def _machine_faults(self, wants: Wants, known: set[str]) -> list[FieldViolation]:
        """Name what only the machine can tell, but for fields that are faulty already."""
        faults = []
        for look in (lambda: self._choice.resolve(wants), lambda: check_cwd(wants.cwd) if wants.cwd else ""):
            try:
                look()
            except CannotHonour as error:
                if error.violation.field not in known:
                    faults.append(error.violation)
        return faults

    def _resolve(self, session: Session) -> dict[str, KernelSpecEntry]:
        wants, faults = read_wants(session)
        if faults:
            raise InvalidArgument(faults)
        try:
            return self._choice.resolve(wants)
        except CannotHonour as error:
            raise InvalidArgument([error.violation]) from error

    def _start(self, job: Job, incarnation: int) -> None:
        entries = self._resolve(job.session)
        job.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        job.lock_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._on_step("clean")
        for name in _STALE_FILES:
            with contextlib.suppress(FileNotFoundError):
                (job.directory / name).unlink()
        self._observer.forget(job.uuid)
        self._on_step("intent")
        intent = self._new_intent(job, incarnation, entries)
        write(job.directory, intent)
        self._on_step("spawn")
        self._spawner.spawn(job.directory, intent)
        self._on_step("spawned")

    def _new_intent(self, job: Job, incarnation: int, entries: dict[str, KernelSpecEntry]) -> Intent:
        session = job.session
        wants, _ = read_wants(session)
        env = dict(wants.env)
        if wants.index_url:
            env.update(PIP_INDEX_URL=wants.index_url, UV_DEFAULT_INDEX=wants.index_url, UV_INDEX_URL=wants.index_url)
        return Intent(
            store_uuid=job.store_uuid,
            session_uuid=job.uuid,
            incarnation=incarnation,
            wanted="run",
            socket_dir=str(socket_directory(job.directory, job.uuid)),
            lock_dir=str(job.lock_dir),
            kernels=entries,
            cwd=os.path.expanduser(wants.cwd) if wants.cwd else self._root_dir,
            cwd_fixed=bool(wants.cwd),
            kernel_env=env,
            ttl=session.ttl / _NS,
            idle_ttl=session.idle_ttl / _NS,
            active_since=_active_since(session),
            memory=wants.memory,
            boot_id=machine.boot_id(),
            **asdict(self._bounds),
        )

    def _rewrite(self, job: Job) -> bool:
        """Write the row's limits into the intent; False where they are there already or nobody is to read them."""
        intent = _intent(job.directory)
        if intent is None:
            return False
        session = job.session
        news = replace(
            intent,
            ttl=session.ttl / _NS,
            idle_ttl=session.idle_ttl / _NS,
            active_since=_active_since(session) or intent.active_since,
        )
        if news == intent:
            return False
        write(job.directory, news)
        return True

    def _stop(self, job: Job, reason: str, elapsed: float) -> tuple[bool, bool]:
        """Write the wish, take the step that is due; give whether a host lives and whether the wish is new to it."""
        intent = _intent(job.directory)
        news = intent is not None and intent.wanted != "stop"
        if intent is not None and news:
            try:
                write(job.directory, replace(intent, wanted="stop", reason=reason))
            except OSError as error:
                # A full disk must not keep a session alive: what cannot be asked in writing is asked by a signal.
                logger.warning("the end of session %s could not be written (%s); it is signalled", job.uuid, error)
                news, elapsed = False, max(elapsed, ASK_SECONDS)
        lives = lock_is_held(job.lock_dir / HOST_LOCK) or bool(self._spawner.running(job.uuid))
        self._ender.step(job, elapsed, lives)
        return lives, news

    def _logs(self, job: Job, offset: int, limit: int) -> LogPage:
        ended = not lock_is_held(job.lock_dir / HOST_LOCK) and not self._spawner.running(job.uuid)
        return read_log(job.directory / LOG_DIR, offset, limit, ended)

    async def _poke(self, job: Job) -> None:
        """Have the host read its intent now; it does so each second anyway, so nothing hangs on this."""
        seen = await self._observer.look(job)
        if isinstance(seen, Alive) and seen.address:
            task = asyncio.create_task(_poke(seen), name=f"poke {job.uuid}")
            self._pokes.add(task)
            task.add_done_callback(self._pokes.discard)


async def _poke(host: Alive) -> None:
    from jupyter_sessions.engines.hostlink import HostLink, HostUnreachable

    link = HostLink(host.address, host.token, host.uid)
    with contextlib.suppress(HostUnreachable):
        await link.request("POST", "/host/poke", timeout=POKE_SECONDS)
    link.close()


def _intent(directory: Path) -> Intent | None:
    """Read the intent; raises OSError (the reconciler's "cannot tell") also where it cannot be understood."""
    try:
        return read(directory, Intent)
    except (ValueError, UnknownVersion) as error:
        raise OSError(f"{directory / FILES[Intent]}: {error}") from error


def _active_since(session: Session) -> float:
    """Give when a session became ACTIVE, seconds since the epoch, 0.0 if it has not."""
    if session.state is State.ACTIVE:
        return session.state_time / _NS
    times = [entry.state_start_time for entry in session.state_history if entry.state is State.ACTIVE]
    return times[-1] / _NS if times else 0.0


def _offered(name: str, entry: KernelSpecEntry) -> OfferedKernel:
    spec = {
        "argv": [],
        "display_name": entry.display_name,
        "language": entry.language,
        "interrupt_mode": entry.interrupt_mode,
        "env": {},
        "metadata": dict(entry.metadata),
    }
    return OfferedKernel(name, spec, entry.resource_dir)
