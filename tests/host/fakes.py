"""Stand-ins for the host's other half and for its clock."""

from __future__ import annotations

from collections.abc import Iterable

from jupyter_sessions.model.hostfile import Intent, KernelSpecEntry


class FakeKernels:
    """Kernels as the keeper sees them; a test sets the numbers."""

    def __init__(self) -> None:
        self.kernels = 0
        self.executing = 0
        self.active = 0.0
        self.processes: list[int] = []
        self.shut_down: list[bool] = []

    def count(self) -> int:
        return self.kernels

    def busy(self) -> int:
        return self.executing

    def last_activity(self) -> float:
        return self.active

    def pids(self) -> Iterable[int]:
        return self.processes

    async def shutdown_all(self, now: bool) -> None:
        self.shut_down.append(now)


class Clock:
    """A wall clock that goes where a test puts it."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def intent(directory: str, **changes: object) -> Intent:
    """Give an intent to run one Python kernel in ``directory``."""
    values: dict[str, object] = {
        "store_uuid": "store",
        "session_uuid": "session",
        "incarnation": 1,
        "wanted": "run",
        "socket_dir": directory,
        "lock_dir": directory,
        "kernels": {"python3": KernelSpecEntry(["python"], "Python 3", "python")},
        "cwd": directory,
        "ttl": 3600.0,
        "idle_ttl": 1800.0,
    }
    return Intent(**{**values, **changes})  # type: ignore[arg-type]  # the test names fields of Intent
