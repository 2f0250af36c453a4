"""Several servers, machines and boots on one store."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from jupyter_sessions.model.api import Change, ListRequest
from jupyter_sessions.model.errors import FailedPrecondition, NotFound
from jupyter_sessions.model.names import LOCAL
from jupyter_sessions.model.resources import Session
from jupyter_sessions.model.states import State
from jupyter_sessions.service import locks, reconciler
from jupyter_sessions.service.machine import Machine, Place, place, this_machine
from tests.service.clocks import MovedClock
from tests.service.fake_engine import FakeEngine, World
from tests.service.servers import ALICE, BOB, HERE, active, finished, in_state, named, serving, until

THERE = Machine("machine-b", "boot-7", "laptop")


async def test_two_servers_see_each_others_changes_within_a_second(tmp_path: Path) -> None:
    world = World()
    async with serving(tmp_path, world) as first, serving(tmp_path, world) as second:
        heard: list[Change] = []
        second.subscribe(heard.append)
        session = await active(first, "shared")
        committed = time.monotonic()
        await until(lambda: heard and heard[-1].new_state is State.ACTIVE)
        assert time.monotonic() - committed < 1.0
        (host,) = second.kernel_hosts()
        assert host.session_uuid == session.uuid and host.address and host.kernels
        ended = await second.terminate_session(BOB, named("shared"))
        await finished(first, ended)
        await until(lambda: not first.kernel_hosts())
        assert (await first.get_session(ALICE, named("shared"))).state_message == "Terminated by bob"


async def test_a_snapshot_is_never_newer_than_what_was_told(tmp_path: Path) -> None:
    world = World()
    async with serving(tmp_path, world) as first, serving(tmp_path, world, poll=3600.0) as second:
        heard: list[Change] = []
        second.subscribe(heard.append)
        session = await active(first, "noticed")
        assert not heard
        seen = await second.get_session(BOB, named("noticed"))
        assert seen.state is State.ACTIVE and heard[-1].new_state is State.ACTIVE
        assert [host.session_uuid for host in second.kernel_hosts()] == [session.uuid]


async def test_sessions_that_are_slow_to_look_at_delay_an_answer_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler, "FOLLOW_S", 0.4)
    world, slow = World(), FakeEngine()
    slow.world, slow.hang = world, asyncio.Event()
    async with serving(tmp_path, world) as first, serving(tmp_path, engine=slow, poll=3600.0) as second:
        for number in range(6):
            await active(first, f"session-{number}")
        asked = time.monotonic()
        await second.get_session(ALICE, named("session-5"))
        assert time.monotonic() - asked < 1.6
        assert len(second.kernel_hosts()) == 6
        slow.hang.set()


async def test_changes_of_a_session_that_hangs_hold_up_nobody_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler, "FOLLOW_S", 0.5)
    engine = FakeEngine()
    async with serving(tmp_path, engine=engine) as service:
        session = await active(service, "stopped")
        engine.blind, seen = "its host says nothing", engine.observed
        await until(lambda: engine.observed > seen + 1)
        engine.hang = asyncio.Event()
        asked = time.monotonic()
        for number in range(5):
            changed = session.model_copy(update={"labels": {"number": str(number)}})
            await service.update_session(ALICE, named("stopped"), changed, ["labels"])
            await service.get_session(BOB, named("stopped"))
        assert time.monotonic() - asked < 1.5
        assert service.kernel_hosts()[0].address == ""
        engine.blind = ""
        engine.hang.set()
        await until(lambda: service.kernel_hosts()[0].address)


async def test_what_a_session_that_was_slow_offers_is_learned_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, slow = World(), FakeEngine()
    async with serving(tmp_path, world) as service:
        await active(service, "offering")
    monkeypatch.setattr(reconciler, "FOLLOW_S", 0.1)
    slow.world, slow.hang = world, asyncio.Event()
    async with serving(tmp_path, engine=slow) as service:
        assert [host.kernels for host in service.kernel_hosts()] == [()]
        slow.hang.set()
        await until(lambda: service.kernel_hosts()[0].kernels)
        assert service.kernel_hosts()[0].address


async def test_servers_never_both_act(tmp_path: Path) -> None:
    world = World()
    async with serving(tmp_path, world) as one, serving(tmp_path, world) as two, serving(tmp_path, world) as three:
        servers = (one, two, three)
        creates = [servers[n % 3].create_session(ALICE, LOCAL, Session(), f"session-{n}") for n in range(9)]
        operations = await asyncio.gather(*creates)
        for number, operation in enumerate(operations):
            await finished(servers[(number + 1) % 3], operation)
        assert sorted(uuid for uuid, _ in world.spawned) == sorted(o.metadata.session_uuid for o in operations)
        ends = [servers[(n + 1) % 3].delete_session(ALICE, named(f"session-{n}")) for n in range(9)]
        for operation in await asyncio.gather(*ends):
            await finished(one, operation)
        assert not world.doubles and not world.living


async def test_one_that_holds_the_lock_keeps_the_others_off(tmp_path: Path) -> None:
    world = World(ready=False)
    async with serving(tmp_path, world) as service:
        operation = await service.create_session(ALICE, LOCAL, Session(), "locked")
        uuid = operation.metadata.session_uuid
        await until(lambda: uuid in world.hosts)
        held = await until(lambda: locks.acquire(tmp_path / "sessions" / uuid))
        assert locks.acquire(tmp_path / "sessions" / uuid) is None
        world.serve(uuid)
        with pytest.raises(AssertionError):
            await in_state(service, "locked", State.ACTIVE, 0.3)
        held.release()
        await in_state(service, "locked", State.ACTIVE)


async def test_another_machines_sessions_are_shown_and_left_alone(tmp_path: Path) -> None:
    mine, theirs = World(), World()
    async with serving(tmp_path, theirs, machine=THERE) as there:
        session = await active(there, "far-away")
        engine = FakeEngine(mine)
        async with serving(tmp_path, engine=engine, machine=HERE) as here:
            shown = await here.get_session(ALICE, named("far-away"))
            assert shown.state is State.ACTIVE and shown.state_message == "Ready (on machine laptop)"
            assert not here.kernel_hosts()
            for call in (here.terminate_session, here.delete_session):
                with pytest.raises(FailedPrecondition, match="machine laptop"):
                    await call(ALICE, named("far-away"))
            own = await active(here, "close-by")
            assert engine.observed and theirs.living == {session.uuid} and mine.living == {own.uuid}
        assert (await there.get_session(ALICE, named("far-away"))).state_message == "Ready"
        await finished(there, await there.terminate_session(ALICE, named("far-away")))
    async with serving(tmp_path, mine, machine=HERE) as here:
        await finished(here, await here.delete_session(ALICE, named("far-away")))
        with pytest.raises(NotFound):
            await here.get_session(ALICE, named("far-away"))


@pytest.mark.parametrize("state", [State.CREATING, State.ACTIVE, State.TERMINATING])
async def test_a_session_whose_machine_does_not_return_can_be_deleted_after_its_ttl(
    tmp_path: Path, state: State
) -> None:
    theirs, mine, clock = World(ready=state is not State.CREATING, stubborn=10**6), World(), MovedClock()
    async with serving(tmp_path, theirs, machine=THERE) as there:
        created = await there.create_session(ALICE, LOCAL, Session(), "far-away")
        await until(lambda: theirs.spawned)
        if state is not State.CREATING:
            await finished(there, created)
        if state is State.TERMINATING:
            await there.terminate_session(ALICE, named("far-away"))
    async with serving(tmp_path, mine, machine=HERE, clock=clock.clock) as here:
        clock.wait(14 * 86_400)  # its ttl
        if state is State.TERMINATING:
            waiting = await here.delete_session(ALICE, named("far-away"))
            assert not waiting.done
        else:
            with pytest.raises(FailedPrecondition, match=r"machine laptop.* from 20\S+Z on it can be deleted here"):
                await here.delete_session(ALICE, named("far-away"))
        assert (await here.get_session(ALICE, named("far-away"))).state is state
        clock.wait(86_401)
        done = await finished(here, await here.delete_session(ALICE, named("far-away")))
        assert done.response is not None and done.response.state is State.TERMINATED
        assert "Machine laptop" in done.response.state_message
        with pytest.raises(NotFound):
            await here.get_session(ALICE, named("far-away"))
        assert not (await here.list_operations(ALICE, LOCAL, ListRequest(filter="done = false"))).items
        assert not mine.stops and not mine.spawned


async def test_what_ended_on_another_machine_is_forgotten_in_time(tmp_path: Path) -> None:
    clock = MovedClock()
    async with serving(tmp_path, machine=THERE) as there:
        await active(there, "far-away")
        await finished(there, await there.terminate_session(ALICE, named("far-away")))
    clock.wait(31 * 86_400)
    async with serving(tmp_path, machine=HERE, clock=clock.clock) as here:

        async def empty() -> bool:
            return not (await here.list_sessions(ALICE, LOCAL, ListRequest())).items

        await until(empty)


@pytest.mark.parametrize("ready", [True, False])
async def test_a_restart_of_the_machine_fails_what_ran(tmp_path: Path, ready: bool) -> None:
    world = World(ready=ready)
    async with serving(tmp_path, world) as service:
        if ready:
            await active(service, "before")
        else:
            await service.create_session(ALICE, LOCAL, Session(), "before")
            await until(lambda: world.spawned)
    world.reboot()
    async with serving(tmp_path, world, machine=Machine(HERE.id, "boot-2", HERE.name)) as service:
        session = await in_state(service, "before", State.FAILED)
        assert session.state_message.startswith("The machine restarted")
        assert len(world.spawned) == 1 and not service.kernel_hosts()


async def test_an_end_before_the_restart_is_still_told_as_it_was(tmp_path: Path) -> None:
    world = World()
    async with serving(tmp_path, world) as service:
        session = await active(service, "before")
    world.finish(session.uuid, "ttl", "Ended by ttl")
    async with serving(tmp_path, world, machine=Machine(HERE.id, "boot-2", HERE.name)) as service:
        assert (await in_state(service, "before", State.TERMINATED)).state_message == "Ended by ttl"


async def test_a_clock_that_jumps_keeps_times_in_order(tmp_path: Path) -> None:
    world, clock = World(), MovedClock()
    async with serving(tmp_path, world, clock=clock.clock) as service:
        session = await active(service, "jumping")
        clock.jump(-86_400)
        world.finish(session.uuid, "asked", "Ended by its host", 1.0, 2.0)
        session = await in_state(service, "jumping", State.TERMINATED)
        times = [entry.state_start_time for entry in session.state_history] + [session.state_time]
        assert times == sorted(set(times)) and len(times) == 4
        clock.jump(10 * 86_400)
        later = await active(service, "later-one")
        assert later.create_time > session.create_time


def test_places() -> None:
    assert place(HERE, HERE) is Place.HERE
    assert place(HERE, THERE) is Place.ELSEWHERE
    assert place(HERE, Machine(HERE.id, "boot-2", "x")) is Place.REBOOTED
    assert place(HERE, Machine(HERE.id, HERE.boot, "x", "pid:[1]")) is Place.SIBLING
    assert this_machine() == this_machine() and this_machine().id and this_machine().boot
