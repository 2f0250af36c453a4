"""Sessions from a program.

::

    from jupyter_sessions.client import SessionsClient

    client = SessionsClient()
    with client.session("etl-nightly") as session:
        print(session.run("1 + 1").text)
"""

from jupyter_sessions.client.client import SessionsClient
from jupyter_sessions.client.errors import (
    ExecutionFailed,
    KernelDied,
    ServerGone,
    ServerNotFound,
    ServerNotTrusted,
    SessionEnded,
    TransferRefused,
)
from jupyter_sessions.client.handle import SessionHandle
from jupyter_sessions.client.operation import OperationHandle
from jupyter_sessions.model.errors import SessionsError

__all__ = [
    "ExecutionFailed",
    "KernelDied",
    "OperationHandle",
    "ServerGone",
    "ServerNotFound",
    "ServerNotTrusted",
    "SessionEnded",
    "SessionHandle",
    "SessionsClient",
    "SessionsError",
    "TransferRefused",
]
