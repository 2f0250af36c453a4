"""``jupyter sessions upload`` and ``download``: files to and from where a session's kernel runs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from jupyter_sessions.cli import completion, output
from jupyter_sessions.cli.connection import LocationOption, Misused, UrlOption, connect, session_hint
from jupyter_sessions.cli.description import DURATION, seconds
from jupyter_sessions.cli.readiness import ready_handle
from jupyter_sessions.model.words import plain

UP = (
    "Examples: `jupyter sessions upload data.csv`; `jupyter sessions upload *.csv --session etl-nightly --to input/`; "
    "`jupyter sessions upload a.csv --to b.csv`"
)
DOWN = (
    "Examples: `jupyter sessions download out/result.parquet`; `jupyter sessions download a.csv b.csv --session "
    "etl-nightly --to results`"
)

SessionOption = Annotated[
    str,
    typer.Option(
        "--session",
        "-s",
        metavar="NAME",
        help="The session; may be left out where one is live.",
        autocompletion=completion.sessions,
    ),
]
KernelOption = Annotated[str, typer.Option(metavar="ID|main", help="The kernel that moves the files.")]
TimeoutOption = Annotated[
    str, typer.Option(metavar="DURATION", help=f"Give up where the kernel gives no answer for so long: {DURATION}.")
]

app = typer.Typer(rich_markup_mode="markdown")


@app.command(epilog=f"{UP}\n\n{output.EXITS}")
def upload(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="The files of this machine.")],
    to: Annotated[
        str,
        typer.Option(
            metavar="PATH", help="Where to, from the kernel's working directory: a name, or with / a directory there."
        ),
    ] = "",
    session: SessionOption = "",
    kernel: KernelOption = "main",
    timeout: TimeoutOption = "",
    url: UrlOption = "",
    location: LocationOption = "",
) -> None:
    """Copy files to where a session's kernel runs; without --to into its working directory, under their own names."""
    for file in files:
        if not file.is_file():
            fault = "is a directory: upload its files, or an archive of it" if file.is_dir() else "is no file here"
            hint = "" if file.is_dir() or session else session_hint(str(file), url, location)
            raise Misused(f"{file} {fault}{hint}")
    if len(files) > 1 and to and not to.endswith("/"):
        raise Misused(f"{len(files)} files go into a directory: write it with a slash, --to {to}/")
    from jupyter_sessions.client.values import readable

    limit = seconds(timeout)
    with connect(url, location) as client, ready_handle(client, session or None) as handle:
        for file in files:
            target = to + file.name if to.endswith("/") else to
            with _progress(file.name) as progress:
                sent = handle.upload(file, target, progress=progress, kernel=kernel, timeout=limit, on_wait=_busy)
            output.say(f"{file} → {handle.id}:{sent.name} ({readable(sent.size)})")


@app.command(epilog=f"{DOWN}\n\n{output.EXITS}")
def download(
    files: Annotated[
        list[str], typer.Argument(metavar="REMOTE", help="The files there, from the kernel's working directory on.")
    ],
    to: Annotated[
        Path | None, typer.Option(metavar="PATH", help="The directory of this machine, or the name for one file.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
    session: SessionOption = "",
    kernel: KernelOption = "main",
    timeout: TimeoutOption = "",
    url: UrlOption = "",
    location: LocationOption = "",
) -> None:
    """Copy files from where a session's kernel runs; without --to into the current directory."""
    from jupyter_sessions.client.values import readable

    targets, limit = _targets(files, to, force), seconds(timeout)
    with connect(url, location) as client, ready_handle(client, session or None) as handle:
        for source, target in zip(files, targets, strict=True):
            with _progress(target.name) as progress, _hinted(source, session, url, location):
                path = handle.download(source, target, progress=progress, kernel=kernel, timeout=limit, on_wait=_busy)
            output.say(f"{handle.id}:{source} → {path} ({readable(path.stat().st_size)})")
            print(path)


def _busy() -> None:
    output.say("the kernel gives no answer yet, it may be busy with other code; waiting for it, Ctrl-C gives up")


@contextlib.contextmanager
def _hinted(source: str, session: str, url: str, location: str) -> Iterator[None]:
    """Say of a file that is not there whether its name is that of a session."""
    from jupyter_sessions.model.errors import NotFound

    try:
        yield
    except NotFound as error:
        hint = "" if session else session_hint(source, url, location)
        if not hint:
            raise
        raise NotFound(f"{error.message}{hint}") from error


def _targets(files: Sequence[str], to: Path | None, force: bool) -> list[Path]:
    """Give the path of each file here; raises Misused where two would be one, or one is there already."""
    names = [Path(file.rstrip("/")).name for file in files]
    for file, name in zip(files, names, strict=True):
        if name in ("", ".", ".."):
            raise Misused(f"{file!r} names no file: give the file's path there")
    folder = to or Path()
    if to is not None and len(files) == 1 and not to.is_dir():
        targets = [to]
    else:
        targets = [folder / name for name in names]
    if len(set(targets)) < len(targets):
        raise Misused("two of the files have the same name: download them one by one, each with its own --to")
    for target in targets:
        if not target.parent.is_dir():
            raise Misused(f"{target.parent} is no directory here: make it first")
        if target.exists() and not force:
            raise Misused(f"{target} is there already; name another place with --to, or use --force")
    return targets


@contextlib.contextmanager
def _progress(name: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show on a terminal's stderr how much of a file has gone; give what is to be called with the bytes and all."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(plain(name), total=None)
        yield lambda done, whole: shown.update(task, completed=done, total=whole)
