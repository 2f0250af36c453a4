"""``jupyter sessions create``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jupyter_sessions.cli import completion, output
from jupyter_sessions.cli.connection import FormOption, LocationOption, UrlOption, connect, meant
from jupyter_sessions.cli.description import (
    DURATION,
    LabelOption,
    PropertyOption,
    described,
    lengths,
    lifetimes,
    pairs,
    seconds,
)
from jupyter_sessions.model.words import short

if TYPE_CHECKING:
    from jupyter_sessions.client.client import SessionsClient
    from jupyter_sessions.client.operation import OperationHandle
    from jupyter_sessions.model.resources import Session

EXAMPLE = (
    "Examples: `jupyter sessions create etl-nightly --label team=fx --ttl 8h --wait`; "
    "`jupyter sessions create gpu-train --template gpu --property local:memory=8Gi`; "
    "`jupyter sessions get etl-nightly -o yaml | jupyter sessions create etl-copy --file - --set labels.team=fx`"
)

app = typer.Typer(rich_markup_mode="markdown")


NewName = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="4 to 63 of a-z, 0-9 and '-'; without one the server makes one.", show_default=False
    ),
]
TemplateOption = Annotated[
    str,
    typer.Option("--template", "-t", metavar="NAME", help="What to make it from.", autocompletion=completion.templates),
]
KernelOption = Annotated[str, typer.Option(metavar="python|scala", help="The language of its kernels.")]
ShownOption = Annotated[str, typer.Option(metavar="TEXT", help="What its kernels are called in a picker.")]
TtlOption = Annotated[str, typer.Option(metavar="DURATION", help=f"Its longest life: {DURATION}.")]
IdleOption = Annotated[str, typer.Option(metavar="DURATION", help="How long it may be idle, likewise.")]
FileOption = Annotated[
    str, typer.Option("--file", "-f", metavar="FILE", help="YAML or JSON of the session; - is stdin.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Any field, as runtimeConfig.version=3; it wins over --file, and the flags above win over it.",
    ),
]
ReplaceOption = Annotated[
    bool,
    typer.Option("--replace", help="Delete a session of this name first if it has ended; a live one is refused."),
]
WaitOption = Annotated[bool, typer.Option("--wait", "-w", help="Wait until it is ACTIVE, its steps on stderr.")]
TimeoutOption = Annotated[str, typer.Option(metavar="DURATION", help="Wait so long at most; the start then goes on.")]


@app.command(epilog=f"{EXAMPLE}\n\n{output.EXITS}")
def create(
    name: NewName = "",
    template: TemplateOption = "",
    label: LabelOption = None,
    kernel: KernelOption = "",
    display_name: ShownOption = "",
    property_: PropertyOption = None,
    ttl: TtlOption = "",
    idle_ttl: IdleOption = "",
    file: FileOption = "",
    set_: SetOption = None,
    replace: ReplaceOption = False,
    wait: WaitOption = False,
    timeout: TimeoutOption = "",
    form: FormOption = output.Format.TABLE,
    url: UrlOption = "",
    location: LocationOption = "",
) -> None:
    """Make a session.

    Without --wait it goes on at the server; stderr says how to follow it. Data on stdout: its name, or with
    `-o json` and `-o yaml` all of it.
    """
    from jupyter_sessions.model.resources import Session

    limit = seconds(timeout)
    lifetimes(ttl, idle_ttl)
    content = lengths(described(Session, file, set_ or ()))
    # A file may be what `get` wrote of another session: the word of the command goes before its name.
    own = content.pop("name", "")
    wanted: dict[str, Any] = {
        "template": template,
        "labels": pairs(label or (), "--label"),
        "kernel": kernel,
        "display_name": display_name,
        "properties": pairs(property_ or (), "--property"),
        "ttl": ttl or None,
        "idle_ttl": idle_ttl or None,
        "replace": replace,
    }
    with connect(url, location) as client:
        making = _Making(client, url)
        operation = making.begin(name or str(own), content, wanted)
        _write(making.wait(operation, limit) if wait else making.look(operation), form)


class _Making:
    """A create, from its request to its end."""

    def __init__(self, client: SessionsClient, url: str) -> None:
        self._client = client
        self._url = url

    def begin(self, name: str, content: Mapping[str, Any], wanted: Mapping[str, Any]) -> OperationHandle:
        """Send the create; Ctrl-C waits for its answer, and then says what was begun."""
        from jupyter_sessions.cli.progress import unbroken
        from jupyter_sessions.client.errors import NameTaken

        operation: OperationHandle | None = None
        try:
            with unbroken():
                operation = self._client.create(name, content, **wanted)
        except KeyboardInterrupt:
            self._say_what_goes_on(operation)
            raise
        except NameTaken as error:
            named = meant(self._client, error.session.name, self._url)
            raise error.by("add --replace", f"delete it first (jupyter sessions delete {named})") from error
        return operation

    def wait(self, operation: OperationHandle, limit: float | None) -> Session:
        """Wait until the session is ACTIVE, its steps on stderr; ``limit`` in seconds."""
        from jupyter_sessions.cli.commands import tell
        from jupyter_sessions.cli.progress import Steps
        from jupyter_sessions.model.errors import DeadlineExceeded, SessionsError

        try:
            with Steps(short(operation.session)) as steps:
                return operation.result(limit, steps).resource
        except KeyboardInterrupt:
            self._say_what_goes_on(operation)
            raise
        except SessionsError as error:
            tell(error)
            if isinstance(error, DeadlineExceeded):
                self._say_how_to_follow(operation, "is still CREATING")
            elif operation.done:
                output.say(f"its log: jupyter sessions logs {meant(self._client, operation.session, self._url)}")
            raise typer.Exit(output.FAULTS) from None

    def look(self, operation: OperationHandle) -> Session:
        """Give the session as it begins, and say how to follow it."""
        session = self._client.get(operation.session)
        self._say_how_to_follow(operation, f"is {session.state.name}")
        return session

    def _say_how_to_follow(self, operation: OperationHandle, state: str) -> None:
        name = meant(self._client, operation.session, self._url)
        output.say(
            f"session {short(operation.session)} {state}; to wait for it: jupyter sessions operations wait "
            f"{meant(self._client, operation.name, self._url)}; to follow it: jupyter sessions logs -f {name}; "
            f"to end it: jupyter sessions terminate {name}"
        )

    def _say_what_goes_on(self, operation: OperationHandle | None) -> None:
        """Say what an interrupted command leaves behind."""
        from jupyter_sessions.model.errors import SessionsError

        if operation is None:
            output.say("it is not known whether the session was made; look: jupyter sessions list")
            return
        try:
            state = f"is still {self._client.get(operation.session).state.name}"
        except SessionsError as error:
            state = f"was CREATING when last seen ({error})"
        self._say_how_to_follow(operation, state)


def _write(session: Session, form: output.Format) -> None:
    from jupyter_sessions.model import wire

    if form in (output.Format.NAME, output.Format.TABLE):
        output.names([session.name if form is output.Format.NAME else short(session.name)])
    else:
        output.write(wire.dump(session), form)
