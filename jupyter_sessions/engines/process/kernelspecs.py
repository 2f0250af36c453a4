"""Which kernels a session offers: from the user's own kernelspecs, or an interpreter the session names.

Blocking: kernelspecs are read from disk and an interpreter is run. Call it off the event loop.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jupyter_sessions.engines.process.spawn import kernel_environment
from jupyter_sessions.engines.process.wants import CWD, KERNELSPEC, PROPERTIES, PYTHON, Wants, shown
from jupyter_sessions.model.errors import FieldViolation
from jupyter_sessions.model.hostfile import KernelSpecEntry

Specs = Callable[[], Mapping[str, Mapping[str, Any]]]
CHECK_SECONDS = 60.0

_PROBE = """\
import importlib.util as find
try:
    import ipykernel
except ImportError:
    print("missing", "pip" if find.find_spec("pip") else "nopip")
else:
    print("found", ipykernel.__version__)
"""


class CannotHonour(Exception):
    """One field that this machine cannot honour; ``violation`` names it, the rule and the remedy."""

    def __init__(self, field: str, description: str) -> None:
        super().__init__(f"{field}: {description}")
        self.violation = FieldViolation(field, description)


@dataclass(frozen=True)
class KernelChoice:
    """Resolves what a session wants to kernelspecs; ``default`` is the name of the default Python kernel.

    Interpreters that are looked at are not given the ``withheld`` variables of this process.
    """

    specs: Specs
    default: str
    withheld: Collection[str] = ()

    def resolve(self, wants: Wants) -> dict[str, KernelSpecEntry]:
        """Give the kernels a session offers, the default first; raises CannotHonour."""
        installed = self.specs()
        if wants.kernelspec:
            return self._named(wants, installed)
        if wants.scala:
            return self._scala(installed)
        name = self._python_name(installed, needed=not wants.python)
        if not wants.python:
            return {name: _entry(installed[name])}
        return {name: self._interpreter(wants.python, installed.get(name, {}))}

    def _named(self, wants: Wants, installed: Mapping[str, Mapping[str, Any]]) -> dict[str, KernelSpecEntry]:
        field = f"{PROPERTIES}.{KERNELSPEC}"
        # Jupyter's own managers lower the case of kernel names.
        name = next((n for n in (wants.kernelspec, wants.kernelspec.lower()) if n in installed), None)
        if name is None:
            raise CannotHonour(field, f"there is no kernelspec {shown(wants.kernelspec)} here; {_listed(installed)}")
        entry = _entry(installed[name])
        if wants.scala and entry.language.lower() != "scala":
            raise CannotHonour(
                field,
                f"{name!r} is a {entry.language} kernel, but jupyterSession.kernel is SCALA; {_listed(installed)}",
            )
        return {name: entry}

    def _scala(self, installed: Mapping[str, Mapping[str, Any]]) -> dict[str, KernelSpecEntry]:
        for name in sorted(installed):
            entry = _entry(installed[name])
            if entry.language.lower() == "scala":
                return {name: entry}
        raise CannotHonour(
            "jupyterSession.kernel", f"SCALA needs a Scala kernelspec, and none is installed here; {_listed(installed)}"
        )

    def _python_name(self, installed: Mapping[str, Mapping[str, Any]], needed: bool) -> str:
        if self.default in installed or not needed:
            return self.default
        for name in sorted(installed):
            if _entry(installed[name]).language.lower() == "python":
                return name
        raise CannotHonour(
            "jupyterSession.kernel",
            f"PYTHON needs a Python kernelspec, and none is here (pip install ipykernel); {_listed(installed)}",
        )

    def _interpreter(self, asked: str, default: Mapping[str, Any]) -> KernelSpecEntry:
        python = interpreter(asked)
        check_ipykernel(python, self.withheld)
        base = _entry(default) if default else KernelSpecEntry([], "Python 3", "python")
        argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return replace(base, argv=argv, display_name=f"Python ({_environment_name(python)})")


def check_cwd(cwd: str) -> str:
    """Give the directory that ``local:cwd`` names; raises CannotHonour if there is none."""
    path = os.path.expanduser(cwd)
    if not os.path.isdir(path):
        raise CannotHonour(
            f"{PROPERTIES}.{CWD}", f"there is no directory {shown(path)} on this machine; make it or name another"
        )
    if not os.access(path, os.R_OK | os.X_OK):
        raise CannotHonour(f"{PROPERTIES}.{CWD}", f"{shown(path)} may not be entered by this account; name another")
    return path


def interpreter(asked: str) -> str:
    """Give the interpreter that ``local:python`` names: a file, or an environment's directory; raises CannotHonour.

    Links are kept: an environment is known by the path its interpreter is called by.
    """
    path = Path(os.path.abspath(os.path.expanduser(asked)))
    if not os.path.isabs(os.path.expanduser(asked)):
        raise _python_fault("must be an absolute path of an interpreter or of an environment's directory")
    # os.path answers False, where a Path would raise, for what is too long or in a place closed to this account.
    is_directory = os.path.isdir(path)
    candidates = [path / "bin" / "python", path / "bin" / "python3"] if is_directory else [path]
    for candidate in candidates:
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            return str(candidate)
    said = shown(str(path))
    if is_directory:
        raise _python_fault(f"{said} holds no bin/python; name an environment's directory or an interpreter")
    raise _python_fault(f"{said} is no program that can be run on this machine; name an interpreter that is there")


def check_ipykernel(python: str, withheld: Collection[str] = ()) -> None:
    """Run an interpreter to see that its ipykernel can be imported; raises CannotHonour with the command that helps."""
    try:
        done = subprocess.run(  # noqa: S603 - the user's own interpreter, run as the user
            [python, "-c", _PROBE],
            capture_output=True,
            text=True,
            timeout=CHECK_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
            env=kernel_environment(os.environ, withheld),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _python_fault(f"{python} could not be run: {error}; name an interpreter that works") from error
    words = done.stdout.split()
    if words[:1] == ["found"]:
        return
    if words[:1] == ["missing"]:
        command = f"{python} -m pip install ipykernel"
        if words[1:] == ["nopip"]:
            command = f"uv pip install --python {python} ipykernel"
        raise _python_fault(f"{python} has no ipykernel; install it with: {command}")
    last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    raise _python_fault(f"{python} is no Python that works: {last}")


def _python_fault(description: str) -> CannotHonour:
    return CannotHonour(f"{PROPERTIES}.{PYTHON}", description)


def _environment_name(python: str) -> str:
    folder = Path(python).parent
    return folder.parent.name if folder.name == "bin" and folder.parent.name else python


def _entry(installed: Mapping[str, Any]) -> KernelSpecEntry:
    spec = installed.get("spec", {})
    return KernelSpecEntry(
        argv=[str(word) for word in spec.get("argv", [])],
        display_name=str(spec.get("display_name", "")),
        language=str(spec.get("language", "")),
        interrupt_mode=str(spec.get("interrupt_mode") or "signal"),
        env={str(key): str(value) for key, value in (spec.get("env") or {}).items()},
        metadata=dict(spec.get("metadata") or {}),
        resource_dir=str(installed.get("resource_dir", "")),
    )


def _listed(installed: Mapping[str, Mapping[str, Any]]) -> str:
    if not installed:
        return "no kernel is installed here"
    names = [f"{name} ({installed[name].get('spec', {}).get('display_name', name)})" for name in sorted(installed)]
    return f"the kernels here are {', '.join(names)}"
