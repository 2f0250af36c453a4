"""Lists that fetch their pages as they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from jupyter_sessions.model.api import Page

T = TypeVar("T")


class Listing(Iterator[T], Generic[T]):
    """An iterator over the rows of a list; ``unreachable`` names locations that did not answer, so far.

    Each page is fetched when its first row is asked for, and raises then what the call raises.
    """

    def __init__(self, fetch: Callable[[str], Page[T]]) -> None:
        self.unreachable: list[str] = []
        self._rows = self._read(fetch)

    def __next__(self) -> T:
        return next(self._rows)

    def __repr__(self) -> str:
        return "<Listing: its rows are fetched as they are read, by a for loop or list(…)>"

    def _read(self, fetch: Callable[[str], Page[T]]) -> Iterator[T]:
        token = ""
        while True:
            page = fetch(token)
            self.unreachable += [name for name in page.unreachable if name not in self.unreachable]
            yield from page.items
            token = page.next_page_token
            if not token:
                return
