"""Page tokens: opaque, signed, bound to the list they came from."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass

from jupyter_sessions.model.errors import FieldViolation, InvalidArgument
from jupyter_sessions.model.names import LocationName

DEFAULT_SIZE = 100
MAX_SIZE = 1000
_MAC = 16
_INT32 = 1 << 31


@dataclass(frozen=True)
class Cursor:
    """The last row of a page: the next page holds what is older, or as old with a greater name (``name`` full)."""

    create_time: int
    name: str


def _mac(key: bytes, payload: bytes, parent: LocationName | str, filter: str) -> bytes:
    bound = json.dumps([str(parent), filter]).encode()
    return hmac.digest(key, len(bound).to_bytes(8, "big") + bound + payload, hashlib.sha256)[:_MAC]


def sign(key: bytes, parent: LocationName | str, filter: str, cursor: Cursor) -> str:
    """Make the token of the page after ``cursor``.

    ``parent`` names the collection; give ``{parent}/sessionTemplates`` where one key serves several collections.
    """
    payload = json.dumps([cursor.create_time, cursor.name], separators=(",", ":")).encode()
    token = base64.urlsafe_b64encode(_mac(key, payload, parent, filter) + payload)
    return token.decode("ascii").rstrip("=")


def verify(key: bytes, token: str, parent: LocationName | str, filter: str) -> Cursor:
    """Read a token that :func:`sign` made for the same key, parent and filter; else raises InvalidArgument."""
    rule = "must be a nextPageToken of the same parent and filter, unchanged; leave it out to begin again"
    refusal = InvalidArgument([FieldViolation("pageToken", rule)])
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise refusal from None
    # A second spelling of the same bytes (unused bits of the last letter) counts as tampered with.
    canonical = base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")
    mac, payload = raw[:_MAC], raw[_MAC:]
    if canonical != token or not hmac.compare_digest(mac, _mac(key, payload, parent, filter)):
        raise refusal
    create_time, name = json.loads(payload)
    return Cursor(create_time, name)


def page_size(requested: int) -> int:
    """Give the size of a page: 0 is the default, more than the maximum is the maximum.

    Raises InvalidArgument for a negative one and for what is no 32-bit number.
    """
    if not 0 <= requested < _INT32:
        raise InvalidArgument([FieldViolation("pageSize", f"must be 0 (for {DEFAULT_SIZE}) to {MAX_SIZE} or more")])
    return min(requested, MAX_SIZE) or DEFAULT_SIZE
