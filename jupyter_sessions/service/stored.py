"""How resources lie in the store: pydantic's own JSON of what is set, four times as quick to read as the wire's."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from jupyter_sessions.model.errors import Internal
from jupyter_sessions.model.resources import Operation, Session, SessionTemplate

R = TypeVar("R", bound=BaseModel)


def text(resource: BaseModel) -> str:
    """Give a resource as the store keeps it."""
    return resource.model_dump_json(exclude_defaults=True)


def session(content: str) -> Session:
    """Read a session as the store keeps it; raises Internal."""
    return _read(Session, content)


def template(content: str) -> SessionTemplate:
    """Read a template as the store keeps it; raises Internal."""
    return _read(SessionTemplate, content)


def operation(content: str) -> Operation:
    """Read an operation as the store keeps it; raises Internal."""
    return _read(Operation, content)


def _read(kind: type[R], content: str) -> R:
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) or "the whole"
        raise Internal(
            f"a stored {kind.__name__} cannot be read ({where}): it was written by another version of "
            "jupyter_sessions, or damaged. Upgrade this environment, or restore the store from a backup."
        ) from error
