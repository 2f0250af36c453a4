"""The commands of ``%session``, each with its words, and the help that lists them."""

from __future__ import annotations

import argparse

from jupyter_sessions.magics import arguments, cell, lifecycle, moving
from jupyter_sessions.magics.arguments import Argument, Command, HelpShown, flag, option, word
from jupyter_sessions.magics.context import Context
from jupyter_sessions.model.errors import InvalidArgument

NAME = word(
    "name", "the session's id or full name (default: the attached one, else the only live one)", "session", nargs="?"
)
LOCATION = option("--location", help="where: a location's id or full name", kind="location", default=None)
NO_WAIT = flag("--no-wait", help="do not wait until it is done")
TTL = option("--ttl", help="how long it may live, as 8h", metavar="TIME")
IDLE = option("--idle-ttl", help="how long it may be idle, as 90m", metavar="TIME")
KERNEL = option("--kernel", help="main (default), new, or a kernel's id", kind="kernel", default="main")
VARIABLES: tuple[Argument, ...] = (
    option("--session", help="the session (default: as for %%session)", kind="session", metavar="NAME"),
    KERNEL,
    flag("--pickle", help="let it use pickle, towards a session of your own"),
    option("--limit", help="the most bytes of one variable, as 500M (default 1Gi)", metavar="SIZE"),
)


def show_help(context: Context, asked: argparse.Namespace) -> None:
    """Show what there is, or one command's words."""
    if not asked.command:
        raise HelpShown(overview())
    command = COMMANDS.get(asked.command)
    if command is None:
        raise InvalidArgument(f"%session has no command {asked.command!r}; there are: {', '.join(COMMANDS)}")
    raise HelpShown(arguments.help_of(command.parser()))


def _all() -> tuple[Command, ...]:
    return (
        Command(
            "list",
            "List the sessions; the table follows what starts and ends.",
            (
                flag("--all", help="every ended session too"),
                flag("--all-locations", help="the sessions of every location"),
                LOCATION,
                option("--filter", help="an AIP-160 filter, as 'state = ACTIVE'", default=""),
            ),
            lifecycle.list_sessions,
            "%session list --filter 'labels.team = fx'",
        ),
        Command(
            "create",
            "Make a session, and wait until it is ACTIVE.",
            (
                word("name", "its id, 4 to 63 of a-z, 0-9 and - (default: one is made up)", nargs="?"),
                option("--template", help="the template to make it from", kind="template", default=""),
                option("--label", help="a label; may be repeated", action="append", metavar="K=V"),
                option("--kernel", help="python or scala", choices=("python", "scala"), default=""),
                option("--display-name", help="what people read", default=""),
                TTL,
                IDLE,
                option(
                    "--property", help="a property, as local:cwd=/data; may be repeated", action="append", metavar="K=V"
                ),
                LOCATION,
                flag("--replace", help="delete a session of this name first if it has ended; a live one is refused"),
                flag("--attach", help="let %%session use it from now on"),
                NO_WAIT,
            ),
            lifecycle.create,
            "%session create etl-nightly --label team=fx --ttl 8h --attach",
        ),
        Command(
            "attach",
            "Let %%session use a session when it names none.",
            (NAME,),
            lifecycle.attach,
            "%session attach etl-nightly",
        ),
        Command("detach", "Let %%session use none in particular again.", (), lifecycle.detach, "%session detach"),
        Command("info", "Show all that is known of a session.", (NAME,), lifecycle.info, "%session info etl-nightly"),
        Command(
            "history",
            "Show the states it went through, with reasons.",
            (NAME,),
            lifecycle.history,
            "%session history etl-nightly",
        ),
        Command(
            "logs",
            "Print its log.",
            (
                NAME,
                flag("-f", "--follow", help="go on until it ends, or Ctrl-C"),
                option("--tail", help="begin so many bytes before the end", type=int, metavar="BYTES"),
            ),
            lifecycle.logs,
            "%session logs etl-nightly --tail 2000",
        ),
        Command("kernels", "List its kernels.", (NAME,), lifecycle.kernels, "%session kernels etl-nightly"),
        Command(
            "interrupt",
            "Interrupt what it runs.",
            (NAME, KERNEL),
            lifecycle.interrupt,
            "%session interrupt etl-nightly",
        ),
        Command(
            "extend",
            "Set how long it may live, and be idle.",
            (NAME, TTL, IDLE),
            lifecycle.extend,
            "%session extend etl-nightly --ttl 12h",
        ),
        Command(
            "push",
            "Send variables of this kernel to a session.",
            (word("names", "the variables", "variable", nargs="+"), *VARIABLES),
            moving.push,
            "%session push limit frame --session etl-nightly",
        ),
        Command(
            "pull",
            "Bring variables of a session here.",
            (word("names", "the variables", nargs="+"), *VARIABLES),
            moving.pull,
            "%session pull total --session etl-nightly",
        ),
        Command(
            "terminate",
            "End a session; it stays listed, with history and log.",
            (NAME, NO_WAIT),
            lifecycle.terminate,
            "%session terminate etl-nightly",
        ),
        Command(
            "delete",
            "End a session if it lives, and remove it.",
            (word("name", "the session's id or full name", "session"), NO_WAIT),
            lifecycle.delete,
            "%session delete etl-nightly",
        ),
        Command(
            "connect",
            "Work with another server; its token comes from JUPYTER_SESSIONS_TOKEN, or the server's own files.",
            (
                option("--url", help="the server (default: the running one of this user)", default=""),
                option("--location", help="where bare names are looked for", kind="location", default=""),
                flag("--ask-token", help="ask for the token, so that it is in no cell"),
            ),
            moving.connect,
            "%session connect --url https://jupyter.example.org --ask-token",
        ),
        Command(
            "help",
            "Say what there is.",
            (word("command", "a command", "command", nargs="?"),),
            show_help,
            "%session help create",
        ),
    )


COMMANDS = {command.name: command for command in _all()}


def overview() -> str:
    """Give the help of ``%session``."""
    width = max(map(len, COMMANDS))
    lines = [f"  {command.name.ljust(width)}  {command.summary}" for command in COMMANDS.values()]
    return "\n".join(
        [
            "Sessions: runtimes that kernels live in, and that outlive this kernel and its server.",
            "",
            "usage: %session [COMMAND] [words]      without a command: list",
            "",
            *lines,
            "",
            "%session COMMAND --help says more of each.",
            "",
            "A cell that begins with %%session [NAME] runs in a session; %%session? says how.",
            "",
            "Example:",
            "  %session create etl-nightly --ttl 8h",
            "  %%session etl-nightly -o total",
            "  total = sum(range(10))",
        ]
    )


def cell_help() -> str:
    """Give the help of ``%%session``."""
    return arguments.help_of(cell.parser())


def run_line(context: Context, line: str) -> None:
    """Do what a line of ``%session`` says; raises SessionsError, HelpShown."""
    words = arguments.split(line, "%session")
    if not words or words[0].startswith("-"):
        words = ["help", *words[1:]] if words[:1] in (["-h"], ["--help"]) else ["list", *words]
    command = COMMANDS.get(words[0])
    if command is None:
        raise InvalidArgument(
            f"%session has no command {words[0]!r}; there are: {', '.join(COMMANDS)}. "
            "A cell that runs in a session begins with %%session NAME"
        )
    command.run(context, arguments.parse(command.parser(), words[1:]))
