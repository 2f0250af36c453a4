"""Which accounts may have sessions, what they begin with, and what is refused in words."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_sessions.engines.base import Job
from jupyter_sessions.engines.process import eyes, marked, rights
from jupyter_sessions.engines.process.accounts import Account, Accounts, system_account
from jupyter_sessions.engines.process.engine import ProcessEngine
from jupyter_sessions.engines.process.eyes import AccountEyes
from jupyter_sessions.engines.process.kernelspecs import CannotHonour
from jupyter_sessions.engines.process.wants import Wants
from jupyter_sessions.model.errors import FailedPrecondition, InvalidArgument
from jupyter_sessions.model.hostfile import MARK
from tests.engines.accounts_bench import USERS, accounts_in, needs_root, passable, people
from tests.engines.bench import session

ANN = Account("ann", USERS["ann"], USERS["ann"], "/home/ann", "/bin/sh", (USERS["ann"],))


def known(account: Account) -> Callable[[str], Account]:
    def lookup(name: str) -> Account:
        if name != account.name:
            raise KeyError(name)
        return account

    return lookup


def refusal(accounts: Accounts, owner: str) -> str:
    with pytest.raises(CannotHonour) as refused:
        accounts.resolve(owner)
    assert refused.value.violation.field == "user"
    return refused.value.violation.description


@needs_root
def test_who_has_no_account_or_must_not_run_is_refused() -> None:
    with passable() as folder:
        accounts = accounts_in(folder)
        assert accounts.resolve("ann").uid == USERS["ann"]
        for owner in ("carl", "", "..", "a/b", "ann\0", "ann@example.org", "x" * 100):
            assert "no account on this machine" in refusal(accounts, owner)
        for uid in (0, -1):
            accounts.lookup = known(Account("toor", uid, 0, "/root"))
            assert "never run as 'toor'" in refusal(accounts, "toor")
        accounts.lookup = known(Account("daemon", 1, 1, "/"))
        assert "system account (user id 1)" in refusal(accounts, "daemon")
        accounts.system_accounts = True
        assert accounts.resolve("daemon").uid == 1
        accounts.lookup = known(Account("ann", 64_201, 64_201, "/home/ann", "/usr/sbin/nologin"))
        assert "may not log in" in refusal(accounts, "ann")
        accounts.no_login_accounts = True
        assert accounts.resolve("ann").shell == "/usr/sbin/nologin"


def test_an_account_of_the_system_is_known_by_its_one_name() -> None:
    import pwd

    own = pwd.getpwuid(os.getuid())
    found = system_account(own.pw_name)
    assert (found.uid, found.gid, found.home) == (own.pw_uid, own.pw_gid, own.pw_dir)
    assert own.pw_gid in found.groups
    with pytest.raises(KeyError):
        system_account("nobody-of-this-name")


def test_a_second_name_of_an_account_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    entry = ["ann", "x", 64_201, 64_201, "", "/home/ann", "/bin/sh"]
    monkeypatch.setattr(pwd, "getpwnam", lambda name: pwd.struct_passwd((name.lower(), *entry[1:])))
    monkeypatch.setattr(pwd, "getpwuid", lambda _uid: pwd.struct_passwd(entry))
    monkeypatch.setattr(os, "getgrouplist", lambda _name, gid: [gid])
    assert system_account("ann").uid == 64_201
    for other in ("anna", "ANN"):
        with pytest.raises(KeyError):
            system_account(other)


def test_an_accounts_processes_begin_with_its_own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", "/evil.so")
    given = ANN.popen({MARK: "a/b/1"})
    assert given["env"] == {
        "HOME": "/home/ann",
        "USER": "ann",
        "LOGNAME": "ann",
        "SHELL": "/bin/sh",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        MARK: "a/b/1",
    }
    assert (given["user"], given["group"], given["extra_groups"]) == (ANN.uid, ANN.gid, [ANN.gid])
    assert (given["cwd"], given["umask"]) == ("/", 0o077)


@pytest.mark.parametrize(
    ("platform", "uid", "processor", "words"),
    [
        ("darwin", 0, "x86_64", "need Linux"),
        ("linux", 1000, "x86_64", "only root"),
        ("linux", 0, "vax", "vax processor"),
        ("linux", 0, "x86_64", ""),
        ("linux", 0, "aarch64", ""),
    ],
)
def test_where_it_cannot_work_it_says_so(
    monkeypatch: pytest.MonkeyPatch, platform: str, uid: int, processor: str, words: str
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr("platform.machine", lambda: processor)
    why = rights.unsupported()
    assert words in why and bool(words) == bool(why)
    if why:
        with pytest.raises(FailedPrecondition):
            Accounts()


@needs_root
def test_a_place_that_others_could_change_or_not_pass_is_refused() -> None:
    with passable() as folder:
        (folder / "a").mkdir(mode=0o755)
        (folder / "a").chmod(0o777)
        with pytest.raises(FailedPrecondition, match=r"/a must be a directory of root's"):
            Accounts(folder / "a" / "accounts", folder / "short")
        (folder / "a").chmod(0o700)
        with pytest.raises(FailedPrecondition, match=r"every account may pass"):
            Accounts(folder / "a" / "accounts", folder / "short")
        (folder / "a").chmod(0o755)
        os.chown(folder / "a", USERS["ann"], USERS["ann"])
        with pytest.raises(FailedPrecondition, match=r"/a must be"):
            Accounts(folder / "a" / "accounts", folder / "short")
        os.umask(os.umask(0o077))
        made = accounts_in(folder / "b" / "c")
        assert made.root.stat().st_mode & 0o777 == 0o711


@needs_root
def test_a_directory_is_its_accounts_and_nobody_elses() -> None:
    with passable() as folder:
        accounts = accounts_in(folder)
        home = folder / "accounts" / "ann"
        home.mkdir(mode=0o700)
        accounts.prepare(accounts.resolve("ann"))
        assert home.stat().st_uid == USERS["ann"], "one that was not yet given away"
        home.chmod(0o777)
        accounts.prepare(accounts.resolve("ann"))
        assert home.stat().st_mode & 0o777 == 0o700
        os.chown(home, USERS["ben"], USERS["ben"])
        with pytest.raises(PermissionError, match="belongs to user id"):
            accounts.prepare(accounts.resolve("ann"))
        home.rmdir()
        home.symlink_to(folder / "accounts" / "ben")
        with pytest.raises(PermissionError, match="belongs to user id"):
            accounts.prepare(accounts.resolve("ann"))


@needs_root
def test_a_path_too_long_for_a_socket_has_a_short_place_of_the_accounts() -> None:
    with passable() as folder:
        accounts = accounts_in(folder / ("long" * 10))
        row = session().model_copy(update={"user": "ann"})
        accounts.prepare(accounts.resolve("ann"))
        site = accounts.site(Job("store", row, accounts.directory(row), folder))
        assert site.place == accounts.short / str(USERS["ann"]) / row.uuid.replace("-", "")[:16]
        assert accounts.site(Job("store", row, accounts.directory(row), folder)).directory == accounts.directory(row)
        site.files.prepare(())
        assert site.place.stat().st_uid == USERS["ann"] and site.place.stat().st_mode & 0o777 == 0o700
        accounts.close()


def test_no_owner_has_the_directory_of_another() -> None:
    if os.geteuid() != 0 or sys.platform != "linux":
        pytest.skip("only root, on Linux, has accounts")
    with passable() as folder:
        accounts = accounts_in(folder)
        names = ["ann", "ben", "", "..", ".", "a/../ben", "%2E%2E", "ann\0", "/ben", "ann "]
        made = [accounts.directory(session().model_copy(update={"user": name, "uuid": "u"})) for name in names]
        assert len({path.parent for path in made}) == len(names)
        assert {path.parent.parent for path in made} == {accounts.root}
        made_for = session().model_copy(update={"user": "ben", "creator": "root"})
        assert accounts.directory(made_for).parent.name == "ben"


@needs_root
async def test_an_interpreter_that_is_closed_to_the_account_is_named() -> None:
    with passable() as folder:
        inner = folder / "closed" / "bin"
        inner.mkdir(parents=True)
        (inner / "python").write_text("#!/bin/sh\nexit 0\n")
        (inner / "python").chmod(0o755)
        (folder / "closed").chmod(0o700)
        command = (str(inner / "python"), "-m", "jupyter_sessions.host")
        engine = ProcessEngine(dict, "/", command=command, accounts=accounts_in(folder))
        wanted = session().model_copy(update={"user": "ann"})
        (fault,) = await engine.check(wanted)
        assert fault.field == "user"
        assert f"{folder / 'closed'} is closed to that account" in fault.description
        job = Job("store", wanted, Path("/nonexistent"), folder)
        with pytest.raises(InvalidArgument, match="is closed to that account"):
            await engine.start(job, 1)
        await engine.close()


SAID: dict[str, Any] = {
    "kernels": {"p": {"argv": ["p"], "display_name": "P", "language": "python", "env": {}}},
    "cwd": "/",
    "faults": [],
}


@needs_root
@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("exit 7", "exit status 7"),
        ("echo broken >&2; exit 1", "broken"),
        ("echo nonsense", "cannot be understood"),
        ("echo []", "cannot be understood"),
        ('echo \'{"kernels": {"p": {"argv": "p"}}, "cwd": "/", "faults": []}\'', "cannot be understood"),
        ('echo \'{"kernels": {"p": 1}, "cwd": "/", "faults": []}\'', "cannot be understood"),
        ('echo \'{"kernels": {}, "cwd": 1, "faults": []}\'', "cannot be understood"),
        ('echo \'{"kernels": {}, "cwd": "\\ud800", "faults": []}\'', "cannot be understood"),
        ("head -c 100000 /dev/zero | tr '\\0' '['", "cannot be understood"),
        ("cat /dev/zero", "more of its kernels than can be read"),
        ("kill -STOP $$", "not told within"),
        ("sleep 2 & echo", "not told within"),
    ],
)
async def test_what_an_accounts_own_process_says_is_read_as_data(
    monkeypatch: pytest.MonkeyPatch, program: str, words: str
) -> None:
    monkeypatch.setattr(eyes, "SECONDS", 0.5 if "within" in words else 30.0)
    with passable() as folder:
        (folder / "python").write_text(f"#!/bin/sh\ncat >/dev/null\n{program}\n")
        (folder / "python").chmod(0o755)
        begun = time.monotonic()
        with pytest.raises(OSError, match=words):
            await AccountEyes("python3", str(folder / "python")).look(ANN, Wants())
        assert time.monotonic() - begun < 10


@needs_root
async def test_an_answer_is_good_for_a_while_and_for_its_account_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with passable() as folder:
        (folder / "said").write_text(json.dumps(SAID))
        (folder / "asked").write_text("")
        (folder / "asked").chmod(0o666)
        (folder / "python").write_text(f"#!/bin/sh\ncat >/dev/null\nid -u >> {folder}/asked\ncat {folder}/said\n")
        (folder / "python").chmod(0o755)
        looking = AccountEyes("python3", str(folder / "python"))
        ben = people(folder)("ben")
        found = await asyncio.gather(*(looking.look(who, Wants()) for who in (ANN, ANN, ben, ANN)))
        assert {each.kernels["p"].display_name for each in found} == {"P"}
        assert sorted((folder / "asked").read_text().split()) == sorted(map(str, USERS.values()))
        await looking.look(ANN, Wants(cwd="/tmp"))
        monkeypatch.setattr(eyes, "KEPT_SECONDS", 0.0)
        await looking.look(ANN, Wants())
        assert len((folder / "asked").read_text().split()) == 4


@needs_root
def test_only_processes_of_the_account_are_a_sessions_whatever_says_so() -> None:
    """An environment and a file are the account's to write: neither makes another's process one of its session."""
    mark = "store/session/1"
    with passable():
        sleepers = {
            owner: subprocess.Popen(["sleep", "60"], env={MARK: mark}, cwd="/", user=uid)
            for owner, uid in {**USERS, "root": 0}.items()
        }
        bare = subprocess.Popen(["sleep", "60"], env={}, cwd="/", user=USERS["ben"])
        try:
            listed = [(p.pid, marked.start_time(p.pid) or 0.0) for p in (bare, *sleepers.values())]
            listed += [(1, marked.start_time(1) or 0.0), (os.getpid(), marked.start_time(os.getpid()) or 0.0)]
            found = marked.find("store", "session", listed, USERS["ann"])
            assert [process.pid for process in found] == [sleepers["ann"].pid]
            assert {p.pid for p in marked.find("store", "session", listed, USERS["ben"])} == {
                bare.pid,
                sleepers["ben"].pid,
            }
            everybody = {process.pid for process in marked.scan("store/", marked.EVERYBODY)}
            assert everybody == {sleepers["ann"].pid, sleepers["ben"].pid}
            stolen = marked.Process(found[0].pid, found[0].started, found[0].mark, USERS["ben"])
            assert not marked.send(stolen, signal.SIGKILL)
            assert marked.send(found[0], signal.SIGKILL)
            assert sleepers["ann"].wait(10) == -signal.SIGKILL
        finally:
            for process in (bare, *sleepers.values()):
                process.kill()
                process.wait(10)
