"""The way to a server, step by step, without credentials: its name, a connection, TLS, an answer, its clock."""

from __future__ import annotations

import email.utils
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from jupyter_sessions.config.locations import LocationConfig
from jupyter_sessions.doctor.findings import Finding, fault, warn, well
from jupyter_sessions.upstream.targets import proxies, verification

NAME, CONNECT, TLS, ANSWER, CLOCK = "name", "connection", "tls", "answer", "clock"
SKEW = 60.0
"""Seconds by which two clocks may differ before tokens are refused for it."""


@dataclass(frozen=True)
class Way:
    """Where a location's requests go first: its server, or the proxy in between."""

    subject: str
    host: str
    port: int
    tls: bool
    proxy: str = ""


def way_to(config: LocationConfig, url: str) -> Way:
    """Give the way to the server of a URL; raises ValueError where a proxy of the environment is no URL."""
    parts = urlsplit(url)
    proxy = proxies(config, url).get("https", "") if parts.scheme == "https" else ""
    first = urlsplit(proxy if "://" in proxy else f"http://{proxy}") if proxy else parts
    port = first.port or (443 if first.scheme == "https" else 80)
    # A proxy of the environment may hold a password.
    shown = f"{first.hostname}:{port}" if proxy else ""
    return Way(str(config.name), first.hostname or "", port, parts.scheme == "https" and not proxy, shown)


def check_name(way: Way) -> list[Finding]:
    """Look the host's name up."""
    try:
        rows = socket.getaddrinfo(way.host, way.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        remedy = "check the host's spelling, and that this machine's DNS works (VPN?)"
        return [fault(NAME, way.subject, f"{_what(way)}: the name {way.host} is not known", why, remedy)]
    addresses = ", ".join(sorted({str(row[4][0]) for row in rows})[:3])
    return [well(NAME, way.subject, f"{_what(way)}: {way.host} is {addresses}")]


def check_connection(way: Way, seconds: float) -> list[Finding]:
    """Open a connection and close it."""
    place = f"{way.host}:{way.port}"
    try:
        socket.create_connection((way.host, way.port), timeout=seconds).close()
    except ConnectionRefusedError:
        remedy = "start the server, or mend the port of its endpoint"
        return [fault(CONNECT, way.subject, f"{place} refuses connections", "nothing listens there", remedy)]
    except TimeoutError:
        why = f"no answer within {seconds:g} s"
        remedy = "a firewall or a missing VPN is the usual cause; set proxy: where there must be one"
        return [fault(CONNECT, way.subject, f"{place} does not answer", why, remedy)]
    except OSError as error:
        remedy = "check this machine's network"
        return [fault(CONNECT, way.subject, f"{place} cannot be reached", error.strerror or str(error), remedy)]
    return [well(CONNECT, way.subject, f"{place} accepts connections")]


def check_tls(way: Way, config: LocationConfig, seconds: float) -> list[Finding]:
    """Shake hands, and judge the certificate as requests would."""
    if not way.tls:
        return []
    trusted = verification(config)
    try:
        context = _context(trusted)
    except (OSError, ssl.SSLError) as error:
        why = getattr(error, "strerror", None) or str(error)
        remedy = "set verify to a readable file of certificates in PEM, or to true"
        return [fault(TLS, way.subject, f"the certificates of {trusted} cannot be used", why, remedy)]
    place = f"{way.host}:{way.port}"
    try:
        with (
            socket.create_connection((way.host, way.port), timeout=seconds) as plain,
            context.wrap_socket(plain, server_hostname=way.host) as secured,
        ):
            words = str(secured.version())
    except ssl.SSLCertVerificationError as error:
        return [_untrusted(way, error)]
    except TimeoutError:
        why = f"it accepts connections and says nothing within {seconds:g} s"
        return [fault(TLS, way.subject, f"{place} does not answer", why, "ask who runs the server")]
    except (ssl.SSLError, OSError) as error:
        why = getattr(error, "reason", None) or error.strerror or str(error)
        remedy = "check the port; for a server without TLS on this machine write http:// in its endpoint"
        return [fault(TLS, way.subject, f"{place} does not speak TLS", why, remedy)]
    if trusted is False:
        return [well(TLS, way.subject, f"{place} speaks {words}; its certificate is not checked")]
    return [well(TLS, way.subject, f"{place} speaks {words}, and its certificate is good")]


def _context(trusted: bool | str) -> ssl.SSLContext:
    import os

    from requests.utils import DEFAULT_CA_BUNDLE_PATH

    context = ssl.create_default_context()
    if trusted is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    bundle = DEFAULT_CA_BUNDLE_PATH if trusted is True else trusted
    context.load_verify_locations(**({"capath": bundle} if os.path.isdir(bundle) else {"cafile": bundle}))
    return context


def _untrusted(way: Way, error: ssl.SSLCertVerificationError) -> Finding:
    remedy = "set verify to the file of the certificate that signed the server's"
    if "expired" in error.verify_message:
        remedy = "ask who runs the server to renew its certificate, and check this machine's clock"
    elif "match" in error.verify_message.lower():
        remedy = "write the host in the endpoint as the certificate names it"
    what = f"the certificate of {way.host}:{way.port} is not trusted"
    return fault(TLS, way.subject, what, error.verify_message, remedy)


def check_answer(config: LocationConfig, url: str, seconds: float, way: Way) -> list[Finding]:
    """Ask for something without credentials, for the answer's time; any status is good."""
    import requests

    from jupyter_sessions.upstream.connections import PlainSession

    began = time.time()
    try:
        with (
            PlainSession(1) as session,
            session.get(
                url,
                timeout=seconds,
                proxies=proxies(config, url),
                verify=verification(config),
                allow_redirects=False,
                stream=True,
            ) as answer,
        ):
            headers: Mapping[str, str] = dict(answer.headers)
    except requests.exceptions.Timeout:
        why = f"it accepts connections and says nothing within {seconds:g} s"
        remedy = "ask who runs the server; the port may be another program's"
        return [fault(ANSWER, way.subject, f"{_what(way)} does not answer", why, remedy)]
    except requests.exceptions.ProxyError:
        remedy = "mend proxy: or HTTPS_PROXY, or list the host in NO_PROXY"
        return [fault(ANSWER, way.subject, f"{_what(way)} does not let requests through", "", remedy)]
    except (requests.exceptions.RequestException, OSError) as error:
        why = f"{type(error).__name__} in place of an answer"
        return [fault(ANSWER, way.subject, f"{_what(way)} does not speak HTTP", why, "check the port of its endpoint")]
    return [*_clock(way, headers, (began + time.time()) / 2)]


def _clock(way: Way, headers: Mapping[str, str], now: float) -> Iterator[Finding]:
    try:
        theirs: Any = email.utils.parsedate_to_datetime(headers.get("Date", ""))
        skew = now - theirs.timestamp()
    except (ValueError, TypeError, OverflowError):
        yield well(ANSWER, way.subject, "it answers; it does not say what time it is")
        return
    if abs(skew) > SKEW:
        words = "ahead of" if skew > 0 else "behind"
        why = "tokens are refused by clocks that differ"
        remedy = "set this machine's clock: timedatectl set-ntp true"
        yield warn(CLOCK, way.subject, f"this machine's clock is {abs(skew):.0f} s {words} the server's", why, remedy)
    else:
        yield well(CLOCK, way.subject, "it answers, and its clock agrees with this machine's")


def _what(way: Way) -> str:
    return f"the proxy {way.proxy}" if way.proxy else "the server"
