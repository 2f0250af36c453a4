"""What ends a bridge, what it interrupts, and what then becomes of kernel and session."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError

from jupyter_sessions.bridge.provisioner import SessionNotStarted
from jupyter_sessions.client import SessionsClient
from tests.bridge.managers import SECONDS, installed, live_beside, managed, printed_by
from tests.bridge.programs import ended, formats, install, kernels, made_of, write_notebook
from tests.cli.beside import environment, ran
from tests.real.kernel import KernelSocket
from tests.real.server import RealServer, wait_for

WAITING = (
    "import pathlib, time\nprint('begun', flush=True)\nwhile not pathlib.Path({path!r}).exists(): time.sleep(0.02)"
)
PROGRAM = """
import sys
from jupyter_client.manager import KernelManager
manager = KernelManager(kernel_name=sys.argv[1])
manager.start_kernel()
print(manager.provisioner.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def beside(server: RealServer, monkeypatch: pytest.MonkeyPatch) -> None:
    live_beside(server, monkeypatch)


def template(server: RealServer, name: str) -> str:
    """Make a template and a kernelspec for it of the same name."""
    assert ran(server, "templates", "create", name).returncode == 0
    install(server, name, "--template", name)
    return name


def begun(client: Any, code: str) -> None:
    """Run code and wait until it has printed something."""
    client.execute(code)
    while client.get_iopub_msg(timeout=SECONDS)["msg_type"] != "stream":
        pass


def test_an_interrupt_reaches_the_kernel(server: RealServer, tmp_path: Path) -> None:
    with managed(installed(server, "interrupted")) as (manager, client):
        begun(client, WAITING.format(path=str(tmp_path / "never")))
        manager.interrupt_kernel()
        while (reply := client.get_shell_msg(timeout=SECONDS))["msg_type"] != "execute_reply":
            pass
        assert reply["content"]["ename"] == "KeyboardInterrupt"
        assert printed_by(client, "print('goes on')") == "goes on\n"


def test_what_others_run_in_a_shared_kernel_is_not_interrupted(server: RealServer, tmp_path: Path) -> None:
    name = installed(server, "shared", "--kernel", "main")
    with SessionsClient() as client, client.session(name) as session, managed(name) as (manager, _):
        execution = session.start(f"{WAITING.format(path=str(tmp_path / 'go'))}\nprint('to the end')")
        assert next(execution).text == "begun\n"
        # What every shutdown by jupyter_client begins with.
        manager.interrupt_kernel()
        manager.shutdown_kernel()
        (tmp_path / "go").touch()
        assert execution.result(SECONDS).text == "begun\nto the end\n"
        assert session.run("print(1)").text == "1\n"


@pytest.mark.parametrize("now", [False, True])
def test_a_session_made_for_a_program_ends_with_its_kernel(server: RealServer, now: bool) -> None:
    name = template(server, f"made-{now}".lower())
    with managed(name) as (manager, client):
        assert printed_by(client, "print(1)") == "1\n"
        manager.shutdown_kernel(now=now)
    (session,) = made_of(server, name)
    ended(server, session["name"].rpartition("/")[2])


def test_what_was_made_ends_with_a_program_that_is_killed(server: RealServer) -> None:
    name = template(server, "orphaned")
    words = [sys.executable, "-c", PROGRAM, name]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(server), text=True
    ) as program:
        assert program.stdout is not None
        bridge = psutil.Process(int(program.stdout.readline()))
        (session,) = made_of(server, name)
        program.send_signal(signal.SIGKILL)
        ended(server, session["name"].rpartition("/")[2])
        bridge.wait(SECONDS)


def test_a_restart_gives_a_new_kernel_of_the_same_session(server: RealServer) -> None:
    name = installed(server, "restarted")
    with managed(name) as (manager, client):
        printed_by(client, "x = 1")
        (before,) = [kernel["id"] for kernel in kernels(server, name)]
        manager.restart_kernel()
        client.wait_for_ready(timeout=SECONDS)
        assert printed_by(client, "print(globals().get('x'))") == "None\n"
        (after,) = [kernel["id"] for kernel in kernels(server, name)]
        assert after != before


def test_a_restart_of_the_shared_kernel_restarts_it(server: RealServer) -> None:
    name = installed(server, "restarted-main", "--kernel", "main")
    with managed(name) as (manager, client):
        printed_by(client, "x = 1")
        before = [kernel["id"] for kernel in kernels(server, name)]
        manager.restart_kernel()
        client.wait_for_ready(timeout=SECONDS)
        assert printed_by(client, "print(globals().get('x'))") == "None\n"
        assert [kernel["id"] for kernel in kernels(server, name)] == before
    assert [kernel["id"] for kernel in kernels(server, name)] == before


def test_a_session_that_ends_is_a_dead_kernel_with_a_reason(
    server: RealServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name = installed(server, "dies")
    # So that the session's end is not taken for an interrupt.
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + WAITING.format(
        path=str(tmp_path / "never")
    )
    path = write_notebook(tmp_path / "long.ipynb", [code])
    notebook = formats.read(path, as_version=4)
    run = NotebookClient(notebook, kernel_name=name)

    def end_once_begun() -> None:
        wait_for(lambda: any(one["execution_state"] == "busy" for one in kernels(server, name)), "the cell to begin")
        ran(server, "terminate", name, "--no-wait")

    ending = threading.Thread(target=end_once_begun)
    ending.start()
    try:
        with pytest.raises(DeadKernelError):
            run.execute()
    finally:
        ending.join(SECONDS)
    assert "dies is TERMINA" in capfd.readouterr().err
    assert "dies is TERMINA" in notebook.cells[0].outputs[-1].text, "whoever reads the notebook is told too"


def test_a_kernel_that_dies_is_a_dead_kernel(server: RealServer) -> None:
    with managed(installed(server, "dying")) as (manager, client):
        client.execute("import os; os._exit(1)")
        wait_for(lambda: not manager.is_alive(), "the bridge to end")
        assert "the kernel" in manager.provisioner.reason


def test_a_shared_kernel_that_is_killed_is_a_dead_kernel_and_goes_on_anew(server: RealServer) -> None:
    name = installed(server, "killed-main", "--kernel", "main")
    with managed(name) as (manager, client):
        pid = int(printed_by(client, "import os; x = 1; print(os.getpid())"))
        before = [kernel["id"] for kernel in kernels(server, name)]
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not manager.is_alive(), "the bridge to end")
        assert "its variables are gone" in manager.provisioner.reason
        with managed(name) as (_, other):
            assert printed_by(other, "print(globals().get('x'))") == "None\n"
    assert [kernel["id"] for kernel in kernels(server, name)] == before


def test_output_goes_on_once_a_server_that_was_away_is_back(server: RealServer, tmp_path: Path) -> None:
    with managed(installed(server, "left")) as (_, client):
        begun(client, f"{WAITING.format(path=str(tmp_path / 'go'))}\nprint('to the end')")
        server.kill()
        server.start()
        (tmp_path / "go").touch()
        text = ""
        while "to the end" not in text:
            text += client.get_iopub_msg(timeout=SECONDS)["content"].get("text", "")
        assert text.count("the connection broke while the code ran: some of its output may be missing\n") == 1
        assert printed_by(client, "print('goes on')") == "goes on\n"


def test_a_server_that_is_not_there_is_said_in_words(server: RealServer, monkeypatch: pytest.MonkeyPatch) -> None:
    name = installed(server, "nowhere")
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(server.home / "empty"))
    manager = KernelManager(kernel_name=name)
    with pytest.raises(SessionNotStarted, match="no running Jupyter server was found") as ended:
        manager.start_kernel()
    ended.match("install the kernelspec with --url")
    assert not manager.has_kernel
    manager.cleanup_resources()
    manager.context.destroy(0)


def test_a_template_and_a_config_that_are_faulty_are_said_in_words(server: RealServer) -> None:
    folder = server.home / "data" / "kernels" / "faulty"
    folder.mkdir(parents=True)
    provisioner = {"provisioner_name": "jupyter-sessions-provisioner", "config": {}}
    spec = {"argv": ["x"], "display_name": "x", "language": "x", "metadata": {"kernel_provisioner": provisioner}}
    for config, words in (({}, "name a session, or a template"), ({"template": "no-such"}, "no-such")):
        provisioner["config"] = config
        (folder / "kernel.json").write_text(json.dumps(spec))
        manager = KernelManager(kernel_name="faulty")
        with pytest.raises(SessionNotStarted, match=words):
            manager.start_kernel()
        manager.cleanup_resources()
        manager.context.destroy(0)


def test_a_server_starts_such_a_kernelspec_as_its_own_kernel(server: RealServer) -> None:
    name = installed(server, "from-lab")
    model = server.jupyter("POST", "kernels", {"name": name})
    socket = KernelSocket(server, model["id"])
    socket.ready()
    assert socket.text("print(6 * 7)") == "42\n"
    (kernel,) = kernels(server, name)
    assert kernel["id"] != model["id"]
    server.jupyter("DELETE", f"kernels/{model['id']}")
    wait_for(lambda: kernels(server, name) == [], "its kernel to end")


def test_a_connection_file_that_is_none_is_said_in_words(server: RealServer, tmp_path: Path) -> None:
    module = [sys.executable, "-m", "jupyter_sessions.bridge", "--session", "any"]
    (tmp_path / "file").write_text('{"key": 1}')
    for file, words in ((tmp_path / "none", "cannot be read"), (tmp_path / "file", "must give key, shell_port")):
        done = subprocess.run([*module, "-f", str(file)], capture_output=True, text=True, timeout=SECONDS)
        assert done.returncode == 1
        assert words in done.stderr
        assert os.linesep.join(done.stderr.splitlines()[1:]) == ""
