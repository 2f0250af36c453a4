"""The service over the process engine and real hosts that do not get ready."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from jupyter_sessions.engines.process.engine import ProcessEngine
from jupyter_sessions.model.names import LOCAL
from jupyter_sessions.model.resources import Session
from jupyter_sessions.model.states import State
from jupyter_sessions.service.embedded import EmbeddedSessions
from tests.engines.process_bench import PYTHON_SPEC
from tests.service.servers import ALICE, in_state

KILLED = Path(__file__).parents[1] / "engines" / "host_with_fault.py"
BROKEN = "import sys; print('one line', file=sys.stderr); sys.exit('ModuleNotFoundError: tornado')"


async def _failed(root: Path, command: Sequence[str]) -> tuple[str, int]:
    """Create a session whose hosts are started by ``command``; give why it failed and how many were started."""
    starts: list[str] = []
    engine = ProcessEngine(lambda: {"python3": PYTHON_SPEC}, str(root), command=command, on_step=starts.append)
    service = EmbeddedSessions(root / "data", engine)
    await service.start()
    try:
        await service.create_session(ALICE, LOCAL, Session(), "unlucky")
        session = await in_state(service, "unlucky", State.FAILED, 40)
    finally:
        await service.stop()
        await engine.close()
    return session.state_message, starts.count("spawned")


@pytest.mark.parametrize("step", ["lock", "serve"])
async def test_a_host_that_is_killed_before_it_is_ready_is_started_again(tmp_path: Path, step: str) -> None:
    message, starts = await _failed(tmp_path, [sys.executable, str(KILLED), step])
    assert starts == 5
    assert message.startswith("The session's host ended 5 times before it was ready. The last time: ")
    assert message.count("signal 9 (SIGKILL") == 1


async def test_a_host_that_fails_by_itself_is_not_and_its_log_is_told_once(tmp_path: Path) -> None:
    message, starts = await _failed(tmp_path, [sys.executable, "-c", BROKEN])
    assert starts == 1
    assert message == (
        "Before it was ready, the session's host ended with exit status 1. The log's last lines:\n"
        "one line\nModuleNotFoundError: tornado"
    )
