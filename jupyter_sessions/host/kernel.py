"""One kernel of a session: its process, its output, its clients."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import zmq

from jupyter_sessions.host.activity import Activity, isoformat
from jupyter_sessions.host.consumer import Consumer
from jupyter_sessions.host.dealers import Dealer, Dealers
from jupyter_sessions.host.drain import Drain, News, Source
from jupyter_sessions.host.frames import Part, Parts, read_json
from jupyter_sessions.host.manager import Manager
from jupyter_sessions.host.spool import Spool

CONSUMERS = 32
GONE = 86_400.0
"""Seconds a client that is gone is kept."""

_NUDGE = 0.5
_PATIENCE = 60.0
_HELD = 64 << 20
_HEARD, _UNBOUND = "heard", "unbound"
_QUEUE = 16
_SILENTLY = {"silent": True, "store_history": False, "user_expressions": {}, "allow_stdin": False}
UNBOUND = """exec('''try:
    thread = get_ipython().kernel.iopub_socket.io_thread
    thread.io_loop.add_callback(setattr, thread.socket, "sndhwm", 0)
except Exception:
    pass
''', {"get_ipython": get_ipython})"""
"""What an ipykernel is told before anything else: drop no output.

Its PUB keeps 1,000 messages for a subscriber and drops the rest, and a Unix socket's buffer adds a few hundred: on
busy cores the host's own input thread is late by more than that, however fast it reads. The host bounds output, so
the kernel need not. Silent, in a namespace of its own, it leaves no trace for a user's code.
"""
log = logging.getLogger(__name__)


class Socket(Protocol):
    """What a websocket is to its kernel: something a second one of the same client ends."""

    async def leave(self) -> None:
        """Stop writing."""

    def close(self) -> None:
        """Close the websocket."""


class TooManyClients(Exception):
    """A kernel has as many connected clients as it can serve."""


class Ending(RuntimeError):
    """A kernel that is being ended for good starts no process any more."""


class Kernel:
    """Runs one kernel and keeps what its clients have not read.

    ``on_change`` is called on the event loop with True for what may not wait (a state, a client more or less), False
    for mere activity; ``on_end`` once, when the kernel is dead and will not be started again.
    """

    def __init__(
        self,
        kernel_id: str,
        name: str,
        spool: Spool,
        drain: Drain,
        context: zmq.Context[zmq.Socket[bytes]],
        on_change: Callable[[Kernel, bool], None],
        on_end: Callable[[Kernel, str], None],
    ) -> None:
        self.id = kernel_id
        self.name = name
        self.started = 0.0
        self.dead = asyncio.Event()
        self.output = spool.open_log()
        self.consumers: dict[str, Consumer] = {}
        self.sockets: dict[str, Socket] = {}
        self.manager: Manager | None = None
        self._own = uuid.uuid4().hex
        self.activity = Activity(self._own)
        self._drain = drain
        self._context = context
        self._on_change = on_change
        self._on_end = on_end
        self._source: Source | None = None
        self._awaited: set[str] = set()
        self._nudging: asyncio.Task[None] | None = None
        self._live = asyncio.Event()
        self._held: list[tuple[Consumer, str, Parts]] = []
        self._held_bytes = 0
        self._ending = False

    # Its process

    async def start(self, manager: Manager, launch: Mapping[str, Any]) -> None:
        """Start the process; raises what the start raises, and then nothing of it is left."""
        self.manager = manager
        try:
            await manager.start_kernel(**launch)
        except BaseException:
            await self._finish("the kernel could not be started")
            raise
        manager.add_restart_callback(self._restarting, "restart")
        manager.add_restart_callback(self._died, "dead")

    async def prepare(self) -> None:
        """Listen where a new process will speak, and have all clients connected there; raises Ending."""
        self._refuse_if_ending()
        await self._retire()
        self._hold()
        # Again: the old process's last words were read meanwhile, and they ended in idle.
        self.activity.begin("restarting" if self.started else "starting")
        self.started = time.time()
        manager = self._process()
        unbound = manager.transport == "ipc"
        self._awaited = {_HEARD, _UNBOUND} if unbound else {_HEARD}
        queue = _QUEUE if unbound else 0
        self._source = Source(manager.url("iopub"), self.activity, self.output, self._news, self._output, queue)
        await self._drain.open(self._source)
        # The last moment before there is a process: one that began now would outlive the session.
        self._refuse_if_ending()
        for consumer in self.consumers.values():
            consumer.reconnect()
        self._stop_nudging()
        self._nudging = asyncio.create_task(self._nudge())

    async def interrupt(self) -> None:
        """Interrupt what the kernel executes, by signal or message as its spec says."""
        await self._process().interrupt_kernel()

    async def restart(self) -> None:
        """End the process and start a new one with the same id and, but for new output, the same clients."""
        manager = self._process()
        async with manager.acting:
            self._refuse_if_ending()
            self._hold()
            self.activity.begin("restarting")
            self._on_change(self, True)
            try:
                await manager.restart_kernel()
            except Exception:
                await self._finish("could not be started again")
                raise

    def begin_ending(self) -> None:
        """Let no new process start, neither one asked for nor one under way."""
        self._ending = True

    async def shutdown(self, now: bool = False, reason: str = "shut down") -> None:
        """End the kernel for good."""
        self.begin_ending()
        try:
            if self.manager is not None:
                async with self.manager.acting:
                    await self.manager.shutdown_kernel(now=now)
        finally:
            await self._finish(reason)

    @property
    def pid(self) -> int:
        """The process, 0 where there is none."""
        return self.manager.pid if self.manager is not None else 0

    def model(self) -> dict[str, Any]:
        """Give Jupyter's model of the kernel."""
        return {
            "id": self.id,
            "name": self.name,
            "last_activity": isoformat(self.activity.last_activity),
            "execution_state": self.activity.execution_state,
            "connections": sum(consumer.attached for consumer in self.consumers.values()),
        }

    def _refuse_if_ending(self) -> None:
        if self._ending:
            raise Ending(f"kernel {self.id} is being shut down")

    def _process(self) -> Manager:
        if self.manager is None:
            raise RuntimeError(f"kernel {self.id} has no process")
        return self.manager

    def _restarting(self) -> None:
        log.warning("kernel %s died and is started again", self.id)
        self._hold()
        self.activity.begin("restarting")
        self._on_change(self, True)
        if self._source is not None:
            self._keep(self._drain.retire(self._source, [self._status("restarting")]))

    def _died(self) -> None:
        log.error("kernel %s died and could not be started again", self.id)
        self._keep(self._finish("died"))

    async def _finish(self, reason: str) -> None:
        """Say to all that the kernel is dead, after everything it has said."""
        if self.activity.execution_state == "dead":
            return
        self.activity.end()
        self._stop_nudging()
        await self._retire([self._status("dead")])
        await self._process().clear()
        self.dead.set()
        self._live.set()
        for consumer in list(self.consumers.values()):
            consumer.hang_up()
            if not consumer.attached:
                self.forget(consumer)
            consumer.wake.set()
        if not self.consumers:
            self.output.close()
        self._on_end(self, reason)

    async def _retire(self, last: Sequence[Sequence[Part]] = ()) -> None:
        if self._source is not None:
            source, self._source = self._source, None
            await self._drain.retire(source, last)

    def stderr(self, text: str, parent: Part) -> list[Part]:
        """Make a line of stderr of the host's own, the output of ``parent`` (a packed header)."""
        made = self._message("stream", {"name": "stderr", "text": text})
        return [made[0], parent, *made[2:]]

    def _message(self, kind: str, content: dict[str, Any]) -> list[Part]:
        session = self._process().session
        message = session.msg(kind, content)
        return [session.pack(message[key]) for key in ("header", "parent_header", "metadata", "content")]

    def _status(self, state: str) -> list[Part]:
        return self._message("status", {"execution_state": state})

    # What the drain tells

    def _news(self, source: Source, news: News) -> None:
        if source is not self._source:
            return
        self._met(_HEARD)
        for request in news.done:
            for consumer in self.consumers.values():
                consumer.done(request)
        if news.state or news.activity:
            self._on_change(self, news.state)

    def _output(self) -> None:
        for consumer in self.consumers.values():
            if consumer.attached:
                consumer.wake.set()

    def _hold(self) -> None:
        """Keep what clients say until a new process is heard: the old one would not answer."""
        self._awaited.clear()
        self._live.clear()

    def _go_live(self) -> None:
        self._awaited.clear()
        self._live.set()
        self._stop_nudging()
        held, self._held, self._held_bytes = self._held, [], 0
        for consumer, channel, parts in held:
            if self.consumers.get(consumer.session_id) is consumer:
                consumer.send(channel, parts)

    async def _nudge(self) -> None:
        """Ask until iopub is heard, and an ipykernel has taken :data:`UNBOUND`: not before then is nothing lost."""
        control, shell = self._own_dealer("control"), self._own_dealer("shell")
        try:
            if _UNBOUND in self._awaited:
                self._ask(shell, "execute_request", {**_SILENTLY, "code": UNBOUND})
            for _ in range(int(_PATIENCE / _NUDGE)):
                for dealer in (control, shell):
                    self._ask(dealer, "kernel_info_request", {})
                await asyncio.sleep(_NUDGE)
        finally:
            control.close()
            shell.close()
        log.warning("kernel %s says nothing on iopub; its clients' requests go out all the same", self.id)
        self._go_live()

    def _answered(self, parts: Parts) -> None:
        if read_json(parts[0]).get("msg_type") == "execute_reply":
            self._met(_UNBOUND)

    def _met(self, condition: str) -> None:
        """Go live with the last condition."""
        if condition in self._awaited:
            self._awaited.discard(condition)
            if not self._awaited:
                self._go_live()

    def _ask(self, dealer: Dealer, kind: str, content: Mapping[str, Any]) -> None:
        session = self._process().session
        message = session.msg(kind, dict(content))
        message["header"]["session"] = self._own
        parts = session.serialize(message)
        dealer.send(parts[2:], parts[1])

    def _own_dealer(self, channel: str) -> Dealer:
        return Dealer(self._context, self._process().url(channel), uuid.uuid4().hex.encode(), self._answered)

    def _stop_nudging(self) -> None:
        if self._nudging is not None and self._nudging is not asyncio.current_task():
            self._nudging.cancel()
            self._keep(_ended(self._nudging))
        self._nudging = None

    # Its clients

    def attach(self, session_id: str) -> Consumer:
        """Give the client of this name, known or new; raises TooManyClients."""
        consumer = self.consumers.get(session_id)
        if consumer is None:
            self._make_room()
            consumer = Consumer(session_id, self.output.cursor(), self._connector(session_id), self._sign)
            self.consumers[session_id] = consumer
        consumer.attach()
        self._on_change(self, True)
        return consumer

    def detach(self, consumer: Consumer, keep: bool) -> None:
        """A client's websocket is closed; ``keep`` its place for when it comes back."""
        consumer.detach()
        if self.dead.is_set() or not keep:
            self.forget(consumer)
        self._on_change(self, True)

    def forget(self, consumer: Consumer) -> None:
        """Give up a client's place."""
        if self.consumers.get(consumer.session_id) is consumer:
            del self.consumers[consumer.session_id]
        consumer.close()
        if self.dead.is_set() and not self.consumers:
            self.output.close()

    def expire(self, now: float, gone: float = GONE) -> None:
        """Forget the clients that have been gone for ``gone`` seconds at ``now`` (monotonic)."""
        for consumer in list(self.consumers.values()):
            if not consumer.attached and now - consumer.gone_at >= gone:
                self.forget(consumer)

    async def send(self, consumer: Consumer, channel: str, parts: Parts) -> None:
        """Hand a client's message to the kernel, at once or when its iopub is heard; waits where too much is held."""
        if self.dead.is_set():
            return
        if self._live.is_set():
            consumer.send(channel, parts)
            return
        self._held_bytes += sum(map(len, parts))
        self._held.append((consumer, channel, parts))
        if self._held_bytes > _HELD:
            await self._live.wait()

    def _make_room(self) -> None:
        if len(self.consumers) < CONSUMERS:
            return
        gone = [consumer for consumer in self.consumers.values() if not consumer.attached]
        if not gone:
            raise TooManyClients(f"kernel {self.id} has {CONSUMERS} clients already; close one of them")
        self.forget(min(gone, key=lambda consumer: consumer.gone_at))

    def _connector(self, session_id: str) -> Callable[[Callable[[str, Parts], None]], Dealers]:
        def connect(on_reply: Callable[[str, Parts], None]) -> Dealers:
            manager = self._process()
            urls = {channel: manager.url(channel) for channel in ("stdin", "control", "shell")}
            return Dealers(self._context, urls, session_id.encode("ascii"), on_reply)

        return connect

    def _sign(self, parts: Parts) -> bytes:
        signature: bytes = self._process().session.sign(list(parts))
        return signature

    def _keep(self, work: Any) -> None:
        """Run a coroutine beside and hold its task until it is done."""
        task = asyncio.ensure_future(work)
        _TASKS.add(task)
        task.add_done_callback(_TASKS.discard)


_TASKS: set[asyncio.Future[Any]] = set()


async def _ended(task: asyncio.Task[None]) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await task
