"""The commands, each a module of this room that is loaded only when it is run; and how each may end."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import Any, Final, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from jupyter_sessions.cli import output
from jupyter_sessions.model.errors import InvalidArgument, SessionsError

MARKUP: Final = "markdown"


class Entry(NamedTuple):
    """A command as the list of all shows it: ``module`` of this room holds its ``app``."""

    name: str
    module: str
    panel: str
    help: str


SESSIONS, CODE, FILES, SERVER = "Sessions", "Code and kernels", "Files", "Places and servers"

COMMANDS = (
    Entry("create", "create", SESSIONS, "Make a session."),
    Entry("list", "listing", SESSIONS, "List the sessions: state, kernels, when each ends."),
    Entry("get", "detail", SESSIONS, "Show one session in full."),
    Entry("extend", "extend", SESSIONS, "Change how long a session may live and be idle."),
    Entry("history", "history", SESSIONS, "Draw a session's states through time."),
    Entry("logs", "logs", SESSIONS, "Show or follow a session's log."),
    Entry("terminate", "ending", SESSIONS, "End sessions; they stay listed."),
    Entry("delete", "ending", SESSIONS, "End and remove sessions, with history and log."),
    Entry("exec", "execute", CODE, "Run code in a session, its output streaming."),
    Entry("run", "run", CODE, "Run a notebook in a session."),
    Entry("console", "console", CODE, "Open an interactive console on a session."),
    Entry("kernels", "kernels", CODE, "List, interrupt, restart and end a session's kernels."),
    Entry("kernelspec", "kernelspec", CODE, "Let any Jupyter program start kernels in a session."),
    Entry("upload", "files", FILES, "Copy files into a session."),
    Entry("download", "files", FILES, "Copy files out of a session."),
    Entry("export", "export", FILES, "Write what was run in a session as a notebook."),
    Entry("templates", "templates", SERVER, "What sessions are made from: list, create, change."),
    Entry("locations", "locations", SERVER, "Where sessions can run, and whether it answers."),
    Entry("operations", "operations", SERVER, "Work that goes on at the server: list, wait, cancel."),
    Entry("serve", "serve", SERVER, "Serve sessions without JupyterLab, also to other machines."),
    Entry("doctor", "doctor", SERVER, "Check all of it, each fault with its remedy."),
)


def load(entry: Entry) -> Any:
    """Import a command's module and give the command, or the group of commands, that its ``app`` makes."""
    app = importlib.import_module(f"jupyter_sessions.cli.{entry.module}").app
    parent = typer.Typer(add_completion=False, rich_markup_mode=MARKUP)
    parent.callback()(_nothing)
    if app.registered_callback:
        parent.add_typer(app, name=entry.name)
    else:
        parent.registered_commands.extend(app.registered_commands)
    command = typer.main.get_group(parent).commands[entry.name]
    return command


def _nothing() -> None:
    """Make a group of what may be one command only."""


def tidy(command: Any, context: Any) -> Any:
    """Give a command whose flags are shown without a type: ``<bool>`` beside one says nothing."""
    for param in command.get_params(context):
        if getattr(param, "is_flag", False) and not param.metavar:
            param.metavar = ""
    for inner in getattr(command, "commands", {}).values():
        tidy(inner, context)
    return command


class Commands(TyperGroup):
    """The group of all commands; its own list names them, and the one that is run is loaded then."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for entry in COMMANDS:
            self.commands[entry.name] = TyperCommand(
                entry.name, help=entry.help, rich_help_panel=entry.panel, rich_markup_mode=MARKUP
            )

    def list_commands(self, ctx: Any) -> list[str]:
        """Give the names in the order of the list, whatever typer's own is."""
        return list(self.commands)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the list of all commands."""
        tidy(self, ctx)
        super().format_help(ctx, formatter)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Give the command that the words name, loaded."""
        name, command, rest = super().resolve_command(ctx, args)
        entry = next((one for one in COMMANDS if one.name == name), None)
        return name, command if entry is None else tidy(load(entry), ctx), rest

    def invoke(self, ctx: Any) -> Any:
        """Run a command; tell on stderr what ended it, and choose its exit code."""
        try:
            done = super().invoke(ctx)
            sys.stdout.flush()
            return done
        except BrokenPipeError:
            _forget_stdout()
            raise typer.Exit(output.FAULTS) from None
        except KeyboardInterrupt:
            raise typer.Exit(output.INTERRUPTED) from None
        except InvalidArgument as error:
            from jupyter_sessions.cli.flags import in_words

            told, own = in_words(error, sys.argv[1:])
            tell(told)
            raise typer.Exit(output.USAGE if own else output.FAULTS) from None
        except SessionsError as error:
            tell(error)
            raise typer.Exit(output.FAULTS) from None


def tell(error: SessionsError) -> None:
    """Say what went wrong; of a faulty request each field on a line of its own."""
    if isinstance(error, InvalidArgument) and len(error.violations) > 1:
        for fault in error.violations:
            output.say(f"{fault.field}: {fault.description}" if fault.field else fault.description)
    else:
        output.say(output.reason(error) or type(error).__name__)


def _forget_stdout() -> None:
    """Keep the interpreter's last flush from failing too: whoever read has gone."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
