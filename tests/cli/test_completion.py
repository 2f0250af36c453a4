"""Completion of ``jupyter-sessions``, as shells ask for it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from jupyter_sessions.cli.completion import PROGRAM, VARIABLE
from tests.cli.beside import environment, ran
from tests.cli.running import command, run
from tests.real.server import PARENT, RealServer, real_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    with real_server(tmp_path_factory.mktemp("completion")) as running:
        running.create("etl-nightly")
        running.create("gpu-train")
        running.call("POST", f"{PARENT}/sessionTemplates", {"name": f"{PARENT}/sessionTemplates/small"})
        yield running


def completed(environ: Mapping[str, str], *words: str) -> list[str]:
    """Give what bash is answered for a line of which the last word is incomplete; nothing is said on stderr."""
    asked = {VARIABLE: "complete_bash", "COMP_WORDS": " ".join((PROGRAM, *words)), "COMP_CWORD": str(len(words))}
    done = subprocess.run(command(), capture_output=True, text=True, timeout=60, env={**environ, **asked})
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("term",), ["terminate"]),
        (("get", "et"), ["etl-nightly"]),
        (("exec", "gpu"), ["gpu-train"]),
        (("terminate", "etl-nightly", "gp"), ["gpu-train"]),
        (("get", f"{PARENT}/sessions/e"), [f"{PARENT}/sessions/etl-nightly"]),
        (("create", "--template", "s"), ["small"]),
        (("list", "--location", "lo"), ["local"]),
        (("list", "--location", "projects/"), [PARENT]),
        (("list", "--state", "TERMINAT"), ["TERMINATING", "TERMINATED"]),
        (("list", "--output", "y"), ["yaml"]),
        (("operations", "ca"), ["cancel"]),
        (("list", "--wat"), ["--watch"]),
        (("get", "nothing-like-it"), []),
    ],
)
def test_words_and_names(server: RealServer, words: tuple[str, ...], found: list[str]) -> None:
    assert completed(environment(server), *words) == found


def test_nothing_is_said_where_no_server_runs(tmp_path: Path) -> None:
    assert completed({**os.environ, "JUPYTER_RUNTIME_DIR": str(tmp_path)}, "get", "e") == []


def test_a_server_that_does_not_answer_does_not_hold_up_the_shell(server: RealServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert completed({**environment(server), "JUPYTER_SESSIONS_URL": url}, "get", "e") == []


def program(folder: Path) -> Mapping[str, str]:
    """Put the program on a PATH of its own, and give it."""
    script = folder / PROGRAM
    script.write_text(f"#!{sys.executable}\nfrom jupyter_sessions.cli.main import main; main()\n")
    script.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not there")
def test_bash_completes_with_what_is_shown(server: RealServer, tmp_path: Path) -> None:
    shown = run("--show-completion", "--shell", "bash")
    assert shown.returncode == 0 and f"{VARIABLE}=complete_bash" in shown.stdout
    script = f"{shown.stdout}\nCOMP_WORDS=({PROGRAM} get et)\nCOMP_CWORD=2\n"
    script += f'name=$(complete -p {PROGRAM} | sed "s/.*-F \\([^ ]*\\) .*/\\1/")\n$name {PROGRAM} et get\n'
    script += 'printf "%s\\n" "${COMPREPLY[@]}"\n'
    environ = {**environment(server), **program(tmp_path)}
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, timeout=60, env=environ)
    assert (done.stdout.split(), done.stderr) == (["etl-nightly"], "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_installing_writes_where_the_shell_reads(tmp_path: Path, shell: str) -> None:
    done = run("--install-completion", "--shell", shell, env={**os.environ, "HOME": str(tmp_path)})
    assert (done.returncode, done.stdout) == (0, "")
    (path,) = (word for word in done.stderr.split() if word.startswith(str(tmp_path)))
    assert VARIABLE in Path(path).read_text() and PROGRAM in Path(path).read_text()


def test_a_shell_that_is_none() -> None:
    done = run("--show-completion", "--shell", "cmd")
    assert (done.returncode, done.stdout) == (2, "") and "bash" in done.stderr


def test_zsh_and_fish_are_told_what_each_is(server: RealServer) -> None:
    for shell, wanted in (("zsh", '"etl-nightly":"ACTIVE"'), ("fish", "etl-nightly\tACTIVE")):
        asked = {VARIABLE: f"complete_{shell}", "_TYPER_COMPLETE_ARGS": f"{PROGRAM} get etl"}
        done = ran(server, env={**asked, "_TYPER_COMPLETE_FISH_ACTION": "get-args"})
        assert wanted in done.stdout and done.stderr == ""
