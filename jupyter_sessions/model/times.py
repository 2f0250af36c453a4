"""Timestamp and Duration of proto3 JSON: nanoseconds here, text on the wire. Ranges are protobuf's."""

from __future__ import annotations

import datetime
import functools
import re

SECOND = 1_000_000_000
"""Nanoseconds of one second."""

_EPOCH_DAY = datetime.date(1970, 1, 1).toordinal()
_FIRST = -62_135_596_800 * SECOND
_LAST = 253_402_300_800 * SECOND - 1
_LONGEST = 315_576_000_000 * SECOND
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)
_DURATION = re.compile(r"(-?)([0-9]{1,12})(?:\.([0-9]{1,9}))?s")
TIME_RULE = "an RFC 3339 time from year 0001 to 9999, as 2026-01-31T08:00:00.5Z"
DURATION_RULE = "seconds with at most 9 decimals and an s behind them, as 3600s or 3.5s"


def _fraction(nanos: int) -> str:
    if nanos % SECOND == 0:
        return ""
    digits = f"{nanos % SECOND:09}"
    for kept in (3, 6):
        if not digits[kept:].strip("0"):
            return "." + digits[:kept]
    return "." + digits


def _nanos(digits: str | None) -> int:
    return int((digits or "").ljust(9, "0"))


# A list that is asked for again and again tells the same times.
@functools.lru_cache(maxsize=4096)
def format_time(ns: int) -> str:
    """Give RFC 3339 in UTC with ``Z`` and 0, 3, 6 or 9 fractional digits; raises ValueError outside 0001 to 9999."""
    if not _FIRST <= ns <= _LAST:
        raise ValueError(f"{ns} ns is outside the years 0001 to 9999")
    days, second = divmod(ns // SECOND, 86_400)
    date = datetime.date.fromordinal(_EPOCH_DAY + days).isoformat()
    return f"{date}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}{_fraction(ns)}Z"


def parse_time(text: str) -> int:
    """Give nanoseconds since the epoch of an RFC 3339 time with any offset; raises ValueError that names the rule."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"must be {TIME_RULE}")
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    sign, offset_hours, offset_minutes = found[8], int(found[9] or 0), int(found[10] or 0)
    if hour > 23 or minute > 59 or second > 59 or offset_hours > 23 or offset_minutes > 59:
        raise ValueError(f"must be {TIME_RULE}")
    try:
        days = datetime.date(year, month, day).toordinal() - _EPOCH_DAY
    except ValueError as error:
        raise ValueError(f"must be {TIME_RULE}: {error}") from error
    offset = (offset_hours * 3600 + offset_minutes * 60) * (-1 if sign == "-" else 1)
    ns = (days * 86_400 + hour * 3600 + minute * 60 + second - offset) * SECOND + _nanos(found[7])
    if not _FIRST <= ns <= _LAST:
        raise ValueError(f"must be {TIME_RULE}, in UTC too")
    return ns


def format_duration(ns: int) -> str:
    """Give ``3.500s`` with 0, 3, 6 or 9 fractional digits; raises ValueError beyond 315,576,000,000 s."""
    if abs(ns) > _LONGEST:
        raise ValueError(f"{ns} ns is longer than 315576000000s")
    return f"{'-' if ns < 0 else ''}{abs(ns) // SECOND}{_fraction(abs(ns))}s"


def parse_duration(text: str) -> int:
    """Give nanoseconds of ``3.5s``; raises ValueError that names the rule."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"must be {DURATION_RULE}")
    ns = int(found[2]) * SECOND + _nanos(found[3])
    if ns > _LONGEST:
        raise ValueError("must be at most 315576000000s")
    return -ns if found[1] else ns
