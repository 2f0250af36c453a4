"""What a check found, and how it is kept free of secrets."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

HIDDEN = "[not shown]"


class Level(str, enum.Enum):
    """How well it is: FAULT is what keeps something from working, WARN what may surprise."""

    OK = "ok"
    WARN = "warn"
    FAULT = "fault"


@dataclass(frozen=True)
class Finding:
    """One answer of one check.

    ``check`` is the check's short name (``tls``), ``subject`` what was looked at (a location, a file; empty: this
    installation). ``what`` says how it is, ``why`` what follows or where it comes from, ``remedy`` what to do.
    """

    check: str
    subject: str
    level: Level
    what: str
    why: str = ""
    remedy: str = ""

    def shown(self) -> dict[str, Any]:
        """Give it as JSON."""
        return {**asdict(self), "level": self.level.value}


def well(check: str, subject: str, what: str, why: str = "") -> Finding:
    """Say that something is as it should be."""
    return Finding(check, subject, Level.OK, what, why)


def warn(check: str, subject: str, what: str, why: str = "", remedy: str = "") -> Finding:
    """Say what may surprise."""
    return Finding(check, subject, Level.WARN, what, why, remedy)


def fault(check: str, subject: str, what: str, why: str = "", remedy: str = "") -> Finding:
    """Say what does not work."""
    return Finding(check, subject, Level.FAULT, what, why, remedy)


def scrubbed(found: Sequence[Finding], secrets: Iterable[str]) -> list[Finding]:
    """Give findings in which none of these secrets stands, be it that a server said one back to us."""
    words = sorted((secret for secret in secrets if len(secret) > 3), key=len, reverse=True)

    def clean(text: str) -> str:
        for word in words:
            text = text.replace(word, HIDDEN)
        return text

    return [
        replace(row, subject=clean(row.subject), what=clean(row.what), why=clean(row.why), remedy=clean(row.remedy))
        for row in found
    ]
