"""A process engine that runs sessions as other accounts: user ids that need no entry anywhere, and root's rights."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from jupyter_sessions.engines.base import Engine, Job
from jupyter_sessions.engines.process import marked
from jupyter_sessions.engines.process.accounts import Account, Accounts
from jupyter_sessions.engines.process.engine import ProcessEngine
from jupyter_sessions.model.hostfile import HostProcess, read
from tests.engines.bench import private, session

USERS = {"ann": 64_201, "ben": 64_202}
needs_root = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root, on Linux, runs sessions as other accounts"
)


def open_to_all(path: Path) -> bool:
    """Say whether every account can pass to a path and read it."""
    return all(folder.stat().st_mode & 0o001 for folder in path.parents) and bool(path.stat().st_mode & 0o004)


def interpreter(folder: Path) -> str:
    """Give a Python that every account can run and that has this one's packages; skips the test where there is none."""
    if open_to_all(Path(os.path.realpath(sys.executable))):
        return sys.executable
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    site = Path(pytest.__file__).parent.parent
    found = [path for path in (Path("/usr/bin") / version, Path("/usr/local/bin") / version) if path.exists()]
    if not found or not open_to_all(site):
        pytest.skip(f"no {version} here that other accounts can run with this one's packages")
    packages = folder / "lib" / version / "site-packages"
    packages.mkdir(parents=True, exist_ok=True)
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "pyvenv.cfg").write_text(f"home = {found[0].parent}\ninclude-system-site-packages = false\n")
    (packages / "shared.pth").write_text(f"import site; site.addsitedir({str(site)!r})\n")
    python = folder / "bin" / "python"
    if not python.exists():
        python.symlink_to(found[0])
    return str(python)


@contextmanager
def passable() -> Iterator[Path]:
    """Give a temporary directory that every account may pass."""
    folder = Path(tempfile.mkdtemp(prefix="js-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def people(folder: Path, **changes: Any) -> Callable[[str], Account]:
    """Give a lookup that knows USERS, each with a home below ``folder``."""

    def lookup(name: str) -> Account:
        home = folder / "homes" / name
        if not home.exists():
            home.mkdir(parents=True, mode=0o755)
            os.chown(home, USERS[name], USERS[name])
        given = {"shell": "/bin/sh", "groups": (USERS[name],), **changes}
        return Account(name, USERS[name], USERS[name], str(home), **given)

    return lookup


def accounts_in(folder: Path, **changes: Any) -> Accounts:
    """Give accounts whose sessions lie below ``folder``."""
    given: Mapping[str, Any] = {"lookup": people(folder), **changes}
    return Accounts(folder / "accounts", folder / "short", **given)


@dataclass
class AccountsBench:
    """An engine of two accounts over a directory of its own."""

    root: Path
    accounts: Accounts
    engine: ProcessEngine
    make: Callable[[], ProcessEngine]
    store_uuid: str = field(default_factory=lambda: str(uuid.uuid4()))

    def job(self, **properties: str) -> Job:
        """Give a job of a new session of Ann's."""
        return self.job_of("ann", **properties)

    def job_of(self, owner: str, **properties: str) -> Job:
        """Give a job of a new session of somebody's."""
        row = session(**{key.replace("_", ":", 1): value for key, value in properties.items()})
        row = row.model_copy(update={"user": owner})
        return Job(self.store_uuid, row, self.accounts.directory(row), private(self.root / "store" / row.uuid))

    @asynccontextmanager
    async def another(self) -> AsyncIterator[Engine]:
        """Give a second server's engine."""
        engine = self.make()
        try:
            yield engine
        finally:
            await engine.close()

    async def kill_host(self, job: Job) -> None:
        """Kill the host alone, as a memory killer would."""
        host = read(job.directory, HostProcess)
        assert host is not None
        os.kill(host.pid, signal.SIGKILL)


@asynccontextmanager
async def accounts_bench() -> AsyncIterator[AccountsBench]:
    """Give a bench, and see to it that nothing of its store is left."""
    with passable() as folder:
        python = interpreter(folder / "python")
        (folder / "store").mkdir(mode=0o700)
        accounts = accounts_in(folder)

        def make() -> ProcessEngine:
            command = (python, "-m", "jupyter_sessions.host")
            return ProcessEngine(dict, "/nonexistent", command=command, accounts=accounts, adopt_grace=0.0)

        bench = AccountsBench(folder, accounts, make(), make)
        try:
            yield bench
        finally:
            await bench.engine.close()
            left = list(marked.scan(f"{bench.store_uuid}/", marked.EVERYBODY))
            for process in left:
                marked.send(process, signal.SIGKILL)
            accounts.close()
            assert not left, f"processes left behind: {left}"
