"""The process engine on a test's bench: real hosts, real kernels, everything below one temporary directory."""

from __future__ import annotations

import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_sessions.engines.base import Engine, Job
from jupyter_sessions.engines.process import marked
from jupyter_sessions.engines.process.engine import Bounds, ProcessEngine
from jupyter_sessions.model.hostfile import HostProcess, read
from tests.engines.bench import private, session

PYTHON_SPEC: Mapping[str, Any] = {
    "spec": {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Python 3",
        "language": "python",
        "metadata": {"debugger": True},
    },
    "resource_dir": "",
}


@dataclass
class ProcessBench:
    """A process engine over a directory of its own."""

    root: Path
    engine: ProcessEngine
    make: Callable[[], ProcessEngine]
    store_uuid: str = field(default_factory=lambda: str(uuid.uuid4()))

    def job(self, **properties: str) -> Job:
        """Give a job of a new session."""
        row = session(**{key.replace("_", ":", 1): value for key, value in properties.items()})
        directory = private(self.root / "sessions" / row.uuid)
        return Job(self.store_uuid, row, directory, directory)

    @asynccontextmanager
    async def another(self) -> AsyncIterator[Engine]:
        """Give a second server's engine."""
        engine = self.make()
        try:
            yield engine
        finally:
            await engine.close()

    async def kill_host(self, job: Job) -> None:
        """Kill the host alone, as a memory killer would."""
        host = read(job.directory, HostProcess)
        assert host is not None
        os.kill(host.pid, signal.SIGKILL)


@asynccontextmanager
async def process_bench(
    root: Path,
    specs: Mapping[str, Mapping[str, Any]] | None = None,
    bounds: Bounds | None = None,
    command: Sequence[str] = (sys.executable, "-m", "jupyter_sessions.host"),
    on_step: Callable[[str], None] = lambda _name: None,
) -> AsyncIterator[ProcessBench]:
    """Give a bench, and see to it that nothing of its store is left."""

    def make(step: Callable[[str], None] = lambda _name: None) -> ProcessEngine:
        known = specs or {"python3": PYTHON_SPEC}
        return ProcessEngine(lambda: known, str(root), bounds=bounds, command=command, on_step=step, adopt_grace=0.0)

    bench = ProcessBench(root, make(on_step), make)
    try:
        yield bench
    finally:
        await bench.engine.close()
        left = list(marked.scan(f"{bench.store_uuid}/"))
        for process in left:
            marked.send(process, signal.SIGKILL)
        assert not left, f"processes left behind: {left}"
