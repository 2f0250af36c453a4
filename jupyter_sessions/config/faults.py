"""What is wrong with a configuration, and how it is told: every fault at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fault:
    """One fault of one source.

    ``source`` is a file's path or the trait's name, ``line`` counts from 1 (0: not known), ``field`` is the path of the
    field (``locations[0].endpoint``; empty: the source as a whole). ``rule`` says what must hold, ``remedy`` what to
    do. No value of the file stands in it that could be a secret.
    """

    source: str
    field: str
    rule: str
    remedy: str = ""
    line: int = 0

    def __str__(self) -> str:
        place = f"{self.source}:{self.line}" if self.line else self.source
        told = f"{place}: {self.field}: {self.rule}" if self.field else f"{place}: {self.rule}"
        return f"{told}; {self.remedy}" if self.remedy else told

    def shown(self) -> dict[str, Any]:
        """Give it as JSON, for an answer or a report."""
        return {
            "source": self.source,
            "line": self.line,
            "field": self.field,
            "rule": self.rule,
            "remedy": self.remedy,
        }


class ConfigFaults(Exception):
    """A configuration that cannot be used; ``faults`` holds every fault of every source."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults: tuple[Fault, ...] = tuple(faults)


Path = tuple["str | int", ...]
"""Where a value lies in a document: keys and positions from its top."""


@dataclass(frozen=True)
class Problem:
    """A fault before it is known which source it lies in; ``path`` leads from the top of what was judged."""

    path: Path
    rule: str
    remedy: str = ""

    def under(self, *prefix: str | int) -> Problem:
        """Give it with a path that begins further up."""
        return Problem((*prefix, *self.path), self.rule, self.remedy)


def dotted(path: Path) -> str:
    """Give a path as people write it: ``locations[0].bearer.file``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
