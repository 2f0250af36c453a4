"""``%session push`` and ``pull``, and ``connect``: what moves between here and there."""

from __future__ import annotations

import argparse
import getpass

from jupyter_sessions.client.client import SessionsClient
from jupyter_sessions.magics.arguments import size
from jupyter_sessions.magics.cell import Moved
from jupyter_sessions.magics.context import Context
from jupyter_sessions.model.errors import FailedPrecondition


def push(context: Context, asked: argparse.Namespace) -> None:
    """Send variables to a session."""
    values = context.values(asked.names)
    name = context.which(asked.session)
    connection = context.connect(name, asked.kernel)
    context.mention(name, connection.kernel_id)
    for line in _moved(context, name, asked).send(connection, values):
        context.front.mention(f"sent {line}")


def pull(context: Context, asked: argparse.Namespace) -> None:
    """Bring variables of a session here."""
    name = context.which(asked.session)
    connection = context.connect(name, asked.kernel)
    context.mention(name, connection.kernel_id)
    _moved(context, name, asked).bring(connection, asked.names)
    context.front.mention(f"brought {', '.join(asked.names)}")


def _moved(context: Context, name: str, asked: argparse.Namespace) -> Moved:
    return Moved(context, name, pickle=asked.pickle, limit=size(asked.limit) if asked.limit else None)


def connect(context: Context, asked: argparse.Namespace) -> None:
    """Work with the server that is named, or with the one that is found, from now on."""
    if asked.ask_token and not context.front.asks:
        raise FailedPrecondition(
            "nobody can be asked for a token here; set JUPYTER_SESSIONS_TOKEN in the environment of this kernel"
        )
    token = getpass.getpass("Token: ") if asked.ask_token else None
    client = SessionsClient(asked.url or None, token, asked.location or None)
    place = client.location
    context.use(client)
    context.front.mention(f"connected to {client.url}, {place}")
