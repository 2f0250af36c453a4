"""What this service knows of its sessions' kernels without asking: each host tells it on its side stream.

Used on the event loop only. Nothing here judges who may see what.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from jupyter_sessions.engines.hostlink import MAX_TOLD, HostLink
from jupyter_sessions.engines.patience import within
from jupyter_sessions.engines.sidestream import PATH, SideStream
from jupyter_sessions.model.api import KernelHost, KernelHosts, KernelSocket, Sink, Unsubscribe
from jupyter_sessions.model.names import SessionName
from jupyter_sessions.model.states import State

PATIENCE = 3.0
"""Seconds after which a host that has said nothing yet is waited for no longer."""
KERNELS_KEPT = 1000
"""How many kernels of one session are remembered: a host is its user's own program and may say anything."""
LOGOS_KEPT = 20
"""How many logo files of one kernel are remembered."""
DEAD_KEPT = 1000
"""How many dead kernels are remembered with their reason; the oldest go first."""
SHUT_DOWN = "shut down"
"""The reason by which a host says that somebody ended a kernel: it is gone, not dead."""

_DEAD = "dead"
_WORDS = ("id", "name", "last_activity", "execution_state")
_LONGEST_WORD, _LONGEST_REASON = 255, 1000
_LONGEST_PAUSE = 5.0


@dataclass(frozen=True)
class KnownKernel:
    """One kernel: ``model`` has Jupyter's stock keys, ``name`` as the host calls it.

    ``message`` says why a dead one died. ``seen``: its host has named it in a list.
    """

    session: SessionName
    session_uuid: str
    model: Mapping[str, Any]
    message: str = ""
    seen: bool = False

    @property
    def id(self) -> str:
        """The kernel's id."""
        return str(self.model["id"])

    @property
    def dead(self) -> bool:
        """Whether it has ended and will not run again by itself."""
        return bool(self.model["execution_state"] == _DEAD)


def reached(host: KernelHost) -> bool:
    """Say whether a session's host can be spoken to over a Unix socket now."""
    return host.state is State.ACTIVE and host.address.startswith("unix:")


@dataclass
class KernelMemory:
    """The kernels of every session of ``hosts``, and its logos; begins to follow the hosts when it is first asked."""

    hosts: KernelHosts
    log: logging.Logger
    _kernels: dict[str, dict[str, KnownKernel]] = field(default_factory=dict)
    _dead: dict[tuple[str, str], None] = field(default_factory=dict)
    _followers: dict[str, _Follower] = field(default_factory=dict)
    _deaths: dict[tuple[str, str], asyncio.Event] = field(default_factory=dict)
    _forgotten: set[tuple[str, str]] = field(default_factory=set)
    _unsubscribe: Unsubscribe | None = None

    def follow(self) -> None:
        """Begin to follow the hosts, unless that has begun."""
        if self._unsubscribe is None:
            self._unsubscribe = self.hosts.watch_hosts(self._changed)
            for host in self.hosts.kernel_hosts():
                self._changed(host)

    async def ready(self, uuids: Collection[str]) -> None:
        """Wait until the hosts of these sessions have told their kernels, for each PATIENCE at most from its start.

        Name a caller's own sessions only: a host that says nothing keeps nobody else waiting.
        """
        self.follow()
        followers = [self._followers[uuid] for uuid in uuids if uuid in self._followers]
        await asyncio.gather(*(follower.heard_in_time() for follower in followers if not follower.heard.is_set()))

    async def close(self) -> None:
        """Follow no host any more."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        followers = list(self._followers.values())
        self._followers.clear()
        for follower in followers:
            follower.close()
        await asyncio.gather(*(follower.task for follower in followers), return_exceptions=True)

    def of_session(self, uuid: str) -> list[KnownKernel]:
        """Give a session's kernels, oldest first, the dead too."""
        return list(self._kernels.get(uuid, {}).values())

    def find(self, kernel_id: str) -> list[KnownKernel]:
        """Give every kernel of this id; more than one only where two sessions were asked for the same."""
        return [kernels[kernel_id] for kernels in self._kernels.values() if kernel_id in kernels]

    def logos(self, uuid: str, kernel: str) -> Mapping[str, str]:
        """Give the logo files of a session's kernel by Jupyter's name of the resource, as the host told them."""
        follower = self._followers.get(uuid)
        return follower.logos.get(kernel, {}) if follower is not None else {}

    def silent(self, uuid: str) -> bool:
        """Whether a session's host has not told its kernels yet."""
        follower = self._followers.get(uuid)
        return follower is not None and not follower.heard.is_set()

    async def death(self, kernel: KnownKernel, seconds: float) -> str:
        """Wait for the news that a kernel is dead or gone, and give why; ``""`` where none has come by then."""
        key = (kernel.session_uuid, kernel.id)
        if (known := self._known(key)) is not None and not known.dead:
            event = self._deaths.setdefault(key, asyncio.Event())
            with contextlib.suppress(asyncio.TimeoutError):
                await within(event.wait(), seconds)
        known = self._known(key)
        if known is None:
            return "the kernel was shut down"
        return known.message if known.dead else ""

    # What is told

    def started(self, host: KernelHost, model: Mapping[str, Any]) -> None:
        """Take in a kernel that was started just now; what the stream has told of it meanwhile stays."""
        key = (host.session_uuid, str(model["id"]))
        self._forgotten.discard(key)
        known = self._known(key)
        if known is None or known.dead:
            self._put(host, model, seen=False)

    def forget(self, kernel: KnownKernel) -> None:
        """Forget a kernel that was ended just now; what the stream still says of its last moments is not heard."""
        if not kernel.dead:
            self._forgotten.add((kernel.session_uuid, kernel.id))
        self._end(kernel, "")

    def take(self, host: KernelHost, event: Mapping[str, Any]) -> None:
        """Take one event of a host's stream; raises KeyError, TypeError or ValueError for what is none."""
        kind = event["type"]
        if kind == "kernels":
            self._sync(host, event["kernels"])
        elif kind == "kernel":
            self._put(host, event["kernel"], seen=True)
        elif kind == "gone":
            key = (host.session_uuid, str(event["id"]))
            self._forgotten.discard(key)
            known = self._known(key)
            reason = str(event.get("reason") or SHUT_DOWN)[:_LONGEST_REASON].encode(errors="replace").decode()
            if known is not None:
                self._end(known, "" if reason == SHUT_DOWN else _words(reason))

    def _known(self, key: tuple[str, str]) -> KnownKernel | None:
        return self._kernels.get(key[0], {}).get(key[1])

    def _sync(self, host: KernelHost, models: list[Mapping[str, Any]]) -> None:
        # However much a host says, the loop is everybody's.
        models = models[:KERNELS_KEPT]
        for model in models:
            self._put(host, model, seen=True)
        named = {str(model["id"]) for model in models}
        self._forgotten = {key for key in self._forgotten if key[0] != host.session_uuid or key[1] in named}
        for kernel in self.of_session(host.session_uuid):
            if kernel.id in named or kernel.dead:
                continue
            if kernel.seen:
                self._end(kernel, "the kernel has ended")
            else:
                # The list may be older than the start.
                self._kernels[kernel.session_uuid][kernel.id] = replace(kernel, seen=True)

    def _put(self, host: KernelHost, model: Mapping[str, Any], seen: bool) -> None:
        stock = stock_model(model)
        key = (host.session_uuid, stock["id"])
        dead = stock["execution_state"] == _DEAD
        known = self._known(key) is not None
        if key in self._forgotten or (dead and not known):
            return
        kernels = self._kernels.setdefault(host.session_uuid, {})
        if not known and len(kernels) >= KERNELS_KEPT:
            return
        message = _words("died") if dead else ""
        kernels[stock["id"]] = KnownKernel(host.session, host.session_uuid, stock, message, seen)
        self._dead.pop(key, None)
        if message:
            self._dead[key] = None
            self._wake(key)

    def _end(self, kernel: KnownKernel, message: str) -> None:
        """Mark a kernel as dead because of ``message``, or forget it where there is none."""
        key = (kernel.session_uuid, kernel.id)
        self._drop(key)
        if message:
            model = {**kernel.model, "execution_state": _DEAD, "connections": 0}
            self._kernels.setdefault(key[0], {})[key[1]] = replace(kernel, model=model, message=message)
            self._dead[key] = None
            while len(self._dead) > DEAD_KEPT:
                self._drop(next(iter(self._dead)))
        self._wake(key)

    def _drop(self, key: tuple[str, str]) -> None:
        self._dead.pop(key, None)
        kernels = self._kernels.get(key[0], {})
        kernels.pop(key[1], None)
        if not kernels:
            self._kernels.pop(key[0], None)

    def _wake(self, key: tuple[str, str]) -> None:
        event = self._deaths.pop(key, None)
        if event is not None:
            event.set()

    def _changed(self, host: KernelHost) -> None:
        present = self._followers.get(host.session_uuid)
        if reached(host):
            if present is None or not present.reaches(host):
                if present is not None:
                    present.close()
                self._followers[host.session_uuid] = _Follower(self, host)
            return
        if present is not None:
            present.close()
            del self._followers[host.session_uuid]
            self._forgotten = {key for key in self._forgotten if key[0] != host.session_uuid}
        if host.state is not State.ACTIVE:
            why = f": {host.state_message}" if host.state_message else ""
            for kernel in self.of_session(host.session_uuid):
                if not kernel.dead:
                    self._end(kernel, f"the session {host.session.id} is {host.state.name}{why}")


class _Follower:
    """Reads one host's side stream into the memory, until closed."""

    def __init__(self, memory: KernelMemory, host: KernelHost) -> None:
        self._memory, self._host = memory, host
        self._link = HostLink(host.address, host.token, host.uid)
        self._since = asyncio.get_running_loop().time()
        self.heard = asyncio.Event()
        self.logos: dict[str, dict[str, str]] = {}
        self._stream = SideStream(self._dial, self._take, self._broke, _LONGEST_PAUSE)
        self.task = self._stream.task

    def reaches(self, host: KernelHost) -> bool:
        """Whether following ``host`` would be just this."""
        mine = self._host
        return (mine.address, mine.token, mine.uid) == (host.address, host.token, host.uid)

    def close(self) -> None:
        """Stop."""
        self._stream.close()
        self._link.close()

    async def heard_in_time(self) -> None:
        """Wait until the host has told its kernels, or it is PATIENCE since this began."""
        left = self._since + PATIENCE - asyncio.get_running_loop().time()
        if left > 0:
            with contextlib.suppress(asyncio.TimeoutError):
                await within(self.heard.wait(), left)

    async def _dial(self, sink: Sink) -> KernelSocket:
        await self._read_logos()
        return await self._link.websocket(PATH, max_message_size=MAX_TOLD, sink=sink)

    def _take(self, event: Mapping[str, Any]) -> None:
        self._memory.take(self._host, event)
        if event["type"] == "kernels":
            self.heard.set()

    def _broke(self, why: str) -> None:
        self._memory.log.info("session %s: %s; its kernels' states may be old", self._host.session.id, why)

    async def _read_logos(self) -> None:
        """Learn, once, which logos the session's kernels have: they do not change while it lives."""
        if self.logos:
            return
        status, answer = await self._link.request("GET", "/api/kernelspecs")
        specs = answer.get("kernelspecs") if status == 200 and isinstance(answer, dict) else None
        if isinstance(specs, dict):
            self.logos = {kernel.name: _files(specs.get(kernel.name)) for kernel in self._host.kernels}


def _files(spec: Any) -> dict[str, str]:
    """Give the logo files that a host's kernelspec names, as far as they can be told on."""
    resources = spec.get("resources") if isinstance(spec, dict) else None
    if not isinstance(resources, dict):
        return {}
    files = {key: path.rsplit("/", 1)[-1] for key, path in resources.items() if isinstance(path, str)}
    return dict([(key, file) for key, file in files.items() if _word(key) and _word(file)][:LOGOS_KEPT])


def stock_model(model: Mapping[str, Any]) -> dict[str, Any]:
    """Give the stock keys of a model; raises ValueError or KeyError where they are not what Jupyter's are."""
    stock = {key: model[key] for key in (*_WORDS, "connections")}
    if not all(_word(stock[key]) for key in _WORDS):
        raise ValueError("a kernel's model has a word that is none or too long")
    if not isinstance(stock["connections"], int):
        raise ValueError("a kernel's model counts its connections in no number")
    return stock


def _word(value: Any) -> bool:
    """Whether a value is text, not long, that can be written as UTF-8: half a letter would fail whoever lists it."""
    return isinstance(value, str) and len(value) <= _LONGEST_WORD and not any("\ud800" <= x <= "\udfff" for x in value)


def _words(reason: str) -> str:
    return {"died": "the kernel died and could not be started again"}.get(reason, reason)
