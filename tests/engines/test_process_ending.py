"""What an engine remembers of the ends it carries out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from jupyter_sessions.engines.base import Gone, Job
from jupyter_sessions.engines.process import marked
from jupyter_sessions.model.hostfile import MARK
from tests.engines.bench import until
from tests.engines.process_bench import process_bench


async def test_an_end_that_is_done_is_forgotten(tmp_path: Path) -> None:
    async with process_bench(tmp_path) as bench:
        job = bench.job()
        child = subprocess.Popen(  # noqa: ASYNC220 - returns at once; this interpreter
            [sys.executable, "-c", "import time; time.sleep(600)"], env={MARK: mark(job)}
        )
        try:
            # The end that is asked for is nobody's own: its host has long gone, this process it left.
            await until(bench.engine, job, lambda seen: isinstance(seen, Gone) and seen.marked == 1)
            await bench.engine.stop(job, "enough", 15.5)
            child.wait(10)
            await until(bench.engine, job, lambda seen: isinstance(seen, Gone) and seen.marked == 0)
            assert bench.engine._ender.under_way() == []
        finally:
            child.kill()
            child.wait()


def mark(job: Job) -> str:
    """Give what a process of a session carries."""
    return f"{marked.session_prefix(job.store_uuid, job.uuid)}1"
