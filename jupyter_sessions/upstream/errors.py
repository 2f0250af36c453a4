"""What an upstream's failures mean: its own errors as they were, and words for answers that are none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from jupyter_sessions.config.locations import Auth, LocationConfig
from jupyter_sessions.model import errors
from jupyter_sessions.model.answers import made, read_error
from jupyter_sessions.model.errors import SessionsError, Unauthenticated, Unavailable

SHOWN = 200
"""Characters of a strange answer that are shown."""
HIDDEN = "[hidden]"


def upstream_error(http: int, body: Any, config: LocationConfig, path: str = "") -> SessionsError | None:
    """Give the error that an answer's JSON is, message and details as they were and our hint behind; None if none.

    ``http`` is the answer's status code, ``path`` what was asked for, below ``/v1/``.
    """
    error = read_error(http, body)
    if error is None:
        return None
    return made(type(error), hinted(error.message, hint(type(error), error.details, config, path)), error.details)


def hinted(message: str, sentence: str) -> str:
    """Put our own sentence behind an upstream's message, in brackets that tell it apart."""
    return f"{message} [{sentence}]" if sentence else message


def hint(kind: type[SessionsError], details: Iterable[Mapping[str, Any]], config: LocationConfig, path: str) -> str:
    """Give what a person may do about an upstream's error, one sentence; empty where its own words are enough."""
    if config.auth is not Auth.GOOGLE:
        return ""
    project = config.quota_project or config.name.project
    reasons = {detail.get("reason") for detail in details}
    if "SERVICE_DISABLED" in reasons:
        return f"Enable the API: `gcloud services enable dataproc.googleapis.com --project {config.name.project}`."
    if "ACCESS_TOKEN_SCOPE_INSUFFICIENT" in reasons:
        return "Sign in for all of Google Cloud: `gcloud auth application-default login`."
    if "USER_PROJECT_DENIED" in reasons:
        return f"The role `roles/serviceusage.serviceUsageConsumer` on the project {project} is missing."
    if kind is errors.PermissionDenied:
        return (
            f"The role `roles/dataproc.editor` (to look only: `roles/dataproc.viewer`) on the project "
            f"{config.name.project} allows this."
        )
    # Not of one resource: the location itself is not there.
    if kind is errors.NotFound and len(path.split("?")[0].split("/")) <= 5:
        return f"Check `project` and `location` of {config.name} in {config.source or 'its configuration'}."
    if kind is errors.ResourceExhausted:
        return f"The quotas of the project {project} are in the Google Cloud console under IAM & Admin, Quotas."
    return ""


def unauthenticated(message: str, remedy: Iterable[str], details: Iterable[Mapping[str, Any]] = ()) -> SessionsError:
    """Make the one error of missing, expired or refused credentials: what is wrong, then the steps to mend it."""
    return made(Unauthenticated, hinted(message, " ".join(remedy)), details)


def strange(host: str, http: int, headers: Mapping[str, str], content: bytes, expected: str = "JSON") -> Unavailable:
    """Say what came in place of an answer: status, kind and the first characters of its text."""
    kind = headers.get("content-type", "").split(";")[0].strip()[:60] or "nothing"
    text = " ".join(printable(content[: 8 * SHOWN].decode("utf-8", "replace")).split())
    text = text[:SHOWN] + ("…" if len(text) > SHOWN else "")
    answer = f"{host} answered HTTP {http} with {kind} where {expected} was expected"
    return Unavailable(f"{answer}: {text}" if text else f"{answer}, and an empty body")


def redirected(host: str, http: int, location: str) -> Unavailable:
    """Say where an upstream would send us; only the host is named, for the rest may hold secrets."""
    from urllib.parse import urlsplit

    try:
        target = urlsplit(location).hostname or host
    except ValueError:
        target = "an address that is none"
    return Unavailable(
        f"{host} answered HTTP {http}, a redirect to {printable(target)[:SHOWN]}: it was not followed and no "
        "credentials were sent there; if it is right, make it the location's endpoint"
    )


def printable(text: str) -> str:
    """Give a text without control characters and markup's tags."""
    return "".join(sign if sign.isprintable() else " " for sign in re.sub(r"<[^>]{0,200}>", " ", text))


def secrets(headers: Mapping[str, str]) -> list[str]:
    """Give what of a request's headers must be shown nowhere: long values, and what follows ``Bearer``."""
    found = []
    for name, value in headers.items():
        if name.lower() in ("authorization", "cookie", "x-xsrftoken"):
            found += [value, value.rpartition(" ")[2]]
    return sorted((secret for secret in found if len(secret) > 3), key=len, reverse=True)


def scrubbed(error: SessionsError, hidden: Iterable[str]) -> SessionsError:
    """Give an error in which no secret stands, be it that an upstream said ours back to us."""
    words = list(hidden)
    text = json.dumps(error.details, ensure_ascii=False)
    if not any(word in error.message or _quoted(word) in text for word in words):
        return error
    message = error.message
    for word in words:
        message, text = message.replace(word, HIDDEN), text.replace(_quoted(word), HIDDEN)
    return made(type(error), message, json.loads(text))


def _quoted(word: str) -> str:
    return json.dumps(word, ensure_ascii=False)[1:-1]
