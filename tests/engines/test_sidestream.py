"""The reader of a host's side stream: what it takes, when it dials again, and that it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from jupyter_sessions.engines import sidestream
from jupyter_sessions.engines.hostlink import HostUnreachable
from jupyter_sessions.engines.sidestream import SideStream
from jupyter_sessions.model.api import KernelSocket, Sink
from tests.kernels.peer import until


class Socket:
    """A socket of a host's, as much as is used of it."""

    closed = False
    close_code: int | None = None
    close_reason: str | None = None

    async def write_message(self, message: str | bytes, binary: bool = False) -> None:
        """Write nothing."""

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Note it."""
        self.closed = True


class Hostly:
    """A host whose streams the test speaks on; while ``fault`` is set it opens none."""

    def __init__(self) -> None:
        self.sinks: list[Sink] = []
        self.sockets: list[Socket] = []
        self.taken: list[str] = []
        self.broken: list[str] = []
        self.fault, self.dials = "", 0

    async def dial(self, sink: Sink) -> KernelSocket:
        """Open a stream."""
        self.dials += 1
        if self.fault:
            raise HostUnreachable(self.fault)
        self.sinks.append(sink)
        self.sockets.append(Socket())
        return self.sockets[-1]

    def take(self, event: Mapping[str, Any]) -> None:
        """Take what has a type."""
        self.taken.append(str(event["type"]))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dial again soon."""
    monkeypatch.setattr(sidestream, "_FIRST_PAUSE", 0.01)


@pytest.mark.parametrize("wrong", ['{"kind": 1}', "[]", "{", "[" * 200_000, '"a"', None])
async def test_what_cannot_be_read_ends_the_stream_and_another_is_opened(wrong: str | None) -> None:
    host = Hostly()
    stream = SideStream(host.dial, host.take, host.broken.append, 0.02)
    await until(lambda: host.sinks)
    host.sinks[0]('{"type": "kernels"}')
    host.sinks[0](wrong)
    host.sinks[0]('{"type": "late"}')
    await until(lambda: len(host.sinks) == 2)
    host.sinks[1]('{"type": "kernel"}')
    assert host.taken == ["kernels", "kernel"] and host.sockets[0].closed and not host.sockets[1].closed
    stream.close()
    await asyncio.gather(stream.task, return_exceptions=True)
    host.sinks[1]('{"type": "gone"}')
    assert host.taken == ["kernels", "kernel"] and host.sockets[1].closed and stream.task.cancelled()


async def test_why_there_is_none_is_told_once_for_each_reason(caplog: pytest.LogCaptureFixture) -> None:
    host = Hostly()
    host.fault = "nobody is there"
    with caplog.at_level(logging.ERROR):
        stream = SideStream(host.dial, host.take, host.broken.append, 0.02)
        await until(lambda: host.dials > 3)
        host.fault = "it is another"
        await until(lambda: len(host.broken) == 2)
        stream.close()
        await asyncio.gather(stream.task, return_exceptions=True)
    assert host.broken == ["nobody is there", "it is another"] and caplog.text == ""
