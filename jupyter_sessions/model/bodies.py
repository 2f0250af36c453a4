"""What a caller of the REST API sends and reads, as JSON: the same for an upstream's proxy and for the client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jupyter_sessions.model import wire
from jupyter_sessions.model.api import Change, ListRequest, Location, LogPage, Reset
from jupyter_sessions.model.errors import Internal
from jupyter_sessions.model.names import LocationName, parse_location
from jupyter_sessions.model.resources import Message, Session, SessionTemplate
from jupyter_sessions.model.shapes import shapes
from jupyter_sessions.model.states import State
from jupyter_sessions.model.times import parse_time

Json = Mapping[str, Any]


def session_body(session: Session) -> dict[str, Any]:
    """Write a session for a request: what is set and what is unknown, nothing that only the service writes."""
    out = _sent(session)
    _prune(out, "runtimeConfig", session.runtime_config, {"properties"})
    _prune(out, "environmentConfig", session.environment_config, {"executionConfig", "peripheralsConfig"})
    return out


def template_body(template: SessionTemplate) -> dict[str, Any]:
    """Write a template for a request, without what only the service writes."""
    return _sent(template)


def _sent(message: Message) -> dict[str, Any]:
    own = {shape.alias for shape in shapes(type(message)) if shape.output}
    return {key: value for key, value in wire.dump(message).items() if key not in own}


def _prune(out: dict[str, Any], key: str, given: Message | None, always: set[str]) -> None:
    """Take away the empty objects that only an answer always has."""
    if given is None:
        out.pop(key, None)
    elif isinstance(out.get(key), dict):
        out[key] = {name: value for name, value in out[key].items() if value != {} or name not in always}


def page_query(request: ListRequest) -> dict[str, str]:
    """Give the query that asks for a page."""
    given = {"pageSize": str(request.page_size or ""), "pageToken": request.page_token, "filter": request.filter}
    return {name: value for name, value in given.items() if value}


def mask_query(mask: Sequence[str] | None) -> dict[str, str]:
    """Give the query that names what an update changes; None is every mutable field."""
    return {} if mask is None else {"updateMask": ",".join(mask)}


def next_token(answer: Json) -> str:
    """Give the token of the next page, empty at the end; raises Internal."""
    token = answer.get("nextPageToken", "")
    if not isinstance(token, str):
        raise Internal("the server's nextPageToken is no string")
    return token


def rows(answer: Json, key: str) -> list[Json]:
    """Give the rows of a page; raises Internal where they are no list of objects."""
    found = answer.get(key, [])
    if not isinstance(found, list) or not all(isinstance(row, Mapping) for row in found):
        raise Internal(f"the server's {key} are no list of objects")
    return found


def load_log(answer: Json) -> LogPage:
    """Read a piece of a log; raises Internal."""
    try:
        return LogPage(
            str(answer["content"]),
            int(answer["offset"]),
            int(answer["nextOffset"]),
            bool(answer.get("truncated")),
            bool(answer.get("complete")),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise Internal(f"the server's answer for a log cannot be read: {error!r}") from None


def load_location(answer: Json) -> Location:
    """Read a location; raises Internal."""
    try:
        name = parse_location(answer["name"])
        labels, metadata = answer.get("labels") or {}, answer.get("metadata") or {}
        return Location(name, str(answer.get("displayName") or name.location), dict(labels), dict(metadata))
    except (KeyError, ValueError, TypeError) as error:
        raise Internal(f"the server's answer for a location cannot be read: {error!r}") from None


def load_change(data: Json, location: LocationName) -> Change | Reset:
    """Read an entry of a change stream; ``location`` is the stream's own, where an entry names none.

    Of a change that says what is not known here, as a newer server's may, only that something changed is given: a
    Reset. Raises Internal for what cannot be read.
    """
    sequence: int | None = None
    try:
        sequence = int(data["sequence"])
        if data.get("location"):
            location = parse_location(data["location"])
        if data.get("reset"):
            return Reset(location, sequence)
        return Change(
            location=location,
            sequence=sequence,
            session=str(data["session"]),
            session_uuid=str(data["sessionUuid"]),
            old_state=State[data["oldState"]],
            new_state=State[data["newState"]],
            state_message=str(data.get("stateMessage", "")),
            time=parse_time(data["time"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if sequence is not None:
            return Reset(location, sequence)
        raise Internal(f"a change of {location} cannot be read: {error!r}") from None
