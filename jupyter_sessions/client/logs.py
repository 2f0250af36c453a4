"""A session's log, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator

from jupyter_sessions.client.calls import Calls
from jupyter_sessions.client.waiting import Pace
from jupyter_sessions.model.names import SessionName

PIECE = 1 << 20
"""The most bytes of one request."""


def read_log(
    calls: Calls, name: SessionName, follow: bool, tail: int | None, start: int | None = None
) -> Iterator[str]:
    """Yield the log; ``tail`` begins that many bytes before its end, ``follow`` goes on until nothing can come.

    ``start`` is the offset to begin at, in place of ``tail``. What was thrown away before it could be read leaves a
    line that says how much.
    """
    offset, pace = -tail if tail else 0, Pace()
    first = True
    if start is not None:
        offset, first = start, False
    elif tail == 0:
        offset, first = calls.read_log(name, -1, 1).next_offset, False
    while True:
        page = calls.read_log(name, offset, PIECE)
        if not first and page.offset > offset:
            yield f"\n[{page.offset - offset} bytes of older log are gone]\n"
        if page.content:
            yield page.content
            pace.reset()
        moved = page.next_offset != offset or first
        offset, first = page.next_offset, False
        if page.content or (moved and page.truncated):
            continue
        if page.complete or not follow:
            return
        pace.wait()
