"""Changes on Jupyter's event system."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from jupyter_events import EventLogger

from jupyter_sessions.events.publisher import SCHEMA_ID, publish
from jupyter_sessions.model.api import Change
from jupyter_sessions.model.names import LOCAL
from jupyter_sessions.model.states import State
from tests.handlers.scripted import ScriptedSessions

NAME = f"{LOCAL}/sessions/my-session"
SECOND = 1_000_000_000


def listening(events: EventLogger) -> list[dict[str, Any]]:
    """Listen as an operator's handler does, and give the list that what is told is added to."""
    told: list[dict[str, Any]] = []

    async def listen(logger: EventLogger, schema_id: str, data: dict[str, Any]) -> None:
        assert schema_id == SCHEMA_ID
        told.append(data)

    events.add_listener(schema_id=SCHEMA_ID, listener=listen)
    return told


async def settle(events: EventLogger) -> None:
    """Let the event system hand on what it has."""
    await asyncio.gather(*events._active_listeners)


async def test_each_change_is_told_in_order_until_it_is_silenced() -> None:
    api, events = ScriptedSessions(LOCAL), EventLogger()
    told = listening(events)
    silence = publish(api, events)
    made = Change(LOCAL, 1, NAME, "uuid", State.STATE_UNSPECIFIED, State.CREATING, "", SECOND)
    failed = Change(LOCAL, 2, NAME, "uuid", State.CREATING, State.FAILED, "no Python", 2 * SECOND)
    for change in (made, failed):
        api.tell(change)
    await settle(events)
    assert told == [
        {
            "location": str(LOCAL),
            "sequence": 1,
            "session": NAME,
            "sessionUuid": "uuid",
            "oldState": "STATE_UNSPECIFIED",
            "newState": "CREATING",
            "stateMessage": "",
            "time": "1970-01-01T00:00:01Z",
        },
        {
            "location": str(LOCAL),
            "sequence": 2,
            "session": NAME,
            "sessionUuid": "uuid",
            "oldState": "CREATING",
            "newState": "FAILED",
            "stateMessage": "no Python",
            "time": "1970-01-01T00:00:02Z",
        },
    ]
    silence()
    api.tell(made)
    await settle(events)
    assert len(told) == 2


@pytest.mark.parametrize("state", list(State))
async def test_the_schema_knows_every_state(state: State) -> None:
    api, events = ScriptedSessions(LOCAL), EventLogger()
    told = listening(events)
    publish(api, events)
    api.tell(Change(LOCAL, 1, NAME, "uuid", state, state, "ends in 10 min", SECOND))
    await settle(events)
    assert [entry["newState"] for entry in told] == [state.name]


async def test_a_second_service_of_one_server_tells_too() -> None:
    events = EventLogger()
    first, second = ScriptedSessions(LOCAL), ScriptedSessions(LOCAL)
    told = listening(events)
    publish(first, events)()
    publish(second, events)
    second.tell(Change(LOCAL, 1, NAME, "uuid", State.ACTIVE, State.TERMINATING, "", SECOND))
    await settle(events)
    assert len(told) == 1
