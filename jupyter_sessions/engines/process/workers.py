"""Threads that belong to one account: what hangs or takes long there keeps nobody else waiting."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
PATIENCE = 30.0
"""Seconds after which nobody waits any longer for what an account's files should have answered."""
MOST_WAITING = 200
"""How much may wait for one thread."""


def _nothing() -> None:
    """Begin with what the process has."""


class Worker:
    """One thread that does what it is given, in order. ``begin`` is called first, on it; should that fail, all does.

    The thread is a daemon: a file system that never answers keeps no process from ending.
    """

    def __init__(self, name: str, begin: Callable[[], None] = _nothing) -> None:
        self._name = name
        self._begin = begin
        self._wanted: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._guard = threading.Lock()

    def submit(self, work: Callable[..., T], *arguments: object) -> Future[T]:
        """Have ``work`` done; raises OSError where too much is waiting already."""
        if self._wanted.qsize() >= MOST_WAITING:
            raise OSError(f"too much waits for {self._name}: what it was given last takes too long")
        future: Future[T] = Future()
        with self._guard:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
        self._wanted.put((future, lambda: work(*arguments)))
        return future

    def do(self, work: Callable[..., T], *arguments: object) -> T:
        """Have ``work`` done and wait for it; raises what it raises."""
        return self.submit(work, *arguments).result()

    async def ask(self, work: Callable[..., T], *arguments: object) -> T:
        """Have ``work`` done without blocking the loop; raises what it raises, OSError where it takes too long."""
        try:
            return await asyncio.wait_for(asyncio.wrap_future(self.submit(work, *arguments)), PATIENCE)
        except asyncio.TimeoutError:
            raise OSError(f"{self._name} gave no answer within {PATIENCE:.0f} s") from None

    def close(self) -> None:
        """Let the thread end once it has done what it was given."""
        self._wanted.put(None)

    def _run(self) -> None:
        fault: Exception | None = None
        try:
            self._begin()
        except Exception as error:
            fault = error
        while (wanted := self._wanted.get()) is not None:
            future, work = wanted
            if not future.set_running_or_notify_cancel():
                continue
            try:
                if fault is not None:
                    raise OSError(f"{self._name} cannot work: {fault}")
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
            del future, work, wanted
