"""Checks what the process engine needs of this machine, and what would take its sessions down."""

from __future__ import annotations

import os
import re
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jupyter_sessions.doctor.findings import Finding, fault, warn, well

CHECK, SURROUNDINGS = "engine", "surroundings"
_UNIT = re.compile(r"/([^/]+\.service)(?:/|$)")


def check_engine() -> list[Finding]:
    """Say whether sessions can run on this machine."""
    if sys.platform == "win32":
        return [
            fault(CHECK, "", "the process engine needs a POSIX system", "this is Windows", "use Linux, macOS or WSL")
        ]
    return [*_kernels(), *_sockets(Path(tempfile.gettempdir())), *_processes(Path("/proc"))]


def _kernels() -> Iterator[Finding]:
    from jupyter_client.kernelspec import KernelSpecManager

    try:
        specs: Mapping[str, Mapping[str, Any]] = KernelSpecManager().get_all_specs()
    except Exception as error:
        yield fault(CHECK, "", "kernelspecs cannot be listed", type(error).__name__, "see `jupyter kernelspec list`")
        return
    pythons = sorted(n for n, row in specs.items() if str(row["spec"].get("language", "")).lower() == "python")
    if not pythons:
        yield fault(CHECK, "", "no Python kernel is installed", "", f"{sys.executable} -m pip install ipykernel")
    for name, row in sorted(specs.items()):
        program = str((row["spec"].get("argv") or [""])[0])
        if os.path.isabs(program) and not os.access(program, os.X_OK):
            remedy = f"jupyter kernelspec remove {name}, or install the environment again"
            yield warn(CHECK, f"kernelspec {name}", f"its program {program} is not there", "it cannot start", remedy)
    if pythons:
        yield well(CHECK, "", f"kernels: {', '.join(sorted(specs))}")


def _sockets(directory: Path) -> Iterator[Finding]:
    """Make a Unix socket where a session would."""
    try:
        with tempfile.TemporaryDirectory(prefix="jupyter-sessions-", dir=directory) as place:
            path = Path(place) / "s"
            with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
                server.bind(str(path))
                server.listen(1)
                client.settimeout(2)
                client.connect(str(path))
                private = stat.S_IMODE(os.stat(place).st_mode) == 0o700
    except OSError as error:
        remedy = "set TMPDIR to a directory on a local disk, with a short path"
        yield fault(CHECK, str(directory), "a Unix socket cannot be used there", error.strerror or str(error), remedy)
        return
    if not private:
        remedy = "set TMPDIR to a directory on a local disk"
        yield fault(CHECK, str(directory), "a directory there cannot be closed to others", "", remedy)
        return
    yield well(CHECK, str(directory), "Unix sockets work")


def _processes(proc: Path) -> Iterator[Finding]:
    if sys.platform != "linux":
        return
    try:
        (proc / "self" / "environ").read_bytes()
        (proc / "self" / "stat").read_bytes()
    except OSError as error:
        why = f"{error.strerror}: what a session leaves behind cannot be found"
        yield fault(CHECK, str(proc), "cannot be read", why, "mount proc")
        return
    yield well(CHECK, str(proc), "processes can be found by their mark")


def check_surroundings(root: Path = Path("/"), environ: Mapping[str, str] | None = None) -> list[Finding]:
    """Say what a session started from here would end with; a server started elsewhere may stand elsewhere."""
    variables = os.environ if environ is None else environ
    found: list[Finding] = []
    remedy = "to keep sessions longer, run `jupyter sessions serve` outside it and connect that as a location"
    why = "sessions started in it end with it"
    if "KUBERNETES_SERVICE_HOST" in variables:
        found.append(warn(SURROUNDINGS, "", "this is a Kubernetes pod", why, remedy))
    elif any((root / name).exists() for name in (".dockerenv", "run/.containerenv")) or "container" in variables:
        found.append(warn(SURROUNDINGS, "", "this is a container", why, remedy))
    if "JUPYTERHUB_SERVICE_PREFIX" in variables or "JUPYTERHUB_API_TOKEN" in variables:
        ends = "where the hub stops a server with all that it started, its sessions end too"
        found.append(warn(SURROUNDINGS, "", "this is a JupyterHub server", ends, "ask the hub's administrator"))
    found += _unit(root)
    return found or [well(SURROUNDINGS, "", "no container, unit or hub is seen that would take sessions down")]


def _unit(root: Path) -> Iterator[Finding]:
    """Look for a systemd unit whose stop ends every process in it, and for a login that does."""
    try:
        text = (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    units = [name for line in text.splitlines() for name in _UNIT.findall(line.rpartition(":")[2])]
    own = [name for name in units if not name.startswith("user@")]
    if own:
        remedy = f"set KillMode=process for {own[-1]}, or run `jupyter sessions serve` as a unit of its own"
        yield warn(
            SURROUNDINGS, "", f"this is the systemd unit {own[-1]}", "its stop ends sessions started in it", remedy
        )
    elif units:
        why = "after the last log-out systemd ends what the account runs"
        if not (root / "var/lib/systemd/linger").joinpath(_account()).exists():
            yield warn(SURROUNDINGS, "", "this runs under the account's own systemd", why, "loginctl enable-linger")


def _account() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
