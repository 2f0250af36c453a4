"""``jupyter sessions kernelspec``: kernelspecs with which any Jupyter program starts kernels in a session."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jupyter_sessions.cli import completion, output
from jupyter_sessions.cli.connection import FormOption, LocationOption, Misused, UrlOption, connect
from jupyter_sessions.cli.rows import show_rows
from jupyter_sessions.model.words import short

if TYPE_CHECKING:
    from jupyter_sessions.bridge.wanted import Wanted
    from jupyter_sessions.client.client import SessionsClient

EXAMPLE = (
    "Examples: `jupyter sessions kernelspec install etl-nightly`, then `papermill in.ipynb out.ipynb -k etl-nightly` "
    "or `jupyter console --kernel etl-nightly`; `jupyter sessions kernelspec install gpu --template gpu`"
)
COLUMNS = ("name", "session", "template", "kernel", "server", "folder")
KINDS = ("main", "new")

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


@app.callback(epilog=f"{EXAMPLE}\n\n{output.EXITS}")
def kernelspec() -> None:
    """Kernelspecs with which any Jupyter program starts kernels in a session: papermill, nbclient, editors."""


@app.command(
    epilog="Examples: `jupyter sessions kernelspec install etl-nightly`; "
    "`jupyter sessions kernelspec install etl-main --session etl-nightly --kernel main`; "
    "`jupyter sessions kernelspec install gpu --template gpu`"
)
def install(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="The session, and what the kernelspec is called; with --session or --template the latter alone.",
            autocompletion=completion.sessions,
        ),
    ],
    session: Annotated[str, typer.Option(metavar="NAME", help="The session.", autocompletion=completion.sessions)] = "",
    template: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Make a session from this template for each kernel, and end it with the kernel. With --session: of "
            "that name, where there is none.",
            autocompletion=completion.templates,
        ),
    ] = "",
    kernel: Annotated[
        str,
        typer.Option(
            metavar="main|new",
            help="A kernel of its own, which ends with the program (new), or the session's main one, which stays.",
            show_default="new; main where the session is made",
        ),
    ] = "",
    display_name: Annotated[str, typer.Option(metavar="TEXT", help="What it is called in lists.")] = "",
    user: Annotated[bool, typer.Option("--user", help="For you, in every environment (the default).")] = False,
    sys_prefix: Annotated[bool, typer.Option("--sys-prefix", help="For this Python environment.")] = False,
    prefix: Annotated[str, typer.Option(metavar="FOLDER", help="Into FOLDER/share/jupyter/kernels.")] = "",
    portable: Annotated[
        bool,
        typer.Option("--portable", help="For programs of other Python environments, which lack jupyter_sessions."),
    ] = False,
    url: UrlOption = "",
    location: LocationOption = "",
) -> None:
    """Write a kernelspec. No token is in it: the running server is found, or JUPYTER_SESSIONS_TOKEN says it."""
    from jupyter_sessions.bridge.wanted import Wanted

    if kernel and kernel not in KINDS:
        raise Misused(f"--kernel {kernel}: must be main or new; a kernel's id ends with the kernel")
    folder = _folder(user, sys_prefix, prefix)
    with connect(url, location) as client:
        wanted = Wanted(session=session or ("" if template else name), template=template, kernel=kernel)
        found = _resolved(client, replace(wanted, url=client.url if url else ""))
    spec = found.wanted.kernelspec(display_name or found.title, found.language, portable)
    path = _write(folder / _spec_name(name), spec)
    print(path.name)
    output.say(f"{path}; for example: papermill in.ipynb out.ipynb -k {path.name}")
    _warn_if_hidden(path.name, path)


def _folder(user: bool, sys_prefix: bool, prefix: str) -> Path:
    from jupyter_core.paths import jupyter_data_dir

    if sum((user, sys_prefix, bool(prefix))) > 1:
        raise Misused("--user, --sys-prefix and --prefix are three places: give one")
    if prefix or sys_prefix:
        return Path(prefix or sys.prefix).absolute() / "share" / "jupyter" / "kernels"
    return Path(jupyter_data_dir()) / "kernels"


def _spec_name(name: str) -> str:
    made = short(name).lower()
    if not re.fullmatch(r"[a-z0-9._-]+", made):
        raise Misused(f"{name}: a kernelspec's name has letters, digits, '.', '_' and '-' only; choose another")
    return made


@dataclass(frozen=True)
class Resolved:
    """What a kernelspec says: names in full, so that it means the same from everywhere."""

    wanted: Wanted
    title: str
    language: str


def _resolved(client: SessionsClient, wanted: Wanted) -> Resolved:
    """Look up what is wanted; raises NotFound for a session or a template that is not there."""
    from jupyter_sessions.model.errors import NotFound

    kind = wanted.kernel or ("main" if wanted.template else "new")
    if wanted.template:
        template = client.templates.get(wanted.template)
        name = str(client.name(wanted.session)) if wanted.session else ""
        shown = short(name) or template.display_name or short(template.name)
        made = replace(wanted, template=template.name, session=name)
        return Resolved(made, f"{shown}: new session", template.kernel.name.lower() if template.kernel else "python")
    try:
        session = client.get(wanted.session)
    except NotFound as error:
        remedy = f"make it first (jupyter sessions create {wanted.session}), or name a --template"
        raise NotFound(f"there is no session {wanted.session}; {remedy}") from error
    shown = (session.jupyter_session.display_name if session.jupyter_session else "") or short(session.name)
    made = replace(wanted, session=session.name, kernel=kind)
    kernel = session.kernel.name.lower() if session.kernel else "python"
    return Resolved(made, f"{shown}: {kind} kernel", _offered(client, session.name) or kernel)


def _offered(client: SessionsClient, session: str) -> str:
    """Give the language of what the server offers for a session, empty where it offers nothing."""
    answer = client.transport.call("GET", "api/kernelspecs", safe=True) or {}
    for model in (answer.get("kernelspecs") or {}).values():
        spec = model.get("spec") or {}
        if ((spec.get("metadata") or {}).get("jupyter_sessions") or {}).get("session") == session:
            return str(spec.get("language") or "")
    return ""


def _write(folder: Path, spec: Mapping[str, Any]) -> Path:
    """Put a kernelspec into its folder, in place of an older one of ours."""
    from jupyter_sessions.model.errors import AlreadyExists, PermissionDenied

    if folder.exists() and _read(folder) is None:
        raise AlreadyExists(f"{folder} is another program's kernelspec; choose another name (NAME --session SESSION)")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, made = tempfile.mkstemp(dir=folder, suffix=".part")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(spec, file, indent=1, ensure_ascii=False)
        Path(made).chmod(0o644)
        Path(made).replace(folder / "kernel.json")
    except OSError as error:
        raise PermissionDenied(f"{folder} cannot be written: {error.strerror}; choose another place") from error
    return folder


def _warn_if_hidden(name: str, path: Path) -> None:
    from jupyter_client.kernelspec import KernelSpecManager

    there = KernelSpecManager().find_kernel_specs().get(name)
    if there is None:
        output.say(f"Jupyter does not look in {path.parent} (see `jupyter --paths`), so no program will find it there")
    elif Path(there) != path:
        output.say(f"{there} has the same name and is found first; remove it, or choose another name")


def _read(folder: Path) -> Wanted | None:
    """Read a kernelspec of ours; None for another's."""
    from jupyter_sessions.bridge.wanted import Wanted

    try:
        spec = json.loads((folder / "kernel.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    argv = spec.get("argv") if isinstance(spec, dict) else None
    return Wanted.of_argv([str(word) for word in argv]) if isinstance(argv, list) else None


def _ours() -> Iterator[tuple[str, Path, Wanted]]:
    from jupyter_client.kernelspec import KernelSpecManager

    for name, folder in sorted(KernelSpecManager().find_kernel_specs().items()):
        wanted = _read(Path(folder))
        if wanted is not None:
            yield name, Path(folder), wanted


@app.command(name="list", epilog="Example: `jupyter sessions kernelspec list`")
def list_(form: FormOption = output.Format.TABLE) -> None:
    """List the kernelspecs that start kernels in sessions."""
    found = list(_ours())
    if form is output.Format.NAME:
        output.names(name for name, _, _ in found)
    elif form is output.Format.TABLE:
        rows = [
            (name, short(wanted.session), short(wanted.template), wanted.kernel, wanted.url, str(folder))
            for name, folder, wanted in found
        ]
        nothing = "there is none yet; `jupyter sessions kernelspec install NAME` makes one for a session"
        show_rows(COLUMNS, rows, nothing)
    else:
        output.write([{"name": name, **wanted.config(), "folder": str(folder)} for name, folder, wanted in found], form)


@app.command(epilog="Example: `jupyter sessions kernelspec remove etl-nightly`")
def remove(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="What the kernelspecs are called.")],
) -> None:
    """Remove kernelspecs that start kernels in sessions; sessions and kernels stay."""
    from jupyter_sessions.model.errors import NotFound, PermissionDenied

    ours = {name: folder for name, folder, _ in _ours()}
    missing = [name for name in names if name.lower() not in ours]
    if missing:
        there = ", ".join(ours) or "none"
        raise NotFound(f"{', '.join(missing)}: no kernelspec of a session has this name; there are: {there}")
    for name in names:
        folder = ours[name.lower()]
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise PermissionDenied(f"{folder} cannot be removed: {error.strerror}") from error
        output.say(f"{folder} is removed")
