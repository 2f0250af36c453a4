"""proto3 JSON in and out.

:func:`parse` is strict, for what a user sends (its rules are in :mod:`jupyter_sessions.model.intake`); :func:`load` is
lenient, for our own store and an upstream's answers; :func:`dump` writes. ``load(kind, dump(x)) == x`` for every model
(a Session with the sub-messages that are always sent).
"""

from __future__ import annotations

import enum
import functools
import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from jupyter_sessions.model.intake import decode, parse
from jupyter_sessions.model.resources import Message, Operation, Session, SessionOperationMetadata
from jupyter_sessions.model.shapes import Shape, shapes, spellings
from jupyter_sessions.model.times import format_duration, format_time, parse_duration, parse_time

__all__ = [
    "METADATA_TYPE",
    "SESSION_TYPE",
    "decode",
    "dump",
    "format_duration",
    "format_time",
    "load",
    "parse",
    "parse_duration",
    "parse_time",
]

M = TypeVar("M", bound=Message)
Convert = Callable[[Any], Any]
_PREFIX = "type.googleapis.com/google.cloud.dataproc.v1."
SESSION_TYPE = _PREFIX + "Session"
METADATA_TYPE = _PREFIX + "SessionOperationMetadata"
_TYPES: dict[type[Message], str] = {Session: SESSION_TYPE, SessionOperationMetadata: METADATA_TYPE}
_INT64 = 1 << 63
_ALWAYS = (
    ("runtimeInfo",),
    ("runtimeConfig", "properties"),
    ("environmentConfig", "executionConfig"),
    ("environmentConfig", "peripheralsConfig"),
)


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError("not a string")
    return value


def _integer(value: Any) -> int:
    number = int(value)
    if isinstance(value, bool) or number != (value if not isinstance(value, str) else number):
        raise ValueError("not an integer")
    if not -_INT64 <= number < _INT64:
        raise ValueError("not 64 bits")
    return number


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError("not a boolean")
    return value


def _member(kind: type[enum.IntEnum], value: Any) -> enum.IntEnum:
    return kind[value] if type(value) is str else kind(_integer(value))


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("not an object")
    return dict(value)


def _loader(shape: Shape) -> Convert:
    simple: dict[str, Convert] = {
        "string": _text,
        "int32": _integer,
        "int64": _integer,
        "bool": _flag,
        "time": lambda value: parse_time(_text(value)),
        "duration": lambda value: parse_duration(_text(value)),
        "any": _object,
    }
    if shape.kind == "enum":
        one: Convert = functools.partial(_member, shape.enum)
    elif shape.kind == "message":
        one = functools.partial(load, shape.message)
    else:
        one = simple[shape.kind]
    if shape.many == "list":
        return lambda value: [one(item) for item in _sequence(value)]
    if shape.many == "map":
        return lambda value: {_text(key): one(item) for key, item in _object(value).items()}
    return one


def _sequence(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("not an array")
    return value


@functools.cache
def _loaders(cls: type[Message]) -> dict[str, tuple[str, Convert]]:
    return {key: (shape.name, _loader(shape)) for key, shape in spellings(cls).items()}


def load(kind: type[M], data: Mapping[str, Any]) -> M:
    """Read JSON of our own store or of an upstream, taking it as it is.

    Unknown fields, and known ones whose value these models cannot hold (a newer enum's name), stay in ``model_extra``
    and go out again. An ``@type`` that only says what the model is falls away; where it names another message, all of
    it stays in ``model_extra``, unread. Raises ValueError for what is no object.
    """
    if not isinstance(data, Mapping):
        raise ValueError(f"{kind.__name__} must be a JSON object, not {type(data).__name__}")
    values: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    said = _TYPES.get(kind)
    own = said is None or data.get("@type", said) == said
    loaders = _loaders(kind) if own else {}
    for key, value in data.items():
        known = loaders.get(key)
        if known is None:
            if key != "@type" or value != said:
                extra[key] = value
        elif value is not None:
            try:
                values[known[0]] = known[1](value)
            except (ValueError, KeyError, TypeError, OverflowError):
                extra[key] = value
    model = kind(**values)
    if extra and model.model_extra is not None:
        model.model_extra.update(extra)
    return model


# An enum member's name without the descriptor that ``name`` goes through: a list asks for it hundreds of times.
_name = operator.attrgetter("_name_")


def _dumper(shape: Shape, numbers: bool) -> Convert | None:
    """Give what writes a field's value, None where it goes out as it is."""
    simple: dict[str, Convert] = {
        "enum": int if numbers else _name,
        "int64": str,
        "time": format_time,
        "duration": format_duration,
        "message": functools.partial(_plain, numbers),
    }
    one = simple.get(shape.kind)
    if shape.many == "list":
        return list if one is None else lambda value: [one(item) for item in value]
    if shape.many == "map":
        return dict if one is None else lambda value: {key: one(item) for key, item in value.items()}
    return one


@functools.cache
def _dumpers(cls: type[Message], numbers: bool) -> tuple[tuple[str, str, Convert | None], ...]:
    return tuple((shape.name, shape.alias, _dumper(shape, numbers)) for shape in shapes(cls))


def _plain(numbers: bool, model: Message) -> dict[str, Any]:
    """Give the fields that are set, then the unknown ones."""
    extra = model.model_extra
    if extra and _foreign(model):
        return dict(extra)
    values = model.__dict__
    out: dict[str, Any] = {}
    for name, alias, convert in _dumpers(type(model), numbers):
        value = values[name]
        if value:
            out[alias] = value if convert is None else convert(value)
    if extra:
        for key, value in extra.items():
            out.setdefault(key, value)
    return out


def _session(model: Session, numbers: bool) -> dict[str, Any]:
    """Add the objects that a client may read without looking."""
    out = _plain(numbers, model)
    if _foreign(model):
        return out
    for path in _ALWAYS:
        place = out
        for key in path:
            place = place.setdefault(key, {})
            if not isinstance(place, dict):  # an upstream's own, of a type that we do not know
                break
    return out


def _foreign(model: Message) -> bool:
    """Whether an upstream said that this is another message."""
    return "@type" in (model.model_extra or {}) and type(model) in _TYPES


def _typed(model: Message, out: dict[str, Any]) -> dict[str, Any]:
    """Put ``@type`` first; one that an upstream sent for another message stands."""
    return {"@type": _TYPES[type(model)], **out}


def dump(model: Message, *, enum_numbers: bool = False) -> dict[str, Any]:
    """Give a model's proto3 JSON; enums as names, or as numbers with ``enum_numbers``.

    A Session always has ``runtimeInfo``, ``runtimeConfig.properties``, ``environmentConfig.executionConfig`` and
    ``.peripheralsConfig``; an Operation's ``metadata`` and ``response`` have their ``@type``. Raises ValueError for
    a time out of protobuf's range.
    """
    if isinstance(model, Session):
        return _session(model, enum_numbers)
    out = _plain(enum_numbers, model)
    if isinstance(model, Operation):
        out["metadata"] = _typed(model.metadata, out["metadata"])
        if model.response is not None:
            out["response"] = _typed(model.response, _session(model.response, enum_numbers))
    return out
