"""What an account may have put in place of its session's files gives root nothing and keeps it from nothing."""

from __future__ import annotations

import fcntl
import functools
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from jupyter_sessions.engines.base import Job
from jupyter_sessions.engines.process import rights, trees
from jupyter_sessions.engines.process.accounts import Accounts
from jupyter_sessions.engines.process.files import read_record
from jupyter_sessions.engines.process.logs import read_log
from jupyter_sessions.engines.process.sites import Site
from jupyter_sessions.engines.process.workers import MOST_WAITING, Worker
from jupyter_sessions.model.hostfile import FILES, HOST_LOCK, Heartbeat, Intent
from tests.engines.accounts_bench import USERS, accounts_in, needs_root, passable
from tests.engines.bench import private, session

pytestmark = needs_root
F_SETSIG = 10
SECRET = "what only root may read"


@dataclass
class Scene:
    """A session of Ann's, its directory made; ``secret`` is a file of root's, ``bens`` one of Ben's."""

    root: Path
    accounts: Accounts
    site: Site
    secret: Path
    bens: Path

    @property
    def directory(self) -> Path:
        """The session's directory."""
        return self.site.directory

    def plant(self, work: Callable[[], object]) -> None:
        """Do what Ann's own programs could do."""
        self.accounts._worker(USERS["ann"], USERS["ann"]).do(work)


@contextmanager
def scene() -> Iterator[Scene]:
    with passable() as folder:
        accounts = accounts_in(folder)
        row = session().model_copy(update={"user": "ann"})
        job = Job("store", row, accounts.directory(row), private(folder / "store" / row.uuid))
        for owner in USERS:
            accounts.prepare(accounts.resolve(owner))
        site = accounts.site(job)
        site.files.prepare(())
        secret, bens = folder / "secret", folder / "accounts" / "ben" / "bens"
        for path in (secret, bens):
            path.write_text(SECRET)
            path.chmod(0o600)
        os.chown(bens, USERS["ben"], USERS["ben"])
        try:
            yield Scene(folder, accounts, site, secret, bens)
        finally:
            accounts.close()


def link_to(target: str) -> Callable[[Scene, Path], None]:
    def plant(made: Scene, path: Path) -> None:
        path.symlink_to(str(getattr(made, target, target)))

    return plant


def fifo(_made: Scene, path: Path) -> None:
    os.mkfifo(path)


def folder(_made: Scene, path: Path) -> None:
    path.mkdir()


def endless(_made: Scene, path: Path) -> None:
    with path.open("wb") as out:
        out.truncate(1 << 40)


def listening(_made: Scene, path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


PLANTED: list[Callable[[Scene, Path], None]] = [
    link_to("secret"),
    link_to("bens"),
    link_to("/etc/shadow"),
    link_to("/proc/self/maps"),
    link_to("/proc/self/environ"),
    link_to("/dev/zero"),
    link_to("/dev/tty"),
    fifo,
    folder,
    endless,
    listening,
]
NAMES = ["ready.json", "token", "heartbeat.json", "marked.json", "end.json", HOST_LOCK]


@pytest.mark.parametrize("number", range(len(PLANTED)))
def test_no_file_of_a_session_leads_elsewhere_or_hangs(number: int) -> None:
    with scene() as made:
        begun = time.monotonic()
        for name in NAMES:
            made.plant(functools.partial(PLANTED[number], made, made.directory / name))
            if name == HOST_LOCK:
                if PLANTED[number] is endless:
                    assert not made.site.files.held()
                else:
                    with pytest.raises(OSError, match=r".+"):
                        made.site.files.held()
            else:
                with pytest.raises(OSError, match=r".+") as refused:
                    made.site.files.read(name)
                assert SECRET not in str(refused.value)
        made.plant(lambda: (made.directory / "log").mkdir())
        made.plant(lambda: PLANTED[number](made, made.directory / "log" / "host.log"))
        if PLANTED[number] is endless:
            assert len(read_log(made.site.files.log(), -100, 0, ended=True).content) == 100
        else:
            with pytest.raises(OSError, match=r".+"):
                read_log(made.site.files.log(), 0, 0, ended=True)
        assert time.monotonic() - begun < 5


@pytest.mark.parametrize("name", ["", "log"])
@pytest.mark.parametrize("target", ["accounts/ben", "store", "/proc/self", "/etc"])
def test_no_directory_of_a_session_leads_elsewhere(name: str, target: str) -> None:
    with scene() as made:
        place = made.directory / name
        if not name:
            made.plant(place.rmdir)
        made.plant(lambda: place.symlink_to(made.root / target))
        log = made.site.files.log()
        acts: list[Callable[[], object]] = [made.site.files.appender, log.open, log.offsets]
        if not name:
            acts += [
                lambda: made.site.files.read("token"),
                lambda: made.site.files.write("token", ""),
                made.site.files.held,
            ]
            acts += [lambda: made.site.files.stamp("token"), lambda: made.site.files.prepare(["token"])]
        for act in acts:
            with pytest.raises(OSError, match=r".+"):
                act()
        assert made.bens.read_text() == made.secret.read_text() == SECRET


def test_what_is_written_replaces_a_link_and_follows_none() -> None:
    with scene() as made:
        mine = made.directory / "mine"
        made.plant(lambda: mine.write_text("untouched"))
        for target in (made.secret, made.bens, mine):
            path = made.directory / "intent.json"
            made.plant(functools.partial(path.symlink_to, target))
            made.site.files.write("intent.json", "{}")
            assert not path.is_symlink() and path.read_text() == "{}"
            assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (USERS["ann"], 0o600)
            path.unlink()
        assert (made.secret.read_text(), made.bens.read_text(), mine.read_text()) == (SECRET, SECRET, "untouched")


def test_no_link_is_followed_even_to_the_accounts_own() -> None:
    """What lies behind a link may be a place that never answers."""
    with scene() as made:
        other = made.directory.parent / "other"
        made.plant(other.mkdir)
        made.plant(lambda: (other / "token").write_text("t"))
        made.plant(lambda: (made.directory / "token").symlink_to(other / "token"))
        with pytest.raises(OSError, match=r".+"):
            made.site.files.read("token")
        made.plant(lambda: made.directory.rename(f"{made.directory}.away"))
        made.plant(lambda: made.directory.symlink_to(other))
        with pytest.raises(OSError, match=r".+"):
            made.site.files.read("token")


def test_a_lease_on_a_file_keeps_nobody_waiting() -> None:
    with scene() as made:
        made.plant(lambda: (made.directory / "token").write_text("t"))
        handle = os.open(made.directory / "token", os.O_RDWR)
        try:
            # The holder is told of who waits by a signal: one that is ignored.
            fcntl.fcntl(handle, F_SETSIG, signal.SIGURG)
            fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            begun = time.monotonic()
            with pytest.raises(BlockingIOError):
                made.site.files.read("token")
            assert time.monotonic() - begun < 1
        finally:
            os.close(handle)


def test_what_is_believed_of_the_intent_is_what_this_service_wrote() -> None:
    with scene() as made:
        intent = Intent("store", made.site.uuid, 3, "run", "/s", "/l", {}, "/")
        made.site.books.write(FILES[Intent], json.dumps(vars(intent)))
        made.plant(lambda: (made.directory / "intent.json").write_text('{"incarnation": 7, "version": 1}'))
        assert read_record(made.site.books, Intent) == intent


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"version": 1, "incarnation": 1, "time": NaN}',
        '{"version": 1, "incarnation": 1, "time": 1e400}',
        '{"version": 1, "incarnation": 1, "time": "now"}',
        '{"version": 1, "incarnation": 1, "time": 1, "memory": 1e3}',
        '{"version": 1, "incarnation": 1, "time": 1, "memory": ' + "9" * 400 + "}",
        '{"version": 1, "incarnation": 1, "time": 1, "warning": "\\ud800"}',
        '{"version": 1, "incarnation": 1, "time": 1, "busy": true}',
        b"\xff\xfe",
    ],
)
def test_a_record_that_no_host_writes_is_a_fault_of_that_session_alone(text: str | bytes) -> None:
    with scene() as made:
        data = text if isinstance(text, bytes) else text.encode()
        made.plant(lambda: (made.directory / "heartbeat.json").write_bytes(data))
        with pytest.raises(ValueError, match=r".+"):
            read_record(made.site.files, Heartbeat)


def test_a_deep_wide_and_closed_tree_is_removed_with_few_handles() -> None:
    with scene() as made:

        def grow() -> None:
            os.chdir(made.directory)
            for number in range(1500):
                os.mkdir("d")
                Path("f").write_text(str(number))
                if not number % 500:
                    os.symlink(made.secret, "s")
                os.chdir("d")
            os.chdir("/")

        here = Path.cwd()
        try:
            made.plant(grow)
        finally:
            os.chdir(here)
        made.plant(lambda: (made.directory / "d" / "d").chmod(0))
        handles = len(os.listdir("/proc/self/fd"))
        made.site.files.clear()  # type: ignore[attr-defined]  # an account's files have it
        assert not made.directory.exists()
        assert len(os.listdir("/proc/self/fd")) == handles
        assert made.secret.read_text() == SECRET


def test_what_is_not_the_accounts_is_not_removed_with_its_session() -> None:
    with scene() as made:
        made.plant(made.directory.rmdir)
        made.plant(lambda: made.directory.symlink_to(made.bens.parent))
        made.site.files.clear()  # type: ignore[attr-defined]  # as above
        assert not made.directory.is_symlink()
        assert made.bens.read_text() == SECRET
        made.plant(lambda: made.directory.mkdir())
        kept = made.directory / "roots"
        kept.mkdir()
        (kept / "file").write_text(SECRET)
        with pytest.raises(OSError, match=r"Permission denied|not permitted"):
            made.site.files.clear()  # type: ignore[attr-defined]  # as above
        assert (kept / "file").read_text() == SECRET


def test_a_removal_that_takes_long_is_gone_on_with_later(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(OSError, match="later"):
            trees.remove(handle, "tree", seconds=-1)
        assert tree.exists()
        trees.remove(handle, "tree")
        trees.remove(handle, "tree")
        assert not tree.exists()
    finally:
        os.close(handle)


def test_a_thread_has_the_rights_of_its_account_and_no_other_has() -> None:
    worker = Worker("test", lambda: rights.assume(USERS["ann"], USERS["ann"]))
    try:
        with pytest.raises(PermissionError):
            worker.do(Path("/etc/shadow").read_text)
        assert Path("/etc/shadow").read_text()
        assert os.geteuid() == 0
        assert worker.do(os.geteuid) == 0, "to signals and ptrace the thread stays root's"
        with pytest.raises(ValueError, match="user id 0"):
            rights.assume(0, 0)
        assert Path("/etc/shadow").read_text()
    finally:
        worker.close()


def test_a_thread_that_cannot_take_the_rights_does_nothing() -> None:
    worker = Worker("test", lambda: rights.assume(0, 0))
    with pytest.raises(OSError, match="cannot work"):
        worker.do(Path("/etc/shadow").read_text)
    worker.close()


async def test_a_thread_that_hangs_is_not_waited_for_and_not_piled_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from jupyter_sessions.engines.process import workers

    monkeypatch.setattr(workers, "PATIENCE", 0.05)
    reading, writing = os.pipe()
    worker = Worker("a slow one")
    try:
        with pytest.raises(OSError, match="gave no answer"):
            await worker.ask(os.read, reading, 1)
        waiting = [worker.submit(os.getpid) for _ in range(MOST_WAITING)]
        with pytest.raises(OSError, match="too much waits"):
            worker.submit(os.getpid)
        os.write(writing, b"x")
        assert {future.result(10) for future in waiting} == {os.getpid()}
    finally:
        worker.close()
        os.close(reading)
        os.close(writing)
