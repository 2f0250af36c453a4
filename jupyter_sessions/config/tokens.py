"""A file of hashed tokens: who may use a service, and what of their token is known."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from pathlib import Path

_LINE = re.compile(r"(?P<name>[^:\s]+):sha256:(?P<digest>[0-9a-fA-F]{64})")


class TokensFault(Exception):
    """The file cannot be used; the message names each line and what is wrong with it, and quotes none."""


class Tokens:
    """Whose token is whose, by SHA-256; ``rows`` maps a hash to its user."""

    def __init__(self, rows: Mapping[bytes, str]) -> None:
        self._rows = dict(rows)

    @property
    def names(self) -> list[str]:
        """Every user of the file, sorted."""
        return sorted(set(self._rows.values()))

    def user(self, token: str) -> str | None:
        """Give the user whose token this is, None for nobody's; takes as long for any."""
        given = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        found = None
        for digest, name in self._rows.items():
            if hmac.compare_digest(digest, given):
                found = name
        return found


def read_tokens(path: Path) -> Tokens:
    """Read ``NAME:sha256:HEX`` lines (empty ones and ``#`` comments aside); raises TokensFault with every fault."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TokensFault(f"{path} cannot be read: {error}") from error
    rows: dict[bytes, str] = {}
    faults = []
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            faults.append(f"line {number} must be NAME:sha256:HEX with 64 hexadecimal digits")
        elif rows.setdefault(bytes.fromhex(found["digest"]), found["name"]) != found["name"]:
            faults.append(f"line {number} gives {found['name']} a token that another user has")
    if faults or not rows:
        raise TokensFault(f"{path}: {'; '.join(faults) or 'it names nobody'}")
    return Tokens(rows)
