"""Which URLs a configuration may name: strict, so that no two programs can read one differently."""

from __future__ import annotations

import ipaddress
import re

GOOGLE_API = "googleapis.com"
GOOGLE_GATEWAY = "kernels.googleusercontent.com"
PLACEHOLDERS = ("project", "projectNumber", "location")

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = rf"(?:\[[0-9A-Fa-f:.]+\]|{_LABEL}(?:\.{_LABEL})*)"
_URL = re.compile(rf"(https?)://({_HOST})(?::([0-9]{{1,5}}))?((?:/[A-Za-z0-9._~:-]+)*)/?")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


class BadUrl(ValueError):
    """A URL that is refused; ``rule`` says which rule it breaks and ``remedy`` what to do. The URL is not in it."""

    def __init__(self, rule: str, remedy: str) -> None:
        super().__init__(f"{rule}; {remedy}")
        self.rule = rule
        self.remedy = remedy


def check_url(text: str) -> str:
    """Give a URL without the slash at its end; raises BadUrl.

    It is https (http only to this machine's loopback), a host, perhaps a port and a path; nothing else.
    """
    if "@" in text:
        raise BadUrl("must hold no user or password", "name a bearer source instead; take what is before the @ out")
    for sign, name in (("?", "query"), ("#", "fragment")):
        if sign in text:
            raise BadUrl(f"must hold no {name}", f"cut it off at the {sign}")
    found = _URL.fullmatch(text)
    if found is None:
        raise BadUrl("must be https://host, perhaps with :port and /path", "write it like https://jupyter.example.org")
    scheme, host, port, path = found.groups()
    if any(part in (".", "..") for part in path.split("/")):
        raise BadUrl("must hold no . or .. as a part of its path", "write the path out")
    if port and not 0 < int(port) < 65536:
        raise BadUrl("must have a port of 1 to 65535", "mend the number after the host")
    if host.startswith("["):
        _check_address(host)
    if scheme == "http" and not is_loopback(host):
        raise BadUrl("must be https, for http is only for this machine (localhost, 127.0.0.1, [::1])", "write https://")
    return text.rstrip("/")


def check_template(text: str) -> str:
    """Give a URL template without the slash at its end; raises BadUrl.

    ``{project}``, ``{projectNumber}`` and ``{location}`` may stand in it, each as a part of the host or path.
    """
    for name in _PLACEHOLDER.findall(text):
        if name not in PLACEHOLDERS:
            allowed = ", ".join(f"{{{known}}}" for known in PLACEHOLDERS)
            raise BadUrl(f"must hold no placeholder but {allowed}", "use one of these, or write the value out")
    # What is filled in are names without a sign of a URL's own, so that one word stands for any of them.
    check_url(_PLACEHOLDER.sub("x", text))
    return text.rstrip("/")


def host_of(url: str) -> str:
    """Give the host of a URL or template that was checked, in lower case."""
    return re.split(r"[:/]", url.split("://", 1)[-1], maxsplit=1)[0].lower() if "[" not in url else _bracketed(url)


def _bracketed(url: str) -> str:
    return url[url.index("[") : url.index("]") + 1].lower()


def below(url: str, domain: str) -> bool:
    """Whether a URL's host lies below ``domain``; a placeholder never stands for a dot."""
    return host_of(url).endswith(f".{domain}")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine's loopback by its very writing; no name is looked up."""
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def host_placeholders(template: str) -> list[str]:
    """Give the placeholders that stand in a template's host."""
    return _PLACEHOLDER.findall(template.split("://", 1)[-1].partition("/")[0])


def _check_address(host: str) -> None:
    try:
        ipaddress.IPv6Address(host.strip("[]"))
    except ValueError as error:
        raise BadUrl("must have an IPv6 address between [ and ]", "mend the address") from error
