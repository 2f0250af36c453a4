"""The thread that reads every kernel's iopub at once, so that no kernel ever drops output for want of a reader.

ZMQ's PUB drops what a slow subscriber has not taken. Here nothing is slow: each message is read as it comes, its state
taken note of, and put into the spool; whoever wants it reads it there. The event loop is only told that there is
something, once a burst.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import zmq

from jupyter_sessions.host.activity import Activity, Seen
from jupyter_sessions.host.frames import Part, Parts
from jupyter_sessions.host.spool import Log, Spool

DELIMITER = b"<IDS|MSG>"
_BURST = 256
_BURST_BYTES = 1 << 20
_RECEIVE_BUFFER = 4 << 20
log = logging.getLogger(__name__)


@dataclass
class News:
    """What one burst told: the state or the activity changed, which requests are done (their ids)."""

    state: bool = False
    activity: bool = False
    done: list[str] = field(default_factory=list)

    def add(self, seen: Seen) -> None:
        """Take in what one message told."""
        self.state |= seen.state
        self.activity |= seen.activity
        if seen.status == "idle":
            self.done.append(seen.parent_id)


@dataclass(eq=False)
class Source:
    """One kernel process's iopub: where it is, what its messages go to, and whom to tell on the event loop.

    ``on_news`` is called with the first burst, which says that the subscription is live, and with each that changed
    something; ``on_output`` with each that put something into ``output``.
    """

    url: str
    activity: Activity
    output: Log
    on_news: Callable[[Source, News], None]
    on_output: Callable[[], None]
    queue: int = 0
    heard: bool = False
    socket: zmq.Socket[bytes] | None = field(default=None, repr=False)


class Drain:
    """Reads sources on a thread of its own. ``open``, ``retire`` and ``close`` are called on the event loop."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], spool: Spool) -> None:
        self._context = context
        self._spool = spool
        self._loop = asyncio.get_running_loop()
        self._asked: queue.SimpleQueue[tuple[Callable[[], None], Future[None]]] = queue.SimpleQueue()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        self._sources: dict[zmq.Socket[bytes], Source] = {}
        self._poller = zmq.Poller()
        self._poller.register(self._wake_read, zmq.POLLIN)
        self._running = True
        self._thread = threading.Thread(target=self._run, name="iopub", daemon=True)
        self._thread.start()

    async def open(self, source: Source) -> None:
        """Subscribe to a source; done before its kernel's process starts, so that its first word is heard."""
        await self._ask(lambda: self._open(source))

    async def retire(self, source: Source, last: Sequence[Sequence[Part]] = ()) -> None:
        """Read what an ended process has still said, add ``last`` after it, and close the source."""
        await self._ask(lambda: self._retire(source, last))

    async def close(self) -> None:
        """Close every source and end the thread."""
        await self._ask(self._stop)
        await asyncio.to_thread(self._thread.join)
        os.close(self._wake_read)
        os.close(self._wake_write)

    async def _ask(self, work: Callable[[], None]) -> None:
        done: Future[None] = Future()
        self._asked.put((work, done))
        os.write(self._wake_write, b".")
        await asyncio.wrap_future(done)

    def _run(self) -> None:
        while self._running:
            for ready, _ in self._poller.poll():
                if ready == self._wake_read:
                    self._answer()
                elif source := self._sources.get(ready):
                    self._read(source)

    def _answer(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)
        while True:
            try:
                work, done = self._asked.get_nowait()
            except queue.Empty:
                return
            try:
                work()
            except Exception as error:
                done.set_exception(error)
            else:
                done.set_result(None)

    def _open(self, source: Source) -> None:
        socket = self._context.socket(zmq.SUB)
        socket.linger = 0
        socket.rcvhwm = source.queue
        socket.rcvbuf = _RECEIVE_BUFFER
        # A kernel's socket appears some time after its process: look for it every few ms, not every 100.
        socket.reconnect_ivl = 5
        socket.subscribe(b"")
        socket.connect(source.url)
        source.socket = socket
        self._sources[socket] = source
        self._poller.register(socket, zmq.POLLIN)

    def _retire(self, source: Source, last: Sequence[Sequence[Part]]) -> None:
        if source.socket is not None:
            while self._read(source):
                pass
            self._poller.unregister(source.socket)
            del self._sources[source.socket]
            source.socket.close(0)
            source.socket = None
        if last:
            source.output.append(last)
            self._tell(source.on_output)

    def _stop(self) -> None:
        for source in list(self._sources.values()):
            self._retire(source, ())
        self._running = False

    def _read(self, source: Source) -> bool:
        """Read one burst; False where there was nothing."""
        messages, news, count, size = [], News(), 0, 0
        while count < _BURST and size < _BURST_BYTES:
            try:
                # A closed socket and an interrupted call end the burst as an empty one does.
                received = source.socket.recv_multipart(zmq.NOBLOCK) if source.socket else []
            except zmq.ZMQError:
                break
            count += 1
            parts = _body(received)
            if parts is None:
                continue
            seen = source.activity.observe(parts)
            news.add(seen)
            if not seen.hidden:
                messages.append(parts)
                size += sum(map(len, parts))
        if count:
            self._hand_on(source, messages, news)
        return count > 0

    def _hand_on(self, source: Source, messages: Sequence[Parts], news: News) -> None:
        # What the host knows goes first: it never waits behind output.
        if news.state or news.activity or news.done or not source.heard:
            source.heard = True
            self._tell(lambda: source.on_news(source, news))
        if messages:
            source.output.append(messages)
            self._tell(source.on_output)
            self._spool.spill()

    def _tell(self, call: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call)


def _body(received: Sequence[bytes]) -> Parts | None:
    """Give a message's parts without topic, delimiter and signature; None where it is no message."""
    try:
        begin = received.index(DELIMITER) + 2
    except ValueError:
        return None
    if len(received) - begin < 4:
        return None
    return received[begin:]
