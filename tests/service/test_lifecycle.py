"""What becomes of sessions as their hosts live, serve, warn, end and die."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from jupyter_sessions.model.api import Change, KernelHost, ListRequest
from jupyter_sessions.model.errors import (
    NotFound,
)
from jupyter_sessions.model.names import LOCAL
from jupyter_sessions.model.resources import JupyterConfig, Session
from jupyter_sessions.model.states import State
from tests.service.clocks import MovedClock
from tests.service.fake_engine import FakeEngine, World
from tests.service.servers import ALICE, active, finished, in_state, named, serving, until

SECOND = 1_000_000_000


async def test_the_steps_of_creating_are_told_as_messages(tmp_path: Path) -> None:
    world = World(ready=False)
    async with serving(tmp_path, world) as service:
        heard: list[Change] = []
        service.subscribe(heard.append)
        operation = await service.create_session(ALICE, LOCAL, Session(), "stepping")
        uuid = operation.metadata.session_uuid
        await until(lambda: any(c.state_message == "Starting the kernels' host" for c in heard))
        world.hosts[uuid].step = "Loading"
        await until(lambda: heard[-1].state_message == "Loading")
        assert heard[-1].old_state is heard[-1].new_state is State.CREATING
        world.serve(uuid)
        session = await in_state(service, "stepping", State.ACTIVE)
        assert session.state_history[0].state_message == "Loading"
        assert world.spawned == [(uuid, 1)]


async def test_kernel_hosts_follow_before_a_request_sees_the_state(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        told: list[KernelHost] = []
        service.watch_hosts(told.append)
        named_kernel = Session(jupyter_session=JupyterConfig(display_name="My kernel"))
        session = await active(service, "reached", named_kernel)
        (host,) = service.kernel_hosts()
        assert (host.session, host.session_uuid, host.state) == (named("reached"), session.uuid, State.ACTIVE)
        assert host.display_name == "My kernel" and host.address.startswith("unix:") and host.token and host.kernels
        assert host.token not in repr(host) and told == [host]
        await service.terminate_session(ALICE, named("reached"))
        assert not service.kernel_hosts()
        assert (told[-1].state, told[-1].address, told[-1].token) == (State.TERMINATING, "", "")
        assert told[-1].state_message == "Terminated by alice"


async def test_usage_is_joined_from_memory_and_kept_at_the_end(tmp_path: Path) -> None:
    world = World()
    async with serving(tmp_path, world) as service:
        session = await active(service, "using")
        heard: list[Change] = []
        service.subscribe(heard.append)
        world.beat(session.uuid, milli_dcu=700, milli_dcu_seconds=4200, time=1_800_000_000.0)

        async def used() -> Session | None:
            found = await service.get_session(ALICE, named("using"))
            return found if found.runtime_info.current_usage else None

        info = (await until(used)).runtime_info
        assert info.current_usage is not None and info.current_usage.milli_dcu == 700
        listed = (await service.list_sessions(ALICE, LOCAL, ListRequest())).items[0].runtime_info
        assert listed == info and not heard
        await finished(service, await service.terminate_session(ALICE, named("using")))
        info = (await service.get_session(ALICE, named("using"))).runtime_info
        assert info.approximate_usage is not None and info.approximate_usage.milli_dcu_seconds == 4200
        assert info.current_usage is None and not info.endpoints and info.output_uri.startswith("file:///")


async def test_a_warning_is_a_remark_until_the_limit_is_extended(tmp_path: Path) -> None:
    world = World()
    async with serving(tmp_path, world) as service:
        session = await active(service, "ending-soon")
        world.beat(session.uuid, warning="ends in 10 min: idle")

        async def says(message: str) -> bool:
            return (await service.get_session(ALICE, named("ending-soon"))).state_message == message

        await until(lambda: says("ends in 10 min: idle"))
        assert await service.update_session(
            ALICE, named("ending-soon"), Session(), ["environmentConfig.executionConfig.idleTtl"]
        )
        world.beat(session.uuid, warning="")
        await until(lambda: says("Ready"))


async def test_new_limits_reach_the_host_across_a_restart(tmp_path: Path) -> None:
    world = World()
    engine = FakeEngine(world)
    async with serving(tmp_path, engine=engine) as service:
        session = await active(service, "extended")
        await until(lambda: world.hosts[session.uuid].limits == (session.ttl, session.idle_ttl))
    execution = session.execution.model_copy(update={"ttl": 9000 * SECOND})
    assert session.environment_config is not None
    wanted = Session(environment_config=session.environment_config.model_copy(update={"execution_config": execution}))
    engine.blind = "the next server cannot hand it on"
    async with serving(tmp_path, engine=engine) as service:
        await service.update_session(ALICE, named("extended"), wanted, ["environmentConfig.executionConfig.ttl"])
    assert world.hosts[session.uuid].limits[0] != 9000 * SECOND
    engine.blind = ""
    async with serving(tmp_path, engine=engine):
        await until(lambda: world.hosts[session.uuid].limits[0] == 9000 * SECOND)


async def test_an_end_by_a_limit_has_the_hosts_times_also_when_noticed_later(tmp_path: Path) -> None:
    world = World()
    async with serving(tmp_path, world) as service:
        session = await active(service, "idle-one")
    start = session.state_time / SECOND
    world.finish(session.uuid, "idleTtl", "Ended by idleTtl: idle for 24 h", start + 60, start + 61)
    heard: list[Change] = []
    async with serving(tmp_path, world) as service:
        service.subscribe(heard.append)
        session = await in_state(service, "idle-one", State.TERMINATED)
        assert session.state_message == "Ended by idleTtl: idle for 24 h"
        assert abs(session.state_time / SECOND - start - 61) < 0.001
        assert abs(session.state_history[-1].state_start_time / SECOND - start - 60) < 0.001
        states = [(change.old_state, change.new_state) for change in heard]
        assert states == [(State.ACTIVE, State.TERMINATING), (State.TERMINATING, State.TERMINATED)]


@pytest.mark.parametrize(
    ("exit_status", "reaped", "words"),
    [
        (None, False, "without a word (killed, or out of memory)"),
        (-9, True, "signal 9 (SIGKILL"),
        (3, True, "exit status 3"),
    ],
)
async def test_a_dead_host_fails_its_session_with_the_reason(
    tmp_path: Path, exit_status: int | None, reaped: bool, words: str
) -> None:
    world = World(log="one\nMemoryError: out\n")
    async with serving(tmp_path, world) as service:
        session = await active(service, "dying")
        world.beat(session.uuid, memory=300 * 2**20)
        await asyncio.sleep(0)
        world.kill(session.uuid, exit_status, end=reaped)
        session = await in_state(service, "dying", State.FAILED)
        assert words in session.state_message and "300 MiB" in session.state_message
        assert session.state_message.endswith("MemoryError: out")
        assert [entry.state for entry in session.state_history] == [State.CREATING, State.ACTIVE]
        assert world.spawned == [(session.uuid, 1)] and not service.kernel_hosts()


async def test_what_a_dead_host_left_is_ended_before_the_session_has_failed(tmp_path: Path) -> None:
    world = World()
    async with serving(tmp_path, world) as service:
        session = await active(service, "orphaning")
        world.hosts[session.uuid].stubborn = 3
        world.kill(session.uuid, marked=2)
        await in_state(service, "orphaning", State.FAILED)
        assert not world.living
        assert world.stops and all(elapsed >= 10 for _, elapsed in world.stops)


async def test_a_host_killed_while_creating_is_started_again_in_the_same_session(tmp_path: Path) -> None:
    world = World(ready=False)
    async with serving(tmp_path, world) as service:
        operation = await service.create_session(ALICE, LOCAL, Session(), "unlucky")
        uuid = operation.metadata.session_uuid
        await until(lambda: uuid in world.hosts)
        world.kill(uuid, -9, end=True)
        await until(lambda: world.spawned == [(uuid, 1), (uuid, 2)])
        world.serve(uuid)
        await in_state(service, "unlucky", State.ACTIVE)
        assert not world.doubles


async def test_a_host_that_always_dies_while_creating_fails(tmp_path: Path) -> None:
    world = World(ready=False)
    async with serving(tmp_path, world) as service:
        operation = await service.create_session(ALICE, LOCAL, Session(), "hopeless")
        uuid = operation.metadata.session_uuid
        for incarnation in range(1, 6):
            await until(partial(world.spawned.__contains__, (uuid, incarnation)))
            world.kill(uuid)
        session = await in_state(service, "hopeless", State.FAILED)
        assert "5 times" in session.state_message
        done = await finished(service, operation)
        assert done.error is not None and (done.error.code, done.error.message) == (13, session.state_message)


async def test_a_host_that_says_why_it_cannot_start_is_not_started_again(tmp_path: Path) -> None:
    world = World(ready=False)
    async with serving(tmp_path, world) as service:
        operation = await service.create_session(ALICE, LOCAL, Session(), "broken")
        uuid = operation.metadata.session_uuid
        await until(lambda: uuid in world.hosts)
        world.finish(uuid, "start", "ipykernel is missing: pip install ipykernel")
        session = await in_state(service, "broken", State.FAILED)
        assert session.state_message.startswith("ipykernel is missing: pip install ipykernel")
        assert world.spawned == [(uuid, 1)]


async def test_a_host_that_is_not_ready_in_time_is_ended_then_failed(tmp_path: Path) -> None:
    world, clock = World(ready=False, stubborn=2), MovedClock()
    async with serving(tmp_path, world, clock=clock.clock) as service:
        operation = await service.create_session(ALICE, LOCAL, Session(), "slow-one")
        await until(lambda: operation.metadata.session_uuid in world.hosts)
        clock.wait(40)
        clock.jump(3600)  # the wall's clock says nothing about how long something takes
        with pytest.raises(AssertionError):
            await in_state(service, "slow-one", State.FAILED, 0.3)
        clock.wait(6)
        session = await in_state(service, "slow-one", State.FAILED)
        assert "not ready within 45 s" in session.state_message and "last line" in session.state_message
        assert not world.living


async def test_cannot_tell_changes_nothing(tmp_path: Path) -> None:
    clock, engine = MovedClock(), FakeEngine()
    async with serving(tmp_path, engine=engine, clock=clock.clock) as service:
        session = await active(service, "unseen")
        engine.blind = "the scheduler timed out"
        clock.wait(10_000)
        before, count = await service.get_session(ALICE, named("unseen")), engine.observed
        await until(lambda: engine.observed > count + 2)
        assert await service.get_session(ALICE, named("unseen")) == before and len(service.kernel_hosts()) == 1
        ended = await service.terminate_session(ALICE, named("unseen"))
        await until(lambda: not engine.world.living)  # asked all the same
        assert (await service.get_session(ALICE, named("unseen"))).state is State.TERMINATING
        engine.blind = ""
        assert (await finished(service, ended)).response is not None
        assert session.uuid == ended.metadata.session_uuid


async def test_terminate_while_creating_aborts_the_create(tmp_path: Path) -> None:
    world = World(ready=False, stubborn=20)
    async with serving(tmp_path, world) as service:
        created = await service.create_session(ALICE, LOCAL, Session(), "cut-short")
        await until(lambda: world.spawned)
        ended = await service.terminate_session(ALICE, named("cut-short"))
        assert (await service.terminate_session(ALICE, named("cut-short"))).name == ended.name
        done = await finished(service, created)
        assert done.error is not None and (done.error.code, done.error.message) == (10, "Terminated by alice")
        assert (await finished(service, ended)).response is not None
        await until(lambda: not world.living)


async def test_cancel_ends_a_create_as_cancelled(tmp_path: Path) -> None:
    world = World(ready=False)
    async with serving(tmp_path, world) as service:
        created = await service.create_session(ALICE, LOCAL, Session(), "cancelled")
        await service.cancel_operation(ALICE, created.parsed_name)
        done = await finished(service, created)
        assert done.error is not None and done.error.code == 1
        session = await in_state(service, "cancelled", State.TERMINATED)
        assert [entry.state for entry in session.state_history] == [State.CREATING, State.TERMINATING]


async def test_what_survives_every_signal_fails_and_says_so(tmp_path: Path) -> None:
    world, clock = World(stubborn=10**6), MovedClock()
    async with serving(tmp_path, world, clock=clock.clock) as service:
        await active(service, "stuck-one")
        ended = await service.terminate_session(ALICE, named("stuck-one"))
        await until(lambda: world.stops)
        clock.wait(61)
        done = await finished(service, ended)
        assert done.error is not None and "could not be ended" in done.error.message
        await service.delete_session(ALICE, named("stuck-one"))
        await until(lambda: world.stops[-1][1] < 10)
        assert (await service.get_session(ALICE, named("stuck-one"))).state is State.FAILED  # no row goes before it
        world.hosts.clear()

        async def gone() -> bool:
            try:
                await service.get_session(ALICE, named("stuck-one"))
            except NotFound:
                return True
            return False

        await until(gone)


async def test_a_delete_removes_the_directory_and_a_second_one_answers_the_first(tmp_path: Path) -> None:
    world = World(stubborn=3)
    async with serving(tmp_path, world) as service:
        session = await active(service, "removed")
        directory = tmp_path / "sessions" / session.uuid
        assert directory.is_dir() and directory.stat().st_mode & 0o777 == 0o700
        first = await service.delete_session(ALICE, named("removed"))
        second = await service.delete_session(ALICE, named("removed"))
        assert first.name == second.name
        await finished(service, first)
        assert not directory.exists()


async def test_leftovers_of_this_store_are_ended_and_removed(tmp_path: Path) -> None:
    world = World()
    async with serving(tmp_path, world) as service:
        kept = await active(service, "kept-one")
        store = (tmp_path / "sessions" / kept.uuid / "store").read_text()
    for name, owner in (("leftover", store), ("foreign", "another store")):
        directory = tmp_path / "sessions" / name
        directory.mkdir()
        (directory / "store").write_text(owner)
    (tmp_path / "sessions" / "unknown").mkdir()
    world.hosts["leftover"] = world.hosts[kept.uuid]
    async with serving(tmp_path, world):
        await until(lambda: not (tmp_path / "sessions" / "leftover").exists())
        assert world.living == {kept.uuid}
        assert {path.name for path in (tmp_path / "sessions").iterdir()} == {kept.uuid, "foreign", "unknown"}


async def test_what_is_old_is_forgotten(tmp_path: Path) -> None:
    world, clock = World(), MovedClock()
    async with serving(tmp_path, world, clock=clock.clock) as service:
        await active(service, "old-one")
        ended = await finished(service, await service.terminate_session(ALICE, named("old-one")))
        live = await active(service, "live-one")
    clock.wait(31 * 86_400)
    async with serving(tmp_path, world, clock=clock.clock) as service:

        async def only_the_live_one() -> bool:
            page = await service.list_sessions(ALICE, LOCAL, ListRequest())
            return [session.uuid for session in page.items] == [live.uuid]

        await until(only_the_live_one)
        with pytest.raises(NotFound):
            await service.get_operation(ALICE, ended.parsed_name)
        await until(lambda: [path.name for path in (tmp_path / "sessions").iterdir()] == [live.uuid])
