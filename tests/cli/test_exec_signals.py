"""Ctrl-C and SIGTERM while ``exec`` runs code."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.cli.beside import ran, started
from tests.real.server import RealServer, real_server, wait_for

NAME = "etl-nightly"
WAITS = "import time\nprint('on', flush=True)\nwhile True: time.sleep(0.05)"
STUBBORN = """import time
print('on', flush=True)
while True:
    try:
        time.sleep(0.05)
    except KeyboardInterrupt:
        print('caught', flush=True)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    with real_server(tmp_path_factory.mktemp("exec")) as running:
        running.create(NAME)
        yield running


def line(running: subprocess.Popen[str]) -> str:
    """Give the next line of stdout."""
    assert running.stdout is not None
    return running.stdout.readline()


def interrupt_all(server: RealServer) -> None:
    """Free the main kernel of code that only many interrupts end."""
    code = ran(server, "kernels", NAME, "--restart", "main")
    assert code.returncode == 0, code.stderr


def test_ctrl_c_interrupts_the_code(server: RealServer) -> None:
    with started(server, "exec", NAME, WAITS) as running:
        assert line(running) == "on\n"
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, "")
    assert "KeyboardInterrupt" in err and "time.sleep(0.05)" in err
    assert err.rstrip().endswith(f"interrupted; session {NAME} and its kernel are still there")
    assert ran(server, "exec", "-q", NAME, "'free'").stdout == "'free'\n"


def test_a_second_ctrl_c_lets_go_and_says_what_still_runs(server: RealServer) -> None:
    with started(server, "exec", NAME, STUBBORN) as running:
        assert line(running) == "on\n"
        running.send_signal(signal.SIGINT)
        assert line(running) == "caught\n"
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
    assert running.returncode == 130 and "the code runs on" in err
    assert f"jupyter sessions kernels {NAME} --interrupt " in err and "Traceback" not in err
    interrupt_all(server)


def test_sigterm_lets_go_and_the_command_it_names_stops_the_code(server: RealServer) -> None:
    with started(server, "exec", NAME, WAITS) as running:
        assert line(running) == "on\n"
        running.send_signal(signal.SIGTERM)
        _, err = running.communicate(timeout=60)
    assert running.returncode == 143 and "the code runs on" in err
    words = err.strip().rpartition("jupyter sessions ")[2].split()
    busy = next(row for row in server.jupyter("GET", "kernels") if row["id"] == words[-1])
    assert busy["execution_state"] == "busy"
    assert ran(server, *words).returncode == 0

    def idle() -> bool:
        return bool(server.jupyter("GET", f"kernels/{words[-1]}")["execution_state"] == "idle")

    wait_for(idle, "the kernel to be idle")
    assert ran(server, "exec", "-q", NAME, "'free'").stdout == "'free'\n"


def test_code_that_waits_its_turn_leaves_the_other_alone(server: RealServer) -> None:
    gate = server.home / "gate"
    other = (
        f"import os, time\nprint('on', flush=True)\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.05)\n'whole'"
    )
    with started(server, "exec", "-q", NAME, other) as first:
        assert line(first) == "on\n"
        with started(server, "exec", "-q", NAME, WAITS) as second:
            assert second.stderr is not None and "busy with other code" in second.stderr.readline()
            second.send_signal(signal.SIGINT)
            assert "will be interrupted as it begins" in second.stderr.readline()
            gate.touch()
            _, err = second.communicate(timeout=60)
        out, _ = first.communicate(timeout=60)
    assert (first.returncode, out) == (0, "'whole'\n")
    assert second.returncode == 130 and "KeyboardInterrupt" in err
