"""``ProcessEngine``: sessions as processes of this machine, needing no account, no configuration and no network."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from jupyter_sessions.engines.base import Alive, Gone, Job, Observation
from jupyter_sessions.engines.process import machine
from jupyter_sessions.engines.process.accounts import Account, Accounts, owner_of
from jupyter_sessions.engines.process.ending import ASK_SECONDS, AccountsFinder, Ender, OwnFinder, end_strangers
from jupyter_sessions.engines.process.eyes import AccountEyes, OwnEyes
from jupyter_sessions.engines.process.files import OwnFiles, read_record, write_record
from jupyter_sessions.engines.process.kernelspecs import CannotHonour, KernelChoice, Specs
from jupyter_sessions.engines.process.logs import read_log
from jupyter_sessions.engines.process.observe import Observer
from jupyter_sessions.engines.process.places import socket_directory
from jupyter_sessions.engines.process.sites import Site
from jupyter_sessions.engines.process.spawn import Spawner
from jupyter_sessions.engines.process.survey import Found
from jupyter_sessions.engines.process.wants import HONOURED, MEMORY, MEMORY_LIMITED, Wants, read_wants
from jupyter_sessions.model.api import LogPage, OfferedKernel
from jupyter_sessions.model.errors import FailedPrecondition, FieldViolation, InvalidArgument
from jupyter_sessions.model.hostfile import (
    FILES,
    MARKED,
    TOKEN,
    Heartbeat,
    HostProcess,
    Intent,
    KernelSpecEntry,
    Ready,
    UnknownVersion,
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
    kernel, ``withheld`` are variables of this process that sessions are not given. With ``accounts`` each session runs
    as its owner's account instead, its files lie where that says, and ``specs`` and ``root_dir`` are not used: what can
    run is what that account sees, and it begins in its home. The rest serves tests: ``command`` starts a host,
    ``clock`` gives wall-clock seconds, ``on_step`` is called with the name of each step of a start before it is taken,
    ``adopt_grace`` is how old in seconds a process must be to be taken for a left-over. Raises FailedPrecondition where
    the system is none that it can work on.
    """

    name = "process"

    def __init__(
        self,
        specs: Specs,
        root_dir: str,
        default_kernel: str = "python3",
        bounds: Bounds | None = None,
        *,
        accounts: Accounts | None = None,
        withheld: Collection[str] = (),
        command: Sequence[str] = HOST_COMMAND,
        clock: Callable[[], float] = time.time,
        on_step: Callable[[str], None] = _no_step,
        adopt_grace: float = ADOPT_GRACE_SECONDS,
    ) -> None:
        if why := unsupported():
            raise FailedPrecondition(why)
        root_dir = os.path.abspath(os.path.expanduser(root_dir))
        self.accounts = accounts
        self._own = OwnEyes(KernelChoice(specs, default_kernel, withheld), root_dir)
        self._others = AccountEyes(default_kernel, command[0])
        self._bounds = bounds or Bounds()
        self._on_step = on_step
        self._adopt_grace = adopt_grace
        self._spawner = Spawner(command, clock, withheld)
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
        known = {fault.field for fault in faults}
        try:
            found = await self._look(wanted, wants)
        except CannotHonour as error:
            return [*faults, error.violation]
        return [*faults, *(fault for fault in found.faults if fault.field not in known)]

    async def kernels(self, job: Job) -> Sequence[OfferedKernel]:
        """Give the kernels the session was started with."""
        site = self._site(job)
        intent = await site.in_thread(_intent, site)
        entries = intent.kernels if intent else (await self._resolve(job.session)).kernels
        # What lies in another account's directory is not for this one to read.
        logos = site.account is None
        return [_offered(name, entry, entry.resource_dir if logos else "") for name, entry in entries.items()]

    async def start(self, job: Job, incarnation: int) -> None:
        """Write the intent and spawn the host. Raises InvalidArgument where what was checked is there no more."""
        found = await self._resolve(job.session)
        account = await self._account(job.session)
        if account is not None and self.accounts is not None:
            await asyncio.to_thread(self.accounts.prepare, account)
        site = self._site(job)
        await site.in_thread(self._start, site, incarnation, found, account)

    async def observe(self, job: Job) -> Observation:
        """Say whether the session's host lives."""
        seen = await self._observer.look(self._site(job))
        if isinstance(seen, Gone) and not seen.marked:
            self._ender.forget(job.uuid)
        return seen

    async def update(self, job: Job) -> None:
        """Hand limits and ACTIVE time to the live host, and have it look at once."""
        site = self._site(job)
        if await site.in_thread(self._rewrite, site):
            await self._poke(site)

    async def stop(self, job: Job, reason: str, elapsed: float) -> None:
        """Take the next step of the end; see the protocol."""
        site = self._site(job)
        lives, news = await site.in_thread(self._stop, site, reason, elapsed)
        if lives and news:
            await self._poke(site)

    async def logs(self, job: Job, offset: int, limit: int) -> LogPage:
        """Read the log of the host and its kernels."""
        site = self._site(job)
        return await site.in_thread(self._logs, site, offset, limit)

    async def adopt(self, store_uuid: str, known: Mapping[str, Job]) -> Sequence[str]:
        """End this store's processes of sessions that are not known; returns when they are gone (20 s at most)."""
        if self.accounts is None:
            return await end_strangers(store_uuid, known, self._adopt_grace, OwnFinder(), asyncio.to_thread)
        run = self.accounts.office().ask
        return await end_strangers(store_uuid, known, self._adopt_grace, AccountsFinder(), run)

    async def close(self) -> None:
        """Let go of the hosts, which go on; called once at the server's end."""
        for poke in list(self._pokes):
            poke.cancel()
        await asyncio.gather(*self._pokes, return_exceptions=True)
        self._spawner.close()

    def _site(self, job: Job) -> Site:
        if self.accounts is not None:
            return self.accounts.site(job)
        files = OwnFiles(job.directory, job.lock_dir)
        return Site(job, files, files)

    async def _account(self, wanted: Session) -> Account | None:
        """Give the account a session runs as, None for this process's own; raises InvalidArgument."""
        if self.accounts is None:
            return None
        try:
            return await asyncio.to_thread(self.accounts.resolve, owner_of(wanted))
        except CannotHonour as error:
            raise InvalidArgument([error.violation]) from error

    async def _look(self, wanted: Session | SessionTemplate, wants: Wants) -> Found:
        """Look at what the machine has, as whoever would run it; raises CannotHonour where that is nobody."""
        if self.accounts is None:
            return await self._own.look(wants)
        # A template has no owner: whoever uses it sees kernels of their own.
        if not hasattr(wanted, "user"):
            return Found()
        account = await asyncio.to_thread(self.accounts.resolve, owner_of(cast("Session", wanted)))
        return await self._others.look(account, wants)

    async def _resolve(self, session: Session) -> Found:
        wants, faults = read_wants(session)
        if faults:
            raise InvalidArgument(faults)
        try:
            found = await self._look(session, wants)
        except CannotHonour as error:
            raise InvalidArgument([error.violation]) from error
        if not found.kernels:
            raise InvalidArgument(found.faults)
        return found

    def _start(self, site: Site, incarnation: int, found: Found, account: Account | None) -> None:
        site.files.prepare(())
        self._on_step("clean")
        site.files.prepare(_STALE_FILES)
        self._observer.forget(site.uuid)
        self._on_step("intent")
        intent = self._new_intent(site, incarnation, found)
        _write(site, intent)
        self._on_step("spawn")
        self._spawner.spawn(site, intent, account)
        self._on_step("spawned")

    def _new_intent(self, site: Site, incarnation: int, found: Found) -> Intent:
        job, session = site.job, site.job.session
        wants, _ = read_wants(session)
        env = dict(wants.env)
        if wants.index_url:
            env.update(PIP_INDEX_URL=wants.index_url, UV_DEFAULT_INDEX=wants.index_url, UV_INDEX_URL=wants.index_url)
        return Intent(
            store_uuid=job.store_uuid,
            session_uuid=job.uuid,
            incarnation=incarnation,
            wanted="run",
            socket_dir=str(site.place or socket_directory(job.directory, job.uuid)),
            lock_dir=str(site.place or job.lock_dir),
            kernels=found.kernels,
            cwd=found.cwd,
            cwd_fixed=bool(wants.cwd),
            kernel_env=env,
            ttl=session.ttl / _NS,
            idle_ttl=session.idle_ttl / _NS,
            active_since=_active_since(session),
            memory=wants.memory,
            boot_id=machine.boot_id(),
            **asdict(self._bounds),
        )

    def _rewrite(self, site: Site) -> bool:
        """Write the row's limits into the intent; False where they are there already or nobody is to read them."""
        intent = _intent(site)
        if intent is None:
            return False
        session = site.job.session
        news = replace(
            intent,
            ttl=session.ttl / _NS,
            idle_ttl=session.idle_ttl / _NS,
            active_since=_active_since(session) or intent.active_since,
        )
        if news == intent:
            return False
        _write(site, news)
        return True

    def _stop(self, site: Site, reason: str, elapsed: float) -> tuple[bool, bool]:
        """Write the wish, take the step that is due; give whether a host lives and whether the wish is new to it."""
        intent = _intent(site)
        news = intent is not None and intent.wanted != "stop"
        if intent is not None and news:
            try:
                _write(site, replace(intent, wanted="stop", reason=reason))
            except OSError as error:
                # A full disk must not keep a session alive: what cannot be asked in writing is asked by a signal.
                logger.warning("the end of session %s could not be written (%s); it is signalled", site.uuid, error)
                news, elapsed = False, max(elapsed, ASK_SECONDS)
        lives = self._lives(site)
        self._ender.step(site, elapsed, lives)
        return lives, news

    def _lives(self, site: Site) -> bool:
        """Say whether a host lives, as far as it is to be asked before it is signalled."""
        try:
            return site.files.held() or bool(self._spawner.running(site.uuid))
        except OSError:
            # Whatever another account has made of its lock, its session ends when it must.
            if site.account is None:
                raise
            return True

    def _logs(self, site: Site, offset: int, limit: int) -> LogPage:
        ended = not self._lives(site)
        return read_log(site.files.log(), offset, limit, ended)

    async def _poke(self, site: Site) -> None:
        """Have the host read its intent now; it does so each second anyway, so nothing hangs on this."""
        seen = await self._observer.look(site)
        if isinstance(seen, Alive) and seen.address:
            task = asyncio.create_task(_poke(seen), name=f"poke {site.uuid}")
            self._pokes.add(task)
            task.add_done_callback(self._pokes.discard)


async def _poke(host: Alive) -> None:
    from jupyter_sessions.engines.hostlink import HostLink, HostUnreachable

    link = HostLink(host.address, host.token, host.uid)
    with contextlib.suppress(HostUnreachable):
        await link.request("POST", "/host/poke", timeout=POKE_SECONDS)
    link.close()


def _intent(site: Site) -> Intent | None:
    """Read the intent; raises OSError (the reconciler's "cannot tell") also where it cannot be understood."""
    try:
        return read_record(site.books, Intent)
    except (ValueError, UnknownVersion) as error:
        raise OSError(f"{site.books.directory / FILES[Intent]}: {error}") from error


def _write(site: Site, intent: Intent) -> None:
    """Write down what is wanted, for this service and then for the host; raises OSError."""
    write_record(site.books, intent)
    if site.files is not site.books:
        write_record(site.files, intent)


def _active_since(session: Session) -> float:
    """Give when a session became ACTIVE, seconds since the epoch, 0.0 if it has not."""
    if session.state is State.ACTIVE:
        return session.state_time / _NS
    times = [entry.state_start_time for entry in session.state_history if entry.state is State.ACTIVE]
    return times[-1] / _NS if times else 0.0


def _offered(name: str, entry: KernelSpecEntry, resource_dir: str) -> OfferedKernel:
    spec = {
        "argv": [],
        "display_name": entry.display_name,
        "language": entry.language,
        "interrupt_mode": entry.interrupt_mode,
        "env": {},
        "metadata": dict(entry.metadata),
    }
    return OfferedKernel(name, spec, resource_dir)
