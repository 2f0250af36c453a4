"""``jupyter sessions serve`` goes on as the service's own program, with the options it was given."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from jupyter_sessions.cli import serve
from jupyter_sessions.config.tokens import add_token
from tests.cli.running import command, run
from tests.doctor.places import Home
from tests.serve.serving import OWN

OPTIONS = {
    "--host": ("::1", "--ip=::1"),
    "--ip": ("::1", "--ip=::1"),
    "--port": ("0", "--port=0"),
    "--port-file": ("/p", "--port-file=/p"),
    "--data-dir": ("/d", "--data-dir=/d"),
    "--location": ("projects/a/locations/b", "--location=projects/a/locations/b"),
    "--tokens": ("/t", "--tokens=/t"),
    "--certfile": ("/c", "--certfile=/c"),
    "--keyfile": ("/k", "--keyfile=/k"),
    "--config": ("/x.py", "--config=/x.py"),
    "--admin": ("alice", "--admin=alice"),
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def became(home: Home, *words: str) -> list[str]:
    """Give the argv that a command goes on as: the interpreter's own is replaced by one that prints it."""
    code = (
        "import os, sys\n"
        "os.execv = lambda path, argv: (print(*argv, sep='\\n', flush=True), os._exit(0))\n"
        "from jupyter_sessions.cli.main import main; main()"
    )
    argv = [sys.executable, "-c", code, "serve", *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60, env=home.environment())
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", OPTIONS)
def test_each_option_is_handed_on(home: Home, name: str) -> None:
    given, handed = OPTIONS[name]
    argv = became(home, name, given)
    assert argv[0] == sys.executable and argv[argv.index("-m") + 1 :] == ["jupyter_sessions.serve", handed]


def test_what_is_not_given_is_left_to_the_program(home: Home) -> None:
    assert became(home)[-1] == "jupyter_sessions.serve"
    assert became(home, "--admin", "a", "--admin", "b", "--behind-proxy")[-3:] == [
        "--admin=a",
        "--admin=b",
        "--behind-proxy",
    ]


def test_every_option_is_one_of_the_programs() -> None:
    argv = [sys.executable, "-m", serve.PROGRAM, "--help-all"]
    text = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout
    for _given, handed in OPTIONS.values():
        assert handed.partition("=")[0] in text, handed
    assert "--behind-proxy" in text and "--template-kernels" in text


@contextlib.contextmanager
def served(home: Home, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the command until the block ends; give its process and the service's URL."""
    port = home.root / "port"
    argv = command("serve", "--port", "0", "--port-file", str(port), "--data-dir", str(home.root / "kept"), *words)
    running = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=home.environment())
    try:
        end = time.monotonic() + 60
        while not (port.exists() and port.read_text()):
            assert running.poll() is None, running.communicate()
            assert time.monotonic() < end
            time.sleep(0.02)
        yield running, f"http://127.0.0.1:{int(port.read_text())}"
    finally:
        running.kill()
        running.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_is_the_service_itself_and_hears_signals(home: Home, number: signal.Signals) -> None:
    tokens = home.root / "tokens"
    token = add_token(tokens, OWN)
    with served(home, "--tokens", str(tokens)) as (running, url):
        assert "jupyter_sessions.serve" in psutil.Process(running.pid).cmdline()
        assert psutil.Process(running.pid).children() == []
        path = f"{url}/v1/projects/local/locations/serve/sessions"
        with requests.Session() as session:
            session.trust_env = False
            assert session.get(path, headers={"Authorization": f"Bearer {token}"}, timeout=30).status_code == 200
            assert session.get(path, headers={"Authorization": "Bearer x"}, timeout=30).status_code == 401
            fresh = run("serve", "token", OWN, "--tokens", str(tokens), env=home.environment()).stdout.strip()
            assert session.get(path, headers={"Authorization": f"Bearer {fresh}"}, timeout=30).status_code == 200
            run("serve", "token", OWN, "--tokens", str(tokens), "--revoke", env=home.environment())
            assert session.get(path, headers={"Authorization": f"Bearer {fresh}"}, timeout=30).status_code == 401
        running.send_signal(number)
        out, err = running.communicate(timeout=30)
    assert running.returncode == 0 and len(out.splitlines()) == 1 and url in out
    assert "Ctrl-C stops it" in err and "stopped; its sessions run on" in err


def test_what_the_service_refuses_is_its_exit_code(home: Home) -> None:
    done = run("serve", "--tokens", str(home.root / "nowhere"), env=home.environment())
    assert done.returncode == 2 and str(home.root / "nowhere") in done.stderr


def test_nothing_is_loaded_from_where_it_is_started(home: Home) -> None:
    if sys.version_info >= (3, 11):
        (home.root / "tornado.py").write_text("raise SystemExit('loaded from here')\n")
        done = run("serve", "--tokens", str(home.root / "nowhere"), env=home.environment(), cwd=home.root)
        assert "loaded from here" not in done.stderr and os.path.exists(home.root / "tornado.py")
