"""What the doctor says of this machine: kernels, sockets, containers, units, the extension and its panel."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from jupyter_sessions import __version__
from jupyter_sessions.config.locations import Auth, Bearer, LocationConfig, Provider
from jupyter_sessions.config.reading import Configured, survey
from jupyter_sessions.doctor import engine
from jupyter_sessions.doctor.configuration import check_configuration
from jupyter_sessions.doctor.engine import check_engine, check_surroundings
from jupyter_sessions.doctor.extension import check_lab, check_server
from jupyter_sessions.doctor.findings import Finding, Level, fault, scrubbed, well
from jupyter_sessions.doctor.settings import Settings
from jupyter_sessions.model.names import LocationName
from tests.config.files import Files
from tests.doctor.places import bad, levels


def upstream(**fields: Any) -> Configured:
    config = LocationConfig(LocationName("p", "r"), Provider.UPSTREAM, endpoint="https://x.example", **fields)
    return Configured((config,), ())


class TestConfiguration:
    """``check_configuration``."""

    def test_every_fault_is_a_finding_with_its_line(self, tmp_path: Path) -> None:
        path = Files(tmp_path).write("user", "locations: [7]\ncolour: red\n")
        found = check_configuration(survey((), Files(tmp_path).folders))
        assert [(row.level, row.subject) for row in found] == [
            (Level.FAULT, f"{path}:2"),
            (Level.FAULT, f"{path}:1"),
        ]
        assert all(row.remedy for row in found) and "colour" in found[0].what

    def test_what_is_well_names_the_locations(self) -> None:
        (found,) = check_configuration(survey((), []))
        assert found.level is Level.OK and "projects/local/locations/local" in found.what

    def test_no_location_at_all_is_a_fault(self) -> None:
        assert bad(check_configuration(Configured((), ()))).what == "there is no location"

    @pytest.mark.parametrize("mode", [0o620, 0o602])
    def test_a_file_that_others_can_change(self, tmp_path: Path, mode: int) -> None:
        path = Files(tmp_path).write("user", "")
        path.chmod(mode)
        found = bad(check_configuration(survey((), Files(tmp_path).folders)))
        assert found.level is Level.WARN and found.remedy == f"chmod go-w {path}"

    def test_a_later_file_that_replaces_an_earlier_ones_location(self, tmp_path: Path) -> None:
        entry = "locations:\n  - {{project: p, location: r, endpoint: 'https://{0}.example.org'}}\n"
        files = Files(tmp_path)
        early, late = files.write("system", entry.format("early")), files.write("user", entry.format("late"))
        read = survey((), files.folders)
        found = bad(check_configuration(read))
        assert found.level is Level.WARN and found.subject == "projects/p/locations/r"
        assert found.what == f"is given twice: {late} replaces {early}" and found.remedy
        assert [one.endpoint for one in read.locations if str(one.name) == found.subject] == [
            "https://late.example.org"
        ]

    def test_a_certificate_that_is_not_checked(self) -> None:
        assert bad(check_configuration(upstream(verify=False))).level is Level.WARN

    def test_certificates_that_are_not_there(self, tmp_path: Path) -> None:
        found = bad(check_configuration(upstream(verify=str(tmp_path / "ca.pem"))))
        assert found.level is Level.FAULT and str(tmp_path / "ca.pem") in found.what

    def test_token_files(self, tmp_path: Path) -> None:
        path = tmp_path / "token"
        read = upstream(auth=Auth.BEARER, bearer=Bearer(file=path))
        assert "cannot be read" in bad(check_configuration(read)).what
        path.write_text("secret")
        path.chmod(0o640)
        found = bad(check_configuration(read))
        assert found.remedy == f"chmod 600 {path}" and "640" in found.why
        path.chmod(0o600)
        assert set(levels(check_configuration(read)).values()) == {"ok"}


class TestEngine:
    """``check_engine``."""

    def test_this_machine_is_well(self) -> None:
        found = check_engine()
        assert {row.level for row in found if not row.subject.startswith("kernelspec")} == {Level.OK}
        assert any("python3" in row.what for row in found)

    def test_without_a_python_kernel_the_command_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("jupyter_client.kernelspec.KernelSpecManager.get_all_specs", lambda self: {})
        found = bad(check_engine())
        assert found.level is Level.FAULT and found.remedy == f"{sys.executable} -m pip install ipykernel"

    def test_a_kernelspec_whose_program_went(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = tmp_path / "kernels" / "lost"
        folder.mkdir(parents=True)
        spec = {"argv": [str(tmp_path / "gone"), "-f", "{connection_file}"], "display_name": "L", "language": "l"}
        (folder / "kernel.json").write_text(json.dumps(spec))
        monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
        (found,) = [row for row in check_engine() if row.subject == "kernelspec lost"]
        assert found.level is Level.WARN and str(tmp_path / "gone") in found.what

    def test_a_system_without_unix_sockets(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(self: socket.socket, address: object) -> None:
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(socket.socket, "bind", refuse)
        found = bad(check_engine())
        assert "Unix socket" in found.what and "TMPDIR" in found.remedy

    def test_a_proc_that_is_not_there(self, tmp_path: Path) -> None:
        if sys.platform == "linux":
            assert [row.level for row in engine._processes(tmp_path)] == [Level.FAULT]

    def test_windows_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "platform", "win32")
        assert "POSIX" in bad(check_engine()).what


class TestSurroundings:
    """``check_surroundings``."""

    def root(self, tmp_path: Path, cgroup: str = "0::/user.slice/user-1.slice/session-2.scope\n") -> Path:
        (tmp_path / "proc" / "self").mkdir(parents=True)
        (tmp_path / "proc" / "self" / "cgroup").write_text(cgroup)
        return tmp_path

    def told(self, root: Path, **environ: str) -> list[Finding]:
        return check_surroundings(root, environ)

    def test_nothing_is_told_where_there_is_nothing(self, tmp_path: Path) -> None:
        assert levels(self.told(self.root(tmp_path))) == {"surroundings": "ok"}
        assert levels(self.told(tmp_path / "nowhere")) == {"surroundings": "ok"}

    @pytest.mark.parametrize("name", [".dockerenv", "run/.containerenv"])
    def test_a_container(self, tmp_path: Path, name: str) -> None:
        path = self.root(tmp_path) / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
        assert bad(self.told(tmp_path)).what == "this is a container"

    @pytest.mark.parametrize(
        ("variable", "words"),
        [
            ("container", "container"),
            ("KUBERNETES_SERVICE_HOST", "pod"),
            ("JUPYTERHUB_SERVICE_PREFIX", "JupyterHub"),
        ],
    )
    def test_what_the_environment_says(self, tmp_path: Path, variable: str, words: str) -> None:
        found = bad(self.told(self.root(tmp_path), **{variable: "x"}))
        assert found.level is Level.WARN and words in found.what and found.remedy

    @pytest.mark.parametrize(
        "cgroup",
        [
            "0::/system.slice/jupyter.service\n",
            "12:pids:/system.slice/jupyter.service\n1:name=systemd:/system.slice/jupyter.service\n",
            "0::/user.slice/user-1.slice/user@1.service/app.slice/jupyter.service\n",
        ],
    )
    def test_a_unit_whose_stop_ends_them(self, tmp_path: Path, cgroup: str) -> None:
        found = bad(self.told(self.root(tmp_path, cgroup)))
        assert "jupyter.service" in found.what and "KillMode=process for jupyter.service" in found.remedy

    def test_an_accounts_systemd_without_linger(self, tmp_path: Path) -> None:
        cgroup = "0::/user.slice/user-1.slice/user@1.service/app.slice/term.scope\n"
        found = bad(self.told(self.root(tmp_path, cgroup)))
        assert found.remedy == "loginctl enable-linger"
        linger = tmp_path / "var/lib/systemd/linger" / engine._account()
        linger.parent.mkdir(parents=True)
        linger.write_text("")
        assert levels(self.told(tmp_path)) == {"surroundings": "ok"}


class TestExtension:
    """``check_server`` and ``check_lab``."""

    @pytest.fixture(autouse=True)
    def own(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the list of extensions be the test's own."""
        monkeypatch.setattr("jupyter_core.paths.jupyter_config_path", lambda: [str(tmp_path)])
        monkeypatch.setattr("jupyterlab_server.config.get_static_page_config", lambda **_: {})

    def enabled(self, tmp_path: Path, value: bool) -> None:
        folder = tmp_path / "jupyter_server_config.d"
        folder.mkdir(exist_ok=True)
        data = {"ServerApp": {"jpserver_extensions": {"jupyter_sessions": value}}}
        (folder / "jupyter_sessions.json").write_text(json.dumps(data))

    def test_enabled(self, tmp_path: Path) -> None:
        self.enabled(tmp_path, True)
        assert levels(check_server(Settings(tmp_path))) == {"server extension": "ok"}

    def test_not_named_disabled_and_switched_off(self, tmp_path: Path) -> None:
        command = "jupyter server extension enable jupyter_sessions"
        assert (bad(check_server(Settings(tmp_path))).what, bad(check_server(Settings(tmp_path))).remedy) == (
            "is not enabled",
            command,
        )
        self.enabled(tmp_path, False)
        assert bad(check_server(Settings(tmp_path))).what == "is disabled"
        assert bad(check_server(Settings(tmp_path))).remedy == command
        self.enabled(tmp_path, True)
        assert bad(check_server(Settings(tmp_path, enabled=False))).what == "is switched off"
        assert bad(check_server(Settings(tmp_path, servers={"jupyter_sessions": False}))).what == "is disabled"

    def lab(self, tmp_path: Path, text: str) -> list[Finding]:
        folder = tmp_path / "labextensions" / "jupyter-sessions"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text(text)
        return check_lab([str(tmp_path / "labextensions")])

    def test_the_panel(self, tmp_path: Path) -> None:
        assert bad(check_lab([str(tmp_path)])).what == "is not installed"
        package = {"name": "jupyter-sessions", "version": __version__, "jupyterlab": {}}
        assert levels(self.lab(tmp_path, json.dumps(package))) == {"lab extension": "ok"}
        found = bad(self.lab(tmp_path, json.dumps({**package, "version": "0.0.1"})))
        assert found.level is Level.WARN and "0.0.1" in found.why
        assert bad(self.lab(tmp_path, "{}")).what == "cannot be read"

    def test_a_panel_that_is_disabled(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        off = {"disabledExtensions": {"jupyter-sessions:panel": True, "jupyter-sessions:other": False}}
        monkeypatch.setattr("jupyterlab_server.config.get_static_page_config", lambda **_: off)
        package = {"name": "jupyter-sessions", "version": __version__, "jupyterlab": {}}
        found = bad(self.lab(tmp_path, json.dumps(package)))
        assert found.subject == "jupyter-sessions:panel" and found.remedy.startswith("jupyter labextension enable")


def test_a_secret_is_taken_out_wherever_it_stands() -> None:
    found = scrubbed([fault("c", "s3cret", "a s3cret", "as3cretb", "s3cret!"), well("c", "", "fine")], {"s3cret", "s"})
    assert "s3cret" not in repr(found) and found[1] == well("c", "", "fine")
