"""How a gateway's news of kernels reach who follows a session where it has no side stream: by its list of kernels."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jupyter_sessions.model.parents import session_of

log = logging.getLogger(__name__)

Take = Callable[[Mapping[str, Any]], None]

MISSES = 2
"""Whole lists that must lack a kernel before it is gone: a list may be older than a start."""


class Book:
    """The kernels that a gateway has listed, by their ids; one that is missing once stays."""

    def __init__(self) -> None:
        self._models: dict[str, Mapping[str, Any]] = {}
        self._misses: dict[str, int] = {}

    def read(self, models: Sequence[Mapping[str, Any]]) -> None:
        """Take in a whole list."""
        named = {str(model["id"]): model for model in models}
        for gone in [known for known in self._models if known not in named]:
            self._misses[gone] = self._misses.get(gone, 0) + 1
            if self._misses[gone] >= MISSES:
                self.drop(gone)
        for kernel_id, model in named.items():
            self._models[kernel_id] = model
            self._misses.pop(kernel_id, None)

    def note(self, model: Mapping[str, Any]) -> None:
        """Take in one kernel that was just started."""
        self._models.setdefault(str(model["id"]), model)

    def drop(self, kernel_id: str) -> None:
        """Forget a kernel."""
        self._models.pop(kernel_id, None)
        self._misses.pop(kernel_id, None)

    def get(self, kernel_id: str) -> Mapping[str, Any]:
        """Give a kernel's last model, an empty one where there is none."""
        return self._models.get(kernel_id, {})

    def of(self, session: str | None) -> list[Mapping[str, Any]]:
        """Give the kernels of the session of this full name; None: all."""
        return [model for model in self._models.values() if session is None or session_of(model) == session]


class Follower:
    """Hears of one session's kernels (None: of all) out of whole lists."""

    def __init__(self, session: str | None, take: Take) -> None:
        self.session, self._take = session, take

    def tell(self, book: Book) -> None:
        """Tell what the last list says."""
        try:
            self._take({"type": "kernels", "kernels": book.of(self.session)})
        except Exception:
            # One session's news must not keep the others from theirs.
            log.exception("cannot take in the kernels of %s", self.session or "the gateway")
