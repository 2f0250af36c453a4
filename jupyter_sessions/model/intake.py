"""proto3 JSON from a user: every fault at once, each with the field's path, the rule and the remedy."""

from __future__ import annotations

import collections
import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from jupyter_sessions.model import rules
from jupyter_sessions.model.errors import FieldViolation, InvalidArgument
from jupyter_sessions.model.names import LocationName
from jupyter_sessions.model.resources import Message
from jupyter_sessions.model.shapes import Shape, shapes, spellings
from jupyter_sessions.model.times import parse_duration, parse_time

M = TypeVar("M", bound=Message)
MAX_FAULTS = 1000
"""How many faults of one body are told one by one."""
_NEAR = 64
_BITS = {"int32": 31, "int64": 63}


class _Object(dict[str, Any]):
    """A JSON object that remembers which of its keys came more than once."""

    repeated: frozenset[str] = frozenset()


def _pairs(pairs: list[tuple[str, Any]]) -> _Object:
    found = _Object(pairs)
    if len(found) != len(pairs):
        counts = collections.Counter(key for key, _ in pairs)
        found.repeated = frozenset(key for key, count in counts.items() if count > 1)
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def decode(body: bytes | str) -> Any:
    """Read a request's body as JSON in UTF-8; an empty one is ``{}``.

    Raises InvalidArgument for what is not JSON. Keys that came twice are remembered for :func:`parse`.
    """
    try:
        text = body if isinstance(body, str) else body.decode("utf-8")
        if not text.strip():
            return {}
        return json.loads(text, object_pairs_hook=_pairs, parse_constant=_constant)
    except RecursionError:
        raise InvalidArgument([FieldViolation("", "the body must be JSON that is not nested so deeply")]) from None
    except ValueError as error:
        raise InvalidArgument([FieldViolation("", f"the body must be JSON in UTF-8: {_why(error)}")]) from error


def _why(error: ValueError) -> str:
    """Say what is no JSON; of a number beyond Python's own limit, without Python's own remedy."""
    text = str(error)
    return "it holds a number of too many digits" if "integer string conversion" in text else text


def parse(
    kind: type[M],
    body: bytes | str | Mapping[str, Any],
    *,
    parent: LocationName | None = None,
    required: Sequence[str] = (),
) -> M:
    """Read a user's Session or SessionTemplate: bytes as they came, or JSON already read.

    ``parent`` is the URL's: names in the body must lie in it. ``required`` are snake_case fields that must be set.
    Output-only fields are ignored unread. Raises InvalidArgument with every fault.
    """
    data = decode(body) if isinstance(body, bytes | str) else body
    reader = _Reader()
    model = reader.message(kind, data, "")
    faulty = {fault.field for fault in reader.faults}
    for shape in shapes(kind):
        if shape.name in required and not getattr(model, shape.name) and shape.alias not in faulty:
            reader.fault(shape.alias, "is required; set it")
    faults = [*reader.faults, *rules.check(model, parent)]
    if len(faults) > MAX_FAULTS:
        more = FieldViolation("", f"and {len(faults) - MAX_FAULTS} faults more")
        faults = [*faults[:MAX_FAULTS], more]
    if faults:
        raise InvalidArgument(faults)
    return model


def _what(value: Any) -> str:
    """Name a JSON value's type for a message."""
    if value is None:
        return "null"
    names: dict[type[Any], str] = {bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    return names.get(type(value), "an object" if isinstance(value, Mapping) else "an array")


class _Reader:
    """Reads values by shape; what is faulty is noted and left unset."""

    def __init__(self) -> None:
        self.faults: list[FieldViolation] = []

    def fault(self, path: str, rule: str) -> None:
        """Note one fault."""
        self.faults.append(FieldViolation(path, rule))

    def message(self, cls: type[M], data: Any, path: str) -> M:
        """Read an object into a message."""
        if not isinstance(data, Mapping):
            self.fault(path, f"must be an object, not {_what(data)}")
            return cls()
        known = spellings(cls)
        given: dict[str, str] = {}
        values: dict[str, Any] = {}
        for key, value in data.items():
            shape = known.get(key)
            if shape is None:
                self.fault(rules.join(path, key), self._unknown(cls, key))
            elif not shape.output:
                where = rules.join(path, shape.alias)
                if shape.name in given:
                    self.fault(where, f"is given as {given[shape.name]} and as {key}; keep one")
                elif key in getattr(data, "repeated", ()):
                    self.fault(where, "is given more than once; keep one")
                elif value is not None:
                    self._field(shape, value, where, values)
                given[shape.name] = key
        return cls(**values)

    def _unknown(self, cls: type[Message], key: str) -> str:
        settable = [shape.alias for shape in shapes(cls) if not shape.output]
        # Comparing is slow, and of many unknown names nobody reads on after some.
        compare = len(key) <= _NEAR and len(self.faults) < _NEAR
        near = difflib.get_close_matches(key, settable, n=1) if compare else []
        if near:
            return f"is not a field of {cls.__name__}; did you mean {near[0]}?"
        known = f"its fields are {', '.join(settable)}" if settable else "remove it"
        return f"is not a field of {cls.__name__}; {known}"

    def _field(self, shape: Shape, value: Any, path: str, values: dict[str, Any]) -> None:
        if shape.many == "list":
            if isinstance(value, list):
                read = [self._one(shape, item, f"{path}[{index}]") for index, item in enumerate(value)]
                values[shape.name] = [item for item in read if item is not None]
            else:
                self.fault(path, f"must be an array, not {_what(value)}")
        elif shape.many == "map":
            values[shape.name] = self._map(shape, value, path)
        else:
            read_one = self._one(shape, value, path)
            if read_one is not None:
                values[shape.name] = read_one

    def _map(self, shape: Shape, value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            self.fault(path, f"must be an object, not {_what(value)}")
            return {}
        out: dict[str, Any] = {}
        for key, item in value.items():
            where = rules.join(path, key)
            if key in getattr(value, "repeated", ()):
                self.fault(where, "is given more than once; keep one")
            elif not _unicode(key):
                self.fault(where, "must be Unicode text without lone surrogates")
            else:
                read = self._one(shape, item, where)
                if read is not None:
                    out[key] = read
        return out

    def _one(self, shape: Shape, value: Any, path: str) -> Any:
        """Read one value; None where it is faulty."""
        if shape.kind == "message":
            return self.message(shape.message, value, path)
        try:
            return _READERS[shape.kind](shape, value)
        except ValueError as error:
            self.fault(path, str(error))
            return None


def _unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be a string, not {_what(value)}")
    if not _unicode(value):
        raise ValueError("must be Unicode text without lone surrogates")
    return value


def _string(shape: Shape, value: Any) -> str:
    return _text(value)


def _boolean(shape: Shape, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {_what(value)}")
    return value


def _integer(shape: Shape, value: Any) -> int:
    rule = f"must be a whole number of {_BITS[shape.kind] + 1} bits, as a number or a string"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{rule}, not {_what(value)}")
    try:
        number = int(value)
        exact = isinstance(value, str) or number == value
    except (ValueError, OverflowError):
        raise ValueError(rule) from None
    if isinstance(value, str) and not (value.isascii() and value.removeprefix("-").isdecimal()):
        exact = False
    limit = 1 << _BITS[shape.kind]
    if not exact or not -limit <= number < limit:
        raise ValueError(rule)
    return number


def _enum(shape: Shape, value: Any) -> Any:
    members = shape.enum.__members__
    if isinstance(value, str) and value in members:
        return members[value]
    if isinstance(value, int) and not isinstance(value, bool) and value in shape.enum._value2member_map_:
        return shape.enum(value)
    known = ", ".join(f"{name} ({member.value})" for name, member in members.items())
    raise ValueError(f"must be one of {known}, in exactly this case")


def _time(shape: Shape, value: Any) -> int:
    return parse_time(_text(value))


def _duration(shape: Shape, value: Any) -> int:
    ns = parse_duration(_text(value))
    # Here and not in the rules, because an explicit 0s cannot be told from unset in a model.
    rules.check_limit(ns)
    return ns


_READERS: dict[str, Callable[[Shape, Any], Any]] = {
    "string": _string,
    "bool": _boolean,
    "int32": _integer,
    "int64": _integer,
    "enum": _enum,
    "time": _time,
    "duration": _duration,
}
