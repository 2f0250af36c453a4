"""Which resource a gateway's kernelspec or kernel belongs to, as its ``endpointParentResource`` says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LINK = "endpointParentResource"
_SERVICE = "//dataproc.googleapis.com/"


def parent_of(holder: object) -> str:
    """Give the resource that ``holder`` (a spec's ``resources``, a kernel's ``metadata``) names, ``""`` if none."""
    named = holder.get(LINK) if isinstance(holder, Mapping) else None
    return named.removeprefix(_SERVICE).strip("/") if isinstance(named, str) else ""


def session_named(holder: object) -> str:
    """Give the full name of the session that ``holder`` names, ``""`` where it names none."""
    parent = parent_of(holder)
    parts = parent.split("/")
    return parent if len(parts) == 6 and parts[0] == "projects" and parts[4] == "sessions" and parts[5] else ""


def session_of(model: Mapping[str, Any]) -> str:
    """Give the full name of the session that a kernel's model names, ``""`` where it names none."""
    return session_named(model.get("metadata"))
