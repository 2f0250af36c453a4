"""Which word of a command line a faulty field of a request is: people know ``--ttl``, not the field behind it."""

from __future__ import annotations

from collections.abc import Sequence

from jupyter_sessions.model.errors import FieldViolation, InvalidArgument

FLAGS: dict[str, tuple[str, ...]] = {
    "environmentConfig.executionConfig.ttl": ("--ttl",),
    "environmentConfig.executionConfig.idleTtl": ("--idle-ttl",),
    "labels": ("--label", "-l"),
    "runtimeConfig.properties": ("--property", "-p"),
    "jupyterSession.kernel": ("--kernel",),
    "jupyterSession.displayName": ("--display-name",),
    "sessionTemplate": ("--template", "-t"),
}
"""A field, or the beginning of one, and the options that set it."""
NAME = "NAME"
FILE = ("--file", "-f")


def in_words(error: InvalidArgument, words: Sequence[str]) -> tuple[InvalidArgument, bool]:
    """Give a refusal that names options where ``words``, the command line, have them; and whether it names them alone.

    A field that a file or ``--set`` holds keeps its own name.
    """
    named = [_named(one.field, words) for one in error.violations]
    if not any(named):
        return error, False
    rows = [
        FieldViolation(name or one.field, one.description) for name, one in zip(named, error.violations, strict=True)
    ]
    return InvalidArgument(rows), all(named)


def _named(field: str, words: Sequence[str]) -> str:
    """Give what a person calls a field, ``""`` where no word of theirs set it."""
    if field == "sessionId" and words[:1] == ["create"] and not any(_has(words, option) for option in FILE):
        return NAME
    for path, options in FLAGS.items():
        if field == path or field.startswith((f"{path}.", f"{path}[")):
            return next((_shown(option, field[len(path) :]) for option in options if _has(words, option)), "")
    return ""


def _has(words: Sequence[str], option: str) -> bool:
    return any(word == option or word.startswith(f"{option}=") for word in words)


def _shown(option: str, key: str) -> str:
    """Give an option, and of a map also the key that is at fault."""
    return f"{option} {key.lstrip('.')}".rstrip()
