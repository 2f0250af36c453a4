"""The kernelspecs of the gateway: one for each kernel that an ACTIVE session offers, one for each template. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jupyter_sessions.model.names import SessionName
from jupyter_sessions.model.parents import LINK

if TYPE_CHECKING:
    from jupyter_sessions.model.api import KernelHost, OfferedKernel
    from jupyter_sessions.model.resources import SessionTemplate

SERVICE = "//dataproc.googleapis.com/"
"""What stands before a resource's name in the link to it: clients made for Google's gateway look for it."""
NO_DEFAULT = "python3"
"""The default where no session is ACTIVE: Jupyter wants a string, and a server that mixes in kernels of its own makes
it the default of those too."""
TEMPLATE = "template-"
"""What a template's kernelspec is called before the template's id. A session's has a ``.`` in its name, this never."""

_FOREIGN = re.compile(r"[^a-z0-9._-]")


@dataclass(frozen=True)
class Offer:
    """One kernelspec: ``kernel`` is what the session of ``host`` can start, ``name`` is unique among the caller's."""

    name: str
    host: KernelHost
    kernel: OfferedKernel

    def model(self, base_url: str, logos: Mapping[str, str]) -> dict[str, Any]:
        """Give the kernelspec as REST shows it; ``logos`` are the files of its logos by Jupyter's names of them."""
        own, session = self.kernel.spec, self.host.session
        metadata = {key: value for key, value in dict(own.get("metadata") or {}).items() if key != "kernel_provisioner"}
        metadata["jupyter_sessions"] = {
            "session": str(session),
            "sessionUuid": self.host.session_uuid,
            "location": str(session.parent),
        }
        title = own.get("display_name") or self.kernel.name
        spec = _spec(f"{self.host.display_name or session.id}: {title}", own.get("language") or "", metadata)
        spec["interrupt_mode"] = own.get("interrupt_mode") or "signal"
        spec["kernel_protocol_version"] = own.get("kernel_protocol_version") or ""
        resources = {key: f"{base_url}kernelspecs/{self.name}/{quote(file)}" for key, file in logos.items()}
        return {"name": self.name, "spec": spec, "resources": {**resources, **parent_resource(session)}}


def spec_names(host: KernelHost) -> dict[str, str]:
    """Give the kernelspec's name of each kernel that a session offers: unique within its location, safe in URLs.

    Kernels whose names differ in what a URL cannot hold get a suffix: ``.2``, ``.3``, …
    """
    names: dict[str, str] = {}
    for kernel in host.kernels:
        plain = name = plain_name(host.session, kernel.name)
        number = 1
        while name in names.values():
            number += 1
            name = f"{plain}.{number}"
        names[kernel.name] = name
    return names


def name_offers(hosts: Iterable[KernelHost]) -> dict[str, Offer]:
    """Give every kernel that the sessions offer by the name of its kernelspec, in the order of ``hosts``."""
    offers: dict[str, Offer] = {}
    for host in hosts:
        names = spec_names(host)
        offers.update({names[kernel.name]: Offer(names[kernel.name], host, kernel) for kernel in host.kernels})
    return offers


def plain_name(session: SessionName, kernel: str) -> str:
    """Give the kernelspec's name of a session's kernel unless that is taken; lower case, as Jupyter wants it."""
    return _FOREIGN.sub("-", f"{session.id}.{kernel}".lower())


def default_of(names: Iterable[str]) -> str:
    """Give the default kernelspec: the first kernel of the oldest session."""
    return next(iter(names), NO_DEFAULT)


def parent_resource(session: SessionName) -> dict[str, str]:
    """Give the sure link from a kernel or kernelspec to its session."""
    return {LINK: f"{SERVICE}{session}"}


def template_model(template: SessionTemplate) -> dict[str, Any]:
    """Give the kernelspec of a template: to start it makes a session."""
    name = template.parsed_name
    kernel = template.jupyter_session.kernel.name if template.jupyter_session else ""
    title = template.display_name or template.description or name.id
    spec = _spec(f"{title} (new session)", {"SCALA": "scala"}.get(kernel, "python"), {})
    return {
        "name": f"{TEMPLATE}{name.id}",
        "spec": spec,
        "resources": {LINK: f"{SERVICE}{name.parent}/sessions"},
    }


def template_id(name: str) -> str:
    """Give the id of the template whose kernelspec has this name, ``""`` where it is none's."""
    return name[len(TEMPLATE) :] if name.startswith(TEMPLATE) and "." not in name else ""


def _spec(display_name: str, language: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    # How the host starts the kernel is nobody's business, nor is the environment of the kernel's own spec.
    return {"argv": [], "env": {}, "display_name": display_name, "language": language, "metadata": dict(metadata)}
