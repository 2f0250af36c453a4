"""What the doctor says of the place where sessions are kept, and of processes that were left behind."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

import pytest

from jupyter_sessions.doctor import storage
from jupyter_sessions.doctor.findings import Level
from jupyter_sessions.doctor.storage import check_directory, check_store
from jupyter_sessions.service import schema
from tests.doctor.places import bad, levels
from tests.service.fake_engine import World
from tests.service.servers import ALICE, active, finished, named, serving

NOBODY = 65_534


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir(mode=0o700)
    return path


def store(data_dir: Path, *statements: str) -> Path:
    """Make a store, and change it as a test needs it."""
    path = data_dir / "sessions.db"
    schema.prepare(path)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)
    return path


def identity(path: Path) -> str:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return schema.meta(connection, "store_uuid").decode()


class TestDirectory:
    """``check_directory``."""

    def test_a_private_one_is_well(self, data_dir: Path) -> None:
        assert levels(check_directory(data_dir)) == {"data directory": "ok"}

    def test_one_that_can_be_made_is_well(self, data_dir: Path) -> None:
        assert levels(check_directory(data_dir / "a" / "b")) == {"data directory": "ok"}
        assert not (data_dir / "a").exists()

    def test_one_below_a_file_cannot_be_made(self, data_dir: Path) -> None:
        (data_dir / "file").write_text("")
        found = bad(check_directory(data_dir / "file" / "b"))
        assert found.level is Level.FAULT and "data_dir" in found.remedy
        assert bad(check_directory(data_dir / "file")).what == "is no directory"

    def test_one_that_is_open_to_others(self, data_dir: Path) -> None:
        data_dir.chmod(0o750)
        found = bad(check_directory(data_dir))
        assert found.level is Level.FAULT and "750" in found.why and found.remedy == f"chmod 700 {data_dir}"

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
    def test_one_of_another_account(self, data_dir: Path) -> None:
        os.chown(data_dir, NOBODY, NOBODY)
        assert bad(check_directory(data_dir)).what == "belongs to another account"

    def test_one_on_a_full_disk(self, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(storage, "LEAST_FREE", 1 << 62)
        found = bad(check_directory(data_dir))
        assert found.level is Level.WARN and "MiB are free" in found.why


class TestStore:
    """``check_store``."""

    def test_none_is_made_by_looking(self, data_dir: Path) -> None:
        assert levels(check_store(data_dir)) == {"store": "ok"} and list(data_dir.iterdir()) == []

    async def test_a_store_in_use_is_well_and_is_left_as_it_is(self, data_dir: Path) -> None:
        async with serving(data_dir, World()) as server:
            await active(server, "first-one")
            await active(server, "second-one")
            await finished(server, await server.terminate_session(ALICE, named("second-one")))
            path = data_dir / "sessions.db"
            before = path.read_bytes()
            (found,) = check_store(data_dir)
            assert found.level is Level.OK and "1 session live" in found.what.replace("sessions", "session")
            assert path.read_bytes() == before

    def test_another_programs_database(self, data_dir: Path) -> None:
        with contextlib.closing(sqlite3.connect(data_dir / "sessions.db")) as connection, connection:
            connection.execute("CREATE TABLE other (x)")
        assert "another program" in bad(check_store(data_dir)).what

    def test_a_newer_store(self, data_dir: Path) -> None:
        store(data_dir, "PRAGMA user_version = 99")
        found = bad(check_store(data_dir))
        assert "99" in found.why and "upgrade" in found.remedy

    def test_a_damaged_store(self, data_dir: Path) -> None:
        path = store(data_dir)
        data = bytearray(path.read_bytes())
        data[4096:] = os.urandom(len(data) - 4096)
        path.write_bytes(data)
        assert "is damaged" in bad(check_store(data_dir)).what
        path.write_text("this is no database at all, and longer than the header of one: " + "x" * 100)
        assert "is damaged" in bad(check_store(data_dir)).what

    def test_a_store_that_cannot_be_opened(self, data_dir: Path) -> None:
        (data_dir / "sessions.db").mkdir()
        assert "cannot be read now" in bad(check_store(data_dir)).what
