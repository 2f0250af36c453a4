"""A private service: each caller sees and touches only what is their own, unless an admin."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_sessions.model.api import Caller, Change, ListRequest
from jupyter_sessions.model.errors import (
    AlreadyExists,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
)
from jupyter_sessions.model.names import LOCAL, LocationName, OperationName, TemplateName
from jupyter_sessions.model.resources import Session, SessionTemplate
from jupyter_sessions.model.states import State
from jupyter_sessions.router import Router
from jupyter_sessions.service import schema
from jupyter_sessions.service.core import Limits
from jupyter_sessions.service.embedded import EmbeddedSessions
from jupyter_sessions.service.store import FILE
from tests.contract.sessions_api import SessionsContract, Subject
from tests.service.servers import ALICE, BOB, active, finished, named, serving, until

ADMIN = Caller("root", admin=True)
TEMPLATE = TemplateName(LOCAL, "alices")


class TestPrivate(SessionsContract):
    """The contract holds in a private service too."""

    @contextlib.asynccontextmanager
    async def serving(self, tmp_path: Path) -> AsyncIterator[Subject]:
        """Serve an empty store."""
        async with serving(tmp_path / "data", private=True) as service:
            yield Subject(service, LOCAL, private=True)


@contextlib.asynccontextmanager
async def alices(tmp_path: Path, **options: Any) -> AsyncIterator[tuple[EmbeddedSessions, OperationName]]:
    """Serve a session and a template of Alice's; give her create operation too."""
    async with serving(tmp_path / "data", private=True, **options) as service:
        operation = await service.create_session(ALICE, LOCAL, Session(labels={"a": "b"}), "alices-own")
        await finished(service, operation)
        await service.create_template(ALICE, LOCAL, SessionTemplate(name=str(TEMPLATE)))
        yield service, operation.parsed_name


def calls(service: EmbeddedSessions, operation: OperationName) -> dict[str, Callable[[Caller], Awaitable[Any]]]:
    """Give every method that names one thing, called on Alice's; the last end them."""
    session = named("alices-own")
    return {
        "get_session": lambda who: service.get_session(who, session),
        "update_session": lambda who: service.update_session(who, session, Session(labels={"x": "y"}), ["labels"]),
        "read_log": lambda who: service.read_log(who, session, 0, 100),
        "list_kernels": lambda who: service.list_kernels(who, session),
        "get_template": lambda who: service.get_template(who, TEMPLATE),
        "update_template": lambda who: service.update_template(who, TEMPLATE, SessionTemplate(description="x"), None),
        "use_template": lambda who: service.create_session(who, LOCAL, Session(session_template=TEMPLATE.id)),
        "get_operation": lambda who: service.get_operation(who, operation),
        "cancel_operation": lambda who: service.cancel_operation(who, operation),
        "terminate_session": lambda who: service.terminate_session(who, session),
        "delete_template": lambda who: service.delete_template(who, TEMPLATE),
        "delete_operation": lambda who: service.delete_operation(who, operation),
        "delete_session": lambda who: service.delete_session(who, session),
    }


async def test_what_is_anothers_is_not_found_and_stays_as_it_is(tmp_path: Path) -> None:
    async with alices(tmp_path) as (service, operation):
        before = await service.get_session(ALICE, named("alices-own"))
        template = await service.get_template(ALICE, TEMPLATE)
        for method, call in calls(service, operation).items():
            with pytest.raises(NotFound):
                await call(BOB)
                pytest.fail(method)
        after = await service.get_session(ALICE, named("alices-own"))
        assert (after.state, after.labels, after.state_time) == (State.ACTIVE, before.labels, before.state_time)
        assert await service.get_template(ALICE, TEMPLATE) == template
        assert (await service.get_operation(ALICE, operation)).done


async def test_an_error_for_anothers_is_the_one_for_nobodys(tmp_path: Path) -> None:
    async with alices(tmp_path) as (service, _):
        words = []
        for session_id in ("alices-own", "nobodys-own"):
            with pytest.raises(NotFound) as refused:
                await service.get_session(BOB, named(session_id))
            words.append(refused.value.message.replace(session_id, "ID"))
        assert words[0] == words[1]


async def test_an_admin_reaches_everything(tmp_path: Path) -> None:
    async with alices(tmp_path) as (service, operation):
        for call in calls(service, operation).values():
            # The fake engine's hosts have no socket: the kernels were looked for.
            with contextlib.suppress(Unavailable):
                await call(ADMIN)
        assert (await service.list_templates(ADMIN, LOCAL, ListRequest())).items == []
        await until(lambda: _gone(service))


async def _gone(service: EmbeddedSessions) -> bool:
    try:
        await service.get_session(ADMIN, named("alices-own"))
    except NotFound:
        return True
    return False


async def test_lists_hold_only_what_is_the_callers(tmp_path: Path) -> None:
    async with alices(tmp_path) as (service, _):
        await service.create_session(BOB, LOCAL, Session(), "bobs-own")
        everything = ListRequest()
        for who, ids in ((ALICE, {"alices-own"}), (BOB, {"bobs-own"}), (ADMIN, {"alices-own", "bobs-own"})):
            for parent in (LOCAL, LocationName("-", "-")):
                sessions = await service.list_sessions(who, parent, everything)
                assert {session.parsed_name.id for session in sessions.items} == ids
                operations = await service.list_operations(who, parent, everything)
                assert {found.metadata.session.rpartition("/")[2] for found in operations.items} == ids
        for who, count in ((ALICE, 1), (BOB, 0), (ADMIN, 1)):
            assert len((await service.list_templates(who, LOCAL, everything)).items) == count


async def test_pages_are_full_and_their_tokens_one_callers(tmp_path: Path) -> None:
    async with serving(tmp_path / "data", private=True) as service:
        for number in range(12):
            who = (ALICE, BOB, BOB)[number % 3]
            await service.create_session(who, LOCAL, Session(labels={"n": str(number % 2)}), f"session-{number:02}")
        seen, token = [], ""
        while True:
            page = await service.list_sessions(BOB, LOCAL, ListRequest(3, token))
            seen += [session.parsed_name.id for session in page.items]
            token = page.next_page_token
            if not token:
                break
            assert len(page.items) == 3
            with pytest.raises(InvalidArgument):
                await service.list_sessions(ALICE, LOCAL, ListRequest(3, token))
        assert seen == [f"session-{number:02}" for number in range(11, -1, -1) if number % 3]
        odd = await service.list_sessions(ALICE, LOCAL, ListRequest(filter="labels.n = 1 OR session_id = session-01"))
        assert [session.parsed_name.id for session in odd.items] == ["session-09", "session-03"]


async def test_a_token_of_several_locations_shows_nobody_anothers_rows(tmp_path: Path) -> None:
    everywhere = LocationName("-", "-")
    async with serving(tmp_path / "data", private=True) as service:
        router = Router({LOCAL: service}, service.page_key)
        for number in range(4):
            await router.create_session((ALICE, BOB)[number % 2], LOCAL, Session(), f"session-{number}")
        page = await router.list_sessions(BOB, everywhere, ListRequest(1))
        assert [session.parsed_name.id for session in page.items] == ["session-3"]
        rest = await router.list_sessions(BOB, everywhere, ListRequest(1, page.next_page_token))
        assert [session.parsed_name.id for session in rest.items] == ["session-1"]
        with contextlib.suppress(InvalidArgument):
            other = await router.list_sessions(ALICE, everywhere, ListRequest(9, page.next_page_token))
            assert {session.creator for session in other.items} <= {"alice"}


async def test_a_list_reads_the_owners_rows_alone(tmp_path: Path) -> None:
    async with serving(tmp_path / "data", private=True):
        with contextlib.closing(sqlite3.connect(tmp_path / "data" / FILE)) as store:
            for table, owner in (("sessions", "owner"), ("templates", "creator"), ("operations", "owner")):
                query = f"SELECT id FROM {table} WHERE parent = '' AND {owner} = '' ORDER BY create_time DESC, id"  # noqa: S608 - literals
                plan = " ".join(str(row[3]) for row in store.execute(f"EXPLAIN QUERY PLAN {query}"))
                assert f"(parent=? AND {owner}=?)" in plan and "TEMP B-TREE" not in plan, plan


async def test_a_watch_tells_only_of_the_callers_sessions(tmp_path: Path) -> None:
    async with serving(tmp_path / "data", private=True) as service:
        told: dict[str, list[Change]] = {}

        async def follow(who: Caller) -> None:
            async for change in service.watch(who, LOCAL, {LOCAL: 0}):
                assert isinstance(change, Change)
                told.setdefault(who.name, []).append(change)

        tasks = [asyncio.create_task(follow(who)) for who in (ALICE, BOB, ADMIN)]
        await service.create_session(BOB, LOCAL, Session(), "bobs-own")
        await active(service, "alices-own")
        operation = await service.delete_session(ALICE, named("alices-own"))
        await finished(service, operation)
        await service.create_session(BOB, LOCAL, Session(), "bobs-last")
        await until(lambda: any(c.session.endswith("bobs-last") for c in told.get("bob", [])))
        await until(lambda: any(c.session.endswith("bobs-last") for c in told.get("root", [])))
        await until(lambda: told["alice"][-1].new_state is State.STATE_UNSPECIFIED)
        for task in tasks:
            task.cancel()
        assert {change.session.rpartition("/")[2] for change in told["alice"]} == {"alices-own"}
        assert {change.session.rpartition("/")[2] for change in told["bob"]} == {"bobs-own", "bobs-last"}
        assert {*told["alice"], *told["bob"]} <= set(told["root"])
        assert told["alice"] == [change for change in told["root"] if change.session.endswith("alices-own")]


async def test_a_taken_id_is_refused_without_saying_whose(tmp_path: Path) -> None:
    async with alices(tmp_path) as (service, _):
        with pytest.raises(AlreadyExists) as refused:
            await service.create_session(BOB, LOCAL, Session(), "alices-own")
        with pytest.raises(AlreadyExists) as template:
            await service.create_template(BOB, LOCAL, SessionTemplate(name=str(TEMPLATE)))
        for error in (refused, template):
            assert "choose another id" in error.value.message and "delete" not in error.value.message
            assert ALICE.name not in error.value.message.replace("alices", "")
        with pytest.raises(AlreadyExists, match="delete it first"):
            await service.create_session(ALICE, LOCAL, Session(), "alices-own")


async def test_a_session_is_made_for_another_by_an_admin_alone(tmp_path: Path) -> None:
    async with serving(tmp_path / "data", private=True) as service:
        with pytest.raises(PermissionDenied, match="user: 'alice' is not 'bob'"):
            await service.create_session(BOB, LOCAL, Session(user="alice"), "for-alice")
        await service.create_session(BOB, LOCAL, Session(user="bob"), "for-himself")
        await service.create_session(ADMIN, LOCAL, Session(user="alice"), "for-alice")
        made = await service.get_session(ALICE, named("for-alice"))
        assert (made.creator, made.user) == ("root", "alice")
        with pytest.raises(NotFound):
            await service.get_session(BOB, named("for-alice"))
        operations = await service.list_operations(ALICE, LOCAL, ListRequest())
        assert [found.metadata.session for found in operations.items] == [made.name]


async def test_each_user_has_the_most_sessions_that_are_allowed(tmp_path: Path) -> None:
    async with serving(tmp_path / "data", private=True, limits=Limits(sessions=1)) as service:
        await service.create_session(ALICE, LOCAL, Session(), "alices-own")
        await service.create_session(BOB, LOCAL, Session(), "bobs-own")
        with pytest.raises(ResourceExhausted, match="1 sessions of bob"):
            await service.create_session(BOB, LOCAL, Session(), "bobs-second")
        with pytest.raises(ResourceExhausted, match="of alice"):
            await service.create_session(ADMIN, LOCAL, Session(user="alice"), "alices-second")


async def test_a_request_id_is_one_callers(tmp_path: Path) -> None:
    async with alices(tmp_path) as (service, _):
        made = await service.create_session(ALICE, LOCAL, Session(), "alices-next", "same-id")
        assert await service.repeated_create(BOB, LOCAL, "same-id") is None
        other = await service.create_session(BOB, LOCAL, Session(), "bobs-own", "same-id")
        assert other.metadata.session != made.metadata.session


async def test_a_service_that_is_not_private_shows_all(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as service:
        await service.create_session(ALICE, LOCAL, Session(), "alices-own")
        assert (await service.get_session(BOB, named("alices-own"))).creator == "alice"
        assert len((await service.list_sessions(BOB, LOCAL, ListRequest())).items) == 1
        await service.create_session(BOB, LOCAL, Session(user="anybody"), "for-anybody")


async def test_a_store_of_before_has_owners_once_it_is_opened(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with serving(data) as service:
        await active(service, "alices-own")
        await service.create_session(BOB, LOCAL, Session(user="carol"), "carols-own")
        await finished(service, await service.delete_session(ALICE, named("alices-own")))
        await active(service, "alices-own")
    with contextlib.closing(sqlite3.connect(data / FILE)) as store:
        for name in ("sessions_owner", "templates_creator", "operations_owner"):
            store.execute(f"DROP INDEX {name}")
        for table in ("sessions", "operations", "changes"):
            store.execute(f"ALTER TABLE {table} DROP COLUMN owner")
        store.execute("PRAGMA user_version=1")
        store.commit()
    schema.prepare(data / FILE)
    async with serving(data, private=True) as service:
        for who, session_id in ((ALICE, "alices-own"), (Caller("carol"), "carols-own")):
            found = await service.list_sessions(who, LOCAL, ListRequest())
            assert [session.parsed_name.id for session in found.items] == [session_id]
            assert len((await service.list_operations(who, LOCAL, ListRequest())).items) >= 1
        assert (await service.list_sessions(BOB, LOCAL, ListRequest())).items == []


async def test_a_damaged_row_does_not_keep_the_store_from_its_migration(tmp_path: Path) -> None:
    path = tmp_path / "store" / FILE
    schema.prepare(path)
    with contextlib.closing(sqlite3.connect(path)) as store:
        (script,) = schema.MIGRATIONS[1:]
        store.execute("INSERT INTO templates VALUES ('p', 't', 'u', 'alice', 1, 1, 1, '{')")
        store.execute(
            "INSERT INTO sessions (uuid, parent, id, state, create_time, version, resource, machine_id, machine_name, "
            "boot_id, pid_namespace, lock_dir) VALUES ('u', 'p', 'i', 2, 1, 1, 'no JSON', '', '', '', '', '')"
        )
        (update,) = (part for part in script.split(";") if "UPDATE sessions" in part)
        store.execute(update)
        assert store.execute("SELECT owner FROM sessions").fetchall() == [("",)]
