"""The process engine passes the engines' contract when each session runs as its owner's account."""

from __future__ import annotations

import os
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import psutil

from jupyter_sessions.engines.hostlink import HostLink
from jupyter_sessions.model.hostfile import MARK, HostProcess, Intent, read
from jupyter_sessions.model.resources import RuntimeConfig
from tests.engines.accounts_bench import USERS, AccountsBench, accounts_bench, needs_root
from tests.engines.bench import ready, session, started
from tests.engines.contract import EngineContract


def groups(pid: int) -> list[int]:
    """Give a process's supplementary groups."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return [int(word) for line in lines if line.startswith("Groups:") for word in line.split()[1:]]


@needs_root
class TestAccountsEngine(EngineContract):
    def bench(self, tmp_path: Path) -> AbstractAsyncContextManager[AccountsBench, bool | None]:
        return accounts_bench()

    async def test_what_cannot_be_honoured_is_named(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            wanted = session().model_copy(update={"user": "ann"})
            assert list(await bench.engine.check(wanted)) == []
            faulty = {"local:cwd": "/root", "local:python": "/root", "local:kernelspec": "", "local:colour": "red"}
            wanted = wanted.model_copy(update={"runtime_config": RuntimeConfig(properties=faulty)})
            fields = [violation.field for violation in await bench.engine.check(wanted)]
            assert fields == [f"runtimeConfig.properties.local:{name}" for name in ("colour", "python", "cwd")]
            nobody = wanted.model_copy(update={"user": "nobody-at-all", "runtime_config": None})
            assert [fault.field for fault in await bench.engine.check(nobody)] == ["user"]

    async def test_host_and_kernel_are_the_accounts_with_nothing_of_this_process(self, tmp_path: Path) -> None:
        os.environ["SECRET_OF_ROOT"] = "hidden"
        try:
            async with self.bench(tmp_path) as bench, started(bench.engine) as run:
                job = await run.start(bench.job())
                host = await ready(bench.engine, job)
                assert host.uid == USERS["ann"]
                link = HostLink(host.address, host.token, host.uid)
                status, _ = await link.request("POST", "/api/kernels", {}, timeout=30)
                link.close()
                assert status == 201
                own = read(job.directory, HostProcess)
                assert own is not None
                process = psutil.Process(own.pid)
                (kernel,) = process.children()
                for each in (process, kernel):
                    assert set(each.uids()) == set(each.gids()) == {USERS["ann"]}
                    assert each.environ()["HOME"] == str(bench.root / "homes" / "ann")
                    assert "hidden" not in each.environ().values()
                assert set(process.environ()) <= {
                    "HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "XDG_RUNTIME_DIR", MARK, "LC_CTYPE"
                }  # fmt: skip
                assert groups(own.pid) == [USERS["ann"]]
                assert kernel.cwd() == str(bench.root / "homes" / "ann")
                intent = read(job.directory, Intent)
                assert intent == read(job.lock_dir, Intent)
        finally:
            del os.environ["SECRET_OF_ROOT"]

    async def test_everything_of_a_session_is_its_accounts_alone(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench, started(bench.engine) as run:
            for owner in USERS:
                await ready(bench.engine, await run.start(bench.job_of(owner)))
            for owner, uid in USERS.items():
                home = bench.root / "accounts" / owner
                found = list(home.rglob("*"))
                assert len(found) > 5
                assert {path.lstat().st_uid for path in (home, *found)} == {uid}
                assert all(path.lstat().st_mode & 0o077 == 0 for path in (home, *found)), found
            (bench.root / "store").chmod(0o700)
            kept = list((bench.root / "store").rglob("*"))
            assert {path.lstat().st_uid for path in kept} == {0}
            assert {path.name for path in kept if path.is_file()} == {"intent.json"}
            assert (bench.root / "accounts").stat().st_mode & 0o777 == 0o711

    async def test_what_is_removed_is_gone(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            async with started(bench.engine) as run:
                job = await run.start(bench.job())
                await ready(bench.engine, job)
            assert job.directory.exists()
            await bench.accounts.clear("ann", job.uuid)
            assert list((bench.root / "accounts" / "ann").iterdir()) == []
            await bench.accounts.clear("ann", job.uuid)
            await bench.accounts.clear("never-here", job.uuid)
