"""A bearer token from a file, the environment or a program."""

from __future__ import annotations

import asyncio
import os
import re
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from jupyter_sessions.config.locations import Bearer, LocationConfig
from jupyter_sessions.model.errors import SessionsError
from jupyter_sessions.upstream.errors import printable, unauthenticated
from jupyter_sessions.upstream.offload import in_thread
from jupyter_sessions.upstream.program import COMMAND_TIMEOUT, output
from jupyter_sessions.upstream.renewal import Proof, Renewal

LONGEST = 16384
"""Characters of a token."""
READ_TIMEOUT = 5.0
"""Seconds that reading a token's file may take (it may lie on another machine)."""
TOKEN = re.compile(r"[!-~]+")


class BearerCredentials:
    """Sends ``Authorization: Bearer`` with the location's token.

    A file is read for each request, so that a new token counts at once; a program is run again after ``refresh``
    seconds or when its token was refused, and once for all who wait. ``steady`` gives seconds.
    """

    def __init__(
        self,
        config: LocationConfig,
        *,
        steady: Callable[[], float] = time.monotonic,
        timeout: float = COMMAND_TIMEOUT,
    ) -> None:
        self._config = config
        self._bearer = config.bearer or Bearer()
        self._timeout = timeout
        self._renewal = Renewal(self._run, steady)
        self._token = ""

    async def headers(self) -> Mapping[str, str]:
        """Give the header with the token of now. Raises Unauthenticated with the remedy where there is none."""
        if self._bearer.command:
            return await self._renewal.headers()
        return _header(await self._read_now())

    def refused(self, headers: Mapping[str, str]) -> None:
        """Have a program run again, unless it gave another token since."""
        self._renewal.refused(headers)

    def remedy(self) -> list[str]:
        """Give the steps to a token that is good."""
        if self._bearer.file is not None:
            return [f"Write a valid token into {self._bearer.file}; it is read again at once."]
        if self._bearer.environment:
            return [f"Start the server again with a valid token in the variable {self._bearer.environment}."]
        if self._bearer.command:
            program = self._bearer.command[0]
            return [f"Run {program} as the configuration has it and see to it that it prints a valid token."]
        return [f"Say with `bearer` where the token of {self._config.name} is: `file`, `environment` or `command`."]

    async def _read_now(self) -> str:
        if (path := self._bearer.file) is not None:
            try:
                return await asyncio.wait_for(in_thread(lambda: self._read(path), "bearer token"), READ_TIMEOUT)
            except asyncio.TimeoutError:
                raise self._missing(f"{path} could not be read within {READ_TIMEOUT:.0f} s") from None
        if name := self._bearer.environment:
            return self._checked(os.environ.get(name, ""), f"the variable {name}")
        raise self._missing("no token is configured")

    async def _run(self) -> Proof:
        argv: Sequence[str] = self._bearer.command
        known = [self._token]
        try:
            text = await in_thread(lambda: output(argv, self._timeout, known), "bearer token")
        except OSError as error:
            raise self._missing(f"{argv[0]}: {error.strerror or 'it failed'}") from None
        self._token = self._checked(text, f"the output of {argv[0]}")
        return Proof(_header(self._token), self._bearer.refresh)

    def _read(self, path: Path) -> str:
        try:
            # A pipe nobody writes to would otherwise be waited for.
            file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(file, "rb") as opened:
                state = os.fstat(file)
                self._judge(path, state)
                data = opened.read(LONGEST + 2)
        except OSError as error:
            raise self._missing(f"{path}: {error.strerror or 'it cannot be read'}") from None
        return self._checked(data.decode("latin-1"), str(path))

    def _judge(self, path: Path, state: os.stat_result) -> None:
        if not stat.S_ISREG(state.st_mode):
            raise self._missing(f"{path} is not a file")
        if state.st_uid not in (os.geteuid(), 0):
            raise self._missing(f"{path} belongs to another account, which could read and change the token")
        if state.st_mode & 0o077:
            raise self._missing(f"{path} may be read by others; run `chmod 600 {path}`", [])

    def _checked(self, text: str, where: str) -> str:
        token = text.strip()
        if not token:
            raise self._missing(f"{where} holds no token")
        if len(token) > LONGEST or not TOKEN.fullmatch(token):
            raise self._missing(f"{where} holds no token: it is one word of at most {LONGEST} ASCII characters")
        return token

    def _missing(self, message: str, remedy: Sequence[str] | None = None) -> SessionsError:
        return unauthenticated(
            f"{self._config.name}: {printable(message)}", self.remedy() if remedy is None else remedy
        )


def _header(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
