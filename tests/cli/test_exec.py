"""``jupyter sessions exec``: code, its output and its exit code."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cli.beside import answer, environment, ran, read_terminal
from tests.cli.running import command
from tests.real.server import PARENT, RealServer, real_server

NAME = "etl-nightly"
LINES = 100_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    with real_server(tmp_path_factory.mktemp("exec")) as running:
        running.create(NAME)
        yield running


def test_output_goes_where_it_belongs_and_the_kernel_is_named(server: RealServer) -> None:
    done = ran(server, "exec", NAME, "import sys; print('out'); print('err', file=sys.stderr); 1 + 1")
    (kernel,) = answer(server, "kernels", NAME)
    assert (done.returncode, done.stdout) == (0, "out\n2\n")
    assert done.stderr == f"session {NAME}, kernel {kernel['id']}\nerr\n"


def test_one_word_is_the_code_where_one_session_is_live(server: RealServer) -> None:
    assert ran(server, "exec", "-q", "shared = 41").returncode == 0
    done = ran(server, "exec", "-q", "shared + 1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "42\n", "")


def test_code_from_a_file_and_from_stdin(server: RealServer, tmp_path: Path) -> None:
    file = tmp_path / "job.py"
    file.write_text("for i in range(3):\n    print(i, 'ä')\n")
    wanted = "0 ä\n1 ä\n2 ä\n"
    for words in (("-f", str(file)), (NAME, "-f", str(file))):
        assert ran(server, "exec", "-q", *words).stdout == wanted
    for piped in (("-",), (NAME, "-"), (NAME, "-f", "-")):
        assert ran(server, "exec", "-q", *piped, stdin=file.read_text()).stdout == wanted


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "there is no code"),
        ((NAME,), "is a live session's name and there is no code"),
        ((NAME, "1", "2"), "too many"),
        ((NAME, "1", "-f", "x.py"), "a session's name alone goes with --file"),
        ((NAME, "-f", "nowhere.py"), "cannot be read from nowhere.py"),
        ((NAME, "1", "--timeout", "soon"), "seconds, or a number with s, m, h or d"),
    ],
)
def test_what_is_not_understood(server: RealServer, words: tuple[str, ...], said: str) -> None:
    done = ran(server, "exec", *words)
    assert (done.returncode, done.stdout) == (2, "") and said in " ".join(done.stderr.replace("│", " ").split())


def test_code_that_fails_exits_with_1_and_shows_the_remote_traceback(server: RealServer) -> None:
    done = ran(server, "exec", NAME, "def f():\n    return 1 / 0\nprint('before')\nf()")
    assert (done.returncode, done.stdout) == (1, "before\n")
    assert "ZeroDivisionError: division by zero" in done.stderr and "return 1 / 0" in done.stderr
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize(
    ("code", "exits", "says"),
    [
        ("sys.exit()", 0, ""),
        ("sys.exit(0)", 0, ""),
        ("sys.exit(3)", 3, ""),
        ("sys.exit('no input')", 1, "no input\n"),
        ("raise SystemExit(256 + 7)", 7, ""),
    ],
)
def test_sys_exit_is_the_exit_code(server: RealServer, code: str, exits: int, says: str) -> None:
    done = ran(server, "exec", NAME, f"import sys; {code}")
    assert (done.returncode, done.stdout) == (exits, "") and done.stderr.endswith(says)
    assert "Traceback" not in done.stderr and "SystemExit" not in done.stderr and "UserWarning" not in done.stderr


@pytest.mark.parametrize("flush", [False, True])
def test_100_000_lines_come_whole_and_in_order(server: RealServer, flush: bool) -> None:
    done = ran(server, "exec", "-q", NAME, f"for i in range({LINES}): print(i, flush={flush})")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(i) for i in range(LINES)]


def test_json_and_yaml_hold_kernel_session_outputs_result_and_error(server: RealServer) -> None:
    code = "print('a'); print('b'); from IPython.display import HTML, display; display(HTML('<b>c</b>')); 6 * 7"
    told = answer(server, "exec", NAME, code)
    (kernel,) = answer(server, "kernels", NAME)
    assert (told["kernel"], told["session"], told["status"]) == (kernel["id"], f"{PARENT}/sessions/{NAME}", "ok")
    kinds = [row["output_type"] for row in told["outputs"]]
    assert kinds == ["stream", "display_data", "execute_result"] and told["outputs"][0]["text"] == "a\nb\n"
    assert told["outputs"][1]["data"]["text/html"] == "<b>c</b>"
    assert told["result"]["text/plain"] == "42" and told["error"] is None
    failed = ran(server, "exec", NAME, "1 / 0", "-o", "yaml")
    told = yaml.safe_load(failed.stdout)
    assert failed.returncode == 1 and told["status"] == "error" and told["result"] is None
    assert told["error"]["ename"] == "ZeroDivisionError" and told["error"]["traceback"]


def test_an_updated_display_stands_once_in_json(server: RealServer) -> None:
    code = "h = display(1, display_id=True); h.update(2)"
    (row,) = answer(server, "exec", NAME, code)["outputs"]
    assert row["data"]["text/plain"] == "2" and "transient" not in row


def test_what_was_cleared_is_not_in_json(server: RealServer) -> None:
    code = (
        "from IPython.display import clear_output, display\nprint(1)\nclear_output()\ndisplay(2)\n"
        "clear_output(wait=True)\nprint(3)\nclear_output(wait=True)"
    )
    assert answer(server, "exec", NAME, code)["outputs"] == [{"output_type": "stream", "name": "stdout", "text": "3\n"}]


def test_another_kernel(server: RealServer) -> None:
    ran(server, "exec", NAME, "mine = 'main'")
    told = answer(server, "exec", NAME, "'mine' in dir()", "--kernel", "new")
    assert told["result"]["text/plain"] == "False"
    again = answer(server, "exec", NAME, "1", "--kernel", told["kernel"])
    assert again["kernel"] == told["kernel"]
    server.jupyter("DELETE", f"kernels/{told['kernel']}")
    done = ran(server, "exec", NAME, "1", "--kernel", "nonsense")
    assert (done.returncode, done.stdout) == (1, "") and "nonsense" in done.stderr


def test_a_timeout_interrupts_and_says_so(server: RealServer) -> None:
    done = ran(
        server, "exec", NAME, "import time\nprint('on', flush=True)\nwhile True: time.sleep(0.05)", "--timeout", "2s"
    )
    assert (done.returncode, done.stdout) == (1, "on\n")
    assert "KeyboardInterrupt" in done.stderr and "longer than 2 s" in done.stderr
    assert ran(server, "exec", "-q", NAME, "1").stdout == "1\n"


def test_no_such_session(server: RealServer) -> None:
    done = ran(server, "exec", "nobody-here", "1")
    assert (done.returncode, done.stdout) == (1, "") and "nobody-here" in done.stderr


def test_input_is_refused_where_nobody_can_answer(server: RealServer) -> None:
    done = ran(server, "exec", NAME, "input('name? ')")
    assert done.returncode == 1 and "StdinNotImplementedError" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_a_terminal_answers_input_and_has_coloured_tracebacks(server: RealServer) -> None:
    ours, theirs = pty.openpty()
    environ = {**environment(server), "TERM": "xterm"}
    code = "print('hello', input('name? '))\n1 / 0"
    with subprocess.Popen(
        command("exec", NAME, code), stdin=theirs, stdout=theirs, stderr=theirs, env=environ
    ) as running:
        os.close(theirs)
        seen = b""
        while b"name? " not in seen:
            seen += os.read(ours, 1024)
        os.write(ours, b"Ada\n")
        text = read_terminal(ours)
    os.close(ours)
    assert running.returncode == 1 and "hello Ada" in text and "\x1b[" in text


def test_a_reader_that_leaves_interrupts_the_code(server: RealServer) -> None:
    code = "import itertools\nfor i in itertools.count(): print(i, flush=True)"
    words = command("exec", NAME, code)
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(server)
    ) as run:
        assert run.stdout is not None and run.stderr is not None
        assert run.stdout.readline() == "0\n"
        run.stdout.close()
        said = run.stderr.read()
    assert run.returncode == 1 and "nobody reads stdout any more" in said and "Traceback" not in said
    assert json.loads(ran(server, "exec", NAME, "1", "-o", "json").stdout)["status"] == "ok"
