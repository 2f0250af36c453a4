"""A host's side stream: what it says of its kernels by itself, read for as long as somebody wants to hear it.

The one reader of it, whether the host is reached over its socket or through a gateway.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from jupyter_sessions.engines.hostlink import HostUnreachable
from jupyter_sessions.model.api import KernelSocket, Sink

PATH = "/host/stream"
"""Where a host has it."""
_FIRST_PAUSE = 0.1


class SideStream:
    """Reads the stream that ``dial(sink)`` opens into ``take``, and dials again whenever it ends, until closed.

    ``take`` takes one event; a ValueError, KeyError, TypeError or AttributeError of it means that the event is none,
    and ends the stream. ``broke`` is told in words why there is no stream, once for each reason. ``longest`` is the
    most seconds between two dials; a stream that lasted so long is dialed again at once. ``task`` ends after ``close``.
    """

    def __init__(
        self,
        dial: Callable[[Sink], Awaitable[KernelSocket]],
        take: Callable[[Mapping[str, Any]], None],
        broke: Callable[[str], None],
        longest: float = 10.0,
    ) -> None:
        self._dial, self._take, self._broke, self._longest = dial, take, broke, longest
        self._lasted = 0.0
        self.task = asyncio.get_running_loop().create_task(self._run())

    def close(self) -> None:
        """Stop; nothing is taken any more."""
        self.task.cancel()

    async def _run(self) -> None:
        pause, told = _FIRST_PAUSE, ""
        while True:
            self._lasted = 0.0
            try:
                why = await self._read()
            except HostUnreachable as error:
                why = error.reason
            # One that opens and breaks at once, whatever it says between, is no better than one that does not open.
            if self._lasted > self._longest:
                pause, told = _FIRST_PAUSE, ""
            if why != told:
                self._broke(why)
                told = why
            # Spread out: every server follows every host, and all lose one at the same moment.
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause = min(pause * 2, self._longest)

    async def _read(self) -> str:
        """Read one stream until it ends and give why, in words."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[str] = loop.create_future()

        def receive(message: str | bytes | None) -> None:
            if ended.done():
                return
            if message is None:
                ended.set_result("the host's stream has ended")
                return
            try:
                self._take(json.loads(message))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                ended.set_result(f"the host's stream cannot be read: {error}")

        socket = await self._dial(receive)
        opened = loop.time()
        try:
            return await ended
        finally:
            self._lasted = loop.time() - opened
            # A message that is on its way is nobody's any more.
            ended.cancel()
            socket.close()
