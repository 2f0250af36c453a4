"""How a gateway's news of kernels reach who follows a session: by its side stream, or out of the list of kernels."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jupyter_sessions.engines.hostlink import HostUnreachable
from jupyter_sessions.model.parents import session_of

if TYPE_CHECKING:
    from jupyter_sessions.upstream.gateway_wire import Wire

log = logging.getLogger(__name__)

Take = Callable[[Mapping[str, Any]], None]

MISSES = 2
"""Whole lists that must lack a kernel before it is gone: a list may be older than a start."""
STREAM_MESSAGE = 16 << 20
"""Largest event of a side stream, in bytes."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0


class Book:
    """The kernels that a gateway has listed, by their ids; one that is missing once stays."""

    def __init__(self) -> None:
        self._models: dict[str, Mapping[str, Any]] = {}
        self._misses: dict[str, int] = {}

    def read(self, models: Sequence[Mapping[str, Any]]) -> None:
        """Take in a whole list."""
        named = {str(model["id"]): model for model in models}
        for gone in [known for known in self._models if known not in named]:
            self._misses[gone] = self._misses.get(gone, 0) + 1
            if self._misses[gone] >= MISSES:
                self.drop(gone)
        for kernel_id, model in named.items():
            self._models[kernel_id] = model
            self._misses.pop(kernel_id, None)

    def note(self, model: Mapping[str, Any]) -> None:
        """Take in one kernel that was just started."""
        self._models.setdefault(str(model["id"]), model)

    def drop(self, kernel_id: str) -> None:
        """Forget a kernel."""
        self._models.pop(kernel_id, None)
        self._misses.pop(kernel_id, None)

    def get(self, kernel_id: str) -> Mapping[str, Any]:
        """Give a kernel's last model, an empty one where there is none."""
        return self._models.get(kernel_id, {})

    def of(self, session: str | None) -> list[Mapping[str, Any]]:
        """Give the kernels of the session of this full name; None: all."""
        return [model for model in self._models.values() if session is None or session_of(model) == session]


class Stream:
    """Reads the side stream of one session into ``take``, from the gateway that serves it, until closed."""

    def __init__(self, wire: Wire, session: str, take: Take) -> None:
        self._wire, self._session, self._take = wire, session, take
        self._heard = False
        self._task = asyncio.get_running_loop().create_task(self._run())

    def close(self) -> None:
        """Stop."""
        self._task.cancel()

    async def _run(self) -> None:
        pause, told = _FIRST_PAUSE, ""
        while True:
            self._heard = False
            try:
                why = await self._read()
            except HostUnreachable as error:
                why = error.reason
            if self._heard:
                pause, told = _FIRST_PAUSE, ""
            if why != told:
                log.info("%s: %s; its kernels' states may be old", self._session, why)
                told = why
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads dials, keeps no secret
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _read(self) -> str:
        """Read the stream until it ends and give why, in words."""
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def receive(message: str | bytes | None) -> None:
            if ended.done():
                return
            if message is None:
                ended.set_result("the stream has ended")
                return
            try:
                event = json.loads(message)
                self._take(event)
                self._heard = True
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                ended.set_result(f"the stream cannot be read: {error}")

        path = f"/host/stream?session={quote(self._session, safe='')}"
        socket = await self._wire.websocket(path, max_message_size=STREAM_MESSAGE, sink=receive)
        try:
            return await ended
        finally:
            socket.close()


class Follower:
    """Hears of one session's kernels (None: of all) out of whole lists."""

    def __init__(self, session: str | None, take: Take) -> None:
        self.session, self._take = session, take

    def tell(self, book: Book) -> None:
        """Tell what the last list says."""
        try:
            self._take({"type": "kernels", "kernels": book.of(self.session)})
        except Exception:
            # One session's news must not keep the others from theirs.
            log.exception("cannot take in the kernels of %s", self.session or "the gateway")
