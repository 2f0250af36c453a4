"""What each kernel uses: CPU and memory of its process and all that it started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jupyter_sessions.host.memory import Meter
from jupyter_sessions.host.process import descendants


@dataclass(frozen=True)
class KernelUsage:
    """``cpu_percent`` (100 is one whole CPU) since the measure before, ``memory_bytes`` (RSS, summed)."""

    cpu_percent: float = 0.0
    memory_bytes: int = 0


class UsageSampler:
    """Measures kernels; keeps for each what the measure before found. Does file I/O: call it on a thread."""

    def __init__(self) -> None:
        self._meters: dict[tuple[str, int], Meter] = {}

    def sample(self, pids: Mapping[str, int]) -> dict[str, KernelUsage]:
        """Give the usage of each kernel id; a kernel without a process (pid 0) uses nothing."""
        meters = {(name, pid): self._meters.get((name, pid)) or Meter() for name, pid in pids.items() if pid}
        self._meters = meters
        found = {name: KernelUsage() for name in pids}
        for (name, pid), meter in meters.items():
            use = meter.measure([pid, *descendants(pid)])
            found[name] = KernelUsage(round(use.cpu * 100, 1), use.memory)
        return found
