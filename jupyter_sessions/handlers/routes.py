"""The table of methods: handlers, permissions and the OpenAPI document are all made from it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from jupyter_sessions.handlers import calls
from jupyter_sessions.handlers.calls import Json, Request
from jupyter_sessions.handlers.query import Parameter, boolean, integer
from jupyter_sessions.model.api import SessionsApi

PREFIX = "jupyter-sessions/v1"
"""Where the API is mounted, below the server's base URL."""
LOG_LIMIT = 65_536
"""How much of a log one request answers unless it says, in bytes."""
MAX_LOG_LIMIT = 1 << 20
"""The most of a log that one request answers, in bytes."""

Call = Callable[[SessionsApi, Request], Awaitable[Json]]

PARENT = "projects/{project}/locations/{location}"
SESSION = f"{PARENT}/sessions/{{session}}"
TEMPLATE = f"{PARENT}/sessionTemplates/{{template}}"
OPERATION = f"{PARENT}/operations/{{operation}}"
WATCH = f"{PARENT}/sessions:watch"
CONNECT = "connect"


@dataclass(frozen=True)
class Route:
    """One method of the API.

    ``path`` is a template below the prefix; ``action`` what the authorizer is asked; ``body`` and ``answer`` name
    schemas of the OpenAPI document (no body: ``""``).
    """

    verb: str
    path: str
    id: str
    action: str
    call: Call
    answer: str
    summary: str
    body: str = ""
    query: Sequence[Parameter] = ()


REQUEST_ID = Parameter(
    "requestId",
    "A second call with the same id, caller, parent and method is ignored and answers the first call's operation.",
    schema={"type": "string", "maxLength": 40, "pattern": "^[A-Za-z0-9_-]*$"},
)
SESSION_ID = Parameter(
    "sessionId",
    "The id of the new session; made by the server where it is absent.",
    schema={"type": "string", "maxLength": 63},
)
MASK = Parameter("updateMask", "Comma-separated paths to change; absent: every mutable field is replaced.")
PAGE = (
    Parameter(
        "pageSize",
        "The most rows of a page: 100 where absent or 0, above 1000 is 1000.",
        integer(0, 2**31 - 1),
        0,
        {"type": "integer", "format": "int32", "minimum": 0},
    ),
    Parameter("pageToken", "The nextPageToken of the page before, of the same parent and filter."),
    Parameter("filter", "An AIP-160 filter.", schema={"type": "string", "maxLength": 4096}),
)
PARTIAL = Parameter(
    "returnPartialSuccess",
    "Answer the other locations' rows where one does not answer.",
    boolean,
    False,
    {"type": "boolean"},
)
LOG = (
    Parameter(
        "offset",
        "The first byte wanted, absolute over rotation; a negative one counts from the end.",
        integer(-(2**63), 2**63 - 1),
        0,
        {"type": "integer", "format": "int64"},
    ),
    Parameter(
        "limit",
        "The most bytes to answer.",
        integer(1, MAX_LOG_LIMIT),
        LOG_LIMIT,
        {"type": "integer", "minimum": 1, "maximum": MAX_LOG_LIMIT},
    ),
)
AFTER = Parameter(
    "after",
    "The sequence after which changes are told. Over several locations it is repeated as {parent},{sequence}, and a "
    "location not named starts at its end.",
    schema={"type": "array", "items": {"type": "string"}},
    many=True,
)

ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        "projects/{project}/locations",
        "locations.list",
        "read",
        calls.list_locations,
        "ListLocationsResponse",
        "List the configured locations of a project",
    ),
    Route("GET", PARENT, "locations.get", "read", calls.get_location, "Location", "Get a location"),
    Route(
        "POST",
        f"{PARENT}/sessions",
        "sessions.create",
        "write",
        calls.create_session,
        "Operation",
        "Create a session",
        "Session",
        (SESSION_ID, REQUEST_ID),
    ),
    Route(
        "GET",
        f"{PARENT}/sessions",
        "sessions.list",
        "read",
        calls.list_sessions,
        "ListSessionsResponse",
        "List sessions, newest first",
        query=PAGE,
    ),
    Route("GET", SESSION, "sessions.get", "read", calls.get_session, "Session", "Get a session"),
    Route(
        "PATCH",
        SESSION,
        "sessions.patch",
        "write",
        calls.update_session,
        "Session",
        "Change a session's labels and limits",
        "Session",
        (MASK,),
    ),
    Route(
        "DELETE",
        SESSION,
        "sessions.delete",
        "write",
        calls.delete_session,
        "Operation",
        "Delete a session, ending it first if it lives",
        query=(REQUEST_ID,),
    ),
    Route(
        "POST",
        f"{SESSION}:terminate",
        "sessions.terminate",
        "execute",
        calls.terminate_session,
        "Operation",
        "End a session",
        "TerminateSessionRequest",
    ),
    Route("GET", f"{SESSION}/logs", "sessions.logs", "read", calls.read_log, "Log", "Read a session's log", query=LOG),
    Route(
        "GET",
        f"{SESSION}/kernels",
        "sessions.kernels",
        "read",
        calls.list_kernels,
        "ListKernelsResponse",
        "List a session's kernels",
    ),
    Route(
        "POST",
        f"{PARENT}/sessionTemplates",
        "sessionTemplates.create",
        "write",
        calls.create_template,
        "SessionTemplate",
        "Create a session template",
        "SessionTemplate",
    ),
    Route(
        "GET",
        f"{PARENT}/sessionTemplates",
        "sessionTemplates.list",
        "read",
        calls.list_templates,
        "ListSessionTemplatesResponse",
        "List session templates, newest first",
        query=PAGE,
    ),
    Route(
        "GET",
        TEMPLATE,
        "sessionTemplates.get",
        "read",
        calls.get_template,
        "SessionTemplate",
        "Get a session template",
    ),
    Route(
        "PATCH",
        TEMPLATE,
        "sessionTemplates.patch",
        "write",
        calls.update_template,
        "SessionTemplate",
        "Change a session template",
        "SessionTemplate",
        (MASK,),
    ),
    Route(
        "DELETE",
        TEMPLATE,
        "sessionTemplates.delete",
        "write",
        calls.delete_template,
        "Empty",
        "Delete a session template",
    ),
    Route(
        "GET",
        f"{PARENT}/operations",
        "operations.list",
        "read",
        calls.list_operations,
        "ListOperationsResponse",
        "List operations, newest first",
        query=(*PAGE, PARTIAL),
    ),
    Route("GET", OPERATION, "operations.get", "read", calls.get_operation, "Operation", "Get an operation"),
    Route(
        "DELETE",
        OPERATION,
        "operations.delete",
        "write",
        calls.delete_operation,
        "Empty",
        "Forget an operation, not its work",
    ),
    Route(
        "POST",
        f"{OPERATION}:cancel",
        "operations.cancel",
        "execute",
        calls.cancel_operation,
        "Empty",
        "Cancel a running create",
    ),
)
"""Every method of the service that answers JSON: all but the watch stream."""

# A client may percent-encode the colon before a verb; an id holds none, so that an unknown verb is an unknown path.
_COLON = "(?::|%3[Aa])"
_PART = {"project": r"[^/]+"}
_ID = r"(?:[^/:%]|%(?!3[Aa]))+"
_REGION = "(?:locations|regions)"


def pattern(path: str) -> str:
    """Give the regular expression of a path template; operations take ``regions`` for ``locations``."""
    text = re.sub(r"\{(\w+)\}", lambda found: f"(?P<{found[1]}>{_PART.get(found[1], _ID)})", path.replace(":", _COLON))
    # The colons of the groups themselves are made after the replacement, so none of them is touched.
    return text.replace("/locations/", f"/{_REGION}/") if "/operations" in path else text


def by_path(routes: Sequence[Route] = ROUTES) -> Mapping[str, Mapping[str, Route]]:
    """Give the routes of each path template by their HTTP method."""
    table: dict[str, dict[str, Route]] = {}
    for route in routes:
        table.setdefault(route.path, {})[route.verb] = route
    return table
