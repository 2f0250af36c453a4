"""The installed wheel beside a package that sets the same classes (``BESIDE`` names it), and without anything else.

Run by ``tests/run.py`` in an environment of its own, where the checkout is not importable.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.kernel import KernelSocket
from tests.real.server import RealServer, real_server, wait_for

BESIDE = os.environ.get("BESIDE", "")
if BESIDE == "removed":
    pytest.skip("the package is not installed", allow_module_level=True)
# The class that must be under ours, for each package: (trait, a class in its method resolution order).
THEIRS = {
    "documents": ("session_manager_class", "jupyter_server_documents"),
    "collaboration": ("session_manager_class", "jupyter_server"),
    "venvs": ("kernel_spec_manager_class", "nb_venv_kernels"),
}
PROBE = """
import json
def _jupyter_server_extension_points():
    return [{"module": "classes_probe"}]
def _load_jupyter_server_extension(app):
    names = ["kernel_manager_class", "kernel_spec_manager_class", "session_manager_class"]
    found = {n: [f"{c.__module__}.{c.__name__}" for c in getattr(app, n).__mro__] for n in names}
    with open(%r, "w") as out:
        json.dump(found, out)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """One server that loads everything installed, and a probe of ours that writes down its classes."""
    home = tmp_path_factory.mktemp("beside")
    (home / "lib").mkdir()
    (home / "lib" / "classes_probe.py").write_text(PROBE % str(home / "classes.json"))
    running = RealServer(home, options=("--ServerApp.jpserver_extensions", "classes_probe=True"))
    os.environ["PYTHONPATH"] = str(home / "lib")
    try:
        with real_server(home, options=running.options) as started:
            yield started
    finally:
        del os.environ["PYTHONPATH"]


def test_the_wheel_is_what_runs() -> None:
    """The package under test is the installed one, both halves enabled."""
    found = importlib.util.find_spec("jupyter_sessions")
    assert found is not None and found.origin is not None
    assert Path(found.origin).is_relative_to(sys.prefix)
    programs = Path(sys.executable).parent
    environment = {**os.environ, "PATH": os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)])}
    for words in (["server", "extension", "list"], ["labextension", "list"]):
        jupyter = [str(programs / "jupyter"), *words]
        done = subprocess.run(jupyter, capture_output=True, text=True, check=True, env=environment)
        assert "jupyter_sessions" in (done.stdout + done.stderr).replace("-", "_")


@pytest.mark.skipif(BESIDE not in THEIRS, reason="this environment has no package beside ours")
def test_their_class_is_under_ours(server: RealServer) -> None:
    """What the other package set is still what runs, with ours in front."""
    trait, package = THEIRS[BESIDE]
    classes = json.loads((server.home / "classes.json").read_text())
    order = classes[trait]
    ours = next(i for i, name in enumerate(order) if name.startswith("jupyter_sessions."))
    assert any(name.startswith(f"{package}.") for name in order[ours + 1 :]), order


def test_session_and_local_kernels_run(server: RealServer) -> None:
    """A session's kernel and a local one both run a cell; the session's restarts, and survives the server."""
    server.create("beside")
    local = server.jupyter("POST", "kernels", {"name": local_python(server)})["id"]
    remote = server.jupyter("POST", "kernels", {"name": kernel_of(server, "beside")})["id"]
    answers = {}
    for kernel in (local, remote):
        socket = KernelSocket(server, kernel)
        socket.ready()
        answers[kernel] = socket.text("import os\nkept = 41\nprint(os.getpid())")
        socket.close()
    assert len(set(answers.values())) == 2
    server.kill()
    server.start()
    wait_for(lambda: remote in [k["id"] for k in server.jupyter("GET", "kernels")], "the remote kernel's return")
    server.until("beside", "ACTIVE")
    socket = KernelSocket(server, remote)
    assert socket.text("print(os.getpid(), kept + 1)").split() == [answers[remote].strip(), "42"]
    socket.close()


def local_python(server: RealServer) -> str:
    """Give the name of a local Python kernel: the like of nb_conda_kernels rename them."""
    specs = server.jupyter("GET", "kernelspecs")["kernelspecs"]
    name: str = next(n for n, s in specs.items() if "jupyter_sessions" not in s["spec"].get("metadata", {}))
    return name


def kernel_of(server: RealServer, session: str) -> str:
    """Give the name of a session's one kernelspec."""
    (name,) = (n for n in server.jupyter("GET", "kernelspecs")["kernelspecs"] if n.startswith(f"{session}."))
    return str(name)


def test_notebook_session_on_a_session(server: RealServer) -> None:
    """A document's notebook session starts on a session's kernel, in the document's folder."""
    server.create("folder")
    (server.root / "deep").mkdir(exist_ok=True)
    kernel = {"name": kernel_of(server, "folder")}
    body = {"path": "deep/a.ipynb", "name": "a.ipynb", "type": "notebook", "kernel": kernel}
    made = server.jupyter("POST", "sessions", body)
    socket = KernelSocket(server, made["kernel"]["id"])
    assert socket.text("import os\nprint(os.getcwd())").strip() == str((server.root / "deep").resolve())
    socket.close()
    assert [s["id"] for s in server.jupyter("GET", "sessions") if s["path"] == "deep/a.ipynb"] == [made["id"]]


@pytest.mark.skipif("SESSIONS_WHEEL" not in os.environ, reason="the runner names the wheel once")
def test_the_wheel_installs_without_a_build_and_goes_whole(tmp_path: Path) -> None:
    """Neither Node nor another program is on PATH, no index is asked; ``pip uninstall`` leaves no file."""
    target = tmp_path / "gone"
    subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", str(target)], check=True)
    python = target / "bin" / "python"
    wheel = os.environ["SESSIONS_WHEEL"]
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    alone = {name: value for name, value in os.environ.items() if name != "PATH"} | {"PATH": str(tmp_path)}
    words = [*pip, "install", "--no-deps", "--no-index", "--ignore-installed", wheel]
    subprocess.run(words, check=True, env=alone)
    enabled = [p for p in target.rglob("*") if "jupyter_sessions" in p.name or "jupyter-sessions" in p.name]
    assert any(p.name == "jupyter_sessions.json" for p in enabled)
    subprocess.run([*pip, "uninstall", "--yes", "jupyter_sessions"], check=True)
    left = [p for p in target.rglob("*") if "jupyter_sessions" in p.name or "jupyter-sessions" in p.name]
    assert left == []
