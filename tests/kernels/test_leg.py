"""The host's end of a relayed websocket, closed while it is being opened."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from jupyter_sessions.engines.hostlink import Sink
from jupyter_sessions.kernels.relay import HostLeg
from jupyter_sessions.model.api import KernelSocket
from tests.kernels.peer import until


class Opened:
    """A websocket that is only closed."""

    close_code: int | None = None
    close_reason: str | None = None

    def __init__(self) -> None:
        self.closed: list[int | None] = []

    async def write_message(self, message: str | bytes, binary: bool = False) -> None:
        """Take nothing."""

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Note it."""
        self.closed.append(code)


@pytest.mark.parametrize("forgetful", [False, True])
async def test_what_a_dial_opens_after_the_close_is_closed(forgetful: bool) -> None:
    begun, opened = asyncio.Event(), Opened()

    async def dial(sink: Sink) -> KernelSocket:
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        if not forgetful:
            raise asyncio.CancelledError
        return opened

    leg = HostLeg(dial, lambda message: None, lambda error: None, lambda code, why: None, lambda why: None)
    leg.start()
    (task,) = asyncio.all_tasks() - {asyncio.current_task()}
    await begun.wait()
    leg.close(1001)
    await until(task.done)
    assert opened.closed == ([1001] if forgetful else []) and not leg.connected
