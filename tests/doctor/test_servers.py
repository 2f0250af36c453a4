"""What the doctor says of running servers, of ports, and of who may read what: each fault is made for real."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_sessions import __version__
from jupyter_sessions.doctor.findings import Finding, Level
from jupyter_sessions.doctor.permissions import check_permissions
from jupyter_sessions.doctor.ports import check_ports
from jupyter_sessions.doctor.servers import check_servers
from jupyter_sessions.service import schema
from tests.client.test_discovery_files import answering, write
from tests.doctor.places import Home, bad
from tests.real.server import RealServer, free_port, real_server

SECONDS = 60.0


def of(server: RealServer, found: list[Finding]) -> Finding:
    """Give what was said of one server."""
    (one,) = [row for row in found if row.subject.startswith(server.url.replace("127.0.0.1", "localhost"))]
    return one


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """One server with the extension."""
    with real_server(tmp_path_factory.mktemp("server")) as started:
        yield started


class TestServers:
    """``check_servers``."""

    def runtime(self, server: RealServer) -> dict[str, str]:
        return {"JUPYTER_RUNTIME_DIR": str(server.home / "runtime")}

    def test_none_is_well(self, tmp_path: Path) -> None:
        (found,) = check_servers(SECONDS, {"JUPYTER_RUNTIME_DIR": str(tmp_path)})
        assert found.level is Level.OK and "no Jupyter server" in found.what

    def test_one_with_sessions_is_well(self, server: RealServer) -> None:
        found = of(server, check_servers(SECONDS, self.runtime(server)))
        assert found.level is Level.OK and __version__ in found.what and str(server.root) in found.why

    def test_the_file_of_one_that_was_killed(self, server: RealServer) -> None:
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        path = write(server.home / "runtime", ended.pid, free_port())
        try:
            found = check_servers(SECONDS, self.runtime(server))
            assert bad(found).level is Level.WARN and bad(found).remedy == f"rm {path}"
            assert of(server, found).level is Level.OK and path.exists()
        finally:
            path.unlink()

    def test_one_that_hangs(self, server: RealServer) -> None:
        assert server.process is not None
        server.process.send_signal(signal.SIGSTOP)
        try:
            found = bad(check_servers(2.5, self.runtime(server)))
        finally:
            server.process.send_signal(signal.SIGCONT)
        assert found.level is Level.FAULT and found.what == "does not answer"
        assert f"kill {server.process.pid}" in found.remedy

    def test_one_that_takes_another_token(self, server: RealServer) -> None:
        assert server.process is not None
        path = server.home / "runtime" / f"jpserver-{server.process.pid}.json"
        text = path.read_text()
        path.write_text(json.dumps({**json.loads(text), "token": "of-before"}))
        try:
            found = bad(check_servers(SECONDS, self.runtime(server)))
        finally:
            path.write_text(text)
        assert found.what == "does not take its token" and "JUPYTER_SESSIONS_TOKEN" in found.remedy
        assert "of-before" not in json.dumps(found.shown())

    def test_one_without_the_extension(self, server: RealServer, tmp_path: Path) -> None:
        """It is a fault where it is the only one; beside one that has sessions it may well be meant so."""
        off = RealServer(tmp_path, options=("--ServerApp.jpserver_extensions={'jupyter_sessions': False}",))
        try:
            off.start()
            found = bad(check_servers(SECONDS, self.runtime(off)))
            shutil.copytree(server.home / "runtime", tmp_path / "runtime", dirs_exist_ok=True)
            beside = bad(check_servers(SECONDS, self.runtime(off)))
        finally:
            off.stop()
            off.http.close()
        assert (found.level, beside.level) == (Level.FAULT, Level.WARN)
        assert found.what == beside.what == "jupyter_sessions is not on in it"
        assert "jupyter server extension enable jupyter_sessions" in found.remedy

    def test_one_that_lets_anybody_in(self, tmp_path: Path) -> None:
        server = RealServer(tmp_path, options=("--IdentityProvider.token=",))
        try:
            server.start()
            found = bad(check_servers(SECONDS, self.runtime(server)))
        finally:
            server.stop()
            server.http.close()
        assert found.level is Level.WARN and found.what == "lets anybody in" and found.remedy

    def test_what_is_no_jupyter_server(self, tmp_path: Path) -> None:
        with answering(404) as port:
            write(tmp_path, os.getpid(), port)
            found = bad(check_servers(SECONDS, {"JUPYTER_RUNTIME_DIR": str(tmp_path)}))
        assert found.level is Level.FAULT and found.what == "answers something else than the API"


class TestPorts:
    """``check_ports``."""

    def test_a_free_port_is_well(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
        assert {row.level for row in check_ports(free_port())} == {Level.OK}
        assert len(check_ports(0)) == 1

    def test_a_taken_port_and_who_has_it(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as holding:
            port = holding.getsockname()[1]
            (found,) = [row for row in check_ports(port) if row.subject.endswith(f":{port}")]
        assert found.level is Level.WARN and "is taken" in found.what and "--port 0" in found.remedy
        if sys.platform == "linux":
            assert f"process {os.getpid()}" in found.why

    @pytest.mark.parametrize("excluded", ["", "example.org"])
    def test_a_proxy_before_this_machine(self, monkeypatch: pytest.MonkeyPatch, excluded: str) -> None:
        self.proxied(monkeypatch, excluded)
        found = bad(check_ports(0))
        assert found.level is Level.WARN and "NO_PROXY=localhost,127.0.0.1,::1" in found.remedy
        assert "hunter2" not in json.dumps(found.shown())

    def test_a_proxy_that_leaves_this_machine_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.proxied(monkeypatch, "localhost,127.0.0.1")
        assert {row.level for row in check_ports(0)} == {Level.OK}

    def proxied(self, monkeypatch: pytest.MonkeyPatch, excluded: str) -> None:
        for name in ("HTTP_PROXY", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", "http://me:hunter2@proxy.example.org:3128")
        monkeypatch.setenv("no_proxy", excluded)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
class TestPermissions:
    """``check_permissions``."""

    @pytest.fixture(autouse=True)
    def own(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let Jupyter's directories be the test's own."""
        monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(self.made(tmp_path / "runtime")))
        monkeypatch.setattr("jupyter_core.paths.jupyter_config_path", lambda: [str(tmp_path / "config")])
        self.made(tmp_path / "config")

    def made(self, path: Path) -> Path:
        path.mkdir(mode=0o700, parents=True)
        return path

    def found(self, tmp_path: Path) -> Finding:
        return bad(check_permissions(tmp_path / "data"))

    def test_a_sound_place_is_well(self, tmp_path: Path) -> None:
        schema.prepare(tmp_path / "data" / "sessions.db")
        self.made(tmp_path / "data" / "sessions")
        write(tmp_path / "runtime", 1, 1).chmod(0o600)
        (tmp_path / "config" / "jupyter_server_config.py").write_text("# c.IdentityProvider.token = 'x'\n")
        (found,) = check_permissions(tmp_path / "data")
        assert found.level is Level.OK

    def test_a_store_that_is_open(self, tmp_path: Path) -> None:
        path = tmp_path / "data" / "sessions.db"
        schema.prepare(path)
        path.chmod(0o777)
        found = self.found(tmp_path)
        assert (found.level, found.subject, found.remedy) == (Level.FAULT, str(path), f"chmod 600 {path}")
        assert "0777" in found.what

    def test_a_sessions_directory_that_is_open(self, tmp_path: Path) -> None:
        path = self.made(tmp_path / "data" / "sessions" / "one")
        path.parent.chmod(0o700)
        path.chmod(0o755)
        assert self.found(tmp_path).remedy == f"chmod 700 {path}"

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
    def test_a_token_of_another_account(self, tmp_path: Path) -> None:
        path = self.made(tmp_path / "data" / "sessions" / "one") / "token"
        path.parent.parent.chmod(0o700)
        path.write_text("t")
        path.chmod(0o600)
        os.chown(path, 65_534, 65_534)
        assert self.found(tmp_path).what == "belongs to another account"

    def test_a_runtime_directory_that_others_write_into(self, tmp_path: Path) -> None:
        (tmp_path / "runtime").chmod(0o777)
        assert self.found(tmp_path).remedy == f"chmod 700 {tmp_path / 'runtime'}"

    def test_a_servers_token_that_others_read(self, tmp_path: Path) -> None:
        path = write(tmp_path / "runtime", 1, 1)
        path.chmod(0o644)
        assert self.found(tmp_path).remedy == f"chmod 600 {path}"

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("jupyter_server_config.json", '{"IdentityProvider": {"hashed_password": "argon2:x"}}'),
            ("jupyter_lab_config.py", "c.IdentityProvider.token = 'x'\n"),
        ],
    )
    def test_a_config_file_with_a_credential(self, tmp_path: Path, name: str, text: str) -> None:
        path = tmp_path / "config" / name
        path.write_text(text)
        path.chmod(0o644)
        found = self.found(tmp_path)
        assert found.level is Level.WARN and found.remedy == f"chmod 600 {path}"
        path.chmod(0o622)
        assert self.found(tmp_path).level is Level.FAULT

    def test_many_are_counted_and_not_all_told(self, tmp_path: Path) -> None:
        for number in range(50):
            self.made(tmp_path / "data" / "sessions" / f"s{number}").chmod(0o755)
        (tmp_path / "data" / "sessions").chmod(0o700)
        found = check_permissions(tmp_path / "data")
        assert len(found) < 30 and "30 more" in found[-1].what


def test_the_program_tells_each(tmp_path: Path) -> None:
    """The whole of it, with several faults at once; the report names each check with its remedy."""
    home = Home(tmp_path)
    (tmp_path / "config").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as holding:
        port = holding.getsockname()[1]
        (tmp_path / "config" / "jupyter_sessions_serve_config.py").write_text(f"c.ServeApp.port = {port}\n")
        (tmp_path / "runtime").mkdir(mode=0o700)
        stale = write(tmp_path / "runtime", 2**22 - 1, free_port())
        stale.chmod(0o644)
        schema.prepare(home.data_dir / "sessions.db")
        (home.data_dir / "sessions.db").chmod(0o777)
        code, report, _ = home.doctor("--quiet")
    rows: list[dict[str, Any]] = [row for row in report["findings"] if row["level"] != "ok"]
    told = {(row["check"], row["subject"]) for row in rows}
    assert code == 1 and told >= {
        ("server", str(stale)),
        ("permissions", str(stale)),
        ("permissions", str(home.data_dir / "sessions.db")),
        ("ports", f"127.0.0.1:{port}"),
    }
    assert all(row["remedy"] for row in rows if row["check"] in ("server", "permissions", "ports"))
