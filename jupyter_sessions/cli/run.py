"""``jupyter sessions run``: runs a notebook in a session, and writes it with what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jupyter_sessions.cli import completion, output
from jupyter_sessions.cli.connection import LocationOption, Misused, UrlOption, connect, meant, session_hint
from jupyter_sessions.cli.description import DURATION, seconds
from jupyter_sessions.cli.words import first_line
from jupyter_sessions.model.words import length, plain, short

if TYPE_CHECKING:
    from jupyter_client.manager import AsyncKernelManager
    from rich.status import Status

    from jupyter_sessions.bridge.notebook import Run
    from jupyter_sessions.bridge.provisioner import SessionProvisioner
    from jupyter_sessions.bridge.wanted import Wanted
    from jupyter_sessions.client.client import SessionsClient

EXAMPLE = (
    "Examples: `jupyter sessions run report.ipynb --session etl-nightly`; "
    "`jupyter sessions run report.ipynb --template gpu -o done.ipynb`; `jupyter sessions run report.ipynb --inplace`"
)
EXITS = (
    "Exit codes: 0 every cell ended well, 1 a cell raised, or it could not be run, 2 not understood, "
    "130 interrupted by Ctrl-C, 143 by SIGTERM."
)
END_SECONDS = 60.0
GRACE_SECONDS = 10.0
"""How long a cell that took too long may take to end once it is interrupted."""
LET_GO = "interrupting the cell; Ctrl-C again lets go of it"

app = typer.Typer(rich_markup_mode="markdown")


@app.command(epilog=f"{EXAMPLE}\n\n{EXITS}")
def run(
    notebook: Annotated[Path, typer.Argument(metavar="NOTEBOOK", help="The notebook to run.")],
    session: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The session to run it in; where one is live it may be left out.",
            autocompletion=completion.sessions,
        ),
    ] = "",
    template: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Make a session from this template, and end it afterwards. With --session: of that name, where there "
            "is none.",
            autocompletion=completion.templates,
        ),
    ] = "",
    kernel: Annotated[
        str,
        typer.Option(metavar="ID|new|main", help="Which kernel: by its id, a new one (ended afterwards), or the main."),
    ] = "main",
    file: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Where to write it (default NOTEBOOK.executed.ipynb).")
    ] = "",
    inplace: Annotated[bool, typer.Option("--inplace", help="Write it over the notebook itself.")] = False,
    timeout: Annotated[
        str, typer.Option(metavar="DURATION", help=f"Interrupt a cell that takes longer: {DURATION}.")
    ] = "",
    allow_errors: Annotated[bool, typer.Option("--allow-errors", help="Go on after a cell that raised.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave a session that was made for it running.")] = False,
    url: UrlOption = "",
    location: LocationOption = "",
) -> None:
    """Run a notebook's cells in a session's main kernel, whose variables they share, and write it with their outputs.

    The file is written after each cell, and while one prints. Its name goes to stdout, the progress to stderr. Ctrl-C
    interrupts the cell that runs and stops.
    """
    from jupyter_sessions.bridge.wanted import Wanted

    target = _target(notebook, file, inplace)
    nodes = _read(notebook, lambda: "" if session else session_hint(str(notebook), url, location))
    limit = seconds(timeout)
    with connect(url, location) as client:
        name = session if session or template else client.only().name
        wanted = Wanted(
            session=str(client.name(name)) if name else "",
            template=client.templates.get(template).name if template else "",
            kernel=kernel,
            url=client.url,
        )
        job = Job(client, wanted, nodes, target, Ways(keep, limit, allow_errors, url))
        code = asyncio.run(job.run())
    raise typer.Exit(code)


def _target(notebook: Path, file: str, inplace: bool) -> Path:
    if file and inplace:
        raise Misused("--output and --inplace are two places: give one")
    target = notebook if inplace else Path(file) if file else notebook.with_name(f"{notebook.stem}.executed.ipynb")
    if not inplace and target.exists() and notebook.exists() and target.samefile(notebook):
        raise Misused(f"{target} is the notebook itself; say --inplace if it is to be written over")
    if not target.parent.is_dir():
        raise Misused(f"{target}: there is no folder {target.parent}; make it first")
    return target


def _read(notebook: Path, hint: Callable[[], str]) -> Any:
    """Read a notebook; raises Misused, of one that is not there with a hint."""
    from jupyter_sessions.bridge.notebook import clear, read

    try:
        nodes = read(notebook)
    except OSError as error:
        there = "" if notebook.exists() else hint()
        raise Misused(f"{notebook} cannot be read: {error.strerror}{there}") from error
    except ValueError as error:
        raise Misused(f"{notebook} cannot be run: {error}") from error
    clear(nodes)
    return nodes


@dataclass(frozen=True)
class Ways:
    """How to run: ``limit`` in seconds for each cell, ``url`` as it was said."""

    keep: bool
    limit: float | None
    allow_errors: bool
    url: str


class Job:
    """The run: from the kernel's start to its end, and what signals do meanwhile."""

    def __init__(
        self,
        client: SessionsClient,
        wanted: Wanted,
        nodes: Any,
        target: Path,
        ways: Ways,
    ) -> None:
        from jupyter_client.manager import AsyncKernelManager

        from jupyter_sessions.bridge.managed import manager_of

        self._client = client
        self._nodes = nodes
        self._path = target
        self._ways = ways
        self._shown = Shown()
        self._manager: AsyncKernelManager
        self._provisioner: SessionProvisioner
        self._manager, self._provisioner = manager_of(AsyncKernelManager, wanted, self._shown.step, keep=ways.keep)
        self._run: Run | None = None
        self._task: asyncio.Task[int] | None = None
        self._code = output.OK
        self._timer: asyncio.TimerHandle | None = None

    async def run(self) -> int:
        """Run it and give the exit code; what ended it is said on stderr."""
        loop = asyncio.get_running_loop()
        self._task = asyncio.ensure_future(self._guarded())
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._signalled, number)
        with self._shown.shown():
            try:
                return await self._task
            except asyncio.CancelledError:
                return self._code
            finally:
                await self._end()

    def _signalled(self, number: int) -> None:
        run, self._code = self._run, self._code or 128 + number
        if number == signal.SIGINT and run is not None and not run.interrupted:
            run.interrupted = True
            output.say(LET_GO)
            self._interrupt()
        elif self._task is not None:
            self._task.cancel()

    def _interrupt(self) -> None:
        self._interrupting = asyncio.ensure_future(self._manager.interrupt_kernel())

    def begins(self, number: int, count: int, source: str) -> None:
        """Show that a cell begins, and begin to count its time."""
        self._shown.begins(number, count, source)
        if self._ways.limit is not None:
            self._timer = asyncio.get_running_loop().call_later(self._ways.limit, self._late, number)

    def ended(self, number: int, count: int, nanoseconds: int, failed: bool) -> None:
        """Show that a cell has run."""
        if self._timer is not None:
            self._timer.cancel()
        self._shown.ended(number, count, nanoseconds, failed)

    def _late(self, number: int) -> None:
        output.say(f"cell {number} took longer than {self._ways.limit:g} s and was interrupted")
        self._interrupt()
        self._timer = asyncio.get_running_loop().call_later(GRACE_SECONDS, self._give_up, number)

    def _give_up(self, number: int) -> None:
        output.say(f"cell {number} did not heed the interrupt; let go of it")
        self._code = self._code or output.FAULTS
        if self._task is not None:
            self._task.cancel()

    async def _guarded(self) -> int:
        from nbclient.exceptions import CellExecutionError, DeadKernelError

        from jupyter_sessions.bridge.notebook import Stopped
        from jupyter_sessions.bridge.provisioner import SessionNotStarted

        try:
            await self._cells()
        except SessionNotStarted as error:
            output.say(str(error))
            return output.FAULTS
        except (Stopped, CellExecutionError):
            self._tell_failure()
            return self._code or output.FAULTS
        except (DeadKernelError, RuntimeError) as error:
            await asyncio.to_thread(self._tell_death, error)
            return self._code or output.FAULTS
        except OSError as error:
            output.say(f"{self._path} cannot be written: {error.strerror}; the run has stopped")
            return output.FAULTS
        return self._code

    async def _cells(self) -> None:
        from jupyter_sessions.bridge.managed import environment
        from jupyter_sessions.bridge.notebook import File, Run

        await self._manager.start_kernel(env=environment(self._client.transport))
        told = self._provisioner.started or {}
        output.say(f"session {short(told['session'])}, kernel {told['kernel']}; writing {self._path}")
        print(self._path, flush=True)
        file = File(self._path, self._nodes)
        self._run = Run(self._nodes, self._manager, file, self, allow_errors=self._ways.allow_errors)
        try:
            await self._run.async_execute()
        finally:
            self._run.save()

    def _tell_failure(self) -> None:
        from jupyter_sessions.cli.streams import coloured, traceback_text

        failure = self._run.failure if self._run is not None else None
        if failure is not None:
            lines = failure.get("traceback") or [f"{failure.get('ename', 'Error')}: {failure.get('evalue', '')}"]
            sys.stderr.write(traceback_text(lines, coloured(sys.stderr)))

    def _tell_death(self, error: Exception) -> None:
        for _ in range(50):
            if self._provisioner.reason:
                break
            time.sleep(0.1)
        output.say(f"{self._provisioner.reason or error}; {self._path} has what came until then")

    async def _end(self) -> None:
        """End the kernel, and what was made for it; Ctrl-C does not break this off."""
        if self._manager.has_kernel:
            await self._manager.shutdown_kernel()
        else:
            await self._manager.cleanup_resources()
        started = self._provisioner.started
        if self._provisioner.reason and self._code:
            output.say(self._provisioner.reason)
        if started is not None and started["made"]:
            await asyncio.to_thread(self._until_ended, started["session"])
        elif started is not None and self._provisioner.template:
            name = meant(self._client, started["session"], self._ways.url)
            output.say(f"session {short(started['session'])} runs on; `jupyter sessions terminate {name}` ends it")

    def _until_ended(self, name: str) -> None:
        from jupyter_sessions.client.waiting import Pace
        from jupyter_sessions.model.errors import SessionsError

        end, pace = time.monotonic() + END_SECONDS, Pace()
        try:
            while not (found := self._client.get(name)).state.final and time.monotonic() < end:
                pace.wait(end)
            output.say(f"session {short(name)} is {found.state.name}")
        except SessionsError as error:
            output.say(f"session {short(name)}, which was made for this, may still be running: {error}")


class Shown:
    """The progress on stderr: a line for each cell that has run, and on a terminal one for the cell that runs."""

    def __init__(self) -> None:
        self._status: Status | None = None
        self._since = time.monotonic_ns()

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Show it."""
        if not output.stderr_moves():
            yield
            return
        from rich.console import Console

        with Console(stderr=True, highlight=False).status("starting") as self._status:
            yield

    def step(self, words: str) -> None:
        """Tell a step of the start."""
        output.say(f"{length(time.monotonic_ns() - self._since):>7}  {words}")

    def begins(self, number: int, count: int, source: str) -> None:
        """Tell that a cell begins."""
        if self._status is not None:
            from rich.text import Text

            self._status.update(Text(f"cell {number} of {count}: {plain(first_line(source))[:60]}"))

    def ended(self, number: int, count: int, nanoseconds: int, failed: bool) -> None:
        """Tell that a cell has run."""
        output.say(f"{length(nanoseconds):>7}  cell {number} of {count}{' failed' if failed else ''}")
