"""Checks that programs on this machine can reach one another: loopback, the service's port, proxies in the way."""

from __future__ import annotations

import errno
import os
import socket
import sys
import urllib.request
from collections.abc import Iterator

from jupyter_sessions.doctor.findings import Finding, fault, warn, well

CHECK = "ports"
LOOPBACK = "127.0.0.1"
SECONDS = 2.0
REUSES = os.name == "posix" and sys.platform != "cygwin"
"""Elsewhere the option lets two programs have one port, and the test would find a taken port free."""


def check_ports(serve_port: int) -> list[Finding]:
    """Bind and connect to loopback, try the port of ``jupyter sessions serve`` (0: a free one), look at proxies."""
    return [*_loopback(), *_serve(serve_port), *_proxies()]


def _loopback() -> Iterator[Finding]:
    try:
        with socket.create_server((LOOPBACK, 0)) as server:
            socket.create_connection(server.getsockname(), SECONDS).close()
    except OSError as error:
        remedy = "bring the loopback interface up (ip link set lo up), or take the firewall's rule against it out"
        yield fault(CHECK, LOOPBACK, "no port can be used there", error.strerror or str(error), remedy)
        return
    yield well(CHECK, LOOPBACK, "ports can be bound and reached")


def _serve(port: int) -> Iterator[Finding]:
    if not port:
        return
    subject = f"{LOOPBACK}:{port}"
    try:
        with socket.socket() as probe:
            if REUSES:
                # As a server does: what an earlier one has left in the kernel takes no port.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
            probe.listen(1)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            why = error.strerror or str(error)
            yield warn(CHECK, subject, "jupyter sessions serve cannot use its port", why, "give it another: --port")
            return
        holder = _holder(port)
        if "jupyter_sessions.serve" in holder or "jupyter-sessions serve" in holder:
            yield well(CHECK, subject, f"jupyter sessions serve has its port: {holder}")
            return
        remedy = f"jupyter sessions serve --port 0 takes a free one; or end what has {port}"
        yield warn(CHECK, subject, "the port of jupyter sessions serve is taken", holder, remedy)
        return
    yield well(CHECK, subject, "the port of jupyter sessions serve is free")


def _holder(port: int) -> str:
    """Say who listens on a port, as far as this account may know."""
    import psutil

    try:
        rows = [row for row in psutil.net_connections("tcp") if row.status == psutil.CONN_LISTEN]
        pid = next((row.pid for row in rows if row.laddr and row.laddr.port == port and row.pid), None)
        if pid is None:
            return "by a process of another account"
        # Its arguments may hold what is no one's business, so only the program and its module are shown.
        words = psutil.Process(pid).cmdline()
    except (psutil.Error, OSError):
        return "by a process that cannot be looked at from here"
    module = f" -m {words[words.index('-m') + 1]}" if "-m" in words[:-1] else ""
    script = f" {os.path.basename(words[1])}" if len(words) > 1 and not words[1].startswith("-") else ""
    return f"by process {pid}: {os.path.basename(words[0]) if words else '?'}{module or script}"


def _proxies() -> Iterator[Finding]:
    names = [name for name in ("localhost", LOOPBACK) if not urllib.request.proxy_bypass(name)]
    proxies = urllib.request.getproxies()
    proxy = proxies.get("http") or proxies.get("all")
    if proxy and names:
        why = f"other programs (curl, editors) ask the proxy for {' and '.join(names)}; the client here does not"
        remedy = "export NO_PROXY=localhost,127.0.0.1,::1 (add what it holds already)"
        yield warn(CHECK, "HTTP_PROXY", "a proxy of the environment stands before this machine itself", why, remedy)
