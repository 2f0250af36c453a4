"""``python server_with_fault.py STEP JOB``: a server that is killed as it comes to a step of starting a session.

JOB is JSON: store uuid, session uuid, the session's directory.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from jupyter_sessions.engines.base import Job
from jupyter_sessions.engines.process.engine import ProcessEngine
from tests.engines.bench import session
from tests.engines.process_bench import PYTHON_SPEC


def on_step(name: str) -> None:
    """Die by a real SIGKILL at the step."""
    if name == sys.argv[1]:
        os.kill(os.getpid(), signal.SIGKILL)


async def run(store_uuid: str, session_uuid: str, directory: Path) -> None:
    """Start the session."""
    engine = ProcessEngine(lambda: {"python3": PYTHON_SPEC}, str(directory), on_step=on_step)
    row = session().model_copy(update={"uuid": session_uuid})
    await engine.start(Job(store_uuid, row, directory, directory), 1)


if __name__ == "__main__":
    store, uuid, place = json.loads(sys.argv[2])
    asyncio.run(run(store, uuid, Path(place)))
