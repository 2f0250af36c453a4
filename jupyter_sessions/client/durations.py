"""How long, as people write it."""

from __future__ import annotations

import re

from jupyter_sessions.model.errors import FieldViolation, InvalidArgument
from jupyter_sessions.model.times import SECOND

RULE = "seconds, or a number with s, m, h or d behind it, as 3600, 90m, 8h, 2d or 1h30m"
_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PIECE = re.compile(r"(\d+(?:\.\d+)?)\s*([dhms])")
_WHOLE = re.compile(rf"(?:{_PIECE.pattern}\s*)+")


def nanoseconds(value: float | str, field: str) -> int:
    """Give the nanoseconds of a length in seconds, or as text; raises InvalidArgument that names ``field``."""
    text = str(value).strip().lower()
    try:
        return round(float(text) * SECOND)
    except (ValueError, OverflowError):
        pass
    if _WHOLE.fullmatch(text) is None:
        raise InvalidArgument([FieldViolation(field, f"must be {RULE}, not {str(value)!r}")])
    return round(sum(float(number) * _UNITS[unit] for number, unit in _PIECE.findall(text)) * SECOND)
