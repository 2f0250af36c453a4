"""What is refused: by the engine, by a limit of the location, by the machine."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from jupyter_sessions.model.api import ListRequest
from jupyter_sessions.model.errors import (
    FieldViolation,
    InvalidArgument,
    ResourceExhausted,
)
from jupyter_sessions.model.names import LOCAL
from jupyter_sessions.model.resources import EnvironmentConfig, Session, SessionTemplate
from jupyter_sessions.model.states import State
from jupyter_sessions.service.core import Limits
from tests.service.clocks import MovedClock
from tests.service.fake_engine import FakeEngine, World
from tests.service.servers import ALICE, active, finished, in_state, named, serving, until

SECOND = 1_000_000_000


async def test_the_engines_refusals_are_named_for_sessions_and_templates(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with serving(tmp_path, engine=engine) as service:
        engine.faults = [FieldViolation("runtimeConfig.version", "cannot be honoured here; leave it out")]
        with pytest.raises(InvalidArgument, match=r"runtimeConfig\.version"):
            await service.create_session(ALICE, LOCAL, Session(), "refused")
        with pytest.raises(InvalidArgument, match=r"runtimeConfig\.version"):
            await service.create_template(ALICE, LOCAL, SessionTemplate(name=f"{LOCAL}/sessionTemplates/refused"))
        assert not (await service.list_sessions(ALICE, LOCAL, ListRequest())).items


async def test_the_limit_of_live_sessions(tmp_path: Path) -> None:
    async with serving(tmp_path, limits=Limits(sessions=1)) as service:
        await active(service, "only-one")
        with pytest.raises(ResourceExhausted, match="1 sessions are live"):
            await service.create_session(ALICE, LOCAL, Session(), "too-many")
        await finished(service, await service.terminate_session(ALICE, named("only-one")))
        await active(service, "next-one")


async def test_a_limit_above_a_lowered_maximum_keeps_no_label_from_changing(tmp_path: Path) -> None:
    world = World()
    async with serving(tmp_path, world) as service:
        session = await active(service, "labelled")
    other = session.execution.model_copy(update={"idle_ttl": 3600 * SECOND, "ttl": 7200 * SECOND})
    wanted = Session(environment_config=EnvironmentConfig(execution_config=other))
    async with serving(tmp_path, world, limits=Limits(ttl=3600, max_ttl=3600)) as service:
        changed = await service.update_session(ALICE, named("labelled"), Session(labels={"a": "b"}), ["labels"])
        assert (changed.labels, changed.ttl) == ({"a": "b"}, session.ttl)
        path = "environmentConfig.executionConfig"
        changed = await service.update_session(ALICE, named("labelled"), wanted, [f"{path}.idleTtl"])
        assert (changed.idle_ttl, changed.ttl) == (3600 * SECOND, session.ttl)
        with pytest.raises(InvalidArgument, match=r"executionConfig\.ttl: must be at most 3600s"):
            await service.update_session(ALICE, named("labelled"), wanted, [f"{path}.ttl"])


async def test_a_start_that_the_machine_refuses_fails_no_session(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.refuse = OSError(errno.ENOSPC, "No space left on device")
    async with serving(tmp_path, engine=engine) as service:
        operation = await service.create_session(ALICE, LOCAL, Session(), "waiting")

        async def says() -> bool:
            return "No space left" in (await service.get_session(ALICE, named("waiting"))).state_message

        await until(says)
        engine.refuse = None
        assert (await finished(service, operation)).response is not None


async def test_starts_that_the_machine_refused_count_in_no_server(tmp_path: Path) -> None:
    clock, engine = MovedClock(), FakeEngine()
    engine.refuse = OSError(errno.EAGAIN, "Resource temporarily unavailable")
    async with serving(tmp_path, engine=engine, clock=clock.clock) as first:
        await first.create_session(ALICE, LOCAL, Session(), "waiting")
        async with serving(tmp_path, engine=engine, clock=clock.clock):
            for count in range(1, 13):
                await until(lambda: engine.refusals >= count)  # noqa: B023 - asked before count changes
                clock.wait(1.1)
    async with serving(tmp_path, engine=engine, clock=clock.clock) as third:
        seen = engine.refusals
        await until(lambda: engine.refusals > seen)
        assert (await third.get_session(ALICE, named("waiting"))).state is State.CREATING
        engine.refuse = None
        clock.wait(1.1)
        await in_state(third, "waiting", State.ACTIVE)
        assert [incarnation for _, incarnation in engine.world.spawned] == [1]
