"""A clock that a test moves."""

from __future__ import annotations

import time

from jupyter_sessions.service.clocks import SECOND, Clock


class MovedClock:
    """The real clocks plus what a test added: ``jump`` moves the wall's, ``wait`` the steady one (both in seconds)."""

    def __init__(self) -> None:
        self._jumped = 0.0
        self._waited = 0.0

    def jump(self, seconds: float) -> None:
        """Set the wall clock forth or back, as a user or NTP does."""
        self._jumped += seconds

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._jumped += seconds
        self._waited += seconds

    @property
    def clock(self) -> Clock:
        """The service's clock."""
        return Clock(lambda: time.time_ns() + round(self._jumped * SECOND), lambda: time.monotonic() + self._waited)
