"""A server killed between any two steps: the next one ends what was begun, once."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from jupyter_sessions.model.api import ListRequest
from jupyter_sessions.model.errors import NotFound
from jupyter_sessions.model.names import LOCAL
from jupyter_sessions.model.resources import Operation, Session
from jupyter_sessions.model.states import State
from jupyter_sessions.service.embedded import EmbeddedSessions
from tests.service.crashes import Crash, Crasher, mortal
from tests.service.fake_engine import World
from tests.service.servers import ALICE, active, finished, in_state, named, serving, until


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """A crashed visit's exception is nobody's: asyncio would report each of them."""
    logger = logging.getLogger("asyncio")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


async def _story(service: EmbeddedSessions, crasher: Crasher) -> None:
    """Create, terminate, delete; ends early by a Crash, in the call or in the background."""
    steps: tuple[Callable[[], Awaitable[Operation]], ...] = (
        lambda: service.create_session(ALICE, LOCAL, Session(), "told-once", "create-1"),
        lambda: service.terminate_session(ALICE, named("told-once"), "end-1"),
        lambda: service.delete_session(ALICE, named("told-once"), "delete-1"),
    )
    with contextlib.suppress(Crash):
        for step in steps:
            operation = await step()

            async def over(name: str = operation.name) -> bool:
                if crasher.dead:
                    return True
                found = await service.list_operations(ALICE, LOCAL, ListRequest())
                return any(item.name == name and item.done for item in found.items)

            await until(over)
            if crasher.dead:
                return


async def _steps_of_the_story(data_dir: Path) -> list[str]:
    crasher, world = Crasher(), World()
    service = mortal(data_dir, world, crasher)
    await service.start()
    await _story(service, crasher)
    await service.stop()
    return crasher.steps


async def _dies_then_ends(data_dir: Path, at: int) -> str:
    """Crash at one step, start again, repeat every call: the outcome is that of no crash at all.

    Gives the step, empty where the story had fewer of them: on a slow machine two looks at the engine may be one.
    """
    world, crasher = World(), Crasher(at)
    service = mortal(data_dir, world, crasher)
    await service.start()
    await _story(service, crasher)
    await service.stop()
    step = crasher.steps[at - 1] if crasher.dead else ""
    where = f"crashed at step {at}: {step}"
    async with serving(data_dir, world) as service:
        created = await service.create_session(ALICE, LOCAL, Session(), "told-once", "create-1")
        created = await finished(service, created)
        assert created.response is not None, where
        uuids = {uuid for uuid, _ in world.spawned}
        assert uuids == {created.metadata.session_uuid} and len(world.spawned) == 1, where
        ended = await finished(service, await service.terminate_session(ALICE, named("told-once"), "end-1"))
        assert ended.response is not None and ended.response.state is State.TERMINATED, where
        deleted = await finished(service, await service.delete_session(ALICE, named("told-once"), "delete-1"))
        assert deleted.response is not None, where
        with pytest.raises(NotFound):
            await service.get_session(ALICE, named("told-once"))
        assert not world.living and not world.doubles, where
        assert not list((data_dir / "sessions").iterdir()), where
        assert len((await service.list_operations(ALICE, LOCAL, ListRequest())).items) == 3, where
    return step


async def test_every_step_may_be_the_last(tmp_path: Path) -> None:
    steps = await _steps_of_the_story(tmp_path / "whole")
    expected = ["create: committed", "start: committed", "start: acted", "activate: committed", "activate: told"]
    expected += ["terminate: committed", "stop: acted", "finish: committed", "remove: acted", "remove: committed"]
    assert [step for step in expected if step not in steps] == []
    died = [await _dies_then_ends(tmp_path / str(at), at) for at in range(1, len(steps) + 1)]
    assert [step for step in expected if step not in died] == []


@pytest.mark.parametrize("state", [State.CREATING, State.ACTIVE, State.TERMINATING])
@pytest.mark.parametrize("host_too", [False, True])
async def test_a_server_killed_in_a_state_and_perhaps_the_host_too(
    tmp_path: Path, state: State, host_too: bool
) -> None:
    world, crasher = World(ready=state is not State.CREATING, stubborn=10**6), Crasher()
    service = mortal(tmp_path, world, crasher)
    await service.start()
    created = await service.create_session(ALICE, LOCAL, Session(), "surviving")
    uuid = created.metadata.session_uuid
    await until(lambda: uuid in world.hosts)
    if state is not State.CREATING:
        await in_state(service, "surviving", State.ACTIVE)
    if state is State.TERMINATING:
        await service.terminate_session(ALICE, named("surviving"))
    crasher.kill()
    await service.stop()
    world.ready, world.stubborn, world.hosts[uuid].stubborn = True, 0, 0
    if host_too:
        world.kill(uuid, marked=2)
    else:
        world.serve(uuid)
    async with serving(tmp_path, world) as service:
        wanted = State.TERMINATED if state is State.TERMINATING else State.ACTIVE
        if host_too and state is not State.TERMINATING:
            wanted = State.FAILED
        if host_too and state is State.CREATING:
            # Its processes are waited for, then the session is started again.
            world.hosts[uuid].marked = 0
            wanted = State.ACTIVE
        session = await in_state(service, "surviving", wanted)
        assert session.uuid == uuid and not world.doubles
        assert world.living == ({uuid} if wanted is State.ACTIVE else set())
        assert [host.session_uuid for host in service.kernel_hosts()] == ([uuid] if wanted is State.ACTIVE else [])


async def test_the_first_answer_after_a_restart_names_every_host(tmp_path: Path) -> None:
    world = World()
    async with serving(tmp_path, world) as service:
        uuids = {(await active(service, f"session-{number}")).uuid for number in range(3)}
    async with serving(tmp_path, world) as service:
        hosts = service.kernel_hosts()
        assert {host.session_uuid for host in hosts} == uuids and all(host.address and host.kernels for host in hosts)
