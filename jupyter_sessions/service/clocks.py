"""The service's clocks: the wall's for what is written, a steady one for how long something takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

SECOND = 1_000_000_000


@dataclass(frozen=True)
class Clock:
    """``now`` gives nanoseconds since the epoch and may jump; ``steady`` gives seconds and never goes back."""

    now: Callable[[], int] = time.time_ns
    steady: Callable[[], float] = time.monotonic
