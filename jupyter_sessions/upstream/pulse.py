"""Whether an upstream answers right now, sooner than its circuit can know."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from jupyter_sessions.model.errors import DeadlineExceeded, SessionsError, Unauthenticated, Unavailable
from jupyter_sessions.storage.listeners import Listeners
from jupyter_sessions.upstream.base import Answer, Reach, Transport

PROMPT = 1.0
"""Seconds of silence after which whoever has something else to show waits no longer."""
SHADOW = 15.0
"""Seconds for which a failure speaks for the next call."""


class Pulse:
    """A Transport that carries the calls of another and notes how they fare."""

    def __init__(self, transport: Transport, clock: Callable[[], float] = time.monotonic) -> None:
        self._transport = transport
        self._clock = clock
        self._under_way: dict[object, float] = {}
        self._answered = -SHADOW
        self._failed = -SHADOW
        self._took = 0.0
        self._up = True
        self._listeners = Listeners[bool]()

    @property
    def reach(self) -> Reach:
        """The circuit's state; where it is closed but nothing answers just now, that."""
        reach = self._transport.reach
        if reach.reachable and self.silent:
            return Reach(False, reach.since, Unavailable.status, "it does not answer just now")
        return reach

    @property
    def silent(self) -> bool:
        """Whether the upstream owes an answer for longer than it usually takes, or has just failed."""
        now = self._clock()
        if self._failed > self._answered and now - self._failed < SHADOW:
            return True
        oldest = min(self._under_way.values(), default=now)
        return oldest > self._answered and now - oldest > max(PROMPT, 3 * self._took)

    def watch(self, listener: Callable[[bool], None]) -> Callable[[], None]:
        """Call ``listener`` whenever the upstream is found to be gone or back."""
        return self._listeners.add(listener)

    async def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        *,
        safe: bool = False,
        deadline: float | None = None,
        probe: bool = False,
    ) -> Answer:
        """Send one request; see Transport.call."""
        mark = object()
        began = self._under_way[mark] = self._clock()
        try:
            answer = await self._transport.call(method, path, query, body, safe=safe, deadline=deadline, probe=probe)
        except (Unavailable, DeadlineExceeded):
            self._failed = self._clock()
            self._tell(up=False)
            raise
        except Unauthenticated:
            # Refused at once: nobody waits for it, and it is told as what it is.
            self._tell(up=False)
            raise
        except SessionsError:
            self._came(began)
            raise
        finally:
            del self._under_way[mark]
        self._came(began)
        return answer

    async def close(self) -> None:
        """Close the transport."""
        await self._transport.close()

    def _came(self, began: float) -> None:
        self._answered = self._clock()
        self._took = self._answered - began
        self._tell(up=True)

    def _tell(self, up: bool) -> None:
        if up is not self._up and (up or not self._transport.reach.reachable):
            self._up = up
            self._listeners.tell(up)
