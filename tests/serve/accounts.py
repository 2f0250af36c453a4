"""Accounts of this machine that tests make, and that are gone when the last run which uses them has ended."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import pwd
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

MARK = "jupyter_sessions test account"
"""Stands in an account's comment field: ours to remove, also after a run that was killed."""
PLACE = Path("/run")
"""Where a file for each account says which runs use it, by the shared locks on it."""
FIRST_UID = 1000
"""Accounts of people begin here."""
END_SECONDS = 10.0
"""How long an account's last processes may take to end."""

_leases: dict[str, int] = {}


def make_account(name: str) -> None:
    """Make an account of this machine, or share one that another run of the tests has made; needs root.

    It is removed, its home with it, at the end of the last run that uses it. One of the system's own, and the one that
    the tests run as, are used as they are. Somebody's own account is not: the test is skipped.
    """
    if name in _leases:
        return
    with _gate():
        found = _entry(name)
        if found is not None and found.pw_gecos != MARK:
            if found.pw_uid >= FIRST_UID and found.pw_uid != os.geteuid():
                pytest.skip(f"{name!r} is somebody's account on this machine, which the tests do not touch")
            return
        if not _leases:
            atexit.register(_leave, os.getpid())
        lease = os.open(_lease_file(name), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lease, fcntl.LOCK_SH)
        _leases[name] = lease
        if found is None:
            words = ["useradd", "--create-home", "--comment", MARK, name]
            subprocess.run(words, check=True, capture_output=True, timeout=30)


def leave_accounts() -> None:
    """Remove the accounts that this run has used, but for those that another run uses still."""
    while _leases:
        name, lease = _leases.popitem()
        with _gate():
            try:
                fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            finally:
                # The gate stays shut: nobody takes the lease before the account is gone.
                os.close(lease)
            _remove(name)
            _lease_file(name).unlink(missing_ok=True)


def _leave(pid: int) -> None:
    # A forked child's end is not the run's.
    if os.getpid() == pid:
        leave_accounts()


def _remove(name: str) -> None:
    found = _entry(name)
    if found is None or found.pw_gecos != MARK:
        return
    end = time.monotonic() + END_SECONDS
    while True:
        done = subprocess.run(["userdel", "--remove", name], capture_output=True, text=True, timeout=30, check=False)
        if _entry(name) is None:
            return
        if time.monotonic() > end:
            print(f"the test account {name} is left: {done.stderr.strip()}", file=sys.stderr)
            return
        time.sleep(0.1)


def _entry(name: str) -> pwd.struct_passwd | None:
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(name)
    return None


def _lease_file(name: str) -> Path:
    return PLACE / f"jupyter-sessions-test-account-{name}"


@contextlib.contextmanager
def _gate() -> Iterator[None]:
    """Let one run at a time make or remove accounts."""
    gate = os.open(PLACE, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(gate, fcntl.LOCK_EX)
        yield
    finally:
        os.close(gate)
