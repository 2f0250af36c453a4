"""Who is told something, in the order of their coming."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

from jupyter_sessions.model.api import Unsubscribe

T = TypeVar("T")
log = logging.getLogger(__name__)


class Listeners(Generic[T]):
    """Functions that are called, one after the other, with each piece of news."""

    def __init__(self) -> None:
        self._known: dict[object, Callable[[T], None]] = {}

    def add(self, listener: Callable[[T], None]) -> Unsubscribe:
        """Call ``listener`` with all news from now on; the answer undoes it, once or more often."""
        key = object()
        self._known[key] = listener

        def remove() -> None:
            self._known.pop(key, None)

        return remove

    def tell(self, news: T) -> None:
        """Tell each listener; the fault of one is logged and keeps the news from no other."""
        for listener in list(self._known.values()):
            try:
                listener(news)
            except Exception:
                log.exception("a listener failed on %r", news)
