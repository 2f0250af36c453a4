"""How figures are gathered and printed: in turns, as medians, each ratio beside its target."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence


def measured(targets: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Time each target ``rounds`` times, in turns so that a busy moment hits all; seconds."""
    times: dict[str, list[float]] = {name: [] for name in targets}
    for _ in range(rounds):
        for name, target in targets.items():
            start = time.perf_counter()
            target()
            times[name].append(time.perf_counter() - start)
    return times


def table(title: str, times: Mapping[str, Sequence[float]], targets: Mapping[str, float]) -> None:
    """Print the medians (seconds in, milliseconds out); the first row's ratio to each other, with the most allowed."""
    print(f"\n{title}")
    first, base = next((name, statistics.median(values)) for name, values in times.items())
    for name, values in times.items():
        middle, ratio = statistics.median(values), ""
        if name != first:
            ratio = f"  {first} is {verdict(base / middle, targets.get(name))} of it"
        print(f"  {name:34} {middle * 1e3:8.2f} ms  ({min(values) * 1e3:.2f} to {max(values) * 1e3:.2f}){ratio}")


def verdict(value: float, most: float | None, unit: str = "times") -> str:
    """Give a figure with what it may be at most and whether it is."""
    if most is None:
        return f"{value:.2f} {unit}"
    return f"{value:.2f} {unit} (at most {most:g}: {'met' if value <= most else 'MISSED'})"
