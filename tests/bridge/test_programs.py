"""Programs that know nothing of sessions run their code in one, by its kernelspec."""

from __future__ import annotations

from tests.bridge.programs import (
    ended,
    execute,
    install,
    kernels,
    made_of,
    printed,
    program,
    write_notebook,
)
from tests.cli.beside import ran
from tests.real.server import RealServer, wait_for

WHERE = "import os; print('session is', os.environ.get('JUPYTER_SESSIONS_MARK') is not None)"


def template(server: RealServer, name: str) -> None:
    done = ran(server, "templates", "create", name)
    assert done.returncode == 0, done.stderr


def test_papermill_has_a_kernel_of_its_own_in_a_session(server: RealServer) -> None:
    server.create("for-papermill")
    execute(server, "for-papermill", "x = 1")
    install(server, "for-papermill")
    write_notebook(server.root / "in.ipynb", ["x = globals().get('x', 2)", WHERE, "print('x is', x)"])
    before = [kernel["id"] for kernel in kernels(server, "for-papermill")]
    done = program(server, "papermill", "in.ipynb", "out.ipynb", "-k", "for-papermill", "-p", "y", "3")
    assert done.returncode == 0, done.stderr
    assert printed(server.root / "out.ipynb") == "session is True\nx is 2\n"
    wait_for(lambda: [one["id"] for one in kernels(server, "for-papermill")] == before, "its kernel to end")
    assert execute(server, "for-papermill", "print(x)") == "1\n"


def test_papermill_in_a_session_made_of_a_template_which_ends_after(server: RealServer) -> None:
    template(server, "nightly")
    install(server, "made", "--template", "nightly")
    write_notebook(server.root / "in.ipynb", [WHERE])
    done = program(server, "papermill", "in.ipynb", "made.ipynb", "-k", "made")
    assert done.returncode == 0, done.stderr
    assert printed(server.root / "made.ipynb") == "session is True\n"
    (session,) = made_of(server, "nightly")
    assert session["name"].rpartition("/")[2].startswith("nightly-")
    ended(server, session["name"].rpartition("/")[2])


def test_papermill_whose_cell_fails_ends_the_session_it_made(server: RealServer) -> None:
    template(server, "failing")
    install(server, "failing", "--template", "failing")
    write_notebook(server.root / "fails.ipynb", ["1 / 0"])
    done = program(server, "papermill", "fails.ipynb", "failed.ipynb", "-k", "failing")
    assert done.returncode != 0
    assert "ZeroDivisionError" in done.stderr
    (session,) = made_of(server, "failing")
    ended(server, session["name"].rpartition("/")[2])


def test_a_session_of_a_given_name_is_made_again_once_it_has_ended(server: RealServer) -> None:
    template(server, "again")
    install(server, "again", "--template", "again", "--session", "made-again")
    write_notebook(server.root / "again.ipynb", ["print('done')"])
    for _ in range(2):
        done = program(server, "papermill", "again.ipynb", "again-out.ipynb", "-k", "again")
        assert done.returncode == 0, done.stderr
        assert printed(server.root / "again-out.ipynb") == "done\n"
        ended(server, "made-again")
    assert len(made_of(server, "again")) == 1


def test_jupyter_run_and_execute_share_the_main_kernel(server: RealServer) -> None:
    server.create("for-run")
    execute(server, "for-run", "x = 20")
    install(server, "run-main", "--session", "for-run", "--kernel", "main")
    (server.root / "code.py").write_text("x += 1\nprint('x is', x)\n")
    done = program(server, "jupyter", "run", "--kernel", "run-main", "code.py")
    assert (done.returncode, done.stdout) == (0, "x is 21\n"), done.stderr
    write_notebook(server.root / "executed.ipynb", ["x += 1\nprint('x is', x)"], kernel="run-main")
    done = program(server, "jupyter", "execute", "--inplace", "executed.ipynb")
    assert done.returncode == 0, done.stderr
    assert printed(server.root / "executed.ipynb") == "x is 22\n"
    assert execute(server, "for-run", "print(x)") == "22\n", "the main kernel goes on"


def test_jupyter_console_leaves_the_main_kernel_alone(server: RealServer) -> None:
    server.create("for-console")
    execute(server, "for-console", "x = 20")
    install(server, "console-main", "--session", "for-console", "--kernel", "main")
    words = ("console", "--kernel", "console-main", "--simple-prompt", "--no-confirm-exit")
    done = program(server, "jupyter", *words, stdin="x += 1\nprint('x is', x)\n")
    assert done.returncode == 0, done.stderr
    assert "x is 21" in done.stdout
    assert execute(server, "for-console", "print(x)") == "21\n"


def test_a_kernelspec_without_a_provisioner_does_for_any_environment(server: RealServer) -> None:
    server.create("for-others")
    install(server, "for-others", "--portable")
    done = program(server, "jupyter", "run", "--kernel", "for-others", stdin="print(6 * 7)")
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr
    wait_for(lambda: kernels(server, "for-others") == [], "its kernel to end")


def test_why_no_kernel_started_is_said_in_words(server: RealServer) -> None:
    server.create("ends-soon")
    install(server, "ends-soon")
    ran(server, "terminate", "ends-soon")
    write_notebook(server.root / "in.ipynb", ["1"])
    done = program(server, "papermill", "in.ipynb", "out.ipynb", "-k", "ends-soon")
    assert done.returncode != 0
    assert "ends-soon is TERMINATED" in done.stderr
    ran(server, "delete", "ends-soon", "--yes")
    done = program(server, "jupyter", "run", "--kernel", "ends-soon", stdin="1")
    assert done.returncode != 0
    assert "there is no session" in done.stderr
