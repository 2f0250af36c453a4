"""The door between requests and a service that starts later."""

from __future__ import annotations

import asyncio

import pytest

from jupyter_sessions.handlers.gate import Gate
from jupyter_sessions.model.errors import Unavailable
from jupyter_sessions.model.names import LOCAL
from tests.handlers.scripted import ScriptedSessions


async def test_requests_wait_until_it_opens() -> None:
    gate, api = Gate(), ScriptedSessions(LOCAL)
    waiting = [asyncio.ensure_future(gate.api()) for _ in range(3)]
    await gate.wanted.wait()
    gate.open(api)
    assert await asyncio.gather(*waiting) == [api, api, api]
    assert await gate.api() is api


async def test_requests_wait_no_longer_than_their_patience() -> None:
    with pytest.raises(Unavailable, match=r"not ready after 0\.01 s; repeat"):
        await Gate(0.01).api()


async def test_a_closed_gate_says_why_also_to_those_who_wait() -> None:
    gate = Gate()
    waiting = asyncio.ensure_future(gate.api())
    await gate.wanted.wait()
    gate.close("no disk")
    for call in (waiting, gate.api()):
        with pytest.raises(Unavailable, match="no disk"):
            await call
    gate.open(ScriptedSessions(LOCAL))
    await gate.api()
