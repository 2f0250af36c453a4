"""Query parameters: each method names its own, the standard ones are taken everywhere, others are refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from jupyter_sessions.model.errors import FieldViolation, InvalidArgument

STANDARD = frozenset(
    "$.xgafv access_token alt $alt fields key oauth_token prettyPrint quotaUser uploadType upload_protocol".split()
)
"""Parameters that the public API's clients send with any method."""
JUPYTER = frozenset({"token", "_xsrf", "no_track_activity"})
"""Parameters that Jupyter's own clients send with any request."""

_STAMP = re.compile(r"[0-9]{1,20}")
_INT = re.compile(r"[+-]?[0-9]{1,20}")
_INT_ENUMS = "json;enum-encoding=int"


@dataclass(frozen=True)
class Parameter:
    """One query parameter of a method.

    ``read`` turns its text into a value or raises ValueError with the rule; ``default`` stands for an absent or
    empty one; ``schema`` describes it in the OpenAPI document. ``many``: it may be repeated, its value is a list.
    """

    name: str
    description: str
    read: Callable[[str], Any] = str
    default: Any = ""
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    many: bool = False


@dataclass(frozen=True)
class Query:
    """A request's query: the method's own parameters by name, and whether enums are answered as numbers."""

    values: Mapping[str, Any]
    int_enums: bool = False


def integer(low: int, high: int) -> Callable[[str], int]:
    """Give a reader of integers from ``low`` to ``high``."""

    def read(text: str) -> int:
        if not _INT.fullmatch(text) or not low <= int(text) <= high:
            raise ValueError(f"must be an integer from {low} to {high}, not {text[:40]!r}")
        return int(text)

    return read


def boolean(text: str) -> bool:
    """Read ``true`` or ``false``."""
    if text not in ("true", "false"):
        raise ValueError(f"must be true or false, not {text[:40]!r}")
    return text == "true"


def parse_query(raw: str, parameters: Sequence[Parameter]) -> Query:
    """Read a raw query string; raises InvalidArgument with every fault at once."""
    pairs = _pairs(raw)
    own = {parameter.name: parameter for parameter in parameters}
    given: dict[str, list[str]] = {}
    faults: list[FieldViolation] = []
    int_enums = False
    for name, text in pairs:
        if name in own:
            given.setdefault(name, [])
            if text:
                given[name].append(text)
        elif name in ("alt", "$alt"):
            int_enums = _read_alt(name, text, faults) or int_enums
        elif name not in STANDARD and name not in JUPYTER and not (_STAMP.fullmatch(name) and not text):
            faults.append(FieldViolation(name, _unknown(own)))
    values = {name: _value(parameter, given.get(name, []), faults) for name, parameter in own.items()}
    if faults:
        raise InvalidArgument(faults)
    return Query(values, int_enums)


def _unknown(own: Mapping[str, Parameter]) -> str:
    takes = ", ".join(own) if own else "no parameters of its own"
    return f"is not a query parameter of this method; it takes {takes}"


def _read_alt(name: str, text: str, faults: list[FieldViolation]) -> bool:
    if text and text != "json" and text != _INT_ENUMS:
        faults.append(FieldViolation(name, f"must be json or {_INT_ENUMS}, not {text[:40]!r}"))
    return text == _INT_ENUMS


def _value(parameter: Parameter, texts: list[str], faults: list[FieldViolation]) -> Any:
    if len(texts) > 1 and not parameter.many:
        faults.append(FieldViolation(parameter.name, "stands more than once; give it once"))
        return parameter.default
    values = []
    for text in texts:
        try:
            values.append(parameter.read(text))
        except ValueError as error:
            faults.append(FieldViolation(parameter.name, str(error)))
    if parameter.many:
        return values
    return values[0] if values else parameter.default


def _pairs(raw: str) -> list[tuple[str, str]]:
    pairs = []
    for part in raw.split("&"):
        if part:
            name, _, text = part.partition("=")
            pairs.append((_decode(name), _decode(text)))
    return pairs


def _decode(text: str) -> str:
    try:
        return unquote_to_bytes(text.replace("+", " ")).decode("utf-8")
    except UnicodeDecodeError:
        rule = "is not UTF-8 after percent-decoding; encode the query as UTF-8"
        raise InvalidArgument([FieldViolation("", f"the query string {rule}")]) from None
