"""Random calls, deaths and crashes: histories stay legal, nothing is orphaned, nothing is done twice."""

from __future__ import annotations

import asyncio
import itertools
import logging
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from jupyter_sessions.model.api import ListRequest, Reset
from jupyter_sessions.model.errors import SessionsError
from jupyter_sessions.model.names import LOCAL
from jupyter_sessions.model.resources import Operation, Session
from jupyter_sessions.model.states import State, allowed
from jupyter_sessions.service.embedded import EmbeddedSessions
from tests.service.crashes import Crash, Crasher, mortal
from tests.service.fake_engine import World
from tests.service.servers import ALICE, named, until

T = TypeVar("T")
IDS = st.sampled_from(["first", "second", "third"])


class Lifecycle(RuleBasedStateMachine):
    """One data directory and one world; services come and go on it."""

    def __init__(self) -> None:
        super().__init__()
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # crashed visits are nobody's
        self.loop = asyncio.new_event_loop()
        self.data_dir = Path(tempfile.mkdtemp(prefix="lifecycle-"))
        self.world = World()
        self.crasher = Crasher()
        self.service: EmbeddedSessions | None = None
        self.answers: dict[str, str] = {}

    def run_now(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine, the background with it, and a moment more."""
        return self.loop.run_until_complete(work)

    async def _begin(self) -> EmbeddedSessions:
        self.crasher = Crasher()
        service = mortal(self.data_dir, self.world, self.crasher)
        await service.start()
        return service

    def alive(self) -> EmbeddedSessions:
        """Give the service, a new one after a crash."""
        if self.service is None or self.crasher.dead:
            self.end()
            self.service = self.run_now(self._begin())
        return self.service

    def end(self) -> None:
        """Drop the service as it is."""
        if self.service is not None:
            self.run_now(self.service.stop())
            self.service = None

    def call(self, request_id: str, work: Coroutine[Any, Any, Operation]) -> None:
        """Make a call that may crash or be refused; the same request id must answer the same operation."""
        try:
            operation = self.run_now(work)
        except (Crash, SessionsError):
            return
        if request_id:
            assert self.answers.setdefault(request_id, operation.name) == operation.name

    @initialize()
    def start(self) -> None:
        self.alive()

    @rule(session_id=IDS, request=st.sampled_from(["", "c1", "c2"]), ready=st.booleans())
    def create(self, session_id: str, request: str, ready: bool) -> None:
        self.world.ready = ready
        self.call(request, self.alive().create_session(ALICE, LOCAL, Session(), session_id, request))

    @rule(session_id=IDS, request=st.sampled_from(["", "t1"]), stubborn=st.integers(0, 2))
    def terminate(self, session_id: str, request: str, stubborn: int) -> None:
        for host in self.world.hosts.values():
            host.stubborn = stubborn
        self.call(request and "t" + request, self.alive().terminate_session(ALICE, named(session_id), request))

    @rule(session_id=IDS, request=st.sampled_from(["", "d1"]))
    def delete(self, session_id: str, request: str) -> None:
        self.call(request and "d" + request, self.alive().delete_session(ALICE, named(session_id), request))

    @rule(milliseconds=st.integers(0, 120))
    def wait(self, milliseconds: int) -> None:
        self.alive()
        self.run_now(asyncio.sleep(milliseconds / 1000))

    @rule(serve=st.booleans(), marked=st.integers(0, 1), index=st.integers(0, 5))
    def host(self, serve: bool, marked: int, index: int) -> None:
        living = sorted(uuid for uuid, host in self.world.hosts.items() if host.alive)
        if living and serve:
            self.world.serve(living[index % len(living)])
        elif living:
            self.world.kill(living[index % len(living)], marked=marked)

    @rule(steps=st.integers(1, 6))
    def crash_soon(self, steps: int) -> None:
        self.alive()
        self.crasher.at = len(self.crasher.steps) + steps

    @rule()
    def restart(self) -> None:
        self.end()
        self.alive()

    @invariant()
    def never_two_hosts(self) -> None:
        assert not self.world.doubles

    def teardown(self) -> None:
        """Let everything settle, then compare store, world and log."""
        try:
            self.end()
            self.world.ready = True
            for host in self.world.hosts.values():
                host.stubborn, host.serving = 0, True
                host.marked = 0 if not host.alive else host.marked
            self.run_now(self._settle())
        finally:
            self.end()
            self.loop.close()
            shutil.rmtree(self.data_dir)

    async def _settle(self) -> None:
        self.service = await self._begin()
        service = self.service

        async def settled() -> bool:
            found = await service.list_sessions(ALICE, LOCAL, ListRequest())
            operations = await service.list_operations(ALICE, LOCAL, ListRequest(filter="done = false"))
            moving = {State.CREATING, State.TERMINATING} & {session.state for session in found.items}
            ghosts = {s.uuid for s in found.items if s.state is State.ACTIVE} ^ self.world.living
            return not moving and not operations.items and not ghosts

        await until(settled)
        sessions = (await service.list_sessions(ALICE, LOCAL, ListRequest())).items
        for session in sessions:
            check_history(session)
        assert {path.name for path in (self.data_dir / "sessions").glob("*")} <= {s.uuid for s in sessions}
        assert {host.session_uuid for host in service.kernel_hosts()} == self.world.living
        await self._check_log(service, {session.uuid: session.state for session in sessions})

    async def _check_log(self, service: EmbeddedSessions, states: dict[str, State]) -> None:
        """The log read from its start tells of each session a legal walk that ends where the session is."""
        last: dict[str, State] = {}
        sequence = 0
        stream = service.watch(ALICE, LOCAL, {LOCAL: 0})
        while True:
            try:
                change = await asyncio.wait_for(anext(stream), 0.05)
            except (asyncio.TimeoutError, StopAsyncIteration):
                break
            assert not isinstance(change, Reset) and change.sequence > sequence
            sequence, known = change.sequence, last.get(change.session_uuid, State.STATE_UNSPECIFIED)
            assert change.old_state is known
            assert change.new_state in {known, State.STATE_UNSPECIFIED} | allowed(known)
            last[change.session_uuid] = change.new_state
        told = {uuid: state for uuid, state in last.items() if state is not State.STATE_UNSPECIFIED}
        assert told == states
        for uuid in last.keys() - states.keys():
            assert uuid not in self.world.living


def check_history(session: Session) -> None:
    """A history is a walk of the table with times that rise."""
    states = [entry.state for entry in session.state_history] + [session.state]
    times = [entry.state_start_time for entry in session.state_history] + [session.state_time]
    assert states[0] is State.CREATING and times[0] == session.create_time
    assert all(new in allowed(old) for old, new in itertools.pairwise(states))
    assert all(old < new for old, new in itertools.pairwise(times))
    assert session.state is not State.FAILED or session.state_message


TestLifecycle = Lifecycle.TestCase
TestLifecycle.settings = settings(
    max_examples=25, stateful_step_count=14, deadline=None, suppress_health_check=list(HealthCheck)
)
