"""Which machine this is, so that no server acts on another machine's sessions."""

from __future__ import annotations

import enum
import platform
from dataclasses import dataclass
from pathlib import Path

from jupyter_sessions.engines.process import machine

_INITIAL_PID_NAMESPACE = f"pid:[{0xEFFF_FFFC}]"


@dataclass(frozen=True)
class Machine:
    """One boot of one machine. ``pid_namespace`` is empty where there are none; ``name`` is for people."""

    id: str
    boot: str
    name: str
    pid_namespace: str = ""


class Place(enum.Enum):
    """Where a session's processes are, seen from a machine."""

    HERE = "here"
    """On this machine, in this boot and process namespace."""
    SIBLING = "sibling"
    """On this machine in another process namespace: locks can be probed, processes not seen."""
    REBOOTED = "rebooted"
    """On this machine before it restarted: nothing of it lives."""
    ELSEWHERE = "elsewhere"
    """On another machine: nothing can be told."""


def place(here: Machine, there: Machine) -> Place:
    """Say where ``there`` is, seen from ``here``."""
    if there.id != here.id:
        return Place.ELSEWHERE
    if there.boot != here.boot:
        return Place.REBOOTED
    return Place.HERE if there.pid_namespace == here.pid_namespace else Place.SIBLING


def this_machine() -> Machine:
    """Read this machine's identity; blocks shortly.

    Containers made of one image share a machine id, so that inside one the host name is part of it. Raises OSError.
    """
    name = platform.node() or "localhost"
    identity, namespace = machine.machine_id(), machine.pid_namespace()
    if namespace and namespace != _INITIAL_PID_NAMESPACE:
        # Inode numbers are used again; the first process's start tells two namespaces of one number apart.
        identity, namespace = f"{identity}/{name}", f"{namespace}@{_first_start()}"
    return Machine(identity, machine.boot_id(), name, namespace)


def _first_start() -> str:
    try:
        return Path("/proc/1/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, ValueError, IndexError):
        return ""
