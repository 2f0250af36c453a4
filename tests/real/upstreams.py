"""Every kind of upstream at once: services with tokens of each source, peers that echo, and Google behind a proxy."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.certificates import authority
from tests.faults.server import FaultServer, Reply, Request
from tests.faults.sockets import Proxy
from tests.real.echoing import MODES, echo, looping, mirror, redirect, said
from tests.serve.serving import OWN, Served
from tests.upstream.signing_in import ISSUER, form, issued, refused, service_account_file, user_file

VARIABLE = "FAR_TOKEN"
"""The environment variable that one location's token is in."""
API, GATEWAY = "us-central1-dataproc.googleapis.com", "4711-dot-us-central1.kernels.googleusercontent.com"
GOOGLE = "projects/somebodys/locations/us-central1"
Enter = Callable[[AbstractAsyncContextManager[Any]], Any]
BEHIND = ("refused", "denied", "page", "headers", "reset", "nonsense", "malformed", "closing", "redirect")
"""The modes in which a kernel gateway fails, or kernels' channels do, behind an API that works."""
SOURCES = ("serve", "command", "environment")
"""The services, and the locations, by where the token comes from; the first one's from a file."""


def fresh() -> str:
    """Make a secret that stands nowhere else, with signs that each spelling writes differently."""
    return f"{secrets.token_urlsafe(24)}/{secrets.token_hex(4)}+="


def private(path: Path, text: str) -> Path:
    """Write a file for this account alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)
    return path


class Service(Served):
    """A service of this account's, whose token stands nowhere else."""

    def __init__(self, home: Path, location: str, options: Sequence[str] = ()) -> None:
        self.secret = fresh()
        self.location = f"projects/local/locations/{location}"
        home.mkdir(parents=True)
        super().__init__(home, [OWN], [], [f"--location={self.location}", "--debug", *options])
        self.closing = contextlib.ExitStack()

    def token(self, user: str) -> str:
        """Give the user's token."""
        assert user == OWN
        return self.secret

    @property
    def authorization(self) -> str:
        """What a request's Authorization header says."""
        return f"Bearer {self.secret}"

    def until(self, session: str, state: str) -> None:
        """Wait until a session is in a state."""

        async def look() -> bool:
            found = await self.call(OWN, "GET", f"{self.location}/sessions/{session}")
            return bool(found["state"] == state)

        from tests.serve.serving import until

        asyncio.run(until(look, f"{session} to be {state}", 60.0))


@contextlib.contextmanager
def services(home: Path, names: Sequence[str]) -> Iterator[dict[str, Service]]:
    """Serve until the block ends, one service for each name; the name is its location's."""
    made = {name: Service(home / f"service-{name}", name) for name in names}

    async def each(act: Callable[[Service], Any]) -> None:
        await asyncio.gather(*(act(one) for one in made.values()))

    try:
        asyncio.run(each(lambda one: one.start()))
        yield made
    finally:
        for one in made.values():
            one.closing.close()
        asyncio.run(each(lambda one: one.close()))


@dataclass
class Upstreams:
    """All upstreams of a test. ``secrets`` is what must be found nowhere, by what it is."""

    home: Path
    services: Mapping[str, Service]
    faults: FaultServer
    elsewhere: FaultServer
    google: FaultServer
    proxy: Proxy
    proxy_password: str
    locations: list[dict[str, Any]] = field(default_factory=list)
    secrets: dict[str, bytes] = field(default_factory=dict)
    google_says_no: bool = False

    @property
    def key_file(self) -> Path:
        """The file of Google's Application Default Credentials."""
        return self.home / "google" / "credentials.json"

    @property
    def environment(self) -> dict[str, str]:
        """What is in the environment of a server, or of a doctor, that knows all of them."""
        proxy = f"http://somebody:{self.proxy_password}@127.0.0.1:{self.proxy.port}"
        return {
            VARIABLE: self.services["environment"].secret,
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.key_file),
            "HTTPS_PROXY": proxy,
            "https_proxy": proxy,
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }

    def configure(self, config: Path) -> None:
        """Write the locations into Jupyter's config directory."""
        private(config / "jupyter_sessions" / "locations.yaml", json.dumps({"locations": self.locations}, indent=1))

    def sign_in(self) -> None:
        """Lay down what signing in to Google does."""
        secret = fresh()
        refresh = f"1//{fresh()}"
        private(self.key_file, "")
        user_file(self.key_file, refresh_token=refresh, client_secret=secret)
        self.secrets |= {"the refresh token": refresh.encode(), "the client's secret": secret.encode()}

    def use_service_account(self) -> None:
        """Lay down a service account's key instead, whose tokens come from a peer that echoes."""
        private(self.key_file, "")
        service_account_file(self.key_file, f"{self.faults.url}/issuer/token")
        key = json.loads(self.key_file.read_text())["private_key"]
        self.secrets["the private key"] = "".join(key.splitlines()[2:4]).encode()
        self.secrets["a line of the private key"] = key.splitlines()[5].encode()

    def spoil_key(self) -> None:
        """Make the key's file one that cannot be read as what it is."""
        self.key_file.write_text(self.key_file.read_text().replace("PRIVATE KEY", "KEY OF NOBODY"))

    def break_file(self) -> None:
        """Make the file no JSON, with the key still in it."""
        self.key_file.write_text(self.key_file.read_text()[:-2])

    def at_google(self, request: Request) -> Reply:
        """Answer for Google: an issuer of tokens, the API, and a kernel gateway."""
        host = request.headers["host"]
        if host == ISSUER:
            posted = form(request)
            if self.google_says_no:
                return refused(words=f"{posted} is over")
            token = f"ya29.{fresh()}"
            self.secrets[f"access token {len(self.secrets)}"] = token.encode()
            return issued(token)
        assert host in (API, GATEWAY), host
        return echo(401, request) if self.google_says_no else mirror(request)

    def at_fault(self, request: Request) -> Reply:
        """Answer in the way that the path begins with."""
        mode = request.path.split("/")[1]
        if mode == "issuer":
            posted = form(request)
            self.secrets[f"assertion {len(self.secrets)}"] = posted["assertion"].encode()
            return refused(words=f"{posted['assertion']} is over")
        if request.path.endswith("/channels"):
            # "/mirror/{mode}": all but the channels works.
            behind = request.path.split("/")[2]
            mode = behind if behind in BEHIND else mode
        return redirect(request, self.elsewhere.url) if mode == "redirect" else MODES[mode](request)

    def received(self) -> bytes:
        """Give what the echoing peers were told: what stands there was really sent."""
        told = [said(request).encode() + request.body for request in (*self.faults.requests, *self.google.requests)]
        return b"\n".join(told)


@contextlib.contextmanager
def upstreams(home: Path) -> Iterator[Upstreams]:
    """Run every upstream until the block ends."""
    with looping() as enter, services(home, SOURCES) as served:
        found = _peers(home, enter, served)
        found.sign_in()
        for name, service in served.items():
            found.secrets[f"the token of {name}"] = service.secret.encode()
        found.secrets["the proxy's password"] = found.proxy_password.encode()
        found.locations = [*_served(found), *_faulty(found)]
        project, _, location = GOOGLE.removeprefix("projects/").split("/")
        bundle = str(home / "authority.pem")
        found.locations.append(
            {
                "project": project,
                "location": location,
                "auth": "google",
                "project_number": 4711,
                "quota_project": "payer",
                "verify": bundle,
                "request_timeout": 5,
            }
        )
        yield found


def _peers(
    home: Path, enter: Callable[[AbstractAsyncContextManager[Any]], Any], served: dict[str, Service]
) -> Upstreams:
    trusted = authority(home, ISSUER, API, GATEWAY)
    (home / "peer.pem").chmod(0o600)
    faults = enter(FaultServer(route=lambda request: found.at_fault(request)))
    elsewhere = enter(FaultServer())
    google = enter(FaultServer(route=lambda request: found.at_google(request), tls=trusted.server))
    proxy = enter(Proxy({f"{host}:443": google.port for host in (ISSUER, API, GATEWAY)}))
    found = Upstreams(home, served, faults, elsewhere, google, proxy, f"pass-{secrets.token_hex(16)}")
    return found


def _served(found: Upstreams) -> Iterator[dict[str, Any]]:
    """Give the services' locations, each with its token from another source."""
    token = private(found.home / "tokens" / "serve", found.services["serve"].secret + "\n")
    printed = private(found.home / "tokens" / "command", found.services["command"].secret + "\n")
    program = "import sys; print('looked it up', file=sys.stderr); print(open(sys.argv[1]).read())"
    bearers: dict[str, dict[str, Any]] = {
        "serve": {"file": str(token)},
        "command": {"command": [sys.executable, "-c", program, str(printed)]},
        "environment": {"environment": VARIABLE},
    }
    for name, bearer in bearers.items():
        yield {
            "project": "local",
            "location": name,
            "endpoint": found.services[name].url,
            "auth": "bearer",
            "bearer": bearer,
        }


def _faulty(found: Upstreams) -> Iterator[dict[str, Any]]:
    """Give the locations of peers that say credentials back: as the API, as its kernel gateway, as kernels' channels.

    Where the fault is one of the latter, what comes before it works.
    """
    url = found.faults.url
    for mode in (*MODES, "redirect"):
        yield _bearing(found, "faults", mode, f"{url}/{mode}", f"{url}/{mode}")
    for mode in BEHIND:
        yield _bearing(found, "gateways", mode, f"{url}/mirror", f"{url}/{mode}")
        yield _bearing(found, "channels", mode, f"{url}/mirror", f"{url}/mirror/{mode}")


def _bearing(found: Upstreams, project: str, location: str, endpoint: str, gateway: str) -> dict[str, Any]:
    secret = fresh()
    found.secrets[f"the token of {project} {location}"] = secret.encode()
    bearer = {"file": str(private(found.home / "tokens" / project / location, secret))}
    given = {"endpoint": endpoint, "gateway": gateway, "auth": "bearer", "bearer": bearer, "request_timeout": 3}
    return {"project": project, "location": location, **given}
