"""One location's circuit: whether its upstream is worth asking, and since when not."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from jupyter_sessions.model.errors import SessionsError, Unauthenticated, Unavailable
from jupyter_sessions.model.times import format_time
from jupyter_sessions.upstream.base import Reach

FAILURES = 3
"""Failed tries in a row that open the circuit; one that waited its whole time in vain does so alone."""
RETRIAL = 30.0
"""Seconds after the last try after which an ordinary call has the upstream tried again, without waiting for it."""


class Breaker:
    """Opens when the upstream cannot be reached, and for the credentials that it refused; an answer closes it.

    Used on the event loop alone. ``now`` gives nanoseconds since the epoch, ``steady`` seconds.
    """

    def __init__(
        self, host: str, now: Callable[[], int] = time.time_ns, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._host = host
        self._now = now
        self._steady = steady
        self._reach = Reach(True)
        self._failures = 0
        self._tried = 0.0
        self._refused: Mapping[str, str] | None = None
        self._refusal: SessionsError | None = None
        self._listeners: list[Callable[[Reach], None]] = []

    @property
    def reach(self) -> Reach:
        """The circuit's state."""
        return self._reach

    @property
    def open(self) -> bool:
        """Whether the upstream does not answer (credentials that it refused are no matter of this)."""
        return not self._reach.reachable and self._reach.status != Unauthenticated.status

    def watch(self, listener: Callable[[Reach], None]) -> Callable[[], None]:
        """Have ``listener`` called with each new state; gives what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def check(self) -> None:
        """Raise Unavailable while the circuit is open."""
        if self.open:
            since = format_time(self._reach.since)
            raise Unavailable(f"{self._host} is unreachable since {since}: {self._reach.message}")

    def refusal(self, headers: Mapping[str, str]) -> SessionsError | None:
        """Give what the upstream answered to these very headers if it refused them last; else None."""
        if self._refusal is None or headers != self._refused:
            return None
        return type(self._refusal)(self._refusal.message, self._refusal.details)

    def retrial(self) -> bool:
        """Whether it is time to try the upstream again; True at most once in RETRIAL seconds."""
        now = self._steady()
        if self._reach.reachable or now - self._tried < RETRIAL:
            return False
        self._tried = now
        return True

    def answered(self) -> None:
        """Hear that the upstream answered as itself, be it with a refusal."""
        self._failures = 0
        self._refused = self._refusal = None
        self._become(True, "", "")

    def failed(self, error: SessionsError, at_once: bool = False) -> None:
        """Hear that a try failed without an answer; ``at_once``: it waited its whole time in vain."""
        self._failures += 1
        self._tried = self._steady()
        if at_once or self._failures >= FAILURES:
            self._become(False, Unavailable.status, error.message)

    def unauthenticated(self, error: SessionsError, headers: Mapping[str, str] | None = None) -> None:
        """Hear that there are no credentials, or (with ``headers``) that the upstream refused these."""
        if headers is not None:
            self._refused, self._refusal, self._failures = dict(headers), error, 0
        self._tried = self._steady()
        # Missing credentials say nothing of an upstream that could not be reached before.
        if headers is not None or not self.open:
            self._become(False, Unauthenticated.status, error.message)

    def _become(self, reachable: bool, status: str, message: str) -> None:
        old = self._reach
        since = old.since if old.since and old.reachable == reachable else self._now()
        new = Reach(reachable, since, status, message)
        if new == old:
            return
        self._reach = new
        for listener in list(self._listeners):
            listener(new)
