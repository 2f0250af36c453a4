"""The words after the magics: parsed, refused and completed; the tables and what they escape."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from jupyter_sessions.client.discovery import CHOOSE
from jupyter_sessions.client.errors import ServerNotFound
from jupyter_sessions.magics import arguments, cell, table
from jupyter_sessions.magics.arguments import HelpShown
from jupyter_sessions.magics.commands import COMMANDS, cell_help, overview
from jupyter_sessions.magics.failures import in_words
from jupyter_sessions.magics.front import Front
from jupyter_sessions.magics.matching import remote_part
from jupyter_sessions.model.errors import InvalidArgument, NotFound
from jupyter_sessions.model.resources import EnvironmentConfig, ExecutionConfig, Session
from jupyter_sessions.model.states import State
from jupyter_sessions.model.times import SECOND

NOW = 1_700_000_000 * SECOND
PARENT = "projects/local/locations/local/sessions"


def session(name: str, state: State, **fields: object) -> Session:
    """Make a session that has been in its state for 90 s."""
    return Session(name=f"{PARENT}/{name}", state=state, state_time=NOW - 90 * SECOND, **fields)  # type: ignore[arg-type] # fields of a model, by name


def test_every_command_has_help_with_its_example() -> None:
    for command in COMMANDS.values():
        with pytest.raises(HelpShown) as shown:
            arguments.parse(command.parser(), ["--help"])
        text = str(shown.value)
        assert text.startswith(f"usage: %session {command.name}"), text
        assert f"Example: {command.example}" in text
        assert command.name in overview()
    assert "usage: %%session" in cell_help() and "Example: %%session etl-nightly -i limit -o total" in cell_help()


def test_a_fault_is_words_and_ends_no_program() -> None:
    with pytest.raises(InvalidArgument, match=r"More: %%session\?$"):
        arguments.parse(cell.parser(), ["--bogus"])
    with pytest.raises(InvalidArgument, match=r"%session create: unrecognized arguments: --bogus"):
        arguments.parse(COMMANDS["create"].parser(), ["etl-nightly", "--bogus"])
    with pytest.raises(InvalidArgument, match=r"%session logs: argument --tail: invalid int value: 'x'"):
        arguments.parse(COMMANDS["logs"].parser(), ["--tail", "x"])
    with pytest.raises(InvalidArgument, match="close each quote"):
        arguments.split("create 'x", "%session")


@pytest.mark.parametrize(("text", "count"), [("500", 500), ("1k", 1000), ("1.5Mi", 1_572_864), ("2GB", 2_000_000_000)])
def test_sizes(text: str, count: int) -> None:
    assert arguments.size(text) == count


def test_a_faulty_size_and_a_faulty_pair_say_the_rule() -> None:
    with pytest.raises(InvalidArgument, match="--limit: must be bytes, or a number with K, M, G"):
        arguments.size("many")
    with pytest.raises(InvalidArgument) as caught:
        arguments.pairs(["a=b", "c", "=d"], "--label")
    assert [fault.description for fault in caught.value.violations] == [
        "must be KEY=VALUE, not 'c'",
        "must be KEY=VALUE, not '=d'",
    ]
    assert arguments.pairs(["a=b=c", "d="], "--label") == {"a": "b=c", "d": ""}


def test_options_stand_anywhere() -> None:
    asked = arguments.parse(cell.parser(), "-i a etl-nightly -i b -o c --background run --quiet".split())
    assert (asked.name, asked.input, asked.output, asked.background) == ("etl-nightly", ["a", "b"], ["c"], "run")
    assert arguments.parse(cell.parser(), ["--background"]).background == ""


def test_the_table_says_states_in_words_with_icons_and_colours_and_escapes_all() -> None:
    limits = EnvironmentConfig(execution_config=ExecutionConfig(ttl=3_600 * SECOND, idle_ttl=600 * SECOND))
    found = [
        session("live-one", State.ACTIVE, labels={"a": "b"}, environment_config=limits),
        session("bad-one", State.FAILED, state_message="<script>alert(1)</script>\x1b[31m"),
    ]
    made = table.sessions(found, NOW, attached=f"{PARENT}/live-one")
    html, plain = made.html(), made.plain()
    assert "<script>" not in html and "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "var(--jp-success-color1, #" in html and "var(--jp-error-color1, #" in html
    assert '<span aria-hidden="true">●</span> ACTIVE' in html
    lines = plain.splitlines()
    assert lines[0].split() == ["SESSION", "STATE", "FOR", "ENDS", "LABELS", "MESSAGE"]
    assert ">labels<" in html and ">location<" not in html, "a column that says nothing is left out"
    assert lines[1].startswith("live-one *  ● ACTIVE  1 m 30 s")
    assert "in 58 m 30 s, or after 10 m idle  a:b" in lines[1]
    assert lines[2].startswith("bad-one     ✕ FAILED  1 m 30 s ago")
    assert "\x1b" not in plain, "what a session says is not acted on by a terminal"
    assert "\x1b[32m● ACTIVE" in made.plain(colours=True)


def test_what_a_server_says_is_not_acted_on_by_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NotFound) as caught, in_words():
        raise NotFound("red \x1b[31m, red \x9b31m")
    # Any: the attribute is there for IPython alone.
    shown: Any = caught.value
    assert shown._render_traceback_() == ["NotFound: red �[31m, red �31m"]
    Front(SimpleNamespace()).mention("red \x1b[31m")
    assert capsys.readouterr().err == "red �[31m\n"
    assert "\x1b" not in table.Table((), (), ("red \x1b[31m",)).plain()


def test_many_ended_sessions_are_counted_not_shown() -> None:
    found = [session(f"ended-{n}", State.TERMINATED) for n in range(9)]
    assert "4 more have ended: %session list --all" in table.sessions(found, NOW).plain()
    assert "more have ended" not in table.sessions(found, NOW, all_ended=True).plain()
    assert "%session create NAME" in table.sessions([], NOW).plain()


def test_what_of_a_cell_is_remote() -> None:
    remote = remote_part("%%session etl-nightly --quiet\nx.\ny")
    assert remote is not None and (remote.line.strip(), remote.code) == ("etl-nightly --quiet", "x.\ny")
    assert remote_part("%%session\nx") is not None
    for other in ("%%sessions a\nx", "x\n%%session a\nx", "%session a\nx", "%%session a"):
        assert remote_part(other) is None


def test_no_server_is_said_with_what_a_cell_can_do() -> None:
    with pytest.raises(ServerNotFound) as ended, in_words():
        raise ServerNotFound(f"no server; {CHOOSE}")
    (line,) = ended.value.__dict__["_render_traceback_"]()
    assert line.endswith("no server; use %session connect --url URL, or set JUPYTER_SESSIONS_URL")
