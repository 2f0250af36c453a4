"""What a user's code in a kernel tries on what is another's. Sent to the kernel as text: it imports nothing of ours.

``ATTACKS`` maps names to what is tried on ``target`` (a dict of paths and pids). A try that returns is one that
succeeded; one that is kept out raises OSError (or says so by ``Kept``).
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

PTRACE_ATTACH, PTRACE_DETACH, PTRACE_SEIZE = 16, 17, 0x4206
PIDFD_OPEN, PIDFD_GETFD = 434, 438
Target = dict[str, Any]


class Kept(OSError):
    """The attacker was kept out."""


def read_files(target: Target) -> None:
    """Read any file of the session: token, records, log, keys of kernels."""
    for path in target["files"]:
        with contextlib.suppress(OSError):
            Path(path).read_bytes()
            return
    raise Kept("no file could be read")


def list_directories(target: Target) -> None:
    """List any of the session's directories."""
    for path in target["directories"]:
        with contextlib.suppress(OSError):
            os.listdir(path)
            return
    raise Kept("no directory could be listed")


def connect(target: Target) -> None:
    """Connect to any socket of the session: its host's, its kernels'."""
    for path in target["sockets"]:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            return
    raise Kept("no socket took a connection")


def speak(target: Target) -> None:
    """Get a word out of any port of the session's processes, and put one of one's own in where it takes any."""
    import zmq

    with zmq.Context() as context:
        for port in target["ports"]:
            for kind in (zmq.PUSH, zmq.SUB, zmq.DEALER, zmq.PULL):
                with context.socket(kind) as client:
                    client.linger = 200
                    if kind == zmq.SUB:
                        client.subscribe("")
                    client.connect(f"tcp://127.0.0.1:{port}")
                    if kind in (zmq.PUSH, zmq.DEALER):
                        client.send_multipart([b"u" * 16, b"topic", b"<IDS|MSG>", b"", b"{}", b"{}", b"{}", b"{}"])
                    if kind != zmq.PUSH and client.poll(200):
                        return
    raise Kept("no port said anything")


def enter(target: Target) -> None:
    """Make the session's directory the current one."""
    here = Path.cwd()
    os.chdir(target["directories"][0])
    os.chdir(here)


def write_files(target: Target) -> None:
    """Open any file of the session to be written."""
    for path in target["files"]:
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_WRONLY))
            return
    raise Kept("no file could be written")


def add_file(target: Target) -> None:
    """Put something into the session's directory."""
    path = Path(target["directories"][0], "planted")
    path.write_text("planted")
    path.unlink()


def move_away(target: Target) -> None:
    """Put another directory in place of the session's."""
    away = target["directories"][0] + ".away"
    os.rename(target["directories"][0], away)
    os.rename(away, target["directories"][0])


def move_account(target: Target) -> None:
    """Put another directory in place of the account's."""
    away = target["account"] + ".away"
    os.rename(target["account"], away)
    os.rename(away, target["account"])


def proc(name: str) -> Callable[[Target], None]:
    """Read something of what the system shows of a process."""

    def read(target: Target) -> None:
        for pid in target["pids"]:
            with contextlib.suppress(OSError):
                Path(f"/proc/{pid}/{name}").read_bytes()
                return
        raise Kept(f"no {name} could be read")

    return read


def proc_list(name: str) -> Callable[[Target], None]:
    """List what the system shows of a process: its open files, its root, its directory."""

    def read(target: Target) -> None:
        for pid in target["pids"]:
            with contextlib.suppress(OSError):
                os.listdir(f"/proc/{pid}/{name}")
                return
        raise Kept(f"no {name} could be listed")

    return read


def open_files(target: Target) -> None:
    """Open what another process has open."""
    for pid in target["pids"]:
        for number in range(40):
            with contextlib.suppress(OSError):
                os.close(os.open(f"/proc/{pid}/fd/{number}", os.O_RDONLY | os.O_NONBLOCK))
                return
    raise Kept("no open file could be opened")


def write_memory(target: Target) -> None:
    """Open the memory of a process to be written."""
    for pid in target["pids"]:
        with contextlib.suppress(OSError):
            os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR))
            return
    raise Kept("no memory could be opened")


def send(number: int) -> Callable[[Target], None]:
    """Signal a process."""

    def act(target: Target) -> None:
        for pid in target["pids"]:
            with contextlib.suppress(OSError):
                os.kill(pid, number)
                return
            with contextlib.suppress(OSError):
                os.killpg(os.getpgid(pid), number)
                return
        raise Kept("no signal was taken")

    return act


def _call(name: str, *arguments: Any) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = libc.ptrace.restype = ctypes.c_long
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    found = int(getattr(libc, name)(*arguments))
    if found < 0:
        raise Kept(ctypes.get_errno(), name)
    return found


def trace(target: Target) -> None:
    """Take a process over."""
    for pid in target["pids"]:
        with contextlib.suppress(OSError):
            _call("ptrace", PTRACE_SEIZE, pid, None, None)
            return
    raise Kept("no process could be traced")


def copy_memory(target: Target) -> None:
    """Read another process's memory by the call that is made for it."""

    class Vector(ctypes.Structure):
        _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))

    own = ctypes.create_string_buffer(8)
    local, remote = Vector(ctypes.addressof(own), 8), Vector(0x1000, 8)
    for pid in target["pids"]:
        # EFAULT: it was let in, and there is nothing at that address.
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.process_vm_readv(pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0) >= 0:
            return
        if ctypes.get_errno() == 14:
            return
    raise Kept("no memory could be copied")


def take_handle(target: Target) -> None:
    """Take an open file out of another process."""
    for pid in target["pids"]:
        with contextlib.suppress(OSError):
            process = _call("syscall", PIDFD_OPEN, pid, 0)
            os.close(_call("syscall", PIDFD_GETFD, process, 1, 0))
            return
    raise Kept("no open file was given")


def slow_down(target: Target) -> None:
    """Take a process's time or its limits away."""
    for pid in target["pids"]:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, pid, 0)
            return
        with contextlib.suppress(OSError):
            os.sched_setaffinity(pid, {0})
            return
    raise Kept("nothing of it could be changed")


def lock(target: Target) -> None:
    """Take the lock by which the service acts on the session, or the one by which its host lives."""
    for path in target["locks"]:
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDONLY)
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            os.close(handle)
            return
    raise Kept("no lock was taken")


def become(target: Target) -> None:
    """Take the account's rights."""
    os.setresuid(target["uid"], target["uid"], target["uid"])


ATTACKS: dict[str, Callable[[Target], None]] = {
    "read files": read_files,
    "write files": write_files,
    "list directories": list_directories,
    "enter the directory": enter,
    "add a file": add_file,
    "move the directory away": move_away,
    "connect to sockets": connect,
    "environment": proc("environ"),
    "memory map": proc("maps"),
    "memory": write_memory,
    "open files": proc_list("fd"),
    "root": proc_list("root/"),
    "current directory": proc_list("cwd/"),
    "files by handle": open_files,
    "copy memory": copy_memory,
    "take a handle": take_handle,
    "priority": slow_down,
    "a harmless signal": send(0),
    "trace": trace,
}
"""What each user may do to their own, and nobody to another's."""

MORE: dict[str, Callable[[Target], None]] = {
    "move the account's directory away": move_account,
    "locks": lock,
    "become the user": become,
    "speak to ports": speak,
    "terminate": send(signal.SIGTERM),
    "kill": send(signal.SIGKILL),
    "stop": send(signal.SIGSTOP),
}
"""What nobody may do to another's either."""


def attack(target: Target, attacks: dict[str, Callable[[Target], None]]) -> list[str]:
    """Try them all and name those that succeeded."""
    done = []
    for name, act in attacks.items():
        with contextlib.suppress(OSError):
            act(target)
            done.append(name)
    return done
