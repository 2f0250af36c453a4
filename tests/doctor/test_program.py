"""The doctor as a program: its report, its exit code, what it reads, and that no secret is in it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from jupyter_sessions import __version__
from tests.doctor.places import Home
from tests.faults.replies import error, ok
from tests.faults.server import FaultServer
from tests.serve.serving import LOCATION, OWN, serving

TOKEN = "a-secret-token-of-4711"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Give a home in which the panel is installed."""
    folder = tmp_path / "share" / "labextensions" / "jupyter-sessions"
    folder.mkdir(parents=True)
    package = {"name": "jupyter-sessions", "version": __version__, "jupyterlab": {}}
    (folder / "package.json").write_text(json.dumps(package))
    return Home(tmp_path, {"JUPYTER_PATH": str(tmp_path / "share")})


def told(report: dict[str, Any], check: str) -> list[dict[str, Any]]:
    return [row for row in report["findings"] if row["check"] == check]


def test_where_all_is_well_it_says_so(home: Home) -> None:
    code, report, said = home.doctor()
    assert code == 0, report
    assert report["version"] == __version__
    assert {row["check"] for row in report["findings"]} >= {
        "configuration",
        "data directory",
        "store",
        "engine",
        "surroundings",
        "server extension",
        "lab extension",
    }
    assert all(set(row) == {"check", "subject", "level", "what", "why", "remedy"} for row in report["findings"])
    assert "checking store" in said and not home.data_dir.exists()
    assert home.doctor("--quiet")[2] == ""


def test_faults_of_files_and_traits_are_told_and_the_exit_code_says_so(home: Home) -> None:
    path = home.configure("locations:\n  - {project: p}\n")
    (home.root / "config" / "jupyter_server_config.py").write_text(
        "print('to be seen nowhere in the report')\n"
        f"c.SessionsExtension.data_dir = {str(home.root / 'elsewhere')!r}\n"
        "c.SessionsExtension.locations = [{'project': 'q', 'location': 'r', 'colour': 'red'}]\n"
    )
    code, report, _ = home.doctor()
    assert code == 1
    faults = [row["subject"] for row in told(report, "configuration")]
    assert faults.count(f"{path}:2") == 2 and faults.count("c.SessionsExtension.locations") == 2
    assert told(report, "data directory")[0]["subject"] == str(home.root / "elsewhere")


def test_a_jupyter_file_that_breaks_is_a_warning(home: Home) -> None:
    (home.root / "config").mkdir()
    (home.root / "config" / "jupyter_lab_config.py").write_text("raise RuntimeError('no')\n")
    code, report, _ = home.doctor()
    assert code == 0
    assert [(row["level"], row["subject"]) for row in told(report, "settings")] == [("warn", "jupyter_lab_config")]


async def test_a_token_is_in_nothing_that_is_said(home: Home) -> None:
    token = home.root / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    reply = error(403, "PERMISSION_DENIED", f"{TOKEN} may not")
    async with FaultServer(otherwise=reply) as server:
        home.configure(
            f"locations:\n  - {{project: p, location: r, endpoint: '{server.url}', bearer: {{file: {token}}}}}\n"
        )
        code, report, said = await asyncio.to_thread(home.doctor)
    assert code == 1 and "403" in told(report, "sessions")[0]["what"]
    assert TOKEN not in json.dumps(report) + said
    assert any(TOKEN in request.headers.get("authorization", "") for request in server.requests)


async def test_only_the_location_that_is_named_is_tried(home: Home) -> None:
    async with FaultServer(otherwise=ok({"sessions": []})) as one, FaultServer(otherwise=ok()) as two:
        home.configure(
            "locations:\n"
            f"  - {{project: p, location: one, endpoint: '{one.url}'}}\n"
            f"  - {{project: p, location: two, endpoint: '{two.url}'}}\n"
        )
        name = "projects/p/locations/one"
        options = [f"--location={name}", "--location=projects/p/locations/three"]
        code, report, _ = await asyncio.to_thread(home.doctor, *options)
    assert code == 1 and one.connections and not two.connections
    assert {row["subject"] for row in told(report, "sessions")} == {name}
    assert told(report, "configuration")[-1]["subject"] == "projects/p/locations/three"


def test_a_location_that_is_no_name_is_a_usage_error(home: Home) -> None:
    argv = [sys.executable, "-m", "jupyter_sessions.doctor", "--location=nonsense"]
    done = subprocess.run(argv, capture_output=True, text=True, env=home.environment(), timeout=60)
    assert done.returncode == 2 and "projects/{project}" in done.stderr


def test_without_json_it_writes_lines(home: Home) -> None:
    argv = [sys.executable, "-m", "jupyter_sessions.doctor", "--quiet"]
    done = subprocess.run(argv, capture_output=True, text=True, env=home.environment(), timeout=60)
    assert any(line.startswith("ok    configuration: ") for line in done.stdout.splitlines())


def test_black_holes_do_not_hold_its_end(home: Home) -> None:
    with contextlib.ExitStack() as held:
        servers = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(4)]
        rows = [
            f"  - {{project: p, location: l{number}, endpoint: 'https://127.0.0.1:{server.getsockname()[1]}'}}\n"
            for number, server in enumerate(servers)
        ]
        home.configure("locations:\n" + "".join(rows))
        began = time.monotonic()
        code, report, _ = home.doctor("--seconds=1")
    assert code == 1 and len(told(report, "tls")) == 4 and time.monotonic() - began < 15


INTERRUPTIBLE = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("jupyter_sessions.doctor", run_name="__main__")
"""
"""The program as a terminal starts it: whoever starts it in the background has it ignore an interrupt."""


def test_it_can_be_interrupted(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        home.configure(
            f"locations:\n  - {{project: p, location: r, endpoint: 'https://127.0.0.1:{server.getsockname()[1]}'}}\n"
        )
        argv = [sys.executable, "-c", INTERRUPTIBLE, "--seconds=60"]
        running = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=home.environment())
        assert running.stderr is not None
        for line in running.stderr:
            if "tls" in line:
                break
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=20)
    assert running.returncode != 0


async def test_a_real_service_is_well(home: Home, tmp_path: Path) -> None:
    place = tmp_path / "service"
    place.mkdir(mode=0o700)
    async with serving(place, users=[OWN], admins=[]) as served:
        token = home.root / "token"
        token.write_text(served.token(OWN))
        token.chmod(0o600)
        entry = f"{{project: local, location: serve, endpoint: '{served.url}', bearer: {{file: {token}}}}}"
        home.configure(f"locations:\n  - {entry}\n")
        code, report, _ = await asyncio.to_thread(home.doctor)
        rows = {row["check"]: row for row in report["findings"] if row["subject"] == LOCATION}
        assert code == 0 and {row["level"] for row in rows.values()} == {"ok"}, report
        assert set(rows) >= {"name", "connection", "credentials", "sessions", "service", "kernel gateway"}
        token.write_text("somebody-elses-token")
        code, report, _ = await asyncio.to_thread(home.doctor)
    assert code == 1 and "401" in told(report, "sessions")[0]["what"]
