"""``jupyter sessions kernels``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.beside import answer, ran
from tests.real.server import RealServer, real_server, wait_for

NAME = "etl-nightly"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    with real_server(tmp_path_factory.mktemp("kernels")) as running:
        running.create(NAME)
        yield running


@pytest.fixture
def two(server: RealServer) -> Iterator[tuple[str, str]]:
    """Give the ids of the session's two kernels, the main one first; the second ends with the test."""
    first = answer(server, "exec", NAME, "1")["kernel"]
    second = answer(server, "exec", NAME, "1", "--kernel", "new")["kernel"]
    yield first, second
    for row in answer(server, "kernels", NAME):
        if row["id"] != first:
            server.jupyter("DELETE", f"kernels/{row['id']}")


def test_a_session_without_a_kernel(server: RealServer) -> None:
    server.create("not-used")
    done = ran(server, "kernels", "not-used")
    assert done.returncode == 0 and "has no kernel yet" in done.stderr
    assert answer(server, "kernels", "not-used") == []
    server.call("DELETE", "projects/local/locations/local/sessions/not-used")


def test_the_table_the_names_and_json(server: RealServer, two: tuple[str, str]) -> None:
    done = ran(server, "kernels", NAME)
    heading, _, *rows = done.stdout.splitlines()
    assert done.returncode == 0 and heading.split()[:3] == ["id", "name", "state"] and len(rows) == 2
    assert [row.split()[0] for row in rows] == list(two)
    assert [row.rstrip().endswith("*") for row in rows] == [True, False] and " MB" in rows[0]
    assert ran(server, "kernels", NAME, "-o", "name").stdout.split() == list(two)
    told = answer(server, "kernels", NAME)
    assert [(row["id"], row["main"]) for row in told] == [(two[0], True), (two[1], False)]
    assert told[0]["usage"]["memory_bytes"] > 0


def test_the_word_list_may_be_said_and_may_be_a_session(server: RealServer, two: tuple[str, str]) -> None:
    for words in (("list", NAME), ("list",)):
        assert ran(server, "kernels", *words, "-o", "name").stdout.split() == list(two)
    stray = ran(server, "kernels", NAME, "other-one")
    assert (stray.returncode, stray.stdout) == (2, "") and "other-one: name one session" in stray.stderr
    server.create("list")
    done = ran(server, "kernels", "list")
    assert done.returncode == 0 and "session list has no kernel yet" in done.stderr
    assert ran(server, "kernels", "list", NAME, "-o", "name").stdout.split() == list(two)
    assert ran(server, "delete", "list").returncode == 0


def test_another_main_kernel(server: RealServer, two: tuple[str, str]) -> None:
    done = ran(server, "kernels", NAME, "--main", two[1][:12])
    assert (done.returncode, done.stdout) == (0, "") and f"{two[1]} is the main kernel" in done.stderr
    assert answer(server, "exec", NAME, "1")["kernel"] == two[1]
    assert [row["main"] for row in answer(server, "kernels", NAME)] == [False, True]
    assert server.session(NAME)["labels"]["main-kernel"] == two[1]
    assert ran(server, "kernels", NAME, "--main", two[0]).returncode == 0


def test_interrupt_restart_and_shutdown(server: RealServer, two: tuple[str, str]) -> None:
    ran(server, "exec", NAME, "kept = 1")
    assert "was interrupted" in ran(server, "kernels", NAME, "--interrupt", "main").stderr
    assert ran(server, "exec", NAME, "kept").returncode == 0
    assert "was restarted" in ran(server, "kernels", NAME, "--restart", two[0]).stderr
    assert "NameError" in ran(server, "exec", NAME, "kept").stderr
    assert "was shut down" in ran(server, "kernels", NAME, "--shutdown", two[1]).stderr
    wait_for(lambda: [row["id"] for row in answer(server, "kernels", NAME)] == [two[0]], "the second kernel to end")


def test_what_is_no_kernel_and_what_is_not_understood(server: RealServer, two: tuple[str, str]) -> None:
    done = ran(server, "kernels", NAME, "--interrupt", "nonsense")
    assert (done.returncode, done.stdout) == (1, "")
    assert "has no kernel 'nonsense'" in done.stderr and two[0] in done.stderr and two[1] in done.stderr
    assert done.stderr.rstrip().endswith("; or say main")
    done = ran(server, "kernels", NAME, "--main", "nonsense")
    assert done.returncode == 1 and "has no kernel 'nonsense'" in done.stderr and "or say" not in done.stderr
    done = ran(server, "kernels", NAME, "--interrupt", "main", "--restart", "main")
    assert done.returncode == 2 and "two acts" in done.stderr
