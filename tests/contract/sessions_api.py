"""What every implementation of ``SessionsApi`` does, whatever stands behind it.

A test module makes it its own::

    class TestEmbedded(SessionsContract):
        def serving(self, tmp_path): ...

``serving`` gives an async context manager of a :class:`Subject`: the implementation, a location of it whose sessions
become ACTIVE by themselves, and nothing in it.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from jupyter_sessions.model.api import Caller, Change, ListRequest, Reset, SessionsApi
from jupyter_sessions.model.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
)
from jupyter_sessions.model.names import LocationName, OperationName, SessionName, TemplateName
from jupyter_sessions.model.resources import (
    EnvironmentConfig,
    ExecutionConfig,
    JupyterConfig,
    Kernel,
    Operation,
    OperationType,
    RuntimeConfig,
    Session,
    SessionTemplate,
)
from jupyter_sessions.model.states import State

ALICE = Caller("alice")
BOB = Caller("bob")
ADMIN = Caller("root", admin=True)
SECOND = 1_000_000_000
DEADLINE_S = 20.0


@dataclass(frozen=True)
class Subject:
    """An implementation under test and the location to work in.

    ``limits_change``: PATCH is offered. ``private``: each caller sees only their own, unless an admin. ``creator``:
    whom it takes Alice for. ``one_caller``: it takes everybody for the same, as one behind a shared credential does.
    ``logs``: it gives them. ``patience`` is the seconds that any change of state may take.
    """

    api: SessionsApi
    parent: LocationName
    limits_change: bool = True
    private: bool = False
    creator: str = "alice"
    one_caller: bool = False
    logs: bool = True
    patience: float = DEADLINE_S

    def session(self, session_id: str) -> SessionName:
        """Name a session of the location."""
        return SessionName(self.parent, session_id)

    def template(self, template_id: str) -> TemplateName:
        """Name a template of the location."""
        return TemplateName(self.parent, template_id)

    async def done(self, operation: Operation) -> Operation:
        """Wait for an operation's end."""
        end = time.monotonic() + self.patience
        while not operation.done:
            assert time.monotonic() < end, f"{operation.name} is not done"
            await asyncio.sleep(0.01)
            operation = await self.api.get_operation(ALICE, operation.parsed_name)
        return operation

    async def active(self, session_id: str, session: Session | None = None) -> Session:
        """Make a session and wait until it is ACTIVE."""
        made = await self.api.create_session(ALICE, self.parent, session or Session(), session_id)
        done = await self.done(made)
        assert done.response is not None, done.error
        return done.response

    async def deleted(self, session_id: str) -> Operation:
        """Delete a session and wait until it is gone."""
        return await self.done(await self.api.delete_session(ALICE, self.session(session_id)))


def limits(ttl: int = 0, idle_ttl: int = 0) -> EnvironmentConfig:
    """Give a configuration with these limits in seconds."""
    execution = ExecutionConfig(ttl=ttl * SECOND, idle_ttl=idle_ttl * SECOND)
    return EnvironmentConfig(execution_config=execution)


class SessionsContract:
    """The suite; a subclass says how its implementation is served."""

    def serving(self, tmp_path: Path) -> AbstractAsyncContextManager[Subject]:
        """Serve an empty implementation; every subclass has its own."""
        raise AssertionError("a subclass says what is served")

    async def test_a_session_lives_from_create_to_delete(self, tmp_path: Path) -> None:
        async with self.serving(tmp_path) as subject:
            api, name = subject.api, subject.session("first-one")
            operation = await api.create_session(ALICE, subject.parent, Session(labels={"team": "blue"}), "first-one")
            metadata = operation.metadata
            assert (metadata.session, metadata.operation_type) == (str(name), OperationType.CREATE)
            assert (metadata.description, metadata.labels) == ("Create session", {"team": "blue"})
            done = await subject.done(operation)
            assert done.error is None and done.response is not None and done.metadata.done_time
            assert done.response.state is State.ACTIVE
            session = await api.get_session(ALICE, name)
            assert (session.creator, session.user) == (subject.creator, subject.creator)
            assert session.labels == {"team": "blue"}
            assert session.uuid == metadata.session_uuid and session.jupyter_session == JupyterConfig(
                kernel=Kernel.PYTHON
            )
            assert session.ttl and session.idle_ttl and session.runtime_info.endpoints
            assert [entry.state for entry in session.state_history] == [State.CREATING]
            assert session.create_time == session.state_history[0].state_start_time < session.state_time
            ended = await subject.done(await api.terminate_session(ALICE, name))
            assert ended.response is not None and ended.response.state is State.TERMINATED
            session = await api.get_session(ALICE, name)
            states = [entry.state for entry in session.state_history]
            times = [entry.state_start_time for entry in session.state_history] + [session.state_time]
            assert states == [State.CREATING, State.ACTIVE, State.TERMINATING] and times == sorted(set(times))
            gone = await subject.deleted("first-one")
            assert gone.response is not None and gone.response.uuid == session.uuid
            with pytest.raises(NotFound):
                await api.get_session(ALICE, name)

    async def test_a_live_session_is_ended_before_it_is_deleted(self, tmp_path: Path) -> None:
        async with self.serving(tmp_path) as subject:
            first = await subject.active("live-one")
            gone = await subject.deleted("live-one")
            assert gone.response is not None and gone.response.state is State.TERMINATED
            again = await subject.active("live-one")
            assert again.uuid != first.uuid

    async def test_an_id_may_be_left_out_or_stand_in_the_name(self, tmp_path: Path) -> None:
        async with self.serving(tmp_path) as subject:
            made = await subject.api.create_session(ALICE, subject.parent, Session())
            assert len(made.metadata.session.rpartition("/")[2]) >= 4
            name = subject.session("from-name")
            made = await subject.api.create_session(ALICE, subject.parent, Session(name=str(name)))
            assert made.metadata.session == str(name)
            with pytest.raises(InvalidArgument):
                await subject.api.create_session(ALICE, subject.parent, Session(name=str(name)), "other-id")
            with pytest.raises(InvalidArgument):
                await subject.api.create_session(ALICE, subject.parent, Session(), "No")

    async def test_an_id_is_taken_once(self, tmp_path: Path) -> None:
        async with self.serving(tmp_path) as subject:
            await subject.api.create_session(ALICE, subject.parent, Session(), "taken")
            with pytest.raises(AlreadyExists):
                await subject.api.create_session(ALICE, subject.parent, Session(), "taken")

    async def test_a_request_id_answers_the_first_calls_operation(self, tmp_path: Path) -> None:
        async with self.serving(tmp_path) as subject:
            api, parent = subject.api, subject.parent
            first = await api.create_session(ALICE, parent, Session(), "same-one", "request-1")
            again = await api.create_session(ALICE, parent, Session(labels={"x": "y"}), "other-one", "request-1")
            assert again.name == first.name
            repeated = await api.repeated_create(ALICE, parent, "request-1")
            assert repeated is not None and repeated.name == first.name
            assert await api.repeated_create(BOB, parent, "request-1") is None
            if not subject.one_caller:
                other = await api.create_session(BOB, parent, Session(), "third-one", "request-1")
                assert other.name != first.name
            await subject.done(first)
            ended = await api.terminate_session(ALICE, subject.session("same-one"), "request-1")
            assert ended.name != first.name
            await subject.done(ended)
            assert (await api.terminate_session(ALICE, subject.session("same-one"), "request-1")).name == ended.name
            with pytest.raises(InvalidArgument):
                await api.create_session(ALICE, parent, Session(), "", "not a request id")

    async def test_what_has_ended_cannot_be_terminated(self, tmp_path: Path) -> None:
        async with self.serving(tmp_path) as subject:
            await subject.active("ended-one")
            await subject.done(await subject.api.terminate_session(ALICE, subject.session("ended-one")))
            with pytest.raises(FailedPrecondition):
                await subject.api.terminate_session(ALICE, subject.session("ended-one"))

    async def test_names_that_do_not_exist(self, tmp_path: Path) -> None:
        async with self.serving(tmp_path) as subject:
            api, missing, elsewhere = subject.api, subject.session("missing"), LocationName("nobody", "nowhere")
            ours = (api.read_log(ALICE, missing, 0, 100), api.list_kernels(ALICE, missing)) if subject.logs else ()
            patch = (api.update_session(ALICE, missing, Session(), None),) if subject.limits_change else ()
            for call in (
                *ours,
                *patch,
                api.get_session(ALICE, missing),
                api.terminate_session(ALICE, missing),
                api.delete_session(ALICE, missing),
                api.get_template(ALICE, subject.template("missing")),
                api.update_template(ALICE, subject.template("missing"), SessionTemplate(), None),
                api.delete_template(ALICE, subject.template("missing")),
                api.get_operation(ALICE, OperationName(subject.parent, "missing")),
                api.cancel_operation(ALICE, OperationName(subject.parent, "missing")),
                api.delete_operation(ALICE, OperationName(subject.parent, "missing")),
                api.get_location(elsewhere),
                api.create_session(ALICE, elsewhere, Session()),
                api.list_sessions(ALICE, elsewhere, ListRequest()),
                api.list_templates(ALICE, elsewhere, ListRequest()),
                api.list_operations(ALICE, elsewhere, ListRequest()),
                api.create_session(ALICE, subject.parent, Session(session_template="missing")),
            ):
                with pytest.raises(NotFound):
                    await call

    async def test_locations(self, tmp_path: Path) -> None:
        async with self.serving(tmp_path) as subject:
            location = await subject.api.get_location(subject.parent)
            assert location.name == subject.parent and location.metadata["provider"]
            assert location.name in [found.name for found in await subject.api.list_locations(subject.parent.project)]
            assert location.name in [found.name for found in await subject.api.list_locations("-")]
            assert await subject.api.list_locations("another-project") == []

    async def test_lists_are_paged_newest_first(self, tmp_path: Path) -> None:
        async with self.serving(tmp_path) as subject:
            made = []
            for number in range(5):
                session = Session(labels={"number": str(number)})
                made.append((await subject.api.create_session(ALICE, subject.parent, session)).metadata.session)
            seen, token = [], ""
            while True:
                page = await subject.api.list_sessions(ALICE, subject.parent, ListRequest(2, token))
                seen += [session.name for session in page.items]
                token = page.next_page_token
                assert len(page.items) == 2 or not token
                if not token:
                    break
            assert seen == made[::-1]
            request = ListRequest(filter="labels.number = 1 OR labels.number = 3")
            page = await subject.api.list_sessions(ALICE, subject.parent, request)
            assert [session.name for session in page.items] == [made[3], made[1]]
            wild = await subject.api.list_sessions(ALICE, LocationName("-", "-"), ListRequest())
            assert {session.name for session in wild.items} >= set(made)

    async def test_bad_list_requests(self, tmp_path: Path) -> None:
        async with self.serving(tmp_path) as subject:
            for _ in range(3):
                await subject.api.create_session(ALICE, subject.parent, Session())
            token = (await subject.api.list_sessions(ALICE, subject.parent, ListRequest(1))).next_page_token
            for request in (
                ListRequest(-1),
                ListRequest(filter="state = NONSENSE"),
                ListRequest(1, token[:-2] + ("AA" if token[-2:] != "AA" else "BB")),
                ListRequest(1, token, "state = ACTIVE"),
            ):
                with pytest.raises(InvalidArgument):
                    await subject.api.list_sessions(ALICE, subject.parent, request)
            with pytest.raises(InvalidArgument):
                await subject.api.list_operations(ALICE, subject.parent, ListRequest(1, token))

    async def test_labels_and_limits_change(self, tmp_path: Path) -> None:
        async with self.serving(tmp_path) as subject:
            if not subject.limits_change:
                return
            name = subject.session("changing")
            await subject.active(
                "changing", Session(labels={"a": "1", "b": "2"}, environment_config=limits(7200, 3600))
            )
            wanted = Session(labels={"a": "9"}, environment_config=limits(9000))
            changed = await subject.api.update_session(ALICE, name, wanted, ["labels.a"])
            assert (changed.labels, changed.ttl) == ({"a": "9", "b": "2"}, 7200 * SECOND)
            mask = ["environmentConfig.executionConfig.ttl"]
            changed = await subject.api.update_session(ALICE, name, wanted, mask)
            assert (changed.ttl, changed.idle_ttl) == (9000 * SECOND, 3600 * SECOND)
            changed = await subject.api.update_session(ALICE, name, Session(), None)
            assert changed.labels == {} and changed.ttl > 9000 * SECOND
            with pytest.raises(InvalidArgument):
                await subject.api.update_session(ALICE, name, Session(user="mallory"), None)

    async def test_templates(self, tmp_path: Path) -> None:
        async with self.serving(tmp_path) as subject:
            api, name = subject.api, subject.template("small")
            template = SessionTemplate(
                name=str(name),
                display_name="Small",
                labels={"size": "s", "team": "red"},
                environment_config=limits(idle_ttl=1800),
            )
            made = await api.create_template(ALICE, subject.parent, template)
            assert (made.creator, made.name) == (subject.creator, str(name)) and made.uuid and made.create_time
            assert await api.get_template(ALICE, name) == made
            with pytest.raises(AlreadyExists):
                await api.create_template(BOB, subject.parent, template)
            with pytest.raises(InvalidArgument):
                await api.create_template(ALICE, subject.parent, SessionTemplate())
            session = Session(session_template="small", labels={"team": "blue"})
            operation = await api.create_session(ALICE, subject.parent, session, "templated")
            answer = await api.get_session(ALICE, subject.session("templated"))
            assert answer.session_template == str(name) and answer.labels == {"size": "s", "team": "blue"}
            assert answer.idle_ttl == 1800 * SECOND
            await subject.done(operation)
            listed = await api.list_templates(BOB, subject.parent, ListRequest(filter="labels.size = s"))
            assert [found.name for found in listed.items] == ([] if subject.private else [str(name)])
            other = subject.parent.project + "-other"
            foreign = Session(session_template=f"projects/{other}/locations/x/sessionTemplates/small")
            with pytest.raises(InvalidArgument):
                await api.create_session(ALICE, subject.parent, foreign)

    async def test_only_its_owner_or_an_admin_changes_a_template(self, tmp_path: Path) -> None:
        async with self.serving(tmp_path) as subject:
            api, name = subject.api, subject.template("owned")
            made = await api.create_template(ALICE, subject.parent, SessionTemplate(name=str(name), description="one"))
            refused = NotFound if subject.private else PermissionDenied
            if not subject.one_caller:
                with pytest.raises(refused):
                    await api.update_template(BOB, name, SessionTemplate(description="two"), None)
                with pytest.raises(refused):
                    await api.delete_template(BOB, name)
            changed = await api.update_template(ALICE, name, SessionTemplate(description="three"), ["description"])
            assert changed.description == "three" and changed.update_time > made.update_time
            assert (changed.uuid, changed.creator, changed.create_time) == (made.uuid, made.creator, made.create_time)
            cleared = await api.update_template(ADMIN, name, SessionTemplate(display_name="Four"), None)
            assert (cleared.description, cleared.display_name, cleared.creator) == ("", "Four", made.creator)
            await api.delete_template(ADMIN, name)
            with pytest.raises(NotFound):
                await api.get_template(ALICE, name)

    async def test_operations(self, tmp_path: Path) -> None:
        async with self.serving(tmp_path) as subject:
            api, parent = subject.api, subject.parent
            created = await subject.done(await api.create_session(ALICE, parent, Session(), "operated"))
            deleted = await subject.deleted("operated")
            found = await api.list_operations(ALICE, parent, ListRequest())
            assert [operation.name for operation in found.items] == [deleted.name, created.name]
            request = ListRequest(
                filter=f'operation_type = DELETE AND done = true AND session = "{parent}/sessions/operated"'
            )
            only = await api.list_operations(ALICE, parent, request)
            assert [operation.name for operation in only.items] == [deleted.name]
            await api.cancel_operation(ALICE, created.parsed_name)
            assert await api.get_operation(ALICE, created.parsed_name) == created
            await api.delete_operation(ALICE, created.parsed_name)
            with pytest.raises(NotFound):
                await api.get_operation(ALICE, created.parsed_name)

    async def test_a_failed_create_names_every_fault(self, tmp_path: Path) -> None:
        async with self.serving(tmp_path) as subject:
            faulty = Session(labels={"UPPER": "x"}, environment_config=limits(ttl=10**6 * 3))
            with pytest.raises(InvalidArgument) as refused:
                await subject.api.create_session(ALICE, subject.parent, faulty)
            assert "labels.UPPER" in [violation.field for violation in refused.value.violations]

    async def test_changes_are_told_in_order(self, tmp_path: Path) -> None:
        async with self.serving(tmp_path) as subject:
            heard: list[Change] = []
            unsubscribe = subject.api.subscribe(heard.append)
            stream = subject.api.watch(ALICE, subject.parent, {})
            first = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0)
            session = await subject.active("watched")
            assert [c.new_state for c in heard if c.session_uuid == session.uuid][-1] is State.ACTIVE
            await subject.deleted("watched")
            assert (heard[-1].new_state, heard[-1].session) == (State.STATE_UNSPECIFIED, session.name)
            unsubscribe()
            told: list[Change | Reset] = [await asyncio.wait_for(first, subject.patience)]
            while told[-1] != heard[-1]:
                told.append(await asyncio.wait_for(anext(stream), subject.patience))
            assert told == heard
            steps = [change.new_state for change in heard if change.old_state is not change.new_state]
            states = [State.CREATING, State.ACTIVE, State.TERMINATING, State.TERMINATED, State.STATE_UNSPECIFIED]
            assert steps == states
            sequences = [change.sequence for change in heard]
            assert sequences == sorted(set(sequences))
            resumed = subject.api.watch(ALICE, subject.parent, {subject.parent: heard[1].sequence})
            assert await asyncio.wait_for(anext(resumed), subject.patience) == heard[2]
            beyond = subject.api.watch(ALICE, subject.parent, {subject.parent: 10**9})
            assert isinstance(await asyncio.wait_for(anext(beyond), subject.patience), Reset)

    async def test_the_log_is_read_in_pieces(self, tmp_path: Path) -> None:
        async with self.serving(tmp_path) as subject:
            if not subject.logs:
                return
            await subject.active("logged", Session(runtime_config=RuntimeConfig()))
            name = subject.session("logged")
            page = await subject.api.read_log(ALICE, name, 0, 4)
            assert page.offset == 0 and page.next_offset == len(page.content.encode()) <= 4
            rest = await subject.api.read_log(ALICE, name, page.next_offset, 1 << 16)
            assert rest.offset == page.next_offset
            tail = await subject.api.read_log(ALICE, name, -3, 3)
            assert tail.next_offset - tail.offset <= 3
