"""``jupyter sessions templates``: what sessions are made from."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jupyter_sessions.cli import completion, output
from jupyter_sessions.cli.connection import FilterOption, FormOption, LocationOption, Misused, UrlOption, connect
from jupyter_sessions.cli.description import DURATION, LabelOption, PropertyOption
from jupyter_sessions.cli.rows import show_rows
from jupyter_sessions.cli.words import moment
from jupyter_sessions.model.words import length, short

if TYPE_CHECKING:
    from jupyter_sessions.client.client import SessionsClient
    from jupyter_sessions.model.resources import SessionTemplate

EXAMPLE = (
    "Examples: `jupyter sessions templates create gpu --property local:memory=8Gi --ttl 8h`; "
    "`jupyter sessions create train-one --template gpu`"
)
COLUMNS = ("name", "shown as", "kernel", "ttl", "idle ttl", "labels", "changed", "description")
KEPT = ("labels", "jupyterSession", "sparkConnectSession", "runtimeConfig", "environmentConfig")
"""What a template takes from a session."""
LIMITS = "environmentConfig.executionConfig"

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")
Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The template's id, or its full name.", autocompletion=completion.templates),
]
FileOption = Annotated[
    str, typer.Option("--file", "-f", metavar="FILE", help="YAML or JSON of the template; - is stdin.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Any field, as runtimeConfig.version=2.3; may be repeated."),
]
KernelOption = Annotated[str, typer.Option(metavar="python|scala", help="The language of the kernels.")]
ShownOption = Annotated[str, typer.Option("--display-name", metavar="TEXT", help="What it is called in lists.")]
DescriptionOption = Annotated[str, typer.Option(metavar="TEXT", help="What it is for.")]
TtlOption = Annotated[str, typer.Option(metavar="DURATION", help=f"A session's longest life: {DURATION}.")]
IdleOption = Annotated[str, typer.Option(metavar="DURATION", help="How long a session may be idle, likewise.")]


@app.callback(epilog=f"{EXAMPLE}\n\n{output.EXITS}")
def templates() -> None:
    """What sessions are made from: labels, kernel, properties and limits under a name."""


@app.command(name="list", epilog="Example: `jupyter sessions templates list --filter 'labels.team = fx'`")
def list_(
    filter_: FilterOption = "",
    everywhere: Annotated[bool, typer.Option("--all-locations", help="In every location.")] = False,
    form: FormOption = output.Format.TABLE,
    url: UrlOption = "",
    location: LocationOption = "",
) -> None:
    """List templates, newest first."""
    from jupyter_sessions.model import wire

    with connect(url, location) as client:
        rows = client.templates.list(filter=filter_, location="-" if everywhere else None)
        found = list(rows)
    if form is output.Format.NAME:
        output.names(one.name for one in found)
    elif form is output.Format.TABLE:
        _show_all(found, everywhere)
    else:
        output.write([wire.dump(one) for one in found], form)
    for place in rows.unreachable:
        output.say(f"{place} does not answer; its templates are as last seen, or missing")


@app.command(epilog="Example: `jupyter sessions templates get gpu -o yaml`")
def get(name: Name, form: FormOption = output.Format.TABLE, url: UrlOption = "", location: LocationOption = "") -> None:
    """Show one template."""
    with connect(url, location) as client:
        _write(client.templates.get(name), form)


@app.command(
    epilog="Examples: `jupyter sessions templates create gpu -p local:memory=8Gi --ttl 8h`; `jupyter sessions "
    "templates create gpu --from-session etl-nightly`; `jupyter sessions templates create gpu -f gpu.yaml`"
)
def create(
    name: Name,
    label: LabelOption = None,
    kernel: KernelOption = "",
    property_: PropertyOption = None,
    ttl: TtlOption = "",
    idle_ttl: IdleOption = "",
    display_name: ShownOption = "",
    description: DescriptionOption = "",
    file: FileOption = "",
    set_: SetOption = None,
    from_session: Annotated[
        str,
        typer.Option(metavar="SESSION", help="Begin with what this session has.", autocompletion=completion.sessions),
    ] = "",
    form: FormOption = output.Format.TABLE,
    url: UrlOption = "",
    location: LocationOption = "",
) -> None:
    """Make a template."""
    words = _words(label, kernel, property_, ttl, idle_ttl, display_name, description)
    if file and from_session:
        raise Misused("--file and --from-session are two beginnings: give one")
    with connect(url, location) as client:
        base = _of_session(client, from_session) if from_session else {}
        made = client.templates.create(name, _content(base, file, [*(set_ or ()), *words]))
        _write(made, form)
    output.say(f"template {short(made.name)} is there; `jupyter sessions create NAME --template {short(made.name)}`")


@app.command(
    epilog="Examples: `jupyter sessions templates update gpu --ttl 2d`; "
    "`jupyter sessions templates update gpu -f gpu.yaml`"
)
def update(
    name: Name,
    label: LabelOption = None,
    kernel: KernelOption = "",
    property_: PropertyOption = None,
    ttl: TtlOption = "",
    idle_ttl: IdleOption = "",
    display_name: ShownOption = "",
    description: DescriptionOption = "",
    file: FileOption = "",
    set_: SetOption = None,
    form: FormOption = output.Format.TABLE,
    url: UrlOption = "",
    location: LocationOption = "",
) -> None:
    """Change a template: what is said, or with --file all of it. Sessions made from it stay as they are."""
    from jupyter_sessions.cli.description import path_of
    from jupyter_sessions.model.resources import SessionTemplate

    words = [*(set_ or ()), *_words(label, kernel, property_, ttl, idle_ttl, display_name, description)]
    if not words and not file:
        raise Misused("say what changes: a flag, --set PATH=VALUE, or --file FILE for all of it")
    content = _content({}, file, words)
    # By a mask, so that what somebody else changes meanwhile is not written over.
    mask = None if file else [path_of(SessionTemplate, word) for word in words]
    with connect(url, location) as client:
        _write(client.templates.update(name, content, mask), form)


@app.command(epilog="Example: `jupyter sessions templates delete gpu`")
def delete(name: Name, url: UrlOption = "", location: LocationOption = "") -> None:
    """Remove a template; sessions made from it stay."""
    with connect(url, location) as client:
        client.templates.delete(name)
    output.say(f"template {short(name)} is removed")


def _words(
    label: Sequence[str] | None,
    kernel: str,
    properties: Sequence[str] | None,
    ttl: str,
    idle_ttl: str,
    shown: str,
    description: str,
) -> list[str]:
    """Give what the flags say as ``PATH=VALUE`` words."""
    from jupyter_sessions.cli.description import lifetimes, pairs

    lifetimes(ttl, idle_ttl)
    found = [f"labels.{key}={value}" for key, value in pairs(label or (), "--label").items()]
    found += [f"runtimeConfig.properties.{k}={v}" for k, v in pairs(properties or (), "--property").items()]
    said = {
        "jupyterSession.kernel": kernel.upper(),
        f"{LIMITS}.ttl": ttl,
        f"{LIMITS}.idleTtl": idle_ttl,
        "displayName": shown,
        "description": description,
    }
    return found + [f"{path}={value}" for path, value in said.items() if value]


def _content(base: dict[str, Any], file: str, words: Sequence[str]) -> dict[str, Any]:
    """Give a template's JSON: ``base``, or the file in its place, with each word on top."""
    from jupyter_sessions.cli.description import lengths, put, read_file
    from jupyter_sessions.model.resources import SessionTemplate

    content = read_file(file) if file else base
    content.pop("name", None)  # of another template, perhaps: the word says which is meant
    for word in words:
        put(SessionTemplate, content, word)
    return dict(lengths(content))


def _of_session(client: SessionsClient, name: str) -> dict[str, Any]:
    from jupyter_sessions.model.bodies import session_body

    found = session_body(client.get(name))
    return {key: found[key] for key in KEPT if key in found}


def _write(one: SessionTemplate, form: output.Format) -> None:
    from jupyter_sessions.model import wire

    if form is output.Format.NAME:
        output.names([one.name])
    elif form is output.Format.TABLE:
        show_rows(("field", "value"), [field for field in _fields(one) if field[1]], "")
    else:
        output.write(wire.dump(one), form)


def _show_all(found: Sequence[SessionTemplate], full: bool) -> None:
    rows = []
    now = time.time_ns()
    for one in found:
        labels = ", ".join(f"{key}={value}" for key, value in one.labels.items())
        name = one.name if full else short(one.name)
        cells = [name, one.display_name, _kernel(one), _length(one.ttl), _length(one.idle_ttl), labels]
        rows.append([*cells, moment(one.update_time, now), one.description])
    show_rows(COLUMNS, rows, "no templates; `jupyter sessions templates create NAME` makes one")


def _fields(one: SessionTemplate) -> list[tuple[str, str]]:
    now = time.time_ns()
    return [
        ("name", one.name),
        ("shown as", one.display_name),
        ("description", one.description),
        ("kernel", _kernel(one)),
        ("ttl", _length(one.ttl)),
        ("idle ttl", _length(one.idle_ttl)),
        ("labels", "\n".join(f"{key}={value}" for key, value in one.labels.items())),
        ("properties", "\n".join(f"{key}={value}" for key, value in one.properties.items())),
        ("creator", one.creator),
        ("made", moment(one.create_time, now)),
        ("changed", moment(one.update_time, now)),
    ]


def _length(ns: int) -> str:
    return length(ns) if ns else ""


def _kernel(one: SessionTemplate) -> str:
    return one.kernel.name.lower() if one.kernel else "python"
