"""A watch over streams that break, and servers that stay away."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from jupyter_sessions.client import ServerGone, SessionsClient
from jupyter_sessions.client.watching import Watch
from jupyter_sessions.model.names import LocationName
from tests.client.test_transport import asked
from tests.faults.replies import held, raw
from tests.faults.server import FaultServer, Reply

PLACE = LocationName("p", "l")


def stream(text: str = "") -> Reply:
    """Give a stream that ends after so much."""
    return raw(200, text.encode(), {"Content-Type": "text/event-stream"})


@pytest.mark.parametrize("text", ["", "data: no JSON\n\n"])
async def test_a_stream_that_breaks_at_once_is_given_up_and_not_hammered(text: str) -> None:
    def follow(client: SessionsClient) -> None:
        with Watch(client.transport, PLACE, {str(PLACE): 1}, patience=1.0) as watch:
            with pytest.raises(ServerGone, match="breaks off again and again"):
                next(watch)

    async with FaultServer(otherwise=stream(text)) as server:
        await asked(server, follow)
        # Pauses of 0.05, 0.075, 0.11, 0.17, 0.25 and 0.38 s fill the second; a few tries lie outside them.
        assert 2 <= len(server.requests) <= 12


async def test_a_watch_that_is_closed_while_it_is_opened_again_ends_and_leaves_nothing_open() -> None:
    gate = asyncio.Event()
    async with FaultServer(stream(), otherwise=held(stream(), gate)) as server:
        with SessionsClient(server.url, "secret", str(PLACE)) as client:
            watch = await asyncio.to_thread(Watch, client.transport, PLACE, {str(PLACE): 1})
            told: list[Any] = []
            reading = threading.Thread(target=lambda: told.extend(watch))
            reading.start()
            await server.asked(2)
            watch.close()
            gate.set()
            await asyncio.to_thread(reading.join, 60)
            assert not reading.is_alive() and told == [] and watch._response.raw.closed
