"""What completes the words after ``%session`` and ``%%session``: commands, options, and what there is at the server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, Queue
from typing import Generic, TypeVar

from jupyter_sessions.magics.arguments import Argument
from jupyter_sessions.magics.cell import ARGUMENTS
from jupyter_sessions.magics.commands import COMMANDS
from jupyter_sessions.magics.context import Context
from jupyter_sessions.model.words import short

T = TypeVar("T")
PATIENCE_S = 1.5
"""Seconds that a person who pressed Tab waits at most."""
KEPT_S = 3.0
"""Seconds that names from the server are good for: a person presses Tab more than once."""


def soon(call: Callable[[], T], seconds: float = PATIENCE_S) -> T | None:
    """Give what a call gives, None if it takes too long or fails; a late one goes on in its thread."""
    answers: Queue[T | None] = Queue()

    def run() -> None:
        try:
            answers.put(call())
        except Exception:  # a completion that fails is none: it has no place to say why
            answers.put(None)

    threading.Thread(target=run, name="session completion", daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except Empty:
        return None


@dataclass
class Kept(Generic[T]):
    """Something from the server with the time until which it is good."""

    value: T
    until: float


@dataclass(frozen=True)
class Word:
    """One completion: ``kind`` is shown beside it."""

    text: str
    kind: str


class Names:
    """What there is at the server, by what a word may name."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._kept: dict[str, Kept[list[str]]] = {}

    def of(self, kind: str, given: Sequence[str]) -> list[str]:
        """Give the names of a kind; ``given`` are the words before, one of which may be a session."""
        if kind == "command":
            return list(COMMANDS)
        if kind == "variable":
            return [name for name in self._context.shell.user_ns if not name.startswith("_")]
        key = kind if kind != "kernel" else f"kernel {' '.join(given)}"
        kept = self._kept.get(key)
        if kept is None or kept.until < time.monotonic():
            found = soon(lambda: self._ask(kind, given))
            if found is None:
                return ["main", "new"] if kind == "kernel" else []
            kept = self._kept[key] = Kept(found, time.monotonic() + KEPT_S)
        return kept.value

    def _ask(self, kind: str, given: Sequence[str]) -> list[str]:
        client = self._context.client
        if kind == "session":
            found = sorted(client.list(page_size=200), key=lambda one: one.state.final)
            return [short(one.name) for one in found]
        if kind == "template":
            return [short(one.name) for one in client.templates.list()]
        if kind == "location":
            return [str(one.name) for one in client.locations.list()]
        name = next((text for text in given if not text.startswith("-")), None)
        ids = [str(model["id"]) for model in client.kernels(self._context.which(name))]
        return ["main", "new", *ids]


def complete_words(names: Names, line: str, cell: bool) -> list[Word]:
    """Complete the last word of what stands between the magic's name and the cursor.

    ``cell``: it is the first line of ``%%session``. Words are split at spaces: one in quotes is not completed.
    """
    *before, last = line.split(" ") if line else [""]
    given = [text for text in before if text]
    found: list[Word] = []
    known: Sequence[Argument] = ARGUMENTS
    if not cell:
        if not given:
            found = [Word(name, "command") for name in COMMANDS]
            known = COMMANDS["list"].arguments
        else:
            command = COMMANDS.get(given[0] if not given[0].startswith("-") else "list")
            known = command.arguments if command else ()
            given = given if given[0].startswith("-") else given[1:]
    return [word for word in found + _arguments(names, known, given, last) if word.text.startswith(last)]


def _arguments(names: Names, known: Sequence[Argument], given: Sequence[str], last: str) -> list[Word]:
    options = {name: one for one in known if one.option for name in one.names}
    waiting = options.get(given[-1]) if given else None
    places = [text for at, text in enumerate(given) if not _belongs_to_option(given, at, options)]
    if waiting is not None and waiting.takes_value:
        choices = waiting.more.get("choices") or (names.of(waiting.kind, places) if waiting.kind else ())
        return [Word(str(text), waiting.kind or "value") for text in choices]
    if last.startswith("-"):
        used = {name for text in given if text in options for name in options[text].names}
        return [Word(name, "option") for name, one in options.items() if name not in used or _repeats(one)]
    words_by_place = [one for one in known if not one.option]
    at = min(len(places), len(words_by_place) - 1)
    if not words_by_place or (len(places) > at and words_by_place[at].more.get("nargs") != "+"):
        return []
    expected = words_by_place[at]
    return [Word(text, expected.kind) for text in names.of(expected.kind, places)] if expected.kind else []


def _belongs_to_option(given: Sequence[str], at: int, options: dict[str, Argument]) -> bool:
    if given[at].startswith("-"):
        return True
    before = options.get(given[at - 1]) if at else None
    return before is not None and before.takes_value


def _repeats(one: Argument) -> bool:
    return one.more.get("action") == "append"
