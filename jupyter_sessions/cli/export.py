"""``jupyter sessions export``: what was run in a session, as a notebook."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jupyter_sessions.cli import output
from jupyter_sessions.cli.connection import LocationOption, Misused, NameArgument, UrlOption, connect
from jupyter_sessions.cli.readiness import ready_handle

if TYPE_CHECKING:
    from jupyter_sessions.client.handle import SessionHandle
    from jupyter_sessions.client.kernel import KernelConnection

EXAMPLE = "Examples: `jupyter sessions export etl-nightly -o etl.ipynb`; `jupyter sessions export -o - | jq .cells`"
STDOUT = "-"
ANSWER_S = 60.0
"""How long a kernel may take to tell its history, in seconds; it answers once its cell has ended."""
LACKING = "the kernel keeps results as text only: images, what was printed and tracebacks are not in it"
Row = tuple[int, str, str]
"""A cell as the kernel remembers it: its number, its code and its result as text, empty where there is none."""

app = typer.Typer(rich_markup_mode="markdown")


@app.command(epilog=f"{EXAMPLE}\n\n{output.EXITS}")
def export(
    name: NameArgument = None,
    target: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="The notebook to write; - is stdout.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    kernel: Annotated[str, typer.Option(metavar="ID|main", help="Which kernel's history.")] = "main",
    url: UrlOption = "",
    location: LocationOption = "",
) -> None:
    """Write what was run in a session's kernel as a notebook, with the results as far as the kernel keeps them."""
    from jupyter_sessions.model.errors import FailedPrecondition

    if not target:
        raise Misused("name the notebook to write with -o FILE, or -o - for stdout")
    if target != STDOUT and not force and Path(target).exists():
        raise Misused(f"{target} is there already; name another file, or write over it with --force")
    with connect(url, location) as client, ready_handle(client, name) as session:
        if not session.kernels():
            raise FailedPrecondition(f"session {session.id} has no kernel, so nothing was run in it")
        connection = session.connect(kernel)
        output.say(f"session {session.id}, kernel {connection.kernel_id}")
        cells = _history(connection)
        text = notebook(cells, _metadata(session, connection))
    if target == STDOUT:
        sys.stdout.write(text)
    else:
        _write(Path(target), text, force)
    counted = f"{len(cells)} cell{'' if len(cells) == 1 else 's'}"
    output.say(f"{counted} in {'the notebook' if target == STDOUT else target}; {LACKING}")


def _history(connection: KernelConnection) -> list[Row]:
    """Give what was run since the kernel started, oldest first."""
    wanted = {"output": True, "raw": True, "hist_access_type": "range", "session": 0, "start": 1, "stop": None}
    reply = connection.request("shell", "history_request", wanted, timeout=ANSWER_S)
    return [_row(entry) for entry in reply.content.get("history") or ()]


def _row(entry: Sequence[Any]) -> Row:
    """Read (session, number, code) or (session, number, (code, result))."""
    _, number, content = entry
    code, result = (content, None) if isinstance(content, str) else content
    return int(number), str(code), "" if result is None else str(result)


def _metadata(session: SessionHandle, connection: KernelConnection) -> dict[str, Any]:
    """Give a notebook's metadata: the session's kernelspec at the server, where it has one, and the language."""
    info = connection.kernel_info()
    language = dict(info.get("language_info") or {"name": "python"})
    model = session.client.transport.call("GET", f"api/kernels/{connection.kernel_id}", safe=True) or {}
    specs = (session.client.transport.call("GET", "api/kernelspecs", safe=True) or {}).get("kernelspecs") or {}
    name = str(model.get("name") or language["name"])
    spec = (specs.get(name) or {}).get("spec") or {}
    shown = str(spec.get("display_name") or name)
    return {
        "kernelspec": {"name": name, "display_name": shown, "language": str(spec.get("language") or language["name"])},
        "language_info": language,
    }


def notebook(cells: Sequence[Row], metadata: Mapping[str, Any]) -> str:
    """Give the JSON of a valid notebook, nbformat 4.5."""
    import nbformat

    made = {"cells": list(map(_cell, cells)), "metadata": dict(metadata), "nbformat": 4, "nbformat_minor": 5}
    nbformat.validate(made)
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def _cell(row: Row) -> dict[str, Any]:
    number, code, result = row
    shown = {"data": {"text/plain": result}, "execution_count": number, "metadata": {}, "output_type": "execute_result"}
    return {
        "cell_type": "code",
        "execution_count": number,
        "id": uuid.uuid4().hex[:8],
        "metadata": {},
        "outputs": [shown] if result else [],
        "source": code,
    }


def _write(path: Path, text: str, force: bool) -> None:
    """Write a file whole or not at all; raises FailedPrecondition where that cannot be."""
    from jupyter_sessions.model.errors import FailedPrecondition

    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with open(handle, "w", encoding="utf-8") as file:
                file.write(text)
                os.fchmod(file.fileno(), 0o666 & ~_umask())
            (os.replace if force else os.link)(name, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
    except FileExistsError:
        raise FailedPrecondition(f"{path} is there already; name another file, or write over it with --force") from None
    except OSError as error:
        raise FailedPrecondition(f"{path} cannot be written: {error.strerror}; choose another place with -o") from error


def _umask() -> int:
    umask = os.umask(0o077)
    os.umask(umask)
    return umask
