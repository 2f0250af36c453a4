"""``jupyter sessions exec``: runs code in a session's kernel, as if it ran here."""

from __future__ import annotations

import enum
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jupyter_sessions.cli import completion, output
from jupyter_sessions.cli.connection import LocationOption, Misused, UrlOption, connect
from jupyter_sessions.cli.description import DURATION, seconds
from jupyter_sessions.cli.readiness import ready_handle

if TYPE_CHECKING:
    from jupyter_sessions.client.client import SessionsClient

EXAMPLE = (
    "Examples: `jupyter sessions exec etl-nightly 'print(len(df))'`; `jupyter sessions exec -f job.py`; "
    "`echo 'x = 1' | jupyter sessions exec etl-nightly -`"
)
EXITS = (
    "Exit codes: 0 the code ended well, 1 it raised or could not be run, 2 not understood, 130 interrupted by Ctrl-C, "
    "143 let go of by SIGTERM; after sys.exit(n) it is n."
)
STDIN = "-"

app = typer.Typer(rich_markup_mode="markdown")


class Answer(str, enum.Enum):
    """How what came of the code is written."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


@app.command(name="exec", epilog=f"{EXAMPLE}\n\n{EXITS}")
def execute(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME] CODE",
            help="The session, which may be left out where one is live, and the code; - is stdin.",
            autocompletion=completion.sessions,
        ),
    ] = None,
    file: Annotated[str, typer.Option("--file", "-f", metavar="FILE", help="Run this file's code; - is stdin.")] = "",
    kernel: Annotated[
        str, typer.Option(metavar="ID|new|main", help="Which kernel: by its id, a new one (it stays), or the main one.")
    ] = "main",
    timeout: Annotated[
        str, typer.Option(metavar="DURATION", help=f"Interrupt the code after so long: {DURATION}.")
    ] = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Do not name the session and the kernel.")] = False,
    form: Annotated[Answer, typer.Option("-o", "--output", help="How to write what came of it.")] = Answer.TEXT,
    url: UrlOption = "",
    location: LocationOption = "",
) -> None:
    """Run code in a session's kernel: its stdout and stderr come as they are made, its success is the exit code.

    Variables are shared with whatever else uses the kernel. Displayed results are written as text. Ctrl-C interrupts
    the code; a second one lets go of it, and it runs on. What input() asks is answered from the terminal.
    """
    from jupyter_sessions.cli.attending import as_json, attend

    asked = Asked.read(words or [], file)
    limit = seconds(timeout)
    text = form is Answer.TEXT
    with connect(url, location) as client:
        asked.check(client)
        code = asked.code()
        with ready_handle(client, asked.name) as session:
            connection = session.connect(kernel)
            if not quiet:
                output.say(f"session {session.id}, kernel {connection.kernel_id}")
            asks = asked.source != STDIN and sys.stdin is not None and sys.stdin.isatty()
            attended = attend(session, connection, code, text=text, asks=asks, limit=limit)
    if not text:
        output.write(as_json(attended), output.Format(form.value))
    raise typer.Exit(attended.code)


@dataclass(frozen=True)
class Asked:
    """Which session and which code: ``source`` is a file's path or ``-``, empty where ``given`` is the code."""

    name: str | None
    given: str
    source: str

    @staticmethod
    def read(words: Sequence[str], file: str) -> Asked:
        """Read the words of the command; raises Misused."""
        most = 1 if file else 2
        if len(words) > most:
            rule = (
                "a session's name alone goes with --file" if file else "write a session's name and the code in quotes"
            )
            raise Misused(f"{len(words)} words are too many: {rule}")
        if file:
            return Asked(words[0] if words else None, "", file)
        if not words:
            raise Misused("there is no code: write it in quotes, name a file with -f, or - for stdin")
        *names, code = words
        return Asked(names[0] if names else None, "" if code == STDIN else code, STDIN if code == STDIN else "")

    def check(self, client: SessionsClient) -> None:
        """Raise Misused where the only word is no code but the name of a live session."""
        from jupyter_sessions.client.client import LIVE
        from jupyter_sessions.model.errors import SessionsError

        if self.name is not None or self.source:
            return
        try:
            live = client.calls.get_session(client.name(self.given), hint=False).state in LIVE
        except SessionsError:
            return
        if live:
            raise Misused(
                f"{self.given} is a live session's name and there is no code: write it behind the name, name a file "
                f"with -f, or - for stdin; to run {self.given!r} as code, write the session's name before it"
            )

    def code(self) -> str:
        """Give the code; raises Misused for a file that cannot be read."""
        if not self.source:
            return self.given
        try:
            return sys.stdin.read() if self.source == STDIN else Path(self.source).read_text(encoding="utf-8")
        except (OSError, UnicodeError) as error:
            raise Misused(f"the code cannot be read from {self.source}: {error}") from error
