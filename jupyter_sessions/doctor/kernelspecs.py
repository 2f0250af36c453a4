"""Checks kernelspecs that start kernels in a session of this machine: is that session still there?"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from jupyter_sessions.bridge.wanted import Wanted
from jupyter_sessions.doctor.findings import Finding, warn, well
from jupyter_sessions.doctor.storage import reading
from jupyter_sessions.model.names import LOCAL
from jupyter_sessions.model.states import State
from jupyter_sessions.service.store import FILE

CHECK = "kernelspecs"


def check_kernelspecs(data_dir: Path) -> list[Finding]:
    """Name the kernelspecs whose session has ended or is gone: a picker goes on offering them.

    Those that make their session, and those of another location or a server of their own, cannot be judged from here.
    """
    ours = {name: wanted for name, wanted in _installed() if _judged(wanted)}
    if not ours:
        return []
    try:
        states = _states(data_dir / FILE)
    except sqlite3.Error as error:
        return [warn(CHECK, str(data_dir / FILE), "whether kernelspecs have their sessions is not known", str(error))]
    found = [row for name, wanted in sorted(ours.items()) for row in _look(name, wanted, states)]
    return found or [well(CHECK, "", f"each starts kernels in a session that is there: {', '.join(sorted(ours))}")]


def _installed() -> Iterator[tuple[str, Wanted]]:
    from jupyter_client.kernelspec import KernelSpecManager

    for name, folder in KernelSpecManager().find_kernel_specs().items():
        try:
            spec = json.loads((Path(folder) / "kernel.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        argv = spec.get("argv") if isinstance(spec, dict) else None
        wanted = Wanted.of_argv([str(word) for word in argv]) if isinstance(argv, list) else None
        if wanted is not None:
            yield name, wanted


def _judged(wanted: Wanted) -> bool:
    return wanted.session.startswith(f"{LOCAL}/sessions/") and not wanted.template and not wanted.url


def _states(path: Path) -> dict[str, State]:
    if not path.exists():
        return {}
    with reading(path) as connection:
        return {str(row[0]): State(int(row[1])) for row in connection.execute("SELECT id, state FROM sessions")}


def _look(name: str, wanted: Wanted, states: dict[str, State]) -> Iterator[Finding]:
    session = wanted.session.rpartition("/")[2]
    state = states.get(session)
    if state is not None and not state.final:
        return
    how = f"its session {session} " + ("is not there" if state is None else f"is {state.name}")
    remedy = f"jupyter sessions kernelspec remove {name}, or make the session anew"
    yield warn(CHECK, f"kernelspec {name}", how, "no kernel can be started with it", remedy)
