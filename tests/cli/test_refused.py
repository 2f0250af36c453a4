"""What commands say where they cannot do what was asked: which word is at fault, and what to do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.beside import ran
from tests.real.server import RealServer, real_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    with real_server(tmp_path_factory.mktemp("refused")) as running:
        yield running


def said(text: str) -> str:
    """Give what stands in the box of a usage error as one line."""
    return " ".join(text.replace("│", " ").split())


@pytest.mark.parametrize("option", ["--ttl", "--idle-ttl"])
@pytest.mark.parametrize(
    "words",
    [
        ("create", "etl-nightly"),
        ("extend", "etl-nightly"),
        ("templates", "create", "gpu"),
        ("templates", "update", "gpu"),
    ],
)
def test_a_length_that_is_none_is_not_understood(server: RealServer, words: tuple[str, ...], option: str) -> None:
    done = ran(server, *words, option, "never")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{option}: must be seconds, or a number with s, m, h or d" in said(done.stderr)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("get", "nobody"), "jupyter sessions list"),
        (("exec", "nobody", "1"), "jupyter sessions list"),
        (("terminate", "nobody"), "jupyter sessions list"),
        (("delete", "nobody"), "jupyter sessions list"),
        (("create", "etl-nightly", "--template", "nothing"), "jupyter sessions templates list"),
        (("templates", "get", "nothing"), "jupyter sessions templates list"),
        (("operations", "get", "nothing"), "jupyter sessions operations list"),
    ],
)
def test_a_name_that_is_none_says_what_lists_them(server: RealServer, words: tuple[str, ...], hint: str) -> None:
    done = ran(server, *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(f"does not exist; to see what there is: {hint}\n")


def test_an_empty_list_of_kernelspecs_is_talk(server: RealServer) -> None:
    done = ran(server, "kernelspec", "list")
    assert (done.returncode, done.stdout) == (0, "") and "there is none yet" in done.stderr


def test_the_doctor_is_called_by_its_own_name(server: RealServer) -> None:
    done = ran(server, "doctor", "--location", "nope")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: jupyter sessions doctor" in done.stderr and "python -m" not in done.stderr
    assert "--location nope: must be projects/{project}/locations/{location}" in said(done.stderr)


@pytest.mark.parametrize("words", [("upload",), ("download",), ("kernelspec", "remove")])
def test_what_may_be_several_is_shown_so_once(server: RealServer, words: tuple[str, ...]) -> None:
    usage = next(line for line in ran(server, *words, "--help").stdout.splitlines() if "Usage" in line)
    assert usage.rstrip().endswith("...") and usage.count("...") == 1 and "…" not in usage


@pytest.mark.parametrize(
    ("words", "said_"),
    [
        (("create", "Bad_Name"), "NAME: must be an id of 4 to 63"),
        (("create", "foo"), "NAME: must be an id of 4 to 63"),
        (("create", "etl-nightly", "--ttl", "1s"), "--ttl: must be"),
        (("create", "etl-nightly", "--idle-ttl=99d"), "--idle-ttl: must be"),
        (("create", "etl-nightly", "-l", "Team=FX"), "-l Team: "),
        (("create", "etl-nightly", "--label", "bad"), "--label bad: write --label NAME=VALUE"),
        (("create", "etl-nightly", "--kernel", "lua"), "--kernel: must be"),
    ],
)
def test_a_faulty_word_is_called_by_its_own_name(server: RealServer, words: tuple[str, ...], said_: str) -> None:
    done = ran(server, *words)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert said_ in said(done.stderr) and "executionConfig" not in done.stderr and "sessionId" not in done.stderr


def test_a_faulty_field_of_a_file_keeps_its_name(server: RealServer) -> None:
    text = "environmentConfig: {executionConfig: {ttl: 1s}}\n"
    done = ran(server, "create", "etl-nightly", "--file", "-", "--label", "team=fx", stdin=text)
    assert done.returncode == 1 and done.stderr.startswith("environmentConfig.executionConfig.ttl: ")


def test_a_server_that_takes_no_token_says_how_a_terminal_gives_one(server: RealServer) -> None:
    done = ran(server, "list", "--url", server.url, env={"JUPYTER_SESSIONS_TOKEN": "not-the-one"})
    assert (done.returncode, done.stdout) == (1, "")
    assert "JUPYTER_SESSIONS_TOKEN" in done.stderr and "jupyter_sessions_serve/serve.token" in done.stderr
    assert "pass token=" not in done.stderr
