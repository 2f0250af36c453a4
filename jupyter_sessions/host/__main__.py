"""``python -m jupyter_sessions.host {session directory} {incarnation}``: the program inside a session.

Started by an engine, never by hand. Exit status 0: it ended as its end file says, or was not wanted any more; 1: it
failed, as its end file and log say; 2: it was called wrongly; 3: another host of this session lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from jupyter_sessions.host.keeper import Keeper, Why
from jupyter_sessions.host.log import HostLog
from jupyter_sessions.host.process import become_subreaper, check_private, take_lock
from jupyter_sessions.model.hostfile import (
    HOST_LOCK,
    LOG_DIR,
    TOKEN,
    End,
    HostProcess,
    Intent,
    Ready,
    UnknownVersion,
    read,
    write,
)

if TYPE_CHECKING:
    from jupyter_sessions.host.kernels import HostKernels

SOCKET = "host.sock"
CLOSE_SECONDS = 5.0
OK, FAILED, USAGE, LOCKED = 0, 1, 2, 3
Step = Callable[[str], None]

logger = logging.getLogger("jupyter_sessions.host")


def _no_step(_name: str) -> None:
    """Do nothing: what a host does between its steps outside a test."""


def main(argv: Sequence[str], on_step: Step = _no_step, clock: Callable[[], float] = time.time) -> int:
    """Run a session's host to its end and give the exit status.

    ``argv`` is the session's directory and the incarnation's number. ``on_step`` is called with a name before each
    step of the start: ``lock``, ``intent``, ``host.json``, ``serve``, ``token``, ``ready.json``, ``run``.
    """
    if len(argv) != 2 or not argv[1].isdigit():
        sys.stderr.write("usage: python -m jupyter_sessions.host DIRECTORY INCARNATION (started by an engine)\n")
        return USAGE
    directory, incarnation = Path(argv[0]), int(argv[1])
    on_step("lock")
    intent = _read_intent(directory)
    # The lock's place is in the intent; who the intent wants is read again under the lock.
    if intent is None:
        return FAILED
    lock = take_lock(Path(intent.lock_dir) / HOST_LOCK)
    if lock is None:
        sys.stderr.write("another host of this session lives; this one leaves\n")
        return LOCKED
    on_step("intent")
    intent = _read_intent(directory)
    if intent is None or intent.incarnation != incarnation or intent.wanted != "run":
        return _not_wanted(directory, intent, incarnation, clock())
    return _live(directory, intent, on_step, clock)


def _read_intent(directory: Path) -> Intent | None:
    try:
        intent = read(directory, Intent)
    except (OSError, ValueError, UnknownVersion) as error:
        sys.stderr.write(f"intent.json cannot be read: {error}\n")
        return None
    if intent is None:
        sys.stderr.write("there is no intent.json: nobody wants this host\n")
    return intent


def _not_wanted(directory: Path, intent: Intent | None, incarnation: int, now: float) -> int:
    """Leave without having begun; say so where the end was asked of this very incarnation."""
    if intent is None:
        return FAILED
    if intent.incarnation == incarnation:
        with contextlib.suppress(OSError):
            write(directory, End(incarnation, "asked", intent.reason or "asked to end", now, now, OK))
    return OK


def _live(directory: Path, intent: Intent, on_step: Step, clock: Callable[[], float]) -> int:
    on_step("host.json")
    try:
        _begin(directory, intent)
        log = HostLog(directory / LOG_DIR, intent.log_bytes, intent.log_files)
        log.take_over()
    except OSError as error:
        return _failed(directory, intent, "start", f"the host could not begin: {error}", clock())
    try:
        return asyncio.run(_serve(directory, intent, log, on_step, clock))
    except Exception as error:
        logger.exception("the host failed")
        return _failed(directory, intent, "fault", f"the host failed: {error}", clock())


def _begin(directory: Path, intent: Intent) -> None:
    """Say who this host is and take its place in the system; raises OSError."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    logging.basicConfig(format="[host] %(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr)
    for noisy in ("tornado.access", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    own = HostProcess(os.getpid(), psutil.Process().create_time(), intent.incarnation, intent.boot_id)
    write(directory, own)
    become_subreaper()


def _failed(directory: Path, intent: Intent, cause: str, message: str, now: float) -> int:
    sys.stderr.write(f"{message}\n")
    with contextlib.suppress(OSError):
        write(directory, End(intent.incarnation, cause, message, now, now, FAILED))
    return FAILED


async def _serve(directory: Path, intent: Intent, log: HostLog, on_step: Step, clock: Callable[[], float]) -> int:
    # Imported here, after host.json: this is the slow part of a start, and the lock is held meanwhile.
    from tornado.httpserver import HTTPServer

    from jupyter_sessions.host.kernels import HostKernels
    from jupyter_sessions.host.server import listen, make_application

    on_step("serve")
    socket_dir = _socket_dir(intent)
    kernels = HostKernels(intent, log.kernel_fd, log.release)
    keeper = Keeper(directory, intent, kernels, log, clock)
    token = secrets.token_hex(32)
    path = socket_dir / SOCKET
    server = HTTPServer(make_application(kernels, token, keeper.poke))
    try:
        server.add_sockets([listen(path)])
        on_step("token")
        _write_token(directory / TOKEN, token)
        on_step("ready.json")
        write(directory, Ready(intent.incarnation, f"unix:{path}", clock()))
        on_step("run")
        why = await _keep(keeper)
        logger.info("ending: %s", why.message)
        await keeper.end(why)
        return FAILED if why.cause == "fault" else OK
    finally:
        server.stop()
        _clear(directory, path)
        await _put_away(kernels)
        log.close()


def _socket_dir(intent: Intent) -> Path:
    """Give the directory of this host's sockets, seen to be private; raises OSError."""
    place = Path(intent.socket_dir)
    # Whoever tidied up after an earlier host may have removed it since it was made.
    place.mkdir(mode=0o700, exist_ok=True)
    check_private(place)
    return place


async def _put_away(kernels: HostKernels) -> None:
    """Close what the kernels held. The end is written by now: a failure does not change it, nor may it take long."""
    faulthandler.dump_traceback_later(CLOSE_SECONDS, exit=True, file=sys.stderr)
    try:
        await kernels.close()
    except Exception:
        logger.exception("the kernels' sockets could not be closed")


async def _keep(keeper: Keeper) -> Why:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, keeper.on_signal, number)
    # What is loaded now lives as long as the host: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    return await keeper.run()


def _write_token(path: Path, token: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as out:
        out.write(token)


def _clear(directory: Path, socket_path: Path) -> None:
    """Remove what nobody may use any more: the token, the sockets, their directory where it is one of its own."""
    own = socket_path.parent
    with contextlib.suppress(OSError):
        (directory / TOKEN).unlink()
    # The directory itself may be gone: that is one way for a session to end.
    with contextlib.suppress(OSError):
        for path in [entry for entry in own.iterdir() if entry.is_socket()]:
            path.unlink(missing_ok=True)
    if own != directory:
        with contextlib.suppress(OSError):
            own.rmdir()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
