"""A listener leaves no connection behind, whatever it was doing with it."""

from __future__ import annotations

import asyncio
import gc
import socket

import pytest

from tests.faults.listening import Listener


async def _listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


@pytest.mark.parametrize("turns", range(7))
def test_a_connection_that_is_being_accepted_ends_with_it(turns: int) -> None:
    async def one() -> None:
        listener = Listener(_listen)
        await listener.open()
        with socket.create_connection(("127.0.0.1", listener.port), 10):
            for _ in range(turns):
                await asyncio.sleep(0)
            await listener.close()

    # A loop that ends at once, as a test's own does: what still needed a turn of it is lost.
    loop = asyncio.new_event_loop()
    loop.run_until_complete(one())
    assert not asyncio.all_tasks(loop)
    loop.close()
    gc.collect()
