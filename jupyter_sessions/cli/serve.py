"""``jupyter sessions serve``: starts the service, and makes tokens for its users."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer

from jupyter_sessions.cli import output
from jupyter_sessions.cli.programs import command

PROGRAM = "jupyter_sessions.serve"
EXAMPLE = (
    "Examples: `jupyter sessions serve --port 0` for yourself on this machine; "
    "`jupyter sessions serve --host 0.0.0.0 --certfile tls.crt --keyfile tls.key --tokens tokens` for others."
)
TOKEN_EXAMPLE = "Example: `jupyter sessions serve token alice --tokens tokens > alice.token`"  # noqa: S105 - words

EXITS = "Exit codes: 0 it was stopped, 1 it broke, 2 not understood, or it cannot serve so."

app = typer.Typer(invoke_without_command=True, no_args_is_help=False, rich_markup_mode="markdown")


@app.callback(epilog=f"{EXAMPLE}\n\n{EXITS}")
def serve(
    context: typer.Context,
    host: Annotated[
        str | None, typer.Option("--host", "--ip", help="The address to listen on (default 127.0.0.1).")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="The port (default 8890); 0 takes a free one.")
    ] = None,
    port_file: Annotated[Path | None, typer.Option(help="A file to write the port to, once all is ready.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where sessions are kept.")] = None,
    location: Annotated[
        str | None,
        typer.Option(metavar="projects/P/locations/L", help="The location that is served (default local and serve)."),
    ] = None,
    tokens: Annotated[Path | None, typer.Option(help="A file of hashed tokens, NAME:sha256:HEX a line.")] = None,
    admin: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Who sees and touches everybody's; may be repeated.")
    ] = None,
    certfile: Annotated[Path | None, typer.Option(help="The TLS certificate, with its chain, in PEM.")] = None,
    keyfile: Annotated[Path | None, typer.Option(help="The certificate's key, where it is another file.")] = None,
    behind_proxy: Annotated[bool, typer.Option("--behind-proxy", help="TLS ends at a proxy in front.")] = False,
    template_kernels: Annotated[
        bool,
        typer.Option("--template-kernels", help="Offer a kernelspec for each template; starting it makes a session."),
    ] = False,
    config: Annotated[
        Path | None, typer.Option(help="A Jupyter config file: ServeApp.identity_provider_class and the rest.")
    ] = None,
) -> None:
    """Serve sessions and their kernels without JupyterLab, until Ctrl-C or SIGTERM; sessions run on.

    Without --tokens, and without an identity provider in the --config file, there is one user: your own account, whose
    token is printed. Run as root it serves every account that --tokens names, each with sessions of their own account.
    """
    options = {
        "ip": host,
        "port": port,
        "port-file": port_file,
        "data-dir": data_dir,
        "location": location,
        "tokens": tokens,
        "certfile": certfile,
        "keyfile": keyfile,
        "config": config,
    }
    given = [*_written(options), *(f"--admin={name}" for name in admin or ())]
    if behind_proxy:
        given.append("--behind-proxy")
    if template_kernels:
        given.append("--template-kernels")
    if context.invoked_subcommand is None:
        _become(command(PROGRAM, given))
    if given:
        raise typer.BadParameter(f"{given[0].partition('=')[0]} is an option of serving, not of its commands", context)


def _written(options: Mapping[str, object]) -> Iterator[str]:
    """Give the options that were given; what was not is the program's own to choose."""
    for name, value in options.items():
        if value is not None:
            yield f"--{name}={value}"


def _become(argv: list[str]) -> None:
    """Go on as another program in this process, so that signals and the exit code are its own."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(argv[0], argv)  # noqa: S606 - this interpreter and a module of ours


@app.command(epilog=f"{TOKEN_EXAMPLE}\n\n{output.EXITS}")
def token(
    name: Annotated[str, typer.Argument(help="The user; with a service of root the name of their account.")],
    tokens: Annotated[
        Path | None, typer.Option(help="The file of hashed tokens (default: jupyter_sessions/tokens in your config).")
    ] = None,
    revoke: Annotated[bool, typer.Option("--revoke", help="Take every token of this user out instead.")] = False,
) -> None:
    """Make a token for a user of a service and print it, once: the file keeps only its hash.

    A running service takes it up by itself.
    """
    from jupyter_sessions.config import tokens as room

    path = tokens or _default_file()
    try:
        if revoke:
            count = room.revoke_tokens(path, name)
            output.say(f"{path}: {count} token{'' if count == 1 else 's'} of {name} revoked")
            raise typer.Exit(output.OK if count else output.FAULTS)
        print(room.add_token(path, name))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="NAME") from error
    except room.TokensFault as error:
        output.say(str(error))
        raise typer.Exit(output.FAULTS) from error
    except OSError as error:
        output.say(f"{path}: {error.strerror}; name a file in a directory that you may write to")
        raise typer.Exit(output.FAULTS) from error
    output.say(f"Its hash is in {path}; the service is started with --tokens {path}. The token is not kept anywhere.")


def _default_file() -> Path:
    from jupyter_sessions.config.folders import own_folder

    folder = own_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / "tokens"
