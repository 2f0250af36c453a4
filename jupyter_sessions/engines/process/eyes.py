"""Asks what a session's account can run here: in this process for its own account, in one of the account's for another.

What another account's process answers was made by whatever that account has installed: it is bounded in time and size,
and read as data.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

from jupyter_sessions.engines.process import survey
from jupyter_sessions.engines.process.accounts import Account
from jupyter_sessions.engines.process.kernelspecs import CannotHonour, KernelChoice
from jupyter_sessions.engines.process.survey import Found
from jupyter_sessions.engines.process.wants import Wants
from jupyter_sessions.model.errors import FieldViolation
from jupyter_sessions.model.hostfile import KernelSpecEntry

SURVEY = "jupyter_sessions.engines.process.survey"
SECONDS = 90.0
KILLED_SECONDS = 5.0
KEPT_SECONDS = 10.0
"""How long an answer is good for: a create asks, and its start right after."""
MOST_BYTES = 1 << 20
MOST_ANSWERS = 1000
_MOST_DEPTH = 30
_STDERR_SHOWN = 300


class OwnEyes:
    """Looks as this process's own account; ``default_cwd`` is where a session begins that names no directory."""

    def __init__(self, choice: KernelChoice, default_cwd: str) -> None:
        self._choice = choice
        self._default_cwd = default_cwd

    async def look(self, wants: Wants) -> Found:
        """Look for what is wanted; raises what the kernelspec manager raises."""
        return await asyncio.to_thread(survey.look, self._choice, wants, self._default_cwd)


class AccountEyes:
    """Looks as other accounts, one process at a time for each.

    ``default`` is the name of the default Python kernel, ``python`` the interpreter that hosts are started with.
    """

    def __init__(self, default: str, python: str) -> None:
        self._default = default
        self._python = python
        self._answers: dict[tuple[str, str], tuple[float, Found]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def look(self, account: Account, wants: Wants) -> Found:
        """Look for what is wanted.

        Raises OSError where the account's process gives no answer that can be used, and CannotHonour (of ``user``)
        where the account cannot run this service's interpreter at all.
        """
        asked = survey.question(wants, self._default)
        async with self._locks.setdefault(account.name, asyncio.Lock()):
            now = time.monotonic()
            known = self._answers.get((account.name, asked))
            if known is not None and now - known[0] < KEPT_SECONDS:
                return known[1]
            found = _read(account, await self._run(account, asked))
            self._answers = {key: kept for key, kept in self._answers.items() if now - kept[0] < KEPT_SECONDS}
            if len(self._answers) < MOST_ANSWERS:
                self._answers[account.name, asked] = (time.monotonic(), found)
            return found

    async def _run(self, account: Account, asked: str) -> bytes:
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                self._python,
                "-m",
                SURVEY,
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                start_new_session=True,
                **account.popen({}),
            )
        except PermissionError as error:
            raise CannotHonour("user", closed(account, self._python)) from error
        try:
            return await asyncio.wait_for(_answer(process, account, asked), SECONDS)
        except asyncio.TimeoutError:
            raise OSError(f"the kernels of account {account.name} were not told within {SECONDS:.0f} s") from None
        finally:
            await _put_away(process)


async def _put_away(process: asyncio.subprocess.Process) -> None:
    """End a process unless it has ended, and let go of its pipes, which what it left behind may hold for ever."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process._transport.close()  # type: ignore[attr-defined]  # asyncio has no public way to close them
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(process.wait(), KILLED_SECONDS)


def closed(account: Account, python: str) -> str:
    """Say why an account cannot run an interpreter: which directory on the way is closed to it, and the remedy."""
    target = Path(os.path.realpath(python))
    for folder in reversed(target.parents):
        found = folder.stat()
        bit = 0o100 if found.st_uid == account.uid else 0o010 if found.st_gid in account.groups else 0o001
        if not found.st_mode & bit:
            return (
                f"{account.name!r} cannot run this service's Python, {python}: {folder} is closed to that account. "
                "Install this service where every account may go, such as /opt"
            )
    return f"{account.name!r} cannot run this service's Python, {python}: its mode forbids it"


async def _answer(process: asyncio.subprocess.Process, account: Account, asked: str) -> bytes:
    stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
    if stdin is None or stdout is None or stderr is None:
        raise OSError("the process was started without pipes")
    stdin.write(asked.encode())
    stdin.close()
    told, said = await asyncio.gather(_bounded(stdout), _bounded(stderr))
    status = await process.wait()
    if status:
        last = (said.decode("utf-8", "replace").strip().splitlines() or [f"exit status {status}"])[-1]
        raise OSError(f"the kernels of account {account.name} cannot be told: {last[:_STDERR_SHOWN]}")
    return told


async def _bounded(stream: asyncio.StreamReader) -> bytes:
    """Read to the end, or until it is too much."""
    data = b""
    while piece := await stream.read(1 << 16):
        data += piece
        if len(data) > MOST_BYTES:
            raise OSError("an account's process says more of its kernels than can be read")
    return data


def _read(account: Account, told: bytes) -> Found:
    """Make an answer of what was told; raises OSError where it is none."""
    try:
        data = json.loads(told)
        # What cannot be written again, for its depth, letters or numbers, would fail whoever lists it.
        json.dumps(data, ensure_ascii=False, allow_nan=False).encode()
        if _depth(data) > _MOST_DEPTH:
            raise ValueError("it is nested too deeply")
        kernels = {str(name): _entry(entry) for name, entry in data["kernels"].items()}
        faults = tuple(FieldViolation(_text(fault["field"]), _text(fault["description"])) for fault in data["faults"])
        return Found(kernels, _text(data["cwd"]), faults)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise OSError(f"what account {account.name} tells of its kernels cannot be understood: {error!r}") from error


def _entry(data: dict[str, Any]) -> KernelSpecEntry:
    known = {f.name: str(f.type) for f in fields(KernelSpecEntry)}
    values = {name: value for name, value in data.items() if name in known}
    shapes = {"str": str, "list[str]": list}
    for name, value in values.items():
        if not isinstance(value, shapes.get(known[name], dict)):
            raise ValueError(f"{name} is no {known[name]}")
    if not all(isinstance(word, str) for word in (*values["argv"], *values["env"], *values["env"].values())):
        raise ValueError("argv and env hold text")
    return KernelSpecEntry(**values)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("what should be text is none")
    return value


def _depth(data: Any) -> int:
    inner = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return 1 + max(map(_depth, inner), default=0)
