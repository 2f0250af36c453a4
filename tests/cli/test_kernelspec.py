"""``jupyter sessions kernelspec``: what is written, listed and removed, and what is refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.beside import answer, ran
from tests.real.server import PARENT, TOKEN, RealServer, real_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    with real_server(tmp_path_factory.mktemp("server")) as running:
        running.create("etl-nightly", jupyterSession={"displayName": "ETL"})
        assert ran(running, "templates", "create", "gpu").returncode == 0
        yield running


def read(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "kernel.json").read_text())
    return found


def test_one_for_a_session(server: RealServer) -> None:
    done = ran(server, "kernelspec", "install", "etl-nightly")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "etl-nightly\n"
    folder = server.home / "data" / "kernels" / "etl-nightly"
    assert str(folder) in done.stderr and "papermill" in done.stderr
    spec = read(folder)
    assert spec["argv"][:5] == [sys.executable, "-m", "jupyter_sessions.bridge", "-f", "{connection_file}"]
    assert (spec["display_name"], spec["language"]) == ("ETL: new kernel", "python")
    config = {"session": f"{PARENT}/sessions/etl-nightly", "kernel": "new"}
    assert spec["metadata"]["kernel_provisioner"] == {
        "provisioner_name": "jupyter-sessions-provisioner",
        "config": config,
    }
    assert TOKEN not in json.dumps(spec)
    (row,) = [row for row in answer(server, "kernelspec", "list") if row["name"] == "etl-nightly"]
    assert row == {"name": "etl-nightly", **config, "folder": str(folder)}
    assert "etl-nightly" in ran(server, "kernelspec", "list").stdout
    assert "etl-nightly" in ran(server, "kernelspec", "list", "-o", "name").stdout.split()


def test_one_for_a_template_and_one_for_the_main_kernel_elsewhere(server: RealServer, tmp_path: Path) -> None:
    done = ran(server, "kernelspec", "install", "gpu", "--template", "gpu", "--prefix", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "Jupyter does not look in" in done.stderr
    spec = read(tmp_path / "share" / "jupyter" / "kernels" / "gpu")
    assert spec["metadata"]["kernel_provisioner"]["config"] == {"template": f"{PARENT}/sessionTemplates/gpu"}
    assert spec["display_name"] == "gpu: new session"
    words = ("--session", "etl-nightly", "--kernel", "main", "--display-name", "Mine", "--url", server.url)
    done = ran(server, "kernelspec", "install", "Mine", *words, "--prefix", str(tmp_path))
    assert done.returncode == 0, done.stderr
    spec = read(tmp_path / "share" / "jupyter" / "kernels" / "mine")
    assert spec["display_name"] == "Mine"
    config = spec["metadata"]["kernel_provisioner"]["config"]
    assert (config["kernel"], config["url"]) == ("main", server.url)


def test_it_is_written_anew_and_removed(server: RealServer) -> None:
    for kernel in ("new", "main"):
        words = ("--session", "etl-nightly", "--kernel", kernel)
        assert ran(server, "kernelspec", "install", "again", *words).returncode == 0
        assert read(server.home / "data" / "kernels" / "again")["display_name"] == f"ETL: {kernel} kernel"
    done = ran(server, "kernelspec", "remove", "again")
    assert done.returncode == 0, done.stderr
    assert not (server.home / "data" / "kernels" / "again").exists()
    done = ran(server, "kernelspec", "remove", "again")
    assert done.returncode == 1
    assert "again: no kernelspec of a session has this name" in done.stderr


def test_another_programs_kernelspec_is_left_alone(server: RealServer) -> None:
    folder = server.home / "data" / "kernels" / "theirs"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text('{"argv": ["theirs"], "display_name": "theirs", "language": "x"}')
    done = ran(server, "kernelspec", "install", "theirs", "--session", "etl-nightly")
    assert done.returncode == 1
    assert "is another program's kernelspec; choose another name" in done.stderr
    assert ran(server, "kernelspec", "remove", "theirs").returncode == 1
    assert read(folder)["argv"] == ["theirs"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("no-such-one",), 1, "there is no session no-such-one; make it first"),
        (("any", "--template", "no-such-one"), 1, "no-such-one"),
        (("any", "--session", "etl-nightly", "--kernel", "0123"), 2, "must be main or new"),
        (("any thing", "--session", "etl-nightly"), 2, "letters, digits"),
        (("any", "--session", "etl-nightly", "--user", "--sys-prefix"), 2, "give one"),
    ],
)
def test_what_cannot_be_is_refused(server: RealServer, words: tuple[str, ...], code: int, said: str) -> None:
    done = ran(server, "kernelspec", "install", *words)
    assert done.returncode == code, done.stderr
    assert said in " ".join(done.stderr.replace("│", " ").split())
    assert not (server.home / "data" / "kernels" / "any").exists()
