"""The words after a magic: described once, for the parser, for the help and for completion."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from jupyter_sessions.model.errors import FieldViolation, InvalidArgument

SIZE_RULE = "bytes, or a number with K, M, G, Ki, Mi or Gi behind it, as 500M"
# What stands for % in a magic's name: argparse would take it for a format of its own.
_PERCENT = "\N{FULLWIDTH PERCENT SIGN}"
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]?)(i?)B?", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3}


@dataclass(frozen=True)
class Argument:
    """One word or option. ``kind`` says what completes it: a name of :data:`KINDS`; ``more`` goes to argparse."""

    names: tuple[str, ...]
    help: str
    kind: str = ""
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def option(self) -> bool:
        """Whether it is an option, not a word by its place."""
        return self.names[0].startswith("-")

    @property
    def takes_value(self) -> bool:
        """Whether a value follows the option."""
        return self.option and self.more.get("action") not in ("store_true", "store_false")


KINDS = ("session", "template", "kernel", "variable", "command", "location")
"""What a word may name: each is completed with what there is of it."""


def word(name: str, help: str, kind: str = "", **more: Any) -> Argument:
    """Describe a word that is known by its place."""
    return Argument((name,), help, kind, more)


def option(*names: str, help: str, kind: str = "", **more: Any) -> Argument:
    """Describe an option."""
    return Argument(names, help, kind, more)


def flag(*names: str, help: str) -> Argument:
    """Describe an option without a value."""
    return Argument(names, help, "", {"action": "store_true"})


class HelpShown(Exception):
    """The help was asked for; ``str`` of it is the text."""


class _Parser(argparse.ArgumentParser):
    """A parser whose faults are InvalidArgument, and that ends no program."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, how it is written, and where there is more."""
        prog = _shown(self.prog)
        # IPython refuses a cell magic without a body before it is asked for its help.
        more = f"{prog}?" if prog.startswith("%%") else f"{prog} --help"
        raise InvalidArgument(f"{prog}: {message}\n{_shown(self.format_usage()).strip()}\nMore: {more}")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """End nothing but this parsing."""
        raise HelpShown(message or "")

    def print_help(self, file: Any = None) -> None:
        """Hand the help to whoever asked for it."""
        raise HelpShown(help_of(self))


def _shown(text: str) -> str:
    return text.replace(_PERCENT, "%")


def help_of(parser: argparse.ArgumentParser) -> str:
    """Give the help of a parser that was made here."""
    return _shown(parser.format_help()).rstrip()


def parser(prog: str, summary: str, arguments: Sequence[Argument], example: str = "") -> argparse.ArgumentParser:
    """Make the parser of a magic or of one of its commands."""
    made = _Parser(
        prog=prog.replace("%", _PERCENT),
        description=summary.replace("%", _PERCENT),
        epilog=f"Example: {example}".replace("%", _PERCENT) if example else None,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for one in arguments:
        made.add_argument(*one.names, help=one.help.replace("%", _PERCENT), **one.more)
    return made


def parse(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """Read words, the options between them; raises InvalidArgument that says the rule, HelpShown."""
    return parser.parse_intermixed_args(list(words))


def split(line: str, prog: str) -> list[str]:
    """Split a line into words as a shell does; raises InvalidArgument where a quote is not closed."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise InvalidArgument(
            f"{prog}: {str(error).lower()}; close each quote, or write \\ before a bare one"
        ) from None


def pairs(given: Sequence[str] | None, field: str) -> dict[str, str]:
    """Read ``k=v`` words; raises InvalidArgument that names every one that is none."""
    faults, found = [], {}
    for text in given or ():
        key, sign, value = text.partition("=")
        if not sign or not key:
            faults.append(FieldViolation(field, f"must be KEY=VALUE, not {text!r}"))
        found[key] = value
    if faults:
        raise InvalidArgument(faults)
    return found


def size(text: str, field: str = "--limit") -> int:
    """Give the bytes of ``500M``; raises InvalidArgument."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InvalidArgument([FieldViolation(field, f"must be {SIZE_RULE}, not {text!r}")])
    base = 1024 if match[3] else 1000
    return int(float(match[1]) * base ** _POWERS[match[2].upper()])


@dataclass(frozen=True)
class Command:
    """One thing that ``%session`` does; ``run`` gets the parsed words."""

    name: str
    summary: str
    arguments: tuple[Argument, ...]
    run: Callable[[Any, argparse.Namespace], None]
    example: str

    def parser(self) -> argparse.ArgumentParser:
        """Make its parser."""
        return parser(f"%session {self.name}", self.summary, self.arguments, self.example)
