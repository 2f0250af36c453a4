"""The shape of one location as it is written: which fields there are and what each may hold.

What several fields must hold together is in ``rules``. Imported at first use, for it imports pydantic.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from jupyter_sessions.config import urls
from jupyter_sessions.config.faults import Path, Problem
from jupyter_sessions.config.yamlfile import snake

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([smhd]?)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,252}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SHORTEST, LONGEST = 600.0, 14 * 86_400.0


def _refuse(rule: str, remedy: str) -> PydanticCustomError:
    return PydanticCustomError("rule", "{rule}", {"rule": rule, "remedy": remedy})


def _text(check: Callable[[str], str]) -> Callable[[Any], Any]:
    """Make a validator that leaves what is no text to the type's own rule."""

    def validate(value: Any) -> Any:
        try:
            return check(value) if isinstance(value, str) else value
        except urls.BadUrl as error:
            raise _refuse(error.rule, error.remedy) from error

    return validate


def _matching(pattern: re.Pattern[str], rule: str, remedy: str) -> Callable[[Any], Any]:
    def check(value: str) -> str:
        if pattern.fullmatch(value) is None:
            raise _refuse(rule, remedy)
        return value

    return _text(check)


def _or_empty(check: Callable[[str], str]) -> Callable[[str], str]:
    return lambda value: check(value) if value else ""


def _seconds(value: Any) -> Any:
    """Read a number of seconds, or text like ``10m``."""
    rule, remedy = "must be seconds, or a number with s, m, h or d", "write it like 600, 10m or 24h"
    if isinstance(value, str):
        found = _DURATION.fullmatch(value.strip())
        if found is None:
            raise _refuse(rule, remedy)
        return float(found[1]) * _UNITS[found[2]]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise _refuse(rule, remedy)
    return float(value)


def _within(least: float, most: float) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        seconds = _seconds(value)
        if not least <= seconds <= most:
            raise _refuse(f"must be {_length(least)} to {_length(most)}", "choose a value between them")
        return seconds

    return check


def _length(seconds: float) -> str:
    for unit in ("d", "h", "m"):
        if seconds >= _UNITS[unit] and seconds % _UNITS[unit] == 0:
            return f"{seconds / _UNITS[unit]:g}{unit}"
    return f"{seconds:g}s"


def _digits(value: Any) -> Any:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not (text.isascii() and text.isdigit()):
        raise _refuse("must be the project's number", "the cloud console shows it beside the project's id")
    return text


_NAME_RULE = "must be letters, digits and . _ : -, beginning with a letter or digit"
Name = Annotated[str, BeforeValidator(_matching(_NAME, _NAME_RULE, "copy it from the cloud console or the server"))]
Url = Annotated[str, BeforeValidator(_text(urls.check_url))]
Template = Annotated[str, BeforeValidator(_text(_or_empty(urls.check_template)))]
Number = Annotated[str, BeforeValidator(_digits)]
Lifetime = Annotated[float, BeforeValidator(_within(SHORTEST, LONGEST))]
Timeout = Annotated[float, BeforeValidator(_within(0.1, 3600))]
Refresh = Annotated[float, BeforeValidator(_within(1, 86_400))]
_VARIABLE_RULE = "must be the name of an environment variable: letters, digits and _"
Variable = Annotated[str, BeforeValidator(_matching(_VARIABLE, _VARIABLE_RULE, "name the variable, not its value"))]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class BearerShape(_Shape):
    """``bearer``: where the token comes from."""

    file: str | None = Field(None, min_length=1)
    environment: Variable | None = None
    command: list[str] | None = Field(None, min_length=1)
    refresh: Refresh | None = None


class LimitsShape(_Shape):
    """``limits``."""

    ttl: Lifetime | None = None
    max_ttl: Lifetime | None = None
    idle_ttl: Lifetime | None = None
    max_idle_ttl: Lifetime | None = None
    sessions: int | None = Field(None, ge=0)


class LocationShape(_Shape):
    """One entry of ``locations``; what is left out, or left empty, is None."""

    project: Name | None = None
    location: Name | None = None
    provider: Literal["embedded", "upstream"] | None = None
    display_name: str | None = Field(None, max_length=200)
    labels: dict[str, str] | None = None
    endpoint: Url | None = None
    auth: Literal["google", "bearer", "none"] | None = None
    bearer: BearerShape | None = None
    gateway: Template | None = None
    project_number: Number | None = None
    quota_project: Name | None = None
    limits: LimitsShape | None = None
    verify: bool | str | None = None
    proxy: Url | None = None
    request_timeout: Timeout | None = None
    start_timeout: Timeout | None = None


_INNER: dict[str, type[BaseModel]] = {"bearer": BearerShape, "limits": LimitsShape}


def read_location(given: Mapping[str, Any]) -> tuple[LocationShape, list[Problem]]:
    """Give what is good of one entry, and what is wrong with it: at most one problem for each path.

    Keys may be written ``display_name`` or ``displayName``.
    """
    entry, problems = _spelled(given, LocationShape, ())
    try:
        return LocationShape.model_validate(entry), problems
    except ValidationError as error:
        problems += [_problem(fault) for fault in error.errors(include_url=False, include_input=False)]
    # A value with two possible types is told of twice.
    problems = list({problem.path: problem for problem in reversed(problems)}.values())[::-1]
    return LocationShape.model_validate(_without(entry, {problem.path for problem in problems})), problems


def _without(entry: Mapping[str, Any], faulty: set[Path]) -> dict[str, Any]:
    """Give an entry without its faulty fields: of ``bearer`` and ``limits`` what else is in them stays."""
    inner = {path[:2] for path in faulty if len(path) > 1 and path[0] in _INNER}
    outer = {path[0] for path in faulty if path[:2] not in inner}
    return {
        name: {key: part for key, part in value.items() if (name, key) not in inner}
        if name in _INNER and isinstance(value, Mapping)
        else value
        for name, value in entry.items()
        if name not in outer
    }


def _spelled(given: Mapping[str, Any], shape: type[BaseModel], path: Path) -> tuple[dict[str, Any], list[Problem]]:
    """Give a mapping with its known keys in snake_case; a field that stands there in both spellings is a problem.

    What is misspelt is one too, and is judged as the field that was meant, so that one slip is one problem.
    """
    found: dict[str, Any] = {}
    problems: list[Problem] = []
    for key, value in given.items():
        name = snake(key) if snake(key) in shape.model_fields else key
        if meant := _meant(name, given, shape):
            problems.append(Problem((*path, key), "is not a field here", f"did you mean {meant}?"))
            name = meant
        if name in found:
            problems.append(Problem((*path, name), "stands here in two spellings", f"keep {name} only"))
        elif name in _INNER and isinstance(value, Mapping):
            found[name], wrong = _spelled(value, _INNER[name], (*path, name))
            problems += wrong
        else:
            found[name] = value
    return found, problems


def _meant(name: str, given: Mapping[str, Any], shape: type[BaseModel]) -> str:
    """Give the field that a misspelt name must mean, if there is one and it is not given; else nothing."""
    if name in shape.model_fields or _SECRETS.search(name):
        return ""
    left = set(shape.model_fields) - {snake(key) for key in given}
    return next(iter(difflib.get_close_matches(snake(name), sorted(left), n=1, cutoff=0.8)), "")


_TYPES = {
    "string_type": ("must be text", "put it in quotes"),
    "list_type": ("must be a list", "write [one, two]"),
    "dict_type": ("must be a mapping of names to values", "write name: value"),
    "model_type": ("must be a mapping of names to values", "write name: value, indented under it"),
    "int_type": ("must be a whole number", "write it in digits, without quotes"),
    "bool_type": ("must be true, false or the path of a file of certificates", "write true"),
    "string_too_short": ("must not be empty", "fill it in or leave it out"),
    "too_short": ("must not be empty", "fill it in or leave it out"),
    "greater_than_equal": ("must be 0 or more", "0 is no limit"),
}
_SECRETS = re.compile(r"token|secret|password|credential|key", re.IGNORECASE)


def _problem(error: ErrorDetails) -> Problem:
    path: Path = tuple(part for part in error["loc"] if part not in ("bool", "str"))
    kind = error["type"]
    if kind == "rule":
        return Problem(path, error["ctx"]["rule"], error["ctx"]["remedy"])
    if kind == "extra_forbidden":
        return Problem(path, "is not a field here", _unknown(path))
    if kind == "literal_error":
        return Problem(path, f"must be {error['ctx']['expected'].replace(chr(39), '')}", "choose one of these")
    rule, remedy = _TYPES.get(kind, (error["msg"], "mend it or leave it out"))
    return Problem(path, rule, remedy)


def _unknown(path: Path) -> str:
    if _SECRETS.search(str(path[-1])):
        return "no secret stands in a configuration; put it in a file of mode 0600 and name that under bearer.file"
    shape = LocationShape if len(path) == 1 else _INNER.get(str(path[0]), LocationShape)
    return f"the fields here are {', '.join(shape.model_fields)}"
