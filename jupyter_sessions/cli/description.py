"""A session as words and files describe it: ``--file``, ``--set PATH=VALUE`` and ``NAME=VALUE`` of labels."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jupyter_sessions.cli.connection import Misused

if TYPE_CHECKING:
    from jupyter_sessions.model.resources import Message

LabelOption = Annotated[
    list[str] | None, typer.Option("--label", "-l", metavar="KEY=VALUE", help="A label; may be repeated.")
]
PropertyOption = Annotated[
    list[str] | None,
    typer.Option("--property", "-p", metavar="KEY=VALUE", help="As local:memory=8Gi; may be repeated."),
]
STDIN = "-"
DURATION = "seconds, or as 90m, 8h, 2d"
"""How a length is written, for the help of options."""
TEXTS = ("string", "time", "duration", "enum", "int64")
"""Kinds of fields whose JSON is text: what is given is taken as it is."""


def seconds(text: str, option: str = "--timeout") -> float | None:
    """Give a length in seconds, None where none was said; raises Misused that names the option."""
    from jupyter_sessions.client.durations import nanoseconds
    from jupyter_sessions.model.errors import InvalidArgument
    from jupyter_sessions.model.times import SECOND

    try:
        return nanoseconds(text, option) / SECOND if text else None
    except InvalidArgument as error:
        raise Misused(str(error)) from error


def lifetimes(ttl: str, idle_ttl: str) -> None:
    """Raise Misused where ``--ttl`` or ``--idle-ttl`` is no length."""
    seconds(ttl, "--ttl")
    seconds(idle_ttl, "--idle-ttl")


def read_file(path: str) -> dict[str, Any]:
    """Read a resource from a YAML or JSON file, ``-`` being stdin; raises Misused that says where the fault is."""
    from jupyter_sessions.config import yamlfile

    shown = "stdin" if path == STDIN else path
    try:
        text = sys.stdin.read() if path == STDIN else Path(path).expanduser().read_text(encoding="utf-8")
        document = yamlfile.parse(text)
    except OSError as error:
        raise Misused(f"--file {shown}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise Misused(f"--file {shown}: must be UTF-8: {error.reason}") from error
    except yamlfile.NotYaml as error:
        line = f", line {error.line}" if error.line else ""
        raise Misused(f"--file {shown}{line}: {error.problem}") from error
    for problem in document.problems:
        where = ".".join(map(str, problem.path))
        raise Misused(f"--file {shown}, line {document.line(problem.path)}: {where} {problem.rule}; {problem.remedy}")
    if document.value is None:
        return {}
    if not isinstance(document.value, dict):
        raise Misused(f"--file {shown}: must hold the resource's fields (as `labels: {{team: fx}}`), not a bare value")
    return document.value


def pairs(given: Sequence[str], option: str) -> dict[str, str]:
    """Read ``NAME=VALUE`` words; raises Misused that names the option."""
    found: dict[str, str] = {}
    for word in given:
        name, sign, value = word.partition("=")
        if not sign or not name:
            raise Misused(f"{option} {word}: write {option} NAME=VALUE")
        found[name] = value
    return found


def described(kind: type[Message], file: str, sets: Sequence[str]) -> dict[str, Any]:
    """Give the JSON of a resource: what the file holds, with each ``--set`` on top; raises Misused."""
    content = read_file(file) if file else {}
    for word in sets:
        put(kind, content, word)
    return content


def put(kind: type[Message], content: dict[str, Any], word: str) -> None:
    """Set one field of a resource's JSON by ``PATH=VALUE``; raises Misused.

    Dots part the path; behind a map's name (labels, properties) all the rest is the key, dots and all. The value is
    JSON where the field holds more than text, and text where it is not JSON. Unknown fields are left to the API.
    """
    path, sign, text = word.partition("=")
    if not sign or not path.strip("."):
        raise Misused(f"--set {word}: write --set PATH=VALUE, as environmentConfig.executionConfig.ttl=8h")
    keys, textual = _keys(kind, path)
    place = content
    for position, key in enumerate(keys[:-1], 1):
        inner = place.setdefault(key, {})
        if not isinstance(inner, dict):
            raise Misused(f"--set {word}: {'.'.join(keys[:position])} is {json.dumps(inner)} already, with no fields")
        place = inner
    place[keys[-1]] = text if textual else _value(text)


def path_of(kind: type[Message], word: str) -> str:
    """Give the path of a ``PATH=VALUE`` word in the resource's spelling, as an update mask names it."""
    return ".".join(_keys(kind, word.partition("=")[0])[0])


def _keys(kind: type[Message], path: str) -> tuple[list[str], bool]:
    """Give the keys of a path in the resource's spelling, and whether its value is text."""
    from jupyter_sessions.model.shapes import spellings

    parts = path.split(".")
    keys: list[str] = []
    known: type[Message] | None = kind
    while parts:
        part = parts.pop(0)
        shape = spellings(known).get(part) if known else None
        keys.append(shape.alias if shape else part)
        if shape is None:
            known = None
        elif shape.many == "map" and parts:
            return [*keys, ".".join(parts)], shape.kind in TEXTS
        elif not parts:
            return keys, shape.kind in TEXTS and not shape.many
        else:
            known = shape.message if shape.kind == "message" and not shape.many else None
    return keys, False


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def lengths(content: dict[str, Any]) -> dict[str, Any]:
    """Give a session's JSON with its limits as the API writes them, where a person wrote ``8h``."""
    from jupyter_sessions.client.durations import nanoseconds
    from jupyter_sessions.model.errors import InvalidArgument
    from jupyter_sessions.model.times import format_duration

    environment = content.get("environmentConfig")
    limits = environment.get("executionConfig") if isinstance(environment, dict) else None
    if not isinstance(environment, dict) or not isinstance(limits, dict):
        return content
    changed = dict(limits)
    for key in ("ttl", "idleTtl", "idle_ttl"):
        if isinstance(changed.get(key), str | int) and not isinstance(changed[key], bool):
            try:
                changed[key] = format_duration(nanoseconds(changed[key], key))
            except (InvalidArgument, ValueError):
                # The API says what is wrong, beside all else that is.
                continue
    return {**content, "environmentConfig": {**environment, "executionConfig": changed}}
