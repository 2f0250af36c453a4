"""``jupyter sessions run``: notebooks in sessions, what is written of them, and how a run ends."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bridge.programs import ended, execute, formats, kernels, made_of, printed, write_notebook
from tests.cli.beside import environment, ran, started
from tests.cli.terminals import CTRL_C, terminal
from tests.real.server import RealServer, real_server, wait_for

WAITING = "import time\nprint('begun', flush=True)\nwhile True: time.sleep(0.02)"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    with real_server(tmp_path_factory.mktemp("server")) as running:
        running.create("etl-nightly")
        assert ran(running, "templates", "create", "gpu").returncode == 0
        yield running


def live_of(server: RealServer, template: str) -> list[str]:
    found = made_of(server, template)
    return [one["name"].rpartition("/")[2] for one in found if one["state"] in ("CREATING", "ACTIVE")]


def says(path: Path, words: str) -> bool:
    return path.exists() and words in printed(path)


def test_in_the_main_kernel_of_a_session(server: RealServer, tmp_path: Path) -> None:
    execute(server, "etl-nightly", "x = 20")
    notebook = write_notebook(tmp_path / "report.ipynb", ["x += 1", "", "print('x is', x)", "x"], kernel="other")
    before = notebook.read_bytes()
    done = ran(server, "run", str(notebook), "--session", "etl-nightly")
    assert done.returncode == 0, done.stderr
    target = tmp_path / "report.executed.ipynb"
    assert done.stdout == f"{target}\n"
    (kernel,) = kernels(server, "etl-nightly")
    first, *cells = done.stderr.splitlines()
    assert first == f"session etl-nightly, kernel {kernel['id']}; writing {target}"
    assert [line.split("s  ")[-1].strip() for line in cells] == ["cell 1 of 3", "cell 2 of 3", "cell 3 of 3"]
    assert notebook.read_bytes() == before
    made = formats.read(target, as_version=4)
    assert made.metadata.kernelspec.name == "other"
    assert printed(target) == "x is 21\n"
    assert made.cells[-1].outputs[0]["data"]["text/plain"] == "21"
    assert made.cells[-1].execution_count
    assert execute(server, "etl-nightly", "print(x)") == "21\n"


def test_a_cell_that_fails(server: RealServer, tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "fails.ipynb", ["print('before')", "1 / 0", "print('after')"])
    target = tmp_path / "out.ipynb"
    done = ran(server, "run", str(notebook), "--session", "etl-nightly", "-o", str(target))
    assert done.returncode == 1
    assert "cell 2 of 3 failed" in done.stderr
    assert "ZeroDivisionError" in done.stderr and "\x1b" not in done.stderr
    assert printed(target) == "before\n"
    assert formats.read(target, as_version=4).cells[1].outputs[0].ename == "ZeroDivisionError"
    done = ran(server, "run", str(notebook), "--session", "etl-nightly", "--allow-errors", "--inplace")
    assert done.returncode == 0, done.stderr
    assert printed(notebook) == "before\nafter\n"


def test_in_a_session_made_for_it_which_ends_after(server: RealServer, tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "made.ipynb", ["print(6 * 7)", "1 / 0"])
    done = ran(server, "run", str(notebook), "--template", "gpu")
    assert done.returncode == 1
    assert printed(tmp_path / "made.executed.ipynb") == "42\n"
    assert "CREATING" in done.stderr and "is TERMINATED" in done.stderr
    assert live_of(server, "gpu") == []
    done = ran(server, "run", str(notebook), "--template", "gpu", "--keep", "--session", "kept-gpu")
    assert done.returncode == 1
    assert "jupyter sessions terminate kept-gpu" in done.stderr
    assert server.session("kept-gpu")["state"] == "ACTIVE"
    ran(server, "terminate", "kept-gpu")


def test_a_new_kernel_ends_after(server: RealServer, tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "new.ipynb", ["print('y' in globals())"])
    execute(server, "etl-nightly", "y = 1")
    before = [kernel["id"] for kernel in kernels(server, "etl-nightly")]
    done = ran(server, "run", str(notebook), "--session", "etl-nightly", "--kernel", "new")
    assert done.returncode == 0, done.stderr
    assert printed(tmp_path / "new.executed.ipynb") == "False\n"
    wait_for(lambda: [one["id"] for one in kernels(server, "etl-nightly")] == before, "its kernel to end")


def test_ctrl_c_interrupts_the_cell_and_ends_what_was_made(server: RealServer, tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "long.ipynb", [WAITING, "print('after')"])
    target = tmp_path / "long.executed.ipynb"
    with started(server, "run", str(notebook), "--template", "gpu", "--allow-errors") as running:
        wait_for(lambda: says(target, "begun"), "its output to be written while the cell runs")
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
        assert running.returncode == 130, err
    assert "KeyboardInterrupt" in err and "is TERMINATED" in err
    assert printed(target) == "begun\n"
    assert live_of(server, "gpu") == []


def test_a_second_ctrl_c_lets_go(server: RealServer, tmp_path: Path) -> None:
    deaf = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n{WAITING}"
    notebook = write_notebook(tmp_path / "deaf.ipynb", [deaf])
    with terminal(server, "run", str(notebook), "--template", "gpu") as screen:
        wait_for(lambda: says(tmp_path / "deaf.executed.ipynb", "begun"), "its output to be written")
        screen.type(CTRL_C)
        screen.until("Ctrl-C again lets go of it")
        screen.type(CTRL_C)
        assert screen.end() == 130
        assert "is TERMINATED" in screen.text
    assert live_of(server, "gpu") == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_while_it_starts_leaves_nothing(
    server: RealServer, tmp_path: Path, number: signal.Signals
) -> None:
    notebook = write_notebook(tmp_path / "early.ipynb", ["print(1)"])
    before = len(made_of(server, "gpu"))
    with started(server, "run", str(notebook), "--template", "gpu") as running:
        wait_for(lambda: len(made_of(server, "gpu")) > before, "the session to be made")
        running.send_signal(number)
        running.communicate(timeout=60)
        assert running.returncode == (-number if number is signal.SIGKILL else 128 + number)
    wait_for(lambda: live_of(server, "gpu") == [], "the session to end")


def test_a_session_that_ends_while_it_runs(server: RealServer, tmp_path: Path) -> None:
    server.create("dies-soon")
    notebook = write_notebook(
        tmp_path / "dies.ipynb", ["import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)", WAITING]
    )
    target = tmp_path / "dies.executed.ipynb"
    with started(server, "run", str(notebook), "--session", "dies-soon") as running:
        wait_for(lambda: says(target, "begun"), "the cell to begin")
        ran(server, "terminate", "dies-soon", "--no-wait")
        _, err = running.communicate(timeout=90)
    assert running.returncode == 1
    assert "dies-soon is TERMINA" in err and f"{target} has what came until then" in err
    assert "begun" in printed(target)
    ended(server, "dies-soon")


def test_a_cell_that_takes_too_long(server: RealServer, tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "slow.ipynb", [WAITING])
    done = ran(server, "run", str(notebook), "--session", "etl-nightly", "--timeout", "2")
    assert done.returncode == 1
    assert "took longer than 2 s and was interrupted" in done.stderr and "KeyboardInterrupt" in done.stderr
    assert execute(server, "etl-nightly", "print('free')") == "free\n"


def test_many_lines_are_one_output(server: RealServer, tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "lines.ipynb", ["for i in range(3000): print(i, flush=True)"])
    done = ran(server, "run", str(notebook), "--session", "etl-nightly")
    assert done.returncode == 0, done.stderr
    (one,) = formats.read(tmp_path / "lines.executed.ipynb", as_version=4).cells[0].outputs
    assert one.text == "".join(f"{number}\n" for number in range(3000))


def test_what_cannot_be_run_is_refused(server: RealServer, tmp_path: Path) -> None:
    (tmp_path / "none.ipynb").write_text("no notebook")
    notebook = write_notebook(tmp_path / "one.ipynb", ["1"])
    cases = {
        ("none.ipynb",): (2, "is no notebook"),
        ("missing.ipynb",): (2, "cannot be read"),
        ("one.ipynb", "-o", "one.ipynb"): (2, "say --inplace"),
        ("one.ipynb", "-o", "no/folder.ipynb"): (2, "there is no folder no"),
        ("one.ipynb", "-o", "x.ipynb", "--inplace"): (2, "give one"),
        ("one.ipynb", "--session", "no-such-one"): (1, "there is no session"),
        ("one.ipynb", "--template", "no-such-one"): (1, "no-such-one"),
        ("one.ipynb", "--session", "etl-nightly", "--kernel", "0bad"): (1, "has no kernel '0bad'"),
    }
    for words, (code, said) in cases.items():
        done = ran(server, "run", *words, cwd=tmp_path)
        assert done.returncode == code, (words, done.stderr)
        assert said in " ".join(done.stderr.replace("│", " ").split()), (words, done.stderr)
        assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["none.ipynb", "one.ipynb"]
    assert notebook.exists()
    nowhere = {**environment(server), "JUPYTER_RUNTIME_DIR": str(tmp_path)}
    done = ran(server, "run", "one.ipynb", cwd=tmp_path, env=nowhere)
    assert done.returncode == 1
    assert "no running Jupyter server was found" in done.stderr


def test_a_file_that_cannot_be_written_any_more_stops_the_run(server: RealServer, tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    notebook = write_notebook(
        tmp_path / "one.ipynb", [f"import os; os.rename({str(folder)!r}, {str(folder)!r} + '-')", "1"]
    )
    done = ran(server, "run", str(notebook), "--session", "etl-nightly", "-o", str(folder / "out.ipynb"))
    assert done.returncode == 1
    assert "cannot be written" in done.stderr and "Traceback" not in done.stderr
