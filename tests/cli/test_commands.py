"""The commands themselves: help, version, usage, and that data and talk are kept apart."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import yaml

from jupyter_sessions import __version__
from jupyter_sessions.cli import output
from jupyter_sessions.cli.commands import COMMANDS, load
from jupyter_sessions.config.tokens import read_tokens
from tests.cli.running import command, run
from tests.doctor.places import Home

COLOUR = "\x1b["


def commands() -> list[tuple[str, ...]]:
    """Give the words of every command and group."""

    def below(node: object, words: tuple[str, ...]) -> list[tuple[str, ...]]:
        inner = getattr(node, "commands", {})
        return [words, *(found for name in inner for found in below(inner[name], (*words, name)))]

    return [(), *(found for entry in COMMANDS for found in below(load(entry), (entry.name,)))]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_the_version() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{__version__}\n", "")


def test_beside_the_client_alone_it_says_what_is_missing() -> None:
    code = "import sys\nsys.modules['typer'] = None\nfrom jupyter_sessions.cli.main import main\nmain()"
    done = subprocess.run([sys.executable, "-c", code, "list"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (output.BROKEN, "") and len(done.stderr.splitlines()) == 1
    assert "needs typer" in done.stderr and "pip install jupyter_sessions" in done.stderr


def test_there_are_the_commands_of_now() -> None:
    named = "create list get extend history logs exec run console terminate delete kernels locations templates"
    more = "operations upload download export kernelspec serve doctor"
    assert {words[0] for words in commands() if words} == {*named.split(), *more.split()}
    assert {words for words in commands() if len(words) == 2} >= {("serve", "token"), ("operations", "wait")}


def test_the_list_of_all_has_each_with_a_line_and_loads_none() -> None:
    code = (
        "import sys, atexit\n"
        "from jupyter_sessions.cli.main import main\n"
        "rooms = lambda: [name for name in sys.modules if name.startswith('jupyter_sessions.')]\n"
        "atexit.register(lambda: print(*rooms(), file=sys.stderr))\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, timeout=60)
    for entry in COMMANDS:
        assert re.search(rf"│ {entry.name} +{re.escape(entry.help)}", done.stdout), entry.name
    light = {"jupyter_sessions.cli", "jupyter_sessions.model"}
    light |= {f"jupyter_sessions.model.{name}" for name in ("errors", "states", "times", "words")}
    light |= {f"jupyter_sessions.cli.{name}" for name in ("main", "app", "commands", "completion", "output")}
    assert set(done.stderr.split()) == light


@pytest.mark.parametrize("words", commands())
def test_flags_are_shown_without_a_type(words: tuple[str, ...]) -> None:
    shown = run(*words, "--help", env={**os.environ, "COLUMNS": "140"}).stdout
    assert "bool" not in shown.lower() and "--help" in shown


@pytest.mark.parametrize("words", commands())
def test_every_help_has_an_example_and_no_colour_in_a_pipe(words: tuple[str, ...]) -> None:
    done = run(*words, "--help")
    assert done.returncode == 0 and COLOUR not in done.stdout
    assert re.search(rf"Examples?: jupyter sessions {' '.join(words)}", done.stdout)


@pytest.mark.parametrize("name", ["", *(entry.name for entry in COMMANDS)])
def test_the_exit_codes_are_documented(name: str) -> None:
    text = " ".join(run(*([name] if name else []), "--help").stdout.split())
    assert "Exit codes: 0 " in text and (name not in ("", "list", "doctor") or output.EXITS in text)


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("doctor", "--nonsense"),
        ("doctor", "-o", "xml"),
        ("serve", "--port", "70000"),
        ("serve", "token"),
        ("extend", "a-session"),
        ("operation",),
    ],
)
def test_what_is_not_understood_exits_with_2_and_says_so_on_stderr(words: tuple[str, ...]) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "") and "Usage" in done.stderr


class TestDoctor:
    """``jupyter sessions doctor``."""

    def test_faults_exit_with_1_and_are_told_with_their_remedy(self, home: Home) -> None:
        home.configure("locations:\n  - {project: p, location: r, auth: google, colour: red}\n")
        done = run("doctor", env=home.environment())
        assert done.returncode == 1 and COLOUR not in done.stdout
        (line,) = [line for line in done.stdout.splitlines() if "colour" in line]
        assert line.startswith("fault ") and "is not a field here" in line and "the fields here are" in line
        assert "checking settings" in done.stderr
        assert re.search(r"\d faults?, ", done.stderr.splitlines()[-1])

    def test_json_and_yaml_hold_the_same(self, home: Home) -> None:
        home.configure("colour: red\n")
        as_json = run("doctor", "-o", "json", env=home.environment())
        as_yaml = run("doctor", "-o", "yaml", env=home.environment())
        assert json.loads(as_json.stdout) == yaml.safe_load(as_yaml.stdout)
        assert json.loads(as_json.stdout)["version"] == __version__

    def test_quiet_leaves_out_what_is_well(self, home: Home) -> None:
        home.configure("colour: red\n")
        done = run("doctor", "-q", "-o", "json", env=home.environment())
        assert {row["level"] for row in json.loads(done.stdout)["findings"]} <= {"warn", "fault"}
        assert "checking" not in done.stderr

    def test_a_location_that_is_no_name(self, home: Home) -> None:
        done = run("doctor", "--location", "nonsense", env=home.environment())
        assert (done.returncode, done.stdout) == (2, "") and "projects/{project}" in done.stderr

    def test_checks_that_break_off_exit_with_3(self, home: Home) -> None:
        broken = home.root / "lib" / "sitecustomize.py"
        broken.parent.mkdir()
        broken.write_text(
            "import sys\nif 'jupyter_sessions.doctor' in ' '.join(sys.orig_argv):\n    raise SystemExit('broken')\n"
        )
        done = run("doctor", env={**home.environment(), "PYTHONPATH": str(broken.parent)})
        assert (done.returncode, done.stdout) == (3, "") and "broke off" in done.stderr

    @pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
    def test_a_terminal_has_colours(self, home: Home) -> None:
        ours, theirs = pty.openpty()
        environ = {**home.environment(), "TERM": "xterm", "COLUMNS": "120"}
        environ.pop("NO_COLOR", None)
        home.configure("colour: red\n")
        running = subprocess.Popen(command("doctor"), stdout=theirs, stderr=subprocess.DEVNULL, env=environ)
        os.close(theirs)
        text = b""
        while True:
            try:
                piece = os.read(ours, 65_536)
            except OSError:
                break
            if not piece:
                break
            text += piece
        os.close(ours)
        assert running.wait(60) == 1 and COLOUR.encode() in text
        assert "→ the fields here are locations".encode() in text


class TestToken:
    """``jupyter sessions serve token``."""

    def test_it_prints_the_token_alone_and_keeps_its_hash(self, home: Home) -> None:
        path = home.root / "tokens"
        done = run("serve", "token", "alice", "--tokens", str(path))
        assert done.returncode == 0 and done.stdout.count("\n") == 1
        assert read_tokens(path).user(done.stdout.strip()) == "alice"
        assert done.stdout.strip() not in done.stderr + path.read_text() and str(path) in done.stderr

    def test_without_a_file_it_is_that_of_the_configuration(self, home: Home) -> None:
        done = run("serve", "token", "alice", env=home.environment())
        path = home.root / "config" / "jupyter_sessions" / "tokens"
        assert read_tokens(path).user(done.stdout.strip()) == "alice"
        assert path.parent.stat().st_mode & 0o777 == 0o700

    def test_revoking(self, home: Home) -> None:
        path = home.root / "tokens"
        for _ in range(2):
            run("serve", "token", "alice", "--tokens", str(path))
        done = run("serve", "token", "alice", "--tokens", str(path), "--revoke")
        assert (done.returncode, done.stdout) == (0, "") and "2 tokens of alice revoked" in done.stderr
        assert "sha256:" not in path.read_text().replace("NAME:sha256:HEX", "")
        assert run("serve", "token", "alice", "--tokens", str(path), "--revoke").returncode == 1

    def test_what_it_refuses(self, home: Home) -> None:
        path = home.root / "tokens"
        assert run("serve", "token", "a:b", "--tokens", str(path)).returncode == 2
        done = run("serve", "token", "alice", "--tokens", str(home.root / "nowhere" / "tokens"))
        assert (done.returncode, done.stdout) == (1, "") and "nowhere" in done.stderr
        path.write_text("")
        path.chmod(0o644)
        done = run("serve", "token", "alice", "--tokens", str(path))
        assert (done.returncode, done.stdout, path.read_text()) == (1, "", "") and "chmod 600" in done.stderr
        assert run("serve", "--port", "1", "token", "alice", "--tokens", str(path)).returncode == 2


def test_what_a_server_says_does_not_act_on_the_terminal() -> None:
    made = output.table(("what",))
    made.add_row(output.cell("\x1b[31mred\x1b[0m [bold]x[/bold] \x07\x9b2J\u202e"))
    with redirect_stdout(io.StringIO()) as written:
        output.show(made)
        output.write({"b": "ä", "a": [1]}, output.Format.YAML)
    assert "[bold]x[/bold]" in written.getvalue() and "b: ä\na:" in written.getvalue()
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(written.getvalue())


def test_the_program_that_starts_others_loads_none_of_the_server() -> None:
    code = (
        "import sys, jupyter_sessions.cli.app\n"
        "print(*[n for n in sys.modules if n.startswith(('tornado', 'jupyter_server', 'jupyter_sessions.s', 'pydantic',"
        " 'jupyter_sessions.doctor', 'requests'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []
