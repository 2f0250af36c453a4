"""The handlers of the extension, as Jupyter Server takes them."""

from __future__ import annotations

from typing import Any

from jupyter_sessions.handlers.base import Setup
from jupyter_sessions.handlers.resources import (
    ReadHandler,
    RefusedPath,
    ResourceHandler,
    connect_help,
    openapi_document,
)
from jupyter_sessions.handlers.routes import CONNECT, PREFIX, SESSION, WATCH, by_path, pattern
from jupyter_sessions.handlers.streams import WatchHandler
from jupyter_sessions.model.errors import NotFound, Unimplemented


def handlers(setup: Setup, prefix: str = PREFIX) -> list[tuple[str, type[Any], dict[str, Any]]]:
    """Give pattern, class and arguments of every handler; the last takes every other path under ``prefix``."""
    root = f"/{prefix}/"
    spark = {"setup": setup, "error": Unimplemented, "message": "sparkApplications are not implemented by this server"}
    nothing = {"setup": setup, "error": NotFound, "message": "there is nothing at this path (see openapi.json)"}
    rows: list[tuple[str, type[Any], dict[str, Any]]] = [
        (root + pattern(path), ResourceHandler, {"setup": setup, "routes": routes})
        for path, routes in by_path().items()
    ]
    rows += [
        (root + pattern(WATCH), WatchHandler, {"setup": setup}),
        (root + pattern(SESSION) + r"/sparkApplications(?:[/:%].*)?", RefusedPath, spark),
        (root + r"openapi\.json", ReadHandler, {"setup": setup, "document": openapi_document}),
        (root + CONNECT, ReadHandler, {"setup": setup, "document": connect_help}),
        (rf"/{prefix}(?:/.*)?", RefusedPath, nothing),
    ]
    return rows
