"""What a session asks of this engine, read from its resource; every field it cannot honour is named."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from jupyter_sessions.model.errors import FieldViolation
from jupyter_sessions.model.hostfile import MARK

if TYPE_CHECKING:
    from jupyter_sessions.model.resources import Message, Session, SessionTemplate

COMPONENT = "local:"
PYTHON, KERNELSPEC, CWD, MEMORY, ENV = (
    f"{COMPONENT}{name}" for name in ("python", "kernelspec", "cwd", "memory", "env.")
)
HONOURED = (PYTHON, KERNELSPEC, CWD, MEMORY, f"{ENV}NAME")
"""The runtimeConfig.properties this engine honours."""

PROPERTIES = "runtimeConfig.properties"
INDEX = "runtimeConfig.repositoryConfig.pypiRepositoryConfig.pypiRepository"
MIN_MEMORY = 256 << 20
MEMORY_LIMITED = sys.platform == "linux"
"""Whether this system can say how much memory processes take together, so that a limit can be kept."""

_SIZES = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(K|M|G|Ki|Mi|Gi)?")
_LONGEST_SIZE = 24
_SHOWN = 200
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OURS = frozenset(
    "name labels user sessionTemplate displayName description jupyterSession.kernel jupyterSession.displayName "
    f"{PROPERTIES} {INDEX} environmentConfig.executionConfig.ttl environmentConfig.executionConfig.idleTtl".split()
)


@dataclass(frozen=True)
class Wants:
    """What is asked for; empty or 0 where nothing is. ``memory`` is bytes, ``python`` a path as given."""

    scala: bool = False
    python: str = ""
    kernelspec: str = ""
    cwd: str = ""
    memory: int = 0
    index_url: str = ""
    env: Mapping[str, str] = field(default_factory=dict)


def read_wants(wanted: Session | SessionTemplate) -> tuple[Wants, list[FieldViolation]]:
    """Read what is asked for and name every field that is faulty or cannot be honoured. Touches no file."""
    faults = list(_refused(wanted))
    properties = {key: value for key, value in wanted.properties.items() if value}
    faults += [fault for key, value in properties.items() if (fault := _property_fault(key, value))]
    index = _index(wanted)
    faults += [FieldViolation(INDEX, why) for why in _index_faults(index)]
    wants = Wants(
        scala=wanted.kernel.name == "SCALA",
        python=properties.get(PYTHON, ""),
        kernelspec=properties.get(KERNELSPEC, ""),
        cwd=properties.get(CWD, ""),
        memory=parse_size(properties.get(MEMORY, "")) or 0,
        index_url=index,
        env={key[len(ENV) :]: value for key, value in properties.items() if key.startswith(ENV)},
    )
    if wants.python and wants.kernelspec:
        faults.append(_fault(KERNELSPEC, f"cannot stand beside {PYTHON}, which chooses the kernel too; remove one"))
    if wants.python and wants.scala:
        faults.append(_fault(PYTHON, "chooses a Python, but jupyterSession.kernel is SCALA; leave one of them out"))
    return wants, faults


def parse_size(text: str) -> int | None:
    """Give the bytes of ``512Mi``, ``1.5G`` or ``268435456``; None if it is no size."""
    found = _SIZE.fullmatch(text) if len(text) <= _LONGEST_SIZE else None
    return int(float(found[1]) * _SIZES[found[2] or ""]) if found else None


def shown(text: str) -> str:
    """Give what a user wrote as a message repeats it: on one line, and not all of it where it is long."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def _fault(key: str, description: str) -> FieldViolation:
    from jupyter_sessions.model.rules import join  # here: it brings the models, which a start can do without

    return FieldViolation(join(PROPERTIES, key), description)


def _property_fault(key: str, value: str) -> FieldViolation | None:
    if "\0" in value:
        return _fault(key, "must not hold a NUL character")
    if key == MEMORY:
        return _memory_fault(value)
    if key == CWD and not os.path.isabs(os.path.expanduser(value)):
        return _fault(key, "must be an absolute path of a directory on this machine")
    if key.startswith(ENV):
        name = key[len(ENV) :]
        if not _VARIABLE.fullmatch(name):
            return _fault(key, f"{shown(name)} is no name of an environment variable: [A-Za-z_][A-Za-z0-9_]*")
        if name == MARK:
            return _fault(key, "is how this service knows its processes; choose another name")
        return None
    if key in (PYTHON, KERNELSPEC, CWD):
        return None
    return _fault(key, f"is no property that this location knows; it knows {', '.join(HONOURED)}; remove it")


def _memory_fault(value: str) -> FieldViolation | None:
    if not MEMORY_LIMITED:
        return _fault(MEMORY, "cannot be enforced on this system (Linux only; usage is reported); remove it")
    size = parse_size(value)
    if size is None:
        return _fault(MEMORY, f"{shown(value)} is no size: bytes, or a number with K, M, G, Ki, Mi or Gi, as in 2Gi")
    if size < MIN_MEMORY:
        return _fault(MEMORY, f"must be at least 256Mi ({MIN_MEMORY} bytes), not {size} bytes")
    return None


def _index(wanted: Session | SessionTemplate) -> str:
    repository = wanted.runtime_config and wanted.runtime_config.repository_config
    config = repository and repository.pypi_repository_config
    return config.pypi_repository if config else ""


def _index_faults(url: str) -> Iterator[str]:
    if not url:
        return
    try:
        parts = urlsplit(url)
        host = parts.hostname
        parts.port  # noqa: B018 - reading it raises ValueError for a faulty port
    except ValueError as error:
        yield f"is no URL of a package index: {error}"
        return
    if parts.scheme not in ("http", "https") or not host:
        yield "must be the http or https URL of a package index, such as https://pypi.org/simple"
    elif "@" in parts.netloc:
        yield "must not hold a user name or password: keep them in a keyring or in ~/.netrc, which pip reads"
    elif any(letter.isspace() for letter in url):
        yield "must not hold spaces: pip would take it for several"


def _refused(wanted: Session | SessionTemplate) -> Iterator[FieldViolation]:
    if wanted.spark_connect_session is not None:
        rule = "is not offered by this location; ask for a jupyterSession instead"
        yield FieldViolation("sparkConnectSession", rule)
    for path in _set_paths(wanted, ""):
        if path not in _OURS:
            yield FieldViolation(path, "can do nothing in this location; remove it")


def _set_paths(message: Message, prefix: str) -> Iterator[str]:
    """Give the path of every set field that the service itself does not write; an empty value asks for nothing."""
    for name, info in type(message).model_fields.items():
        extra = info.json_schema_extra
        if isinstance(extra, Mapping) and extra.get("readOnly"):
            continue
        yield from _set_below(getattr(message, name), f"{prefix}{info.alias or name}")
    for name, value in (message.model_extra or {}).items():
        if value:
            yield f"{prefix}{name}"


def _set_below(value: Any, path: str) -> Iterator[str]:
    if hasattr(type(value), "model_fields"):
        yield from _set_paths(value, f"{path}.")
    elif value:
        yield path
