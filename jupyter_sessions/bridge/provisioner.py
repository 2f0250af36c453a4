"""Kernels of sessions for whatever starts kernels through ``jupyter_client``."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Callable
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import Unicode

from jupyter_sessions.bridge.report import ENDED, FAILED, READY, TOLD
from jupyter_sessions.bridge.wanted import Wanted
from jupyter_sessions.model.errors import SessionsError

PATIENCE = 60.0
"""The least seconds that a shutdown may take before the bridge is killed: what it made is to end with it."""


class SessionNotStarted(RuntimeError):
    """The kernel of a session did not start; the message says why and what to do."""


class SessionProvisioner(LocalProvisioner):
    """Starts a bridge to a kernel of a session, and waits until that answers.

    What it is configured with, in a kernelspec's ``metadata.kernel_provisioner.config``, is what
    :class:`jupyter_sessions.bridge.wanted.Wanted` says. ``told`` is called with each step of a start; ``session``,
    ``kernel`` and ``made`` are known after it, ``reason`` once the kernel is gone.
    """

    session = Unicode(config=True, help="The session's id or full name.")
    template = Unicode(config=True, help="The template to make a session from; it ends with the kernel.")
    kernel = Unicode(config=True, help="main, new or a kernel's id.")
    location = Unicode(config=True, help="Where names are looked for.")
    url = Unicode(config=True, help="The server, if it is not to be found.")

    told: Callable[[str], None] | None = None
    options: tuple[str, ...] = ()
    """More words for the bridge's command line."""
    started: dict[str, Any] | None = None
    """What the bridge told of the session and the kernel."""
    _pipe: Pipe | None = None
    _reason = ""

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Put the bridge's command in the place of the kernel's; raises SessionNotStarted for a faulty kernelspec."""
        names = ("session", "template", "kernel", "location", "url")
        try:
            wanted = Wanted.read({name: getattr(self, name) for name in names})
        except SessionsError as error:
            raise SessionNotStarted(f"the kernelspec is faulty: {error}") from error
        kwargs = await super().pre_launch(**kwargs)
        manager: Any = self.parent
        kwargs["cmd"] = [*wanted.argv(manager.connection_file), *self.options]
        return kwargs

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the bridge and wait for its kernel; raises SessionNotStarted in words."""
        self._forget_pipe()
        self.started, self._reason = None, ""
        ours, theirs = os.pipe()
        try:
            info = await super().launch_kernel([*cmd, "--report", str(theirs)], pass_fds=(theirs,), **kwargs)
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        os.set_blocking(ours, False)
        self._pipe = Pipe(ours)
        try:
            await self._until_started(self._pipe)
        except BaseException:
            await self._abandon()
            raise
        return info

    async def _until_started(self, pipe: Pipe) -> None:
        while True:
            kind, what = await pipe.next()
            if kind == TOLD:
                self.log.info("%s", what)
                if self.told is not None:
                    self.told(what)
            elif kind == READY:
                self.started = what
                return
            else:
                raise SessionNotStarted(what)

    async def _abandon(self) -> None:
        """End a bridge whose start came to nothing, and give it time to take back what it has made."""
        await self.kill()
        await self.wait()
        self._forget_pipe()

    @property
    def reason(self) -> str:
        """Why the kernel is gone, as far as the bridge has said."""
        while self._pipe is not None and (told := self._pipe.read()) is not None:
            kind, what = told
            if kind in (ENDED, FAILED):
                self._reason = what
        return self._reason

    async def kill(self, restart: bool = False) -> None:
        """End the bridge: asked first, so that it ends what it has made, and killed if it does not."""
        if self.process is None:
            return
        await self.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(self.process.wait, PATIENCE)
        except subprocess.TimeoutExpired:
            await super().kill(restart)

    def get_shutdown_wait_time(self, recommended: float = 5.0) -> float:
        """Give the seconds that a shutdown may take."""
        return max(recommended, PATIENCE)

    async def cleanup(self, restart: bool = False) -> None:
        """Let go of the bridge's pipe."""
        self._forget_pipe()
        await super().cleanup(restart)

    def _forget_pipe(self) -> None:
        if self._pipe is not None:
            self._reason = self.reason
            self._pipe.close()
            self._pipe = None


class Pipe:
    """The reading end of a bridge's report."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._text = b""
        self._ended = False

    async def next(self) -> tuple[str, Any]:
        """Wait for what is told next; ``failed`` where the bridge ended without a word."""
        while True:
            told = self.read()
            if told is not None:
                return told
            if self._ended:
                return FAILED, "its process ended without a word; the program's stderr may have more"
            await _readable(self._handle)

    def read(self) -> tuple[str, Any] | None:
        """Give what has been told next, None where nothing has."""
        while b"\n" not in self._text and not self._ended:
            try:
                piece = os.read(self._handle, 65_536)
            except BlockingIOError:
                return None
            self._text += piece
            self._ended = not piece
        line, found, self._text = self._text.partition(b"\n")
        if not found:
            return None
        ((kind, what),) = json.loads(line).items()
        return kind, what

    def close(self) -> None:
        """Close it."""
        os.close(self._handle)


async def _readable(handle: int) -> None:
    # No thread: one that reads would keep the program from ending, and the bridge from seeing that it did.
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(handle, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(handle)
