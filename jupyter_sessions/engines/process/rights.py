"""Gives one thread of this process, and no other, the file rights of another account. Linux, root.

Who a process is to signals and to ptrace are its real and effective ids: they stay root's, so the account can do
nothing to the thread. What counts for files are the file system ids, which are each thread's own; with them go the
thread's capabilities over files. Supplementary groups are dropped by the system call itself: the C library's function
would drop them in every thread.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys

_SETGROUPS = {"x86_64": 116, "aarch64": 159, "riscv64": 159, "loongarch64": 159, "ppc64le": 81, "s390x": 206}
"""Number of the system call, by machine."""
_KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219, "loongarch64": 219, "ppc64le": 271, "s390x": 280}
_JOIN_SESSION_KEYRING = 1

_NO_CHANGE = 0xFFFFFFFF
_OVER_FILES = 0b11111
"""CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER and CAP_FSETID, as /proc shows them."""


def unsupported() -> str:
    """Say why no thread here can take an account's rights, ``""`` where it can."""
    if sys.platform != "linux":
        return "sessions of several accounts need Linux: there a thread can have file rights of its own"
    if os.geteuid() != 0:
        return "only root can run each user's sessions as their own account"
    if platform.machine() not in _SETGROUPS:
        return f"sessions of several accounts are not known to work on this machine's {platform.machine()} processor"
    return ""


def assume(uid: int, gid: int) -> None:
    """Give the calling thread the file rights of this account, for good: a thread that did so does nothing else.

    Raises PermissionError unless it then has these rights and no others, and ValueError for root's.
    """
    if uid <= 0 or gid < 0:
        raise ValueError(f"a thread cannot take the rights of user id {uid}, group id {gid}")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(ctypes.c_long(_SETGROUPS[platform.machine()]), ctypes.c_long(0), None) != 0:
        raise PermissionError(ctypes.get_errno(), "this thread's supplementary groups cannot be dropped")
    libc.setfsgid(ctypes.c_uint(gid))
    libc.setfsuid(ctypes.c_uint(uid))
    # Neither call says whether it failed; asking for an id that is none gives the one in force.
    found = (
        libc.setfsuid(ctypes.c_uint(_NO_CHANGE)) & _NO_CHANGE,
        libc.setfsgid(ctypes.c_uint(_NO_CHANGE)) & _NO_CHANGE,
    )
    if found != (uid, gid) or _status("Groups") or int(_status("CapEff"), 16) & _OVER_FILES:
        raise PermissionError(
            f"this thread has not got the rights of user id {uid} alone: has this service all of root's?"
        )


def fresh_keyring() -> None:
    """Give the calling thread, and what it starts from now on, an empty session keyring in place of the process's.

    A process has the keys of its session's keyring whatever its account: accounts that share one share their keys.
    Where the system keeps no keys, or lets nobody near them, there is nothing to share.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(ctypes.c_long(_KEYCTL[platform.machine()]), ctypes.c_long(_JOIN_SESSION_KEYRING), None)


def _status(field: str) -> str:
    """Give a line of what the system says of the calling thread."""
    with open("/proc/thread-self/status", encoding="utf-8", errors="replace") as lines:
        return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{field}:"))
