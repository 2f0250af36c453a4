"""The one error of this room that Jupyter's handlers see."""

from __future__ import annotations

from tornado.web import HTTPError

from jupyter_sessions.model.errors import SessionsError


class Refused(HTTPError):
    """A request on a kernel of a session cannot be done. ``str()`` is the message alone.

    Jupyter's notebook-session handler answers 500 with ``str(error)``, its kernel handlers the status and message.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.message = message

    def __str__(self) -> str:
        return self.message

    if isinstance(getattr(HTTPError, "log_message", None), property):
        # Jupyter shows it as it is, where tornado's own doubles each percent sign. A tornado without the property logs
        # by it as a format, and needs them doubled.
        @property
        def log_message(self) -> str:
            """The message."""
            return self.message


def refused(error: BaseException, doing: str) -> Refused:
    """Turn what a host's link raised into a ``Refused``; ``doing`` says in words what failed."""
    if isinstance(error, Refused):
        return Refused(error.status_code, f"{doing}: {error.message}")
    if isinstance(error, SessionsError):
        return Refused(error.http, f"{doing}: {error.message}")
    if isinstance(error, HTTPError):
        return Refused(error.status_code, f"{doing}: {error.log_message or error.reason or error.status_code}")
    return Refused(503, f"{doing}: {error or type(error).__name__}")
