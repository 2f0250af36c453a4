"""A request's body: from bytes to a JSON object that the models can take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jupyter_sessions.handlers.refusals import UnsupportedMediaType
from jupyter_sessions.model.errors import FieldViolation, InvalidArgument


def check_media_type(content_type: str, empty: bool) -> None:
    """Refuse what is not declared as JSON: absent is fine for an empty body; raises UnsupportedMediaType."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json" or (not content_type.strip() and empty):
        return
    given = repr(kind) if kind else "absent"
    # What curl's -d says of itself is a form.
    remedy = "send the header Content-Type: application/json (curl: -H 'Content-Type: application/json')"
    raise UnsupportedMediaType(f"the body must be declared as JSON, but its Content-Type is {given}; {remedy}")


def parse_json(body: bytes) -> Mapping[str, Any]:
    """Read a JSON object; nothing at all is ``{}``.

    Raises InvalidArgument, with line and column, for what is not UTF-8, not JSON, or not an object. Names that stand
    twice in an object are told when the object is read as a message.
    """
    # The models come with it: they are loaded when the first body is read.
    from jupyter_sessions.model import wire

    value = wire.decode(body)
    if not isinstance(value, Mapping):
        raise InvalidArgument([FieldViolation("", "the body must be a JSON object, {…}")])
    return value
