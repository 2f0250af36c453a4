"""``jupyter sessions upload`` and ``download``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.beside import answer, ran, started
from tests.real.server import RealServer, real_server

NAME = "etl-nightly"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    with real_server(tmp_path_factory.mktemp("files")) as running:
        running.create(NAME)
        yield running


def remote(server: RealServer, expression: str) -> str:
    """Give the repr of an expression in the session's main kernel."""
    told: str = answer(server, "exec", NAME, expression)["result"]["text/plain"]
    return told


def test_one_file_there_and_back(server: RealServer, tmp_path: Path) -> None:
    file = tmp_path / "data.bin"
    file.write_bytes(os.urandom(3_000_000))
    done = ran(server, "upload", "data.bin", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "") and f"{NAME}:" in done.stderr and "2.9 MiB" in done.stderr
    assert remote(server, "__import__('os').path.getsize('data.bin')") == "3000000"
    back = ran(server, "download", "data.bin", "--to", "copy.bin", "-s", NAME, cwd=tmp_path)
    assert back.returncode == 0 and back.stdout == "copy.bin\n" and "2.9 MiB" in back.stderr
    assert (tmp_path / "copy.bin").read_bytes() == file.read_bytes()


def test_a_busy_kernel_is_waited_for_and_given_up(server: RealServer, tmp_path: Path) -> None:
    (tmp_path / "late.txt").write_text("text")
    gate = tmp_path / "gate"
    waits = f"import os, time\nprint('on', flush=True)\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.05)"
    with started(server, "exec", NAME, waits) as busy:
        assert busy.stdout is not None and busy.stdout.readline() == "on\n"
        done = ran(server, "upload", "late.txt", "--timeout", "0.2", cwd=tmp_path)
        assert done.returncode == 1 and "gave no answer for 0.2 s" in done.stderr and "Traceback" not in done.stderr
        with started(server, "upload", str(tmp_path / "late.txt")) as late:
            assert late.stderr is not None and "it may be busy with other code" in late.stderr.readline()
            gate.touch()
            assert late.wait(60) == 0
        assert busy.wait(60) == 0
    assert remote(server, "open('late.txt').read()") == "'text'"


def test_several_files_into_a_directory(server: RealServer, tmp_path: Path) -> None:
    for name in ("a.txt", "b c.txt"):
        (tmp_path / name).write_text(name)
    words = ("upload", "a.txt", "b c.txt", "--session", NAME, "--to")
    done = ran(server, *words, "input", cwd=tmp_path)
    assert done.returncode == 2 and "--to input/" in done.stderr
    remote(server, "__import__('os').makedirs('input') or 1")
    assert ran(server, *words, "input/", cwd=tmp_path).returncode == 0
    (tmp_path / "back").mkdir()
    done = ran(server, "download", "input/a.txt", "input/b c.txt", "--to", "back", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {file.name: file.read_text() for file in (tmp_path / "back").iterdir()} == {
        "a.txt": "a.txt",
        "b c.txt": "b c.txt",
    }


def test_nothing_is_written_over_unasked(server: RealServer, tmp_path: Path) -> None:
    remote(server, "open('kept.txt', 'w').write('there')")
    (tmp_path / "kept.txt").write_text("here")
    done = ran(server, "download", "kept.txt", cwd=tmp_path)
    assert done.returncode == 2 and "--force" in done.stderr and (tmp_path / "kept.txt").read_text() == "here"
    assert ran(server, "download", "kept.txt", "--force", cwd=tmp_path).returncode == 0
    assert (tmp_path / "kept.txt").read_text() == "there"


@pytest.mark.parametrize(
    ("words", "exits", "said"),
    [
        (("upload", "nowhere.txt"), 2, "is no file here"),
        (("upload", "."), 2, "is a directory"),
        (("download", "x/a", "y/a"), 2, "the same name"),
        (("download", "a", "--to", "nowhere/b"), 2, "is no directory here"),
        (("download", "nowhere.txt"), 1, "nowhere.txt"),
        (("upload",), 2, "Missing argument"),
    ],
)
def test_what_is_refused(server: RealServer, tmp_path: Path, words: tuple[str, ...], exits: int, said: str) -> None:
    done = ran(server, *words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (exits, "") and said in " ".join(done.stderr.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [("upload", NAME, "job.py"), ("download", NAME, "job.py"), ("run", NAME)])
def test_a_session_in_a_files_place_is_told(server: RealServer, tmp_path: Path, words: tuple[str, ...]) -> None:
    done = ran(server, *words, cwd=tmp_path)
    assert done.returncode in (1, 2) and done.stdout == ""
    assert f"a session has this name: --session {NAME}" in " ".join(done.stderr.replace("│", " ").split())
