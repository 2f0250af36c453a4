"""What the wire must know of each message's fields, read once from the models' annotations."""

from __future__ import annotations

import enum
import functools
import types
import typing
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from jupyter_sessions.model.resources import Message, Wire, camel

_PLAIN = {str: "string", int: "int32", bool: "bool"}


@dataclass(frozen=True)
class Shape:
    """One field.

    ``kind``: string, int32, int64, bool, enum, time, duration, message, or any (JSON as it is). ``many``: ``""``,
    ``list`` or ``map`` (string keys). ``cls`` is the enum's or message's class. ``output``: only the service
    writes it.
    """

    name: str
    alias: str
    kind: str
    many: str
    cls: type[Any]
    output: bool

    @property
    def enum(self) -> type[enum.IntEnum]:
        """The enum of a field of kind enum."""
        return self.cls

    @property
    def message(self) -> type[Message]:
        """The message of a field of kind message."""
        return self.cls


def _kind(annotation: Any, metadata: tuple[Any, ...]) -> tuple[str, type[Any]]:
    """Give kind and class of one value's annotation, unpacking ``Annotated`` and ``X | None``."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _kind(typing.get_args(annotation)[0], annotation.__metadata__)
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        return _kind(next(arg for arg in typing.get_args(annotation) if arg is not type(None)), ())
    for mark in metadata:
        if isinstance(mark, Wire):
            return mark.kind, int
    if isinstance(annotation, type) and issubclass(annotation, Message):
        return "message", annotation
    if isinstance(annotation, type) and issubclass(annotation, enum.IntEnum):
        return "enum", annotation
    return (_PLAIN[annotation], annotation) if annotation in _PLAIN else ("any", object)


def _shape(name: str, info: FieldInfo) -> Shape:
    annotation, many = info.annotation, ""
    origin = typing.get_origin(annotation)
    metadata = tuple(info.metadata)
    if origin is list:
        annotation, many, metadata = typing.get_args(annotation)[0], "list", ()
    elif origin is dict:
        annotation, many, metadata = typing.get_args(annotation)[1], "map", ()
    kind, type_ = _kind(annotation, metadata)
    extra = info.json_schema_extra
    output = isinstance(extra, dict) and bool(extra.get("readOnly"))
    return Shape(name, camel(name), kind, many, type_, output)


@functools.cache
def shapes(cls: type[Message]) -> tuple[Shape, ...]:
    """Give the shapes of a message's fields, in the order of the model."""
    return tuple(_shape(name, info) for name, info in cls.model_fields.items())


@functools.cache
def spellings(cls: type[Message]) -> dict[str, Shape]:
    """Give the shape for both spellings of each field, lowerCamelCase and snake_case."""
    return {key: shape for shape in shapes(cls) for key in (shape.alias, shape.name)}
