"""Tells every change on Jupyter's event system, for operators' own handlers; nothing of ours listens there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_sessions.model.api import Change, SessionsApi, Unsubscribe

if TYPE_CHECKING:
    from jupyter_events import EventLogger

SCHEMA_ID = "https://events.jupyter.org/jupyter_sessions/change/v1"
SCHEMA = Path(__file__).with_name("change.yaml")


def publish(api: SessionsApi, events: EventLogger) -> Unsubscribe:
    """Register the schema and emit each change from now on; the answer ends that.

    Raises what the event system raises for a schema that it refuses (another of the same id).
    """
    if SCHEMA_ID not in events.schemas:
        events.register_event_schema(SCHEMA)
    return api.subscribe(_emitter(events))


def _emitter(events: EventLogger) -> Callable[[Change], None]:
    from jupyter_sessions.model.times import format_time

    def emit(change: Change) -> None:
        data = {
            "location": str(change.location),
            "sequence": change.sequence,
            "session": change.session,
            "sessionUuid": change.session_uuid,
            "oldState": change.old_state.name,
            "newState": change.new_state.name,
            "stateMessage": change.state_message,
            "time": format_time(change.time),
        }
        events.emit(schema_id=SCHEMA_ID, data=data)

    return emit
