"""The processes of a session, found by the mark they inherited or by what their host wrote down, and signalled.

Blocking: a scan reads the environment of every process of this user. Call it off the event loop, and only at an end,
a death, or the service's start.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from jupyter_sessions.model.hostfile import MARK

_LINUX = sys.platform == "linux"
_NEEDLE = f"{MARK}=".encode()
_TICKS = float(os.sysconf("SC_CLK_TCK")) if _LINUX else 1.0


EVERYBODY = -2
"""Stands for every account but root."""


@dataclass(frozen=True)
class Process:
    """One living process; ``started`` is as in ``marked.json``; ``mark`` is ``""`` where it shows none.

    ``uid`` is the account it must belong to for as long as it is signalled, None where that is not asked.
    """

    pid: int
    started: float
    mark: str = ""
    uid: int | None = None


def session_prefix(store_uuid: str, session_uuid: str) -> str:
    """Give what every mark of a session begins with, whatever its incarnation."""
    return f"{store_uuid}/{session_uuid}/"


def find(
    store_uuid: str, session_uuid: str, written: Iterable[tuple[int, float]], uid: int | None = None
) -> list[Process]:
    """Give every living process of a session, its host included, this very process never.

    ``written`` is what its host wrote down. ``uid`` is the account of a session whose host runs as another than this
    process: whatever that account's files or its processes' environments say, no other account's process is found.
    """
    prefix = session_prefix(store_uuid, session_uuid)
    found = {process.pid: process for process in scan(prefix, uid)}
    for pid, started in written:
        known = pid in found or (uid is not None and real_uid(pid) != uid)
        if not known and start_time(pid) == started and mark_of(pid) in ("", None) and not _zombie(pid):
            found[pid] = Process(pid, started, "", uid)
    found.pop(os.getpid(), None)
    return list(found.values())


def scan(prefix: str, uid: int | None = None) -> Iterator[Process]:
    """Give every living process whose mark begins with ``prefix``: this account's, or that of ``uid`` or EVERYBODY."""
    for pid in _own_pids() if uid is None else _pids_of(uid):
        mark = mark_of(pid)
        if mark and mark.startswith(prefix) and (started := start_time(pid)) is not None:
            yield Process(pid, started, mark, real_uid(pid) if uid == EVERYBODY else uid)


def send(process: Process, number: signal.Signals) -> bool:
    """Signal a process if it is still the same one; False if it is gone or not ours to signal.

    Where the system has them, a pidfd holds the process between the check and the signal.
    """
    opened = getattr(os, "pidfd_open", None)
    handle = -1
    try:
        if opened is not None:
            with contextlib.suppress(PermissionError, NotImplementedError):
                handle = opened(process.pid)
        # A process may have become another program meanwhile: an unmarked one that now shows a mark is not ours.
        if start_time(process.pid) != process.started or (mark_of(process.pid) or "") != process.mark:
            return False
        if process.uid is not None and real_uid(process.pid) != process.uid:
            return False
        if handle >= 0:
            signal.pidfd_send_signal(handle, number)
        else:
            os.kill(process.pid, number)
        return True
    except OSError:
        return False
    finally:
        if handle >= 0:
            os.close(handle)


def start_time(pid: int) -> float | None:
    """Give when a process started, in the terms of ``marked.json``; None if there is none."""
    if not _LINUX:
        import psutil

        try:
            return float(psutil.Process(pid).create_time())
        except psutil.Error:
            return None
    fields = _stat_fields(pid)
    return None if fields is None else int(fields[19]) / _TICKS


def mark_of(pid: int) -> str | None:
    """Give a process's mark, ``""`` if it has none, None if it refuses to be read or is gone."""
    if not _LINUX:
        import psutil

        try:
            return psutil.Process(pid).environ().get(MARK, "")
        except (psutil.Error, OSError):
            return None
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as source:
            block = source.read()
    except OSError:
        return None
    start = 0 if block.startswith(_NEEDLE) else block.find(b"\0" + _NEEDLE) + 1
    if not start and not block.startswith(_NEEDLE):
        return ""
    return block[start + len(_NEEDLE) :].split(b"\0", 1)[0].decode("utf-8", "replace")


def real_uid(pid: int) -> int | None:
    """Give the account that started a process, whatever rights it has taken since; None if it is gone. Linux."""
    try:
        with open(f"/proc/{pid}/status", "rb", buffering=0) as source:
            lines = source.read(4096).split(b"\n")
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(b"Uid:")), None)


def arguments(pid: int) -> list[str]:
    """Give a process's command line, empty if it is gone or refuses."""
    import psutil

    try:
        return psutil.Process(pid).cmdline()
    except (psutil.Error, OSError):
        return []


def written(data: bytes | None) -> list[tuple[int, float]]:
    """Give what a host wrote down in ``MARKED``; a file that is damaged names nothing."""
    try:
        return [(int(pid), float(started)) for pid, started in json.loads(data or b"[]")]
    except (ValueError, TypeError, OverflowError, RecursionError):
        return []


def _own_pids() -> Iterator[int]:
    """Give the pids of this user's processes; root sees everybody's, so the owner is looked at here."""
    if not _LINUX:
        import psutil

        yield from psutil.pids()
        return
    uid = os.geteuid()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if entry.stat(follow_symlinks=False).st_uid == uid:
                    yield int(entry.name)


def _pids_of(uid: int) -> Iterator[int]:
    """Give the pids of another account's processes. Those that took or laid down rights show root as their owner."""
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                owner = entry.stat(follow_symlinks=False).st_uid
                if owner not in (0, uid) and uid != EVERYBODY:
                    continue
                real = real_uid(int(entry.name))
                if real and uid in (real, EVERYBODY):
                    yield int(entry.name)


def _stat_fields(pid: int) -> list[bytes] | None:
    """Give ``/proc/{pid}/stat`` from its third field on."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as source:
            line = source.read(4096)
    except OSError:
        return None
    return line[line.rfind(b")") + 2 :].split()


def _zombie(pid: int) -> bool:
    if _LINUX:
        fields = _stat_fields(pid)
        return fields is None or fields[0] in (b"Z", b"X")
    import psutil

    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return True
