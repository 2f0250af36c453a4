"""``jupyter sessions console``: an interactive console on a session's kernel."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jupyter_sessions.cli import output
from jupyter_sessions.cli.connection import LocationOption, Misused, NameArgument, UrlOption, connect
from jupyter_sessions.model.words import short

if TYPE_CHECKING:
    from jupyter_client.manager import KernelManager

    from jupyter_sessions.bridge.provisioner import SessionProvisioner
    from jupyter_sessions.client.client import SessionsClient

EXAMPLE = "Examples: `jupyter sessions console etl-nightly`; `jupyter sessions console --kernel new`"

NEW = "new"
LEAVING = ("exit", "quit", "exit()", "quit()", "%exit", "%quit")

app = typer.Typer(rich_markup_mode="markdown")


@app.command(epilog=f"{EXAMPLE}\n\n{output.EXITS}")
def console(
    name: NameArgument = None,
    kernel: Annotated[
        str,
        typer.Option(metavar="ID|new|main", help="Which kernel: by its id, a new one (ended afterwards), or the main."),
    ] = "main",
    url: UrlOption = "",
    location: LocationOption = "",
) -> None:
    """Open a console on a session's main kernel, whose variables it shares.

    Ctrl-C interrupts what runs, Ctrl-D or exit leaves; the kernel goes on.
    """
    if not sys.stdin.isatty():
        raise Misused("a console needs a terminal; to run code from a pipe: jupyter sessions exec NAME -")
    with connect(url, location) as client:
        code = _converse(client, str(client.name(name)) if name else client.only().name, kernel)
    raise typer.Exit(code)


def _converse(client: SessionsClient, session: str, kernel: str) -> int:
    from jupyter_client.manager import KernelManager

    from jupyter_sessions.bridge.managed import environment, manager_of
    from jupyter_sessions.bridge.provisioner import SessionNotStarted
    from jupyter_sessions.bridge.wanted import Wanted

    wanted = Wanted(session=session, kernel=kernel, url=client.url)
    manager, provisioner = manager_of(KernelManager, wanted, output.say)
    try:
        manager.start_kernel(env=environment(client.transport))
    except SessionNotStarted as error:
        output.say(str(error))
        return output.FAULTS
    told = provisioner.started or {}
    output.say(f"session {short(told['session'])}, kernel {told['kernel']}")
    try:
        _application(manager, kernel == NEW).launch_instance(argv=[])
    except SystemExit as leaving:
        if leaving.code not in (None, 0):
            return output.FAULTS
    finally:
        manager.shutdown_kernel()
    return _told_end(provisioner, kernel)


def _told_end(provisioner: SessionProvisioner, kernel: str) -> int:
    if provisioner.reason:
        output.say(provisioner.reason)
        return output.FAULTS
    told = provisioner.started or {}
    ended = "ended with it" if kernel == NEW else "goes on"
    output.say(f"left session {short(told['session'])}; kernel {told['kernel']} {ended}")
    return output.OK


def _application(manager: KernelManager, owned: bool) -> Any:
    """Give the class of a console whose kernel is there already; leaving it ends the kernel only if ``owned``."""
    from jupyter_console.app import ZMQTerminalIPythonApp

    class Console(ZMQTerminalIPythonApp):  # type: ignore[misc]  # it ships no types
        def init_kernel_manager(self) -> None:
            """Take the one that is there."""
            self.kernel_manager = manager

        def init_shell(self) -> None:
            """Make the shell; it leaves by itself once the kernel is gone."""
            super().init_shell()
            self.shell.own_kernel = owned
            run_cell = self.shell.run_cell

            def run_or_leave(cell: str, store_history: bool = True) -> None:
                # Sent to the kernel, it would end that, whoever else uses it.
                leaving = cell.strip() in LEAVING and not owned
                if not leaving:
                    run_cell(cell, store_history)
                if leaving or not manager.is_alive():
                    self.shell.ask_exit()

            self.shell.run_cell = run_or_leave

    return Console
