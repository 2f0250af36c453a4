"""The files that a service, an engine and a session host hand each other in a session's directory.

Standard library only: the host imports nothing else of this package. Each file is JSON, mode 0600, replaced whole
(written beside, flushed, renamed), and carries ``version``; a version that is neither this one nor the one before is
``UnknownVersion``, which every reader takes for "cannot tell". Unknown keys are ignored. Times are seconds since
the epoch (wall clock, float) unless a name ends in ``_ns``.

=================  =============================  ==================================================================
file               written by                     holds
=================  =============================  ==================================================================
``intent.json``    who holds ``act.lock``         :class:`Intent`: what is wanted of the host, re-read by it each second
``host.json``      the host, its third step       :class:`HostProcess`: who it is (its lock is ``host.lock``)
``ready.json``     the host, once it serves       :class:`Ready`: where it is reached
``token``          the host, once it serves       the host's token, 64 hex digits, new for each incarnation
``heartbeat.json`` the host, every 5 s and on     :class:`Heartbeat`: usage, activity, ends
                   each change it must tell
``marked.json``    the host, each second          ``[[pid, start time], ...]`` of all its descendants; the start time
                                                  is seconds since boot on Linux (no clock change moves it), elsewhere
                                                  psutil's ``create_time``
``end.json``       the host at its end; else the  :class:`End`: when and why it ended
                   server that reaped it
``log/``           the host                       ``host.log`` and its rotations ``host.log.1`` …
=================  =============================  ==================================================================
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

VERSION = 1
MARK = "JUPYTER_SESSIONS_MARK"
"""Environment variable of every process of a session: ``{store uuid}/{session uuid}/{incarnation}``."""

ACT_LOCK = "act.lock"
HOST_LOCK = "host.lock"
TOKEN = "token"  # noqa: S105 - a file's name
LOG_DIR = "log"
LOG_FILE = "host.log"
CONNECTIONS = "kernels"
"""Directory of the kernels' connection files, in the one of the host's sockets."""
CLIENT_DONE = 4001
"""With this a client closes a kernel's websocket that it will not come back to: the host need not keep its place."""


def connection_file(socket_dir: str, kernel_id: str) -> str:
    """Give the path of a kernel's connection file (mode 0600; it holds the key that signs messages)."""
    return os.path.join(socket_dir, CONNECTIONS, f"kernel-{os.path.basename(kernel_id)}.json")


class UnknownVersion(Exception):
    """A file of a version that this program does not understand; the reader cannot tell."""


@dataclass(frozen=True)
class KernelSpecEntry:
    """One kernel the session offers: the whole kernelspec, resolved by the engine (``argv`` ready to format)."""

    argv: list[str]
    display_name: str
    language: str
    interrupt_mode: str = "signal"
    env: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    resource_dir: str = ""


@dataclass(frozen=True)
class Intent:
    """What is wanted of a session's host.

    ``wanted`` is ``run`` or ``stop``; ``reason`` is the state message of the stop. ``incarnation`` is the attempt's
    number, from 1. ``lock_dir`` and ``socket_dir`` are absolute. ``kernels`` maps kernel name to spec, the first is
    the default. ``cwd`` is the default working directory, ``cwd_fixed`` forbids a notebook's folder to replace it.
    ``kernel_env`` reaches kernels only. ``ttl`` and ``idle_ttl`` are seconds; ``active_since`` is set (by the
    service, in a later intent) to the session's ACTIVE time and starts both clocks, else the host's ready time does.
    ``memory`` is bytes of PSS, 0 for no limit. ``spool_memory``, ``spool_disk``, ``log_bytes`` are bytes.
    ``boot_id`` is the machine's, as the host repeats it in its own file.
    """

    store_uuid: str
    session_uuid: str
    incarnation: int
    wanted: str
    socket_dir: str
    lock_dir: str
    kernels: dict[str, KernelSpecEntry]
    cwd: str
    cwd_fixed: bool = False
    kernel_env: dict[str, str] = field(default_factory=dict)
    ttl: float = 1_209_600.0
    idle_ttl: float = 86_400.0
    active_since: float = 0.0
    memory: int = 0
    reason: str = ""
    spool_memory: int = 8 << 20
    spool_disk: int = 1 << 30
    log_bytes: int = 10 << 20
    log_files: int = 3
    boot_id: str = ""
    version: int = VERSION

    @property
    def mark(self) -> str:
        """The value of :data:`MARK` for this incarnation."""
        return f"{self.store_uuid}/{self.session_uuid}/{self.incarnation}"


@dataclass(frozen=True)
class HostProcess:
    """The host that holds ``host.lock``: ``start_time`` is psutil's ``create_time``."""

    pid: int
    start_time: float
    incarnation: int
    boot_id: str
    version: int = VERSION


@dataclass(frozen=True)
class Ready:
    """Where a host is reached: ``unix:{path}`` (or ``https://host:port``, then ``certificate`` pins it)."""

    incarnation: int
    address: str
    time: float
    certificate: str = ""
    version: int = VERSION


@dataclass(frozen=True)
class Heartbeat:
    """What a live host says of itself.

    ``busy`` kernels are executing. ``last_activity`` is the last execution in any kernel. ``ends_at`` is when a limit
    will end the session and ``ends_why`` is ``ttl`` or ``idleTtl``; ``warning`` is the state message of the last ten
    minutes ("ends in 10 min: idle"), else empty. ``cpu`` is CPUs in use (1.0 is one whole CPU), ``memory`` bytes in
    use; ``milli_dcu_seconds`` the usage since ACTIVE.
    """

    incarnation: int
    time: float
    kernels: int = 0
    busy: int = 0
    last_activity: float = 0.0
    ends_at: float = 0.0
    ends_why: str = ""
    warning: str = ""
    cpu: float = 0.0
    memory: int = 0
    milli_dcu: int = 0
    milli_dcu_seconds: int = 0
    version: int = VERSION


@dataclass(frozen=True)
class End:
    """How a host ended: ``cause`` is asked, ttl, idleTtl, memory, start, fault or died.

    ``terminating_at`` is when the end began, ``ended_at`` when nothing was left. ``message`` is the state message a
    user reads. ``exit_status`` is the host's (negative: signal number), None where nobody knows it.
    """

    incarnation: int
    cause: str
    message: str
    terminating_at: float
    ended_at: float
    exit_status: int | None = None
    version: int = VERSION


FILES: dict[type[Any], str] = {
    Intent: "intent.json",
    HostProcess: "host.json",
    Ready: "ready.json",
    Heartbeat: "heartbeat.json",
    End: "end.json",
}
MARKED = "marked.json"
_LATEST = 253_402_300_799.0
_LARGEST = 1 << 53
R = TypeVar("R", Intent, HostProcess, Ready, Heartbeat, End)


def write_private(path: Path, text: str, durable: bool = True) -> None:
    """Replace ``path`` whole by ``text``, mode 0600; raises OSError and then leaves the old file.

    ``durable`` False leaves the disk its time: for what is worth nothing after the machine's end.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            if durable:
                os.fsync(out.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def write(directory: Path, record: Intent | HostProcess | Ready | Heartbeat | End, durable: bool = True) -> None:
    """Write a record's file in a session's directory; raises OSError."""
    write_private(directory / FILES[type(record)], json.dumps(dataclasses.asdict(record)), durable)


def read(directory: Path, kind: type[R]) -> R | None:
    """Read a record's file, None where there is none.

    Raises OSError, ValueError (not JSON, a field missing or not of its shape) or UnknownVersion: all "cannot tell".
    """
    try:
        text = (directory / FILES[kind]).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return parse(kind, text)


def parse(kind: type[R], text: str | bytes) -> R:
    """Make a record of its file's text, whoever wrote it; raises ValueError or UnknownVersion."""
    try:
        data = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"{FILES[kind]} is nested too deeply") from error
    if not isinstance(data, dict):
        raise ValueError(f"{FILES[kind]} holds no JSON object")
    if data.get("version") not in (VERSION, VERSION - 1):
        raise UnknownVersion(f"{FILES[kind]} has version {data.get('version')!r}, this program knows {VERSION}")
    shapes = {f.name: str(f.type) for f in dataclasses.fields(kind)}
    values = {key: value for key, value in data.items() if key in shapes}
    for name, value in values.items():
        if not _fits(value, shapes[name]):
            raise ValueError(f"{FILES[kind]}: {name} is no {shapes[name]} that this program writes")
    if kind is Intent:
        specs = values.get("kernels", {})
        fields = {f.name for f in dataclasses.fields(KernelSpecEntry)}
        values["kernels"] = {
            name: KernelSpecEntry(**{k: v for k, v in spec.items() if k in fields}) for name, spec in specs.items()
        }
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"{FILES[kind]}: {error}") from error


def _fits(value: Any, shape: str) -> bool:
    """Say whether a value is of a field's shape and can be told on: text of whole characters, times that there are."""
    if shape.startswith("dict"):
        return isinstance(value, dict)
    if value is None:
        return shape.endswith("| None")
    if shape == "str":
        return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return shape == "bool" and isinstance(value, bool)
    if shape == "float":
        return 0 <= value <= _LATEST
    return shape.startswith("int") and isinstance(value, int) and abs(value) <= _LARGEST
