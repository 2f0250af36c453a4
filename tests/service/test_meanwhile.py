"""What a user asks while the reconciler is in the middle of a step: the step gives way, the wish does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_sessions.model.names import LOCAL
from jupyter_sessions.model.resources import EnvironmentConfig, ExecutionConfig, Session
from jupyter_sessions.model.states import State
from tests.service.fake_engine import World
from tests.service.pausing_engine import PausingEngine
from tests.service.servers import ALICE, active, in_state, named, serving, until

SECOND = 1_000_000_000
TTL = "environmentConfig.executionConfig.ttl"


async def test_limits_that_change_while_others_are_handed_over_reach_the_host_too(tmp_path: Path) -> None:
    engine = PausingEngine("update")
    async with serving(tmp_path, engine=engine) as service:
        session = await active(service, "extended")
        async with engine.paused():
            longer = Session(environment_config=EnvironmentConfig(execution_config=ExecutionConfig(ttl=9000 * SECOND)))
            await service.update_session(ALICE, named("extended"), longer, [TTL])
        await until(lambda: engine.world.hosts[session.uuid].limits[0] == 9000 * SECOND)


async def test_an_end_asked_while_a_session_becomes_active(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    engine = PausingEngine("kernels")
    async with serving(tmp_path, engine=engine) as service:
        await service.create_session(ALICE, LOCAL, Session(), "cut-short")
        async with engine.paused():
            await service.terminate_session(ALICE, named("cut-short"))
        session = await in_state(service, "cut-short", State.TERMINATED)
    assert [entry.state for entry in session.state_history] == [State.CREATING, State.TERMINATING]
    assert not caplog.records


async def test_an_end_asked_while_a_failure_is_written(tmp_path: Path) -> None:
    engine = PausingEngine("logs", world=World(ready=False))
    async with serving(tmp_path, engine=engine) as service:
        operation = await service.create_session(ALICE, LOCAL, Session(), "failing")
        uuid = operation.metadata.session_uuid
        await until(lambda: uuid in engine.world.hosts)
        engine.world.finish(uuid, "start", "ipykernel is missing")
        async with engine.paused():
            await service.terminate_session(ALICE, named("failing"))
        session = await in_state(service, "failing", State.TERMINATED)
    assert session.state_message == "Terminated by alice"


async def test_an_end_asked_just_before_the_start_starts_nothing(tmp_path: Path) -> None:
    engine = PausingEngine("observe", nth=2)  # the second look is the one under the lock
    async with serving(tmp_path, engine=engine) as service:
        await service.create_session(ALICE, LOCAL, Session(), "unwanted")
        async with engine.paused():
            await service.terminate_session(ALICE, named("unwanted"))
        await in_state(service, "unwanted", State.TERMINATED)
    assert not engine.world.spawned
