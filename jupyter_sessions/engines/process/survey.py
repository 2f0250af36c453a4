"""What an account can run on this machine: the kernels and the directory a session asks for, seen with its own rights.

Also a program, ``python -m jupyter_sessions.engines.process.survey``: run as another account it reads a question as
JSON from stdin (``{"wants": …, "default": …}``) and writes what it found as JSON to stdout. Blocking.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from jupyter_sessions.engines.process.kernelspecs import CannotHonour, KernelChoice, check_cwd
from jupyter_sessions.engines.process.wants import Wants
from jupyter_sessions.model.errors import FieldViolation
from jupyter_sessions.model.hostfile import KernelSpecEntry


@dataclass(frozen=True)
class Found:
    """What is there: the session's kernels (none where they are at fault), and its directory as an absolute path.

    ``faults`` name what cannot be honoured.
    """

    kernels: dict[str, KernelSpecEntry] = field(default_factory=dict)
    cwd: str = ""
    faults: tuple[FieldViolation, ...] = ()


def look(choice: KernelChoice, wants: Wants, default_cwd: str) -> Found:
    """Look for everything that is wanted, so that every fault is named at once."""
    kernels: dict[str, KernelSpecEntry] = {}
    faults: list[FieldViolation] = []
    try:
        kernels = choice.resolve(wants)
    except CannotHonour as error:
        faults.append(error.violation)
    try:
        if wants.cwd:
            check_cwd(wants.cwd)
    except CannotHonour as error:
        faults.append(error.violation)
    return Found(kernels, os.path.expanduser(wants.cwd) if wants.cwd else default_cwd, tuple(faults))


def question(wants: Wants, default: str) -> str:
    """Give what the program is to be asked."""
    return json.dumps({"wants": asdict(wants), "default": default})


def main() -> int:
    """Answer one question."""
    asked: dict[str, Any] = json.load(sys.stdin)
    found = look(KernelChoice(_installed, asked["default"]), Wants(**asked["wants"]), os.path.expanduser("~"))
    json.dump(asdict(found), sys.stdout)
    return 0


def _installed() -> Mapping[str, Mapping[str, Any]]:
    """Give the kernelspecs that this account has."""
    from jupyter_client.kernelspec import KernelSpecManager

    specs: Mapping[str, Mapping[str, Any]] = KernelSpecManager().get_all_specs()
    return specs


if __name__ == "__main__":
    sys.exit(main())
