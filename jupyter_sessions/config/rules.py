"""What the fields of one location must hold together, and the location that they make."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_sessions.config import urls
from jupyter_sessions.config.faults import Path as Where
from jupyter_sessions.config.faults import Problem
from jupyter_sessions.config.locations import DEFAULT_START_TIMEOUT, THIS_MACHINE, Auth, Bearer, Limits, LocationConfig
from jupyter_sessions.config.locations import Provider as Kind
from jupyter_sessions.model.names import LOCAL, LocationName

if TYPE_CHECKING:
    from jupyter_sessions.config.shapes import BearerShape, LimitsShape, LocationShape

GOOGLE_ENDPOINT = "https://{location}-dataproc.googleapis.com"
GOOGLE_KERNELS = f"https://{{projectNumber}}-dot-{{location}}.{urls.GOOGLE_GATEWAY}"
_UPSTREAM_ONLY = (
    "endpoint",
    "auth",
    "bearer",
    "gateway",
    "project_number",
    "quota_project",
    "verify",
    "proxy",
    "request_timeout",
    "start_timeout",
)
_DNS_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_SOURCES = ("file", "environment", "command")


def location_name(shape: LocationShape) -> LocationName | None:
    """Give a location's name if both halves are there."""
    if shape.project is None or shape.location is None:
        return None
    return LocationName(shape.project, shape.location)


def judge(shape: LocationShape, faulty: set[Where]) -> list[Problem]:
    """Name what is wrong between the fields; ``faulty`` are those already told of, about which nothing is said."""
    problems = [Problem((name,), "must be given", f"write {name}: …") for name in ("project", "location")]
    problems = [problem for problem in problems if getattr(shape, str(problem.path[0])) is None]
    problems += _limits(shape.limits)
    if provider(shape) is Kind.EMBEDDED:
        problems += _embedded(shape)
    else:
        problems += [*_endpoint(shape), *_google(shape), *_bearer(shape, faulty), *_gateway(shape), *_security(shape)]
    if ("auth",) in faulty:
        # What follows from it cannot be judged.
        problems = [problem for problem in problems if problem.path not in (("quota_project",), ("endpoint",))]
    return [problem for problem in problems if problem.path not in faulty and problem.path[:1] not in faulty]


def provider(shape: LocationShape) -> Kind:
    """Give a location's provider: embedded where nothing else is said for this machine's own name."""
    if shape.provider is not None:
        return Kind(shape.provider)
    plain = all(getattr(shape, name) is None for name in _UPSTREAM_ONLY)
    return Kind.EMBEDDED if location_name(shape) == LOCAL and plain else Kind.UPSTREAM


def auth(shape: LocationShape) -> Auth:
    """Give how an upstream is convinced: as said, else by what its endpoint and bearer tell."""
    if shape.auth is not None:
        return Auth(shape.auth)
    if shape.bearer is not None:
        return Auth.BEARER
    return Auth.GOOGLE if shape.endpoint and urls.below(shape.endpoint, urls.GOOGLE_API) else Auth.NONE


def make(shape: LocationShape, source: str) -> LocationConfig:
    """Make the location of a shape with which nothing is wrong."""
    name = location_name(shape)
    if name is None:
        raise ValueError("a location without a name was not judged")
    if provider(shape) is Kind.EMBEDDED:
        shown = shape.display_name or THIS_MACHINE.display_name
        return LocationConfig(name, Kind.EMBEDDED, shown, shape.labels or {}, limits=_made(shape.limits), source=source)
    endpoint, gateway = shape.endpoint or "", shape.gateway
    if auth(shape) is Auth.GOOGLE:
        endpoint = endpoint or GOOGLE_ENDPOINT.format(location=name.location)
        gateway = GOOGLE_KERNELS if gateway is None else gateway
    return LocationConfig(
        name=name,
        provider=Kind.UPSTREAM,
        display_name=shape.display_name or f"{name.project} / {name.location}",
        labels=shape.labels or {},
        endpoint=endpoint,
        auth=auth(shape),
        bearer=_token_source(shape.bearer),
        gateway=gateway or "",
        project_number=shape.project_number or "",
        quota_project=shape.quota_project or "",
        limits=_made(shape.limits),
        verify=_verify(shape.verify),
        proxy=shape.proxy or "",
        request_timeout=shape.request_timeout or LocationConfig.request_timeout,
        start_timeout=shape.start_timeout or DEFAULT_START_TIMEOUT,
        source=source,
    )


def home(path: str) -> Path:
    """Give a path with ``~`` filled in, unchanged where no such home is known."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def _verify(given: bool | str | None) -> bool | str:
    if isinstance(given, str):
        return str(home(given))
    return True if given is None else given


def _token_source(shape: BearerShape | None) -> Bearer | None:
    if shape is None:
        return None
    file = home(shape.file) if shape.file else None
    return Bearer(file, shape.environment or "", tuple(shape.command or ()), shape.refresh or Bearer.refresh)


def _made(shape: LimitsShape | None) -> Limits:
    return Limits() if shape is None else Limits(**shape.model_dump())


def _limits(shape: LimitsShape | None) -> Iterator[Problem]:
    for name in ("ttl", "idle_ttl"):
        given, most = getattr(shape, name, None), getattr(shape, f"max_{name}", None)
        if given is not None and most is not None and given > most:
            yield Problem(("limits", name), f"must be at most max_{name}", f"lower it, or raise max_{name}")


def _embedded(shape: LocationShape) -> Iterator[Problem]:
    for name in _UPSTREAM_ONLY:
        if getattr(shape, name) is not None:
            rule = "must not be given for an embedded location, which runs on this machine"
            yield Problem((name,), rule, "leave it out, or write provider: upstream")


def _endpoint(shape: LocationShape) -> Iterator[Problem]:
    if shape.endpoint is None and auth(shape) is not Auth.GOOGLE:
        remedy = "write auth: google for Google's own, or endpoint: https://… for another server"
        yield Problem(("endpoint",), "must be given", remedy)


def _google(shape: LocationShape) -> Iterator[Problem]:
    if auth(shape) is Auth.GOOGLE:
        if shape.endpoint is not None and not urls.below(shape.endpoint, urls.GOOGLE_API):
            rule = f"must lie below {urls.GOOGLE_API}, for auth: google sends Google credentials"
            yield Problem(("endpoint",), rule, "leave it out for Google's own, or write another auth")
        if shape.gateway and not urls.below(shape.gateway, urls.GOOGLE_GATEWAY):
            rule = f"must lie below {urls.GOOGLE_GATEWAY}, for auth: google sends Google credentials"
            yield Problem(("gateway",), rule, "leave it out for Google's own, or write another auth")
        if shape.location is not None and shape.endpoint is None and not _DNS_LABEL.fullmatch(shape.location):
            yield Problem(
                ("location",), "must be a region, for it is part of the endpoint", "write one like us-central1"
            )
    elif shape.quota_project is not None and not (shape.endpoint and urls.below(shape.endpoint, urls.GOOGLE_API)):
        rule = "must not be given for a server that is not Google's"
        yield Problem(("quota_project",), rule, "leave it out")


def _bearer(shape: LocationShape, faulty: set[Where]) -> Iterator[Problem]:
    if shape.bearer is None:
        if auth(shape) is Auth.BEARER:
            remedy = "write bearer: with file, environment or command under it"
            yield Problem(("bearer",), "must be given for auth: bearer", remedy)
        return
    if auth(shape) is not Auth.BEARER:
        yield Problem(
            ("bearer",), f"must not be given for auth: {auth(shape).value}", "write auth: bearer, or leave it out"
        )
    told = {path[1] for path in faulty if len(path) > 1 and path[0] == "bearer"}
    given = [name for name in _SOURCES if getattr(shape.bearer, name) is not None or name in told]
    # A word that is none here was meant as the one source.
    if len(given) > 1 or (not given and not told - {"refresh"}):
        rule = f"must hold exactly one of {', '.join(_SOURCES)}"
        yield Problem(("bearer",), rule, f"keep one of {', '.join(given)}" if given else "name where the token is")
    if shape.bearer.file is not None and not home(shape.bearer.file).is_absolute():
        yield Problem(("bearer", "file"), "must be an absolute path or begin with ~/", "write the whole path")


def _gateway(shape: LocationShape) -> Iterator[Problem]:
    for name, value in (("project", shape.project), ("location", shape.location)):
        if (
            shape.gateway
            and name in urls.host_placeholders(shape.gateway)
            and value
            and not _DNS_LABEL.fullmatch(value)
        ):
            rule = f"{{{name}}} in its host needs a {name} of letters, digits and - only"
            yield Problem(("gateway",), rule, f"put {{{name}}} into the path, or write the host out")


def _security(shape: LocationShape) -> Iterator[Problem]:
    if shape.verify is False and auth(shape) is not Auth.NONE:
        rule = f"must not be false with auth: {auth(shape).value}, or anybody could take the credentials"
        yield Problem(("verify",), rule, "write the path of a file with the certificate that signed the server's")
    if isinstance(shape.verify, str) and not home(shape.verify).is_absolute():
        rule = "must be true, false, or the absolute path of a file of certificates"
        yield Problem(("verify",), rule, "write the whole path; true and false stand without quotes")
