"""What an address needs before it is listened on, and the settings that Jupyter's handlers read."""

from __future__ import annotations

import ipaddress
import secrets
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tornado.web import RequestHandler

if TYPE_CHECKING:
    from jupyter_server.auth import Authorizer, IdentityProvider
    from traitlets.config import Config


MAX_MESSAGE = 1 << 30
"""The most bytes of one websocket message: kernels send large ones."""


class Refused(Exception):
    """What was asked for at the start cannot be served; the message says why and what to do."""


@dataclass(frozen=True)
class Address:
    """Where to listen: ``port`` 0 takes a free one. ``behind_proxy``: TLS ends at a proxy in front."""

    ip: str
    port: int
    certfile: str = ""
    keyfile: str = ""
    behind_proxy: bool = False

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.ip).is_loopback
        except ValueError:
            return self.ip == "localhost"

    def tls(self) -> ssl.SSLContext | None:
        """Give what encrypts connections, None for plain http.

        Raises Refused for files that cannot be used, and for plain http where other machines would send their tokens.
        """
        if self.keyfile and not self.certfile:
            raise Refused("--keyfile needs --certfile, the certificate that belongs to it")
        if self.certfile:
            return _context(self.certfile, self.keyfile)
        if not self.local and not self.behind_proxy:
            raise Refused(
                f"plain http on {self.ip or 'every address'} would carry users' tokens over the network unencrypted. "
                "Give --certfile and --keyfile; or --behind-proxy where a proxy on a trusted network ends TLS; or "
                "listen on --ip=127.0.0.1"
            )
        return None

    def url(self, port: int) -> str:
        """Give the URL of a server that listens on ``port``."""
        host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.ip)  # noqa: S104 - read, not bound
        host = host or (f"[{self.ip}]" if ":" in self.ip else self.ip)
        return f"{'https' if self.certfile else 'http'}://{host}:{port}/"


def _context(certfile: str, keyfile: str) -> ssl.SSLContext:
    for option, path in (("--certfile", certfile), ("--keyfile", keyfile)):
        if path and not Path(path).is_file():
            raise Refused(f"{option}: there is no file {path}")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certfile, keyfile or None)
    except (OSError, ssl.SSLError) as error:
        raise Refused(f"the certificate of {certfile} cannot be used: {error}") from error
    return context


def handler_settings(
    address: Address,
    provider: IdentityProvider,
    authorizer: Authorizer,
    config: Config,
    log_request: Callable[[RequestHandler], None],
) -> dict[str, Any]:
    """Give the tornado settings that handlers made for a Jupyter server need, and no more."""
    return {
        "base_url": "/",
        "identity_provider": provider,
        "authorizer": authorizer,
        "config": config,
        # The Host header is judged on a loopback address alone: elsewhere a name of this service is nobody's secret.
        "allow_remote_access": address.behind_proxy or not address.local,
        "local_hostnames": ["localhost"],
        "allow_unauthenticated_access": False,
        "xsrf_cookies": True,
        "cookie_secret": secrets.token_bytes(32),
        "login_url": "/login",
        "log_function": log_request,
        "websocket_max_message_size": MAX_MESSAGE,
        "compress_response": False,
    }
