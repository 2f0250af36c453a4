"""Tries one upstream location: the way to it, the credentials, a list of its sessions, its kernel gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from jupyter_sessions import __version__
from jupyter_sessions.config.locations import Auth, LocationConfig
from jupyter_sessions.doctor import reaching
from jupyter_sessions.doctor.findings import Finding, Level, fault, warn, well
from jupyter_sessions.engines.hostlink import HostUnreachable
from jupyter_sessions.model.errors import SessionsError, Unauthenticated
from jupyter_sessions.upstream.base import Credentials, Transport
from jupyter_sessions.upstream.credentials import make_credentials
from jupyter_sessions.upstream.errors import secrets
from jupyter_sessions.upstream.gateway import LocationGateway, make_gateway
from jupyter_sessions.upstream.offload import in_thread
from jupyter_sessions.upstream.transport import make_transport

SECONDS = 10.0
"""How long one check may take."""
CREDENTIALS, SESSIONS, SERVICE, KERNELS = "credentials", "sessions", "service", "kernel gateway"
_INSIDE = 0.8
"""The part of its time after which a check gives up by itself, with better words."""


class LocationCheck:
    """The checks of one location, in order; after one that fails, those that need it are left out.

    ``secrets`` gathers what must not be shown, ``tell`` hears of each check as it begins, ``seconds`` limits each.
    """

    def __init__(self, config: LocationConfig, tell: Callable[[str], None], seconds: float = SECONDS) -> None:
        self._config = config
        self._subject = str(config.name)
        self._tell = tell
        self._seconds = seconds
        self.secrets: set[str] = set()

    async def run(self) -> list[Finding]:
        """Try everything. Raises nothing that a server or a network can cause."""
        found = await self._way()
        reached = not any(row.level is Level.FAULT for row in found)
        credentials = make_credentials(self._config)
        proved = await self._credentials(credentials)
        found += proved
        if not reached or any(row.level is Level.FAULT for row in proved):
            return found
        transport = make_transport(self._config, credentials)
        try:
            listed = await self._sessions(transport)
            found += listed
            if any(row.level is Level.FAULT for row in listed):
                return found
            kind, metadata, told = await self._service(transport)
            return [*found, *told, *await self._kernels(kind, metadata, credentials)]
        finally:
            await transport.close()

    async def _way(self) -> list[Finding]:
        config, inside = self._config, self._seconds * _INSIDE
        try:
            way = reaching.way_to(config, config.endpoint)
        except ValueError:
            # Its words would quote a part of a password.
            remedy = "mend HTTPS_PROXY: in a password, signs such as / and @ must be percent-encoded (%2F, %40)"
            return [fault(reaching.CONNECT, self._subject, "the proxy of the environment is no URL", "", remedy)]
        name = config.name
        url = f"{config.endpoint}/v1/projects/{quote(name.project, safe='')}/locations/{quote(name.location, safe='')}"
        steps: list[tuple[str, Callable[[], list[Finding]]]] = [
            (reaching.NAME, lambda: reaching.check_name(way)),
            (reaching.CONNECT, lambda: reaching.check_connection(way, inside)),
            (reaching.TLS, lambda: reaching.check_tls(way, config, inside)),
            (reaching.ANSWER, lambda: reaching.check_answer(config, url, inside, way)),
        ]
        found: list[Finding] = []
        for check, step in steps:
            found += await self._timed(check, in_thread(step, f"doctor {check}"))
            if any(row.level is Level.FAULT for row in found):
                break
        return found

    async def _timed(self, check: str, work: Any) -> list[Finding]:
        self._tell(f"{self._subject}: {check}")
        try:
            found: list[Finding] = await asyncio.wait_for(work, self._seconds)
        except asyncio.TimeoutError:
            why = f"no answer within {self._seconds:g} s"
            return [fault(check, self._subject, "does not answer in time", why, "try again; ask who runs the server")]
        return found

    async def _credentials(self, credentials: Credentials) -> list[Finding]:
        if self._config.auth is Auth.NONE:
            return []
        return await self._timed(CREDENTIALS, self._prove(credentials))

    async def _prove(self, credentials: Credentials) -> list[Finding]:
        try:
            headers = await credentials.headers()
        except SessionsError as error:
            remedy = " ".join(credentials.remedy())
            return [fault(CREDENTIALS, self._subject, "there are no credentials", _words(error), remedy)]
        self.secrets.update(secrets(headers))
        what = {Auth.GOOGLE: "Google gives an access token", Auth.BEARER: "there is a token"}[self._config.auth]
        return [well(CREDENTIALS, self._subject, what, _source(self._config))]

    async def _sessions(self, transport: Transport) -> list[Finding]:
        return await self._timed(SESSIONS, self._list(transport))

    async def _list(self, transport: Transport) -> list[Finding]:
        path = f"{self._config.name}/sessions"
        try:
            answer = await transport.call("GET", path, {"pageSize": "1"}, deadline=self._seconds * _INSIDE, probe=True)
        except SessionsError as error:
            what = f"sessions cannot be listed: {error.http} {error.status}"
            return [fault(SESSIONS, self._subject, what, _words(error), self._remedy(error))]
        some = bool(answer.body.get("sessions"))
        return [well(SESSIONS, self._subject, "sessions can be listed", "" if some else "there are none yet")]

    def _remedy(self, error: SessionsError) -> str:
        """Say what to do about a refused list; what a refusal's own words say already is not said again."""
        if isinstance(error, Unauthenticated):
            return " ".join(make_credentials(self._config).remedy())
        google = self._config.auth is Auth.GOOGLE
        return {
            403: "ask for the role roles/dataproc.viewer on the project"
            if google
            else "ask who runs the server for access",
            404: "check project and location, and the path of the endpoint",
            429: "wait, or ask for more quota",
        }.get(error.http, "try again; ask who runs the server")

    async def _service(self, transport: Transport) -> tuple[str, Mapping[str, Any], list[Finding]]:
        """Say what the server is: Google's, ours, or another that speaks the API."""
        if (urlsplit(self._config.endpoint).hostname or "").endswith(".googleapis.com"):
            return "google", {}, [well(SERVICE, self._subject, "it is Google's")]
        self._tell(f"{self._subject}: {SERVICE}")
        metadata: Any = {}
        try:
            answer = await transport.call("GET", str(self._config.name), deadline=self._seconds * _INSIDE, probe=True)
            metadata = answer.body.get("metadata")
        except SessionsError:
            metadata = {}
        if not isinstance(metadata, Mapping) or metadata.get("service") != "jupyter_sessions":
            why = "its change stream and its kernels may be missing"
            return "other", {}, [warn(SERVICE, self._subject, "it speaks the API, and says not what it is", why)]
        version = str(metadata.get("version", ""))
        if version.split(".")[:2] != __version__.split(".")[:2]:
            why = f"it has version {version or 'unknown'}, this is {__version__}"
            told = warn(SERVICE, self._subject, "it is a jupyter_sessions of another version", why, "upgrade the older")
        else:
            told = well(SERVICE, self._subject, f"it is jupyter_sessions {version}")
        return "jupyter_sessions", metadata, [told]

    async def _kernels(self, kind: str, metadata: Mapping[str, Any], credentials: Credentials) -> list[Finding]:
        gateway = make_gateway(self._config, kind, credentials, metadata)
        if gateway is None:
            why = "its sessions are shown, and no kernels of theirs are offered"
            return [warn(KERNELS, self._subject, "it has no kernel gateway", why, "set gateway: where there is one")]
        try:
            return await self._timed(KERNELS, self._ask(gateway))
        finally:
            await gateway.close()

    async def _ask(self, gateway: LocationGateway) -> list[Finding]:
        try:
            await _found(gateway)
            status, answer = await gateway.link().request("GET", "/api/kernelspecs", timeout=self._seconds * _INSIDE)
        except HostUnreachable as error:
            remedy = "mend gateway:, or ask who runs it"
            return [fault(KERNELS, self._subject, "cannot be reached", error.reason, remedy)]
        if status != 200 or not isinstance(answer, Mapping) or not isinstance(answer.get("kernelspecs"), Mapping):
            why = f"it answers {status} to /api/kernelspecs"
            remedy = "mend gateway:, or ask for access to it"
            return [fault(KERNELS, self._subject, "does not list kernels", why, remedy)]
        count = len(answer["kernelspecs"])
        return [well(KERNELS, self._subject, f"it lists {count} kernel{'' if count == 1 else 's'}", gateway.url)]


async def _found(gateway: LocationGateway) -> None:
    """Wait until the gateway's address is known (a project's number may have to be looked up).

    Raises HostUnreachable where it cannot be.
    """
    if gateway.url:
        return
    gateway.start()
    while not gateway.url:
        if gateway.fault:
            raise HostUnreachable(gateway.fault)
        await asyncio.sleep(0.05)


def _words(error: SessionsError) -> str:
    return " ".join(error.message.split())


def _source(config: LocationConfig) -> str:
    bearer = config.bearer
    if bearer is None:
        return ""
    if bearer.file is not None:
        return f"from {bearer.file}"
    return f"from the variable {bearer.environment}" if bearer.environment else f"from {bearer.command[0]}"


async def check_locations(
    configs: list[LocationConfig], tell: Callable[[str], None], seconds: float = SECONDS
) -> AsyncIterator[tuple[list[Finding], set[str]]]:
    """Try several locations at a time; give each one's findings and secrets, in order."""
    checks = [LocationCheck(config, tell, seconds) for config in configs]
    for check, found in zip(checks, await asyncio.gather(*(check.run() for check in checks)), strict=True):
        yield found, check.secrets
