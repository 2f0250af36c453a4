"""The package's rooms: imports point down, none goes in a circle, and nothing is done at import time."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jupyter_sessions

PACKAGE = Path(jupyter_sessions.__file__).parent
NAME = "jupyter_sessions"
# What each room may import; a room may always import itself. The three that face Jupyter never import one another.
ROOMS: dict[str, set[str]] = {
    "app": {"wiring", "handlers", "kernels", "events", "router", "config", "model"},
    "wiring": {"app", "handlers", "kernels", "events", "router", "service", "upstream", "engines", "config", "model"},
    "serve": {"handlers", "events", "router", "service", "relay", "engines", "config", "model"},
    "doctor": {"bridge", "handlers", "service", "upstream", "engines", "client", "config", "model"},
    "cli": {"bridge", "client", "config", "model"},
    "magics": {"client", "model"},
    "bridge": {"client", "model"},
    "client": {"model"},
    "handlers": {"router", "merged", "model"},
    "kernels": {"router", "relay", "engines", "model"},
    "events": {"router", "model"},
    "router": {"merged", "model"},
    "merged": {"model"},
    "service": {"engines", "storage", "model"},
    "upstream": {"engines", "storage", "config", "model"},
    "relay": {"engines", "model"},
    "storage": {"model"},
    "engines": {"model"},
    "config": {"model"},
    "host": {"model"},
    "model": set(),
    "": {"app", "magics"},
}
HOST_MAY_IMPORT = {"jupyter_sessions", "jupyter_sessions.model.hostfile"}
# A name for types alone: the extension's class is what the wiring takes its traits from.
TYPES_ONLY = {("wiring", "app")}


def modules() -> dict[str, Path]:
    """Give every module of the package by its name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] != "labextension":
            found[".".join((NAME, *parts)).removesuffix(".__init__")] = path
    return found


def room(module: str) -> str:
    """Give the room of a module: the part after the package's name."""
    return module.split(".")[1] if "." in module else ""


def imports(module: str, path: Path, types: bool = True, inner: bool = True) -> Iterator[str]:
    """Give what of this package a module imports: all of it, or without types, or without what functions import."""
    known = modules()
    yield from _imports(ast.parse(path.read_text()), known, module, types, inner)


def _imports(node: ast.AST, known: dict[str, Path], module: str, types: bool, inner: bool) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names if alias.name.split(".")[0] == NAME)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{module} imports relative to itself"
            if (child.module or "").split(".")[0] == NAME:
                for alias in child.names:
                    inside = f"{child.module}.{alias.name}"
                    yield inside if inside in known else str(child.module)
        elif isinstance(child, ast.If) and not types and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and not inner:
            continue
        else:
            yield from _imports(child, known, module, types, inner)


def test_every_room_is_known() -> None:
    assert {room(module) for module in modules()} <= set(ROOMS)


def test_imports_point_down() -> None:
    wrong = []
    for module, path in modules().items():
        here = room(module)
        for target in imports(module, path):
            there = room(target)
            if there not in ROOMS[here] | {here, ""}:
                wrong.append(f"{module} imports {target}")
    assert wrong == []


def test_a_name_for_types_alone_is_imported_for_types_alone() -> None:
    for module, path in modules().items():
        rooms = {room(target) for target in imports(module, path, types=False)}
        assert not {(room(module), there) for there in rooms} & TYPES_ONLY, module


def test_the_host_imports_only_the_files_it_shares() -> None:
    for module, path in modules().items():
        if room(module) == "host":
            foreign = {target for target in imports(module, path) if room(target) != "host"}
            assert foreign <= HOST_MAY_IMPORT, module
        else:
            assert not [target for target in imports(module, path) if room(target) == "host"], module


def test_no_import_goes_in_a_circle() -> None:
    graph = {module: set(imports(module, path, types=False, inner=False)) for module, path in modules().items()}
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " → ".join((*way[way.index(module) :], module))
        if module not in done:
            for target in graph[module] - {module}:
                visit(target, (*way, module))
            done.add(module)

    for module in graph:
        visit(module, ())


WATCHED = """
import importlib, sys

package = sys.argv[1]
acts = ("open", "socket.", "subprocess.", "sqlite3.", "os.", "shutil.", "tempfile.", "_thread.start_new_thread")
found = []

def watch(event, arguments):
    if not event.startswith(acts):
        return
    frame = sys._getframe(1)
    while frame is not None and "importlib" not in frame.f_code.co_filename:
        if frame.f_code.co_name == "<module>":
            if frame.f_code.co_filename.startswith(package):
                found.append(f"{frame.f_code.co_filename}:{frame.f_lineno} {event} {arguments[:1]}")
            return
        frame = frame.f_back

sys.addaudithook(watch)
for name in sys.argv[2:]:
    importlib.import_module(name)
print(*found, sep="\\n")
"""


def done_at_import(package: Path, names: list[str]) -> list[str]:
    """Import modules in a new interpreter and give what they did to the world outside."""
    command = [sys.executable, "-c", WATCHED, str(package), *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, cwd=package.parent)
    return [line for line in done.stdout.splitlines() if line]


def test_nothing_is_done_at_import_time() -> None:
    assert done_at_import(PACKAGE, [name for name in modules() if not name.endswith("__main__")]) == []


def test_what_is_done_at_import_time_would_be_seen(tmp_path: Path) -> None:
    package = tmp_path / "busy"
    package.mkdir()
    (package / "__init__.py").write_text("from pathlib import Path\nTEXT = Path(__file__).read_text()\n")
    (found,) = done_at_import(package, ["busy"])
    assert found.startswith(f"{package}/__init__.py:2 open")


HEAVY = ("pydantic", "lark", "requests", "sqlite3", "jupyter_sessions.model.resources", "jupyter_sessions.service")
LOADED = """
import sys
from jupyter_server.serverapp import ServerApp
import jupyter_server.services.kernels.websocket
before = set(sys.modules)
import jupyter_sessions
assert "jupyter_sessions.app" not in sys.modules
jupyter_sessions._jupyter_server_extension_points()
from jupyter_sessions.kernels import mount
from jupyter_sessions.handlers.base import Setup
from jupyter_sessions.handlers.gate import Gate
from jupyter_sessions.handlers.mount import handlers
assert handlers(Setup(Gate()))
print(*sorted(set(sys.modules) - before), sep="\\n")
"""


def test_what_a_server_loads_at_its_start_is_light() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True, timeout=120)
    loaded = done.stdout.split()
    assert "jupyter_sessions.handlers.mount" in loaded
    assert [name for name in loaded if name.startswith(HEAVY)] == []
