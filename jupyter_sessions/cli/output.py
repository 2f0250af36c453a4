"""What commands write: data on stdout in the format asked for, talk on stderr, and how they exit."""

from __future__ import annotations

import enum
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jupyter_sessions.model.errors import Unauthenticated
from jupyter_sessions.model.words import plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

OK, FAULTS, USAGE, BROKEN = 0, 1, 2, 3
"""Exit codes: all is well; faults were found or the act failed; it was not understood; a program it needs broke."""
INTERRUPTED = 130
"""What a command that Ctrl-C ended exits with."""
EXITS = "Exit codes: 0 all is well, 1 faults or a failure, 2 not understood, 3 a program it needs broke, 130 Ctrl-C."

UNBROKEN = 10_000
"""Columns of what is no terminal."""
_ACTS = re.compile("[\x7f-\x9f]")
"""What JSON leaves as it is and a terminal may act on."""


CALLER = (
    "give its token in JUPYTER_SESSIONS_TOKEN: `jupyter server list` shows that of a Jupyter server, and `jupyter "
    "sessions serve` keeps its own in the file that it names at its start, jupyter_sessions_serve/serve.token below "
    "`jupyter --data-dir`"
)
_LISTS = {"session": "list", "session template": "templates list", "operation": "operations list"}
_MISSING = re.compile(f"({'|'.join(_LISTS)}) projects/[^ ]+ does not exist")


class Format(str, enum.Enum):
    """How data are written."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


def cell(text: str, style: str = "") -> Text:
    """Give a table's cell: without markup, and without what a terminal would act on."""
    from rich.text import Text

    return Text(plain(text), style)


def table(columns: Sequence[str]) -> Table:
    """Make an empty table; its colours are for a terminal alone."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def show(made: Table | Text) -> None:
    """Write a table, or a text with colours, to stdout."""
    from rich.text import Text

    console = _console()
    if console.is_terminal:
        console.print(made, soft_wrap=isinstance(made, Text))
        return
    with console.capture() as captured:
        console.print(made, soft_wrap=isinstance(made, Text))
    for line in captured.get().splitlines():
        print(line.rstrip())


def width() -> int:
    """Give how many columns stdout has; where it is no terminal, so many that each row is one line for a program."""
    return _console().width


def stderr_moves() -> bool:
    """Whether stderr is a terminal that can redraw a line."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb", "unknown")


def _console() -> Console:
    from rich.console import Console

    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = UNBROKEN
    return console


def write(data: Mapping[str, Any] | Sequence[Any], form: Format) -> None:
    """Write data to stdout as JSON or YAML."""
    if form is Format.YAML:
        import yaml

        yaml.safe_dump(data, sys.stdout, sort_keys=False, allow_unicode=True)
    else:
        print(as_json(data, indent=2))


def as_json(data: Mapping[str, Any] | Sequence[Any], indent: int | None = None) -> str:
    """Give JSON in signs that stdout has, and without those that a terminal would act on."""
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    text = json.dumps(data, indent=indent, ensure_ascii=not utf8)
    return _ACTS.sub(lambda sign: f"\\u{ord(sign[0]):04x}", text)


def names(found: Iterable[str]) -> None:
    """Write names to stdout, one a line."""
    for name in found:
        print(plain(name))


def reason(error: Exception) -> str:
    """Give what an error says; of a name that is none also what lists those that there are.

    Where no token was taken it says how a terminal gives one, and where there is one.
    """
    text = str(error)
    if isinstance(error, Unauthenticated):
        return f"{text.partition(' (`jupyter server list`')[0]} ({CALLER})"
    missing = _MISSING.fullmatch(text)
    if missing is None:
        return text
    return f"{text}; to see what there is: jupyter sessions {_LISTS[missing[1]]}"


def say(text: str) -> None:
    """Write talk to stderr."""
    print(plain(text), file=sys.stderr)
