"""The store's file: private, migrated, never overwritten, and what is said where it cannot be used."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from jupyter_sessions.model.api import ListRequest, Reset
from jupyter_sessions.model.errors import Internal, NotFound, SessionsError, Unavailable
from jupyter_sessions.model.names import LOCAL, LocationName
from jupyter_sessions.model.resources import Session
from jupyter_sessions.model.states import State
from jupyter_sessions.service import schema
from jupyter_sessions.service.clocks import SECOND
from jupyter_sessions.service.directories import Directories
from jupyter_sessions.service.store import FILE, SessionStore
from jupyter_sessions.storage import changes, file
from tests.service.clocks import MovedClock
from tests.service.fake_engine import World
from tests.service.servers import ALICE, active, finished, in_state, named, serving, until


async def test_the_file_is_private_and_safe(tmp_path: Path) -> None:
    data = tmp_path / "data"
    store = SessionStore(data)
    await store.open()
    assert data.stat().st_mode & 0o777 == 0o700 and (data / FILE).stat().st_mode & 0o777 == 0o600
    pragmas = await store.read(
        lambda c: [
            c.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "user_version")
        ]
    )
    assert pragmas == ["delete", 2, len(schema.MIGRATIONS)]
    uuid, key = store.uuid, store.hmac_key
    assert len(uuid) == 36 and len(key) == 32
    await store.close()
    again = SessionStore(data)
    await again.open()
    assert (again.uuid, again.hmac_key) == (uuid, key)
    await again.close()
    with pytest.raises(Unavailable):
        await again.read(changes.last)


async def test_what_others_may_read_is_taken_from_them(tmp_path: Path) -> None:
    data = tmp_path / "data"
    schema.prepare(data / FILE)
    data.chmod(0o755)
    (data / FILE).chmod(0o644)
    schema.prepare(data / FILE)
    assert data.stat().st_mode & 0o777 == 0o700 and (data / FILE).stat().st_mode & 0o777 == 0o600


async def test_a_transaction_is_whole_or_nothing(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    await store.open()

    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO meta VALUES ('half', 'x')")
        raise ValueError("stop here")

    with pytest.raises(ValueError, match="stop here"):
        await store.write(half)
    assert await store.read(lambda c: c.execute("SELECT count(*) FROM meta WHERE key = 'half'").fetchone()[0]) == 0
    await store.close()


def _garbage(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + os.urandom(5000))


def _truncated(path: Path) -> None:
    schema.prepare(path)
    path.write_bytes(path.read_bytes()[: 2 * 4096 + 100])


def _scribbled(path: Path) -> None:
    schema.prepare(path)
    data = bytearray(path.read_bytes())
    data[4096 : 4096 + 512] = os.urandom(512)
    path.write_bytes(bytes(data))


def _newer(path: Path) -> None:
    schema.prepare(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version={len(schema.MIGRATIONS) + 1}")


def _foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE other (x)")


def _folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_garbage, "damaged"),
        (_truncated, "damaged"),
        (_scribbled, "damaged"),
        (_newer, "newer jupyter_sessions"),
        (_foreign, "another program"),
        (_folder, "accessible"),
    ],
)
async def test_a_file_that_cannot_be_used_is_said_and_left(
    tmp_path: Path, spoil: Callable[[Path], None], words: str
) -> None:
    path, world = tmp_path / FILE, World()
    spoil(path)
    before = path.read_bytes() if path.is_file() else b""
    (tmp_path / "sessions" / "somebody").mkdir(parents=True)
    async with serving(tmp_path, world) as service:
        for call in (
            service.list_sessions(ALICE, LOCAL, ListRequest()),
            service.create_session(ALICE, LOCAL, Session()),
            service.get_session(ALICE, named("some-one")),
            service.list_operations(ALICE, LOCAL, ListRequest()),
            service.list_templates(ALICE, LOCAL, ListRequest()),
        ):
            with pytest.raises(Unavailable) as refused:
                await call
            assert str(path) in str(refused.value) and words in str(refused.value)
        assert not service.kernel_hosts()
        assert words in (await service.get_location(LOCAL)).metadata["fault"]
    assert (path.read_bytes() if path.is_file() else b"") == before
    assert (tmp_path / "sessions" / "somebody").is_dir()


async def test_a_file_that_goes_before_it_is_opened_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "prepare", lambda path, _: path.mkdir())
    async with serving(tmp_path) as service:
        with pytest.raises(Unavailable, match=r"unable to open.*Then restart the Jupyter server"):
            await service.list_sessions(ALICE, LOCAL, ListRequest())


async def test_before_start_and_after_stop_every_call_says_so(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        pass
    with pytest.raises(Unavailable, match="stopped"):
        await service.list_sessions(ALICE, LOCAL, ListRequest())


async def test_what_was_told_survives_and_what_is_old_resets(tmp_path: Path) -> None:
    world = World()
    async with serving(tmp_path, world) as service:
        await active(service, "logged")
        store = SessionStore(tmp_path)
        await store.open()
        assert [c.sequence for c in await store.read(lambda c: changes.read(c, 0))] == [1, 2]
        await store.write(lambda c: changes.prune(c, time.time_ns() + 8 * 86_400 * SECOND))
        assert await store.read(changes.pruned_to) == 2
        assert await store.read(changes.last) == 2
        await store.close()
        assert await anext(service.watch(ALICE, LOCAL, {LOCAL: 1})) == Reset(LOCAL, 2)
        stream = service.watch(ALICE, LOCAL, {LOCAL: 2})
        await service.terminate_session(ALICE, named("logged"))
        change = await anext(stream)
        assert not isinstance(change, Reset) and (change.sequence, change.new_state) == (3, State.TERMINATING)


async def test_the_log_keeps_its_newest_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "KEPT_ROWS", 3)
    store = SessionStore(tmp_path)
    await store.open()

    def fill(connection: sqlite3.Connection) -> None:
        for number in range(5):
            changes.append(connection, LOCAL, "s", "u", (State.CREATING, State.CREATING), str(number), time.time_ns())
        changes.prune(connection, time.time_ns())

    await store.write(fill)
    assert [c.sequence for c in await store.read(lambda c: changes.read(c, 0))] == [3, 4, 5]
    await store.close()


async def test_an_end_that_is_noticed_late_takes_no_younger_change_out_of_the_log(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    await store.open()
    now, old = time.time_ns(), time.time_ns() - 8 * 86_400 * SECOND

    def fill(connection: sqlite3.Connection) -> None:
        for number, moment in enumerate((old, now, old)):
            changes.append(connection, LOCAL, "s", "u", (State.CREATING, State.CREATING), str(number), moment)
        changes.prune(connection, now)

    await store.write(fill)
    assert [c.sequence for c in await store.read(lambda c: changes.read(c, 0))] == [2, 3]
    await store.close()


async def _forget_changes(data_dir: Path) -> None:
    """Let the log of a store forget all it holds."""
    store = SessionStore(data_dir)
    await store.open()
    await store.write(lambda c: changes.prune(c, time.time_ns() + 8 * 86_400 * SECOND))
    await store.close()


async def test_a_server_that_slept_longer_than_the_log_keeps_is_brought_up_by_the_rows(tmp_path: Path) -> None:
    world = World()
    async with serving(tmp_path, world) as first, serving(tmp_path, world, poll=3600.0) as second:
        await active(first, "ending")
        await second.get_session(ALICE, named("ending"))
        assert len(second.kernel_hosts()) == 1
        await finished(first, await first.delete_session(ALICE, named("ending")))
        session = await active(first, "coming")
        await _forget_changes(tmp_path)
        assert (await second.get_session(ALICE, named("coming"))).state is State.ACTIVE
        assert [host.session_uuid for host in second.kernel_hosts()] == [session.uuid]


async def test_a_watch_of_a_quiet_location_is_not_reset_by_the_others(tmp_path: Path) -> None:
    other = LocationName("local", "other")
    async with serving(tmp_path) as service, serving(tmp_path, location=other) as busy:
        stream: Any = service.watch(ALICE, LOCAL, {})
        waiting = asyncio.ensure_future(anext(stream))
        await busy.create_session(ALICE, other, Session(), "elsewhere")
        newest = await until(lambda: stream.ag_frame and stream.ag_frame.f_locals.get("position"))
        await _forget_changes(tmp_path)
        await active(service, "quiet-one")
        change = await waiting
        assert not isinstance(change, Reset) and change.sequence > newest


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB; skipped where this account may not mount one."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if made.returncode:
        pytest.skip("mounting a tmpfs needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_directory_that_was_begun_on_a_full_disk_is_known_later(tiny: Path) -> None:
    directories = Directories(tiny, "the store")
    directories.of("u").mkdir(parents=True, mode=0o700)
    ballast = tiny / "ballast"
    with pytest.raises(OSError, match="No space"), ballast.open("wb", buffering=0) as out:
        while True:
            out.write(b"x" * 4096)
    with pytest.raises(OSError, match="No space"):
        directories.make("u", directories.of("u"))
    ballast.unlink()
    directories.make("u", directories.of("u"))
    assert list(directories.leftovers(())) == ["u"]


async def test_a_full_disk_fails_no_session(tiny: Path) -> None:
    world = World()
    async with serving(tiny / "data", world) as service:
        await active(service, "filled")
        ballast = tiny / "ballast"
        with pytest.raises(OSError, match="No space"), ballast.open("wb", buffering=0) as out:
            while True:
                out.write(b"x" * 4096)
        with pytest.raises(SessionsError) as refused:
            for number in range(100):
                await service.create_session(ALICE, LOCAL, Session(), f"more-{number}")
        assert isinstance(refused.value, Unavailable) and "free disk space" in str(refused.value)
        assert (await service.get_session(ALICE, named("filled"))).state is State.ACTIVE
        assert len(service.kernel_hosts()) >= 1
        world.beat(next(iter(world.hosts)), warning="ends in 10 min: idle")
        ballast.unlink()
        await in_state(service, "filled", State.ACTIVE)
        page = await service.list_sessions(ALICE, LOCAL, ListRequest(filter="state = FAILED"))
        assert not page.items
        operation = await service.create_session(ALICE, LOCAL, Session(), "room-again")
        await finished(service, operation)
        await until(lambda: len(world.living) >= 2)


async def _spoil(data_dir: Path, session_id: str) -> None:
    """Give one session's row what no program of this version writes."""
    store = SessionStore(data_dir)
    await store.open()
    query = "UPDATE sessions SET resource = '{\"state\": 99}' WHERE id = ?"
    assert await store.write(lambda c: c.execute(query, (session_id,)).rowcount) == 1
    await store.close()


async def test_a_row_that_cannot_be_read_is_left_out_of_lists(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(tmp_path) as service:
        for number in range(5):
            await active(service, f"session-{number}")
        await _spoil(tmp_path, "session-2")
        for size in (1, 2, 3, 100):
            found: list[str] = []
            token = ""
            while True:
                page = await service.list_sessions(ALICE, LOCAL, ListRequest(size, token))
                assert len(page.items) <= size
                found += [session.parsed_name.id for session in page.items]
                token = page.next_page_token
                if not token:
                    break
            assert found == ["session-4", "session-3", "session-1", "session-0"]
    assert "sessions/session-2 is left out of its list: a stored Session cannot be read" in caplog.text


async def test_a_row_that_cannot_be_read_keeps_no_other_from_being_followed(tmp_path: Path) -> None:
    world = World()
    async with serving(tmp_path, world) as first, serving(tmp_path, world, poll=3600.0) as second:
        await active(first, "unreadable")
        session = await active(first, "readable")
        await _spoil(tmp_path, "unreadable")
        await second.get_session(ALICE, named("readable"))
        assert [host.session_uuid for host in second.kernel_hosts()] == [session.uuid]


async def test_a_row_that_cannot_be_read_keeps_no_other_from_being_removed(tmp_path: Path) -> None:
    clock = MovedClock()
    async with serving(tmp_path, clock=clock.clock) as service:
        for name in ("unreadable", "readable"):
            await active(service, name)
            await finished(service, await service.terminate_session(ALICE, named(name)))
    await _spoil(tmp_path, "unreadable")
    clock.wait(31 * 86_400)
    async with serving(tmp_path, clock=clock.clock) as service:

        async def gone() -> bool:
            try:
                await service.get_session(ALICE, named("readable"))
            except NotFound:
                return True
            return False

        await until(gone)


async def test_a_row_that_cannot_be_read_is_said_and_keeps_no_other_from_being_told(tmp_path: Path) -> None:
    world = World()
    async with serving(tmp_path, world) as service:
        await active(service, "readable")
        await active(service, "unreadable")
        await _spoil(tmp_path, "unreadable")
        with pytest.raises(Internal, match="stored Session cannot be read"):
            await service.get_session(ALICE, named("unreadable"))
        await finished(service, await service.terminate_session(ALICE, named("readable")))
        assert (await service.get_session(ALICE, named("readable"))).state is State.TERMINATED
    async with serving(tmp_path, world) as service:
        assert (await service.get_session(ALICE, named("readable"))).state is State.TERMINATED
        assert len(world.living) == 1  # nobody knows what the other was to be, so nobody ends it
