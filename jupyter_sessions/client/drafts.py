"""A session as a program or a person describes it, made into the resource."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typing_extensions import TypedDict

from jupyter_sessions.client.durations import nanoseconds
from jupyter_sessions.model import wire
from jupyter_sessions.model.errors import FieldViolation, InvalidArgument
from jupyter_sessions.model.names import LocationName
from jupyter_sessions.model.resources import (
    EnvironmentConfig,
    ExecutionConfig,
    JupyterConfig,
    Kernel,
    RuntimeConfig,
    Session,
)


class Wanted(TypedDict, total=False):
    """What a create may say besides the resource."""

    template: str
    labels: Mapping[str, str]
    kernel: str
    display_name: str
    properties: Mapping[str, str]
    ttl: float | str | None
    idle_ttl: float | str | None
    user: str


def draft(
    parent: LocationName,
    session: Session | Mapping[str, Any] | None = None,
    *,
    template: str = "",
    labels: Mapping[str, str] | None = None,
    kernel: str = "",
    display_name: str = "",
    properties: Mapping[str, str] | None = None,
    ttl: float | str | None = None,
    idle_ttl: float | str | None = None,
    user: str = "",
) -> Session:
    """Give the session to create: ``session`` (the resource, or its JSON), and what is said besides on top of it.

    ``ttl`` and ``idle_ttl`` are seconds, or text as ``8h``. Labels and properties are added to those of ``session``.
    Raises InvalidArgument with every faulty field.
    """
    base = session if isinstance(session, Session) else wire.parse(Session, dict(session or {}), parent=parent)
    changes: dict[str, Any] = {}
    if template:
        changes["session_template"] = template
    if user:
        changes["user"] = user
    if labels:
        changes["labels"] = {**base.labels, **labels}
    if kernel or display_name:
        changes["jupyter_session"] = _jupyter(base, kernel, display_name)
    if properties:
        runtime = base.runtime_config or RuntimeConfig()
        merged = {**runtime.properties, **properties}
        changes["runtime_config"] = runtime.model_copy(update={"properties": merged})
    if ttl is not None or idle_ttl is not None:
        changes["environment_config"] = limits(base.environment_config, ttl, idle_ttl)
    return base.model_copy(update=changes) if changes else base


def _jupyter(base: Session, kernel: str, display_name: str) -> JupyterConfig:
    config = base.jupyter_session or JupyterConfig()
    update: dict[str, Any] = {"display_name": display_name} if display_name else {}
    if kernel:
        known = {member.name.lower(): member for member in Kernel if member}
        if kernel.lower() not in known:
            rule = f"must be one of {', '.join(known)}, not {kernel!r}"
            raise InvalidArgument([FieldViolation("jupyterSession.kernel", rule)])
        update["kernel"] = known[kernel.lower()]
    return config.model_copy(update=update)


def limits(base: EnvironmentConfig | None, ttl: float | str | None, idle_ttl: float | str | None) -> EnvironmentConfig:
    """Give a configuration with these limits in place of those of ``base``; None leaves one as it is."""
    environment = base or EnvironmentConfig()
    field = "environmentConfig.executionConfig"
    update: dict[str, int] = {}
    if ttl is not None:
        update["ttl"] = nanoseconds(ttl, f"{field}.ttl")
    if idle_ttl is not None:
        update["idle_ttl"] = nanoseconds(idle_ttl, f"{field}.idleTtl")
    execution = (environment.execution_config or ExecutionConfig()).model_copy(update=update)
    return environment.model_copy(update={"execution_config": execution})
