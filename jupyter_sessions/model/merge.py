"""What a template gives a session, what defaults fill, what a PATCH changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from jupyter_sessions.model import rules
from jupyter_sessions.model.errors import FieldViolation, InvalidArgument
from jupyter_sessions.model.names import parse_session, parse_template
from jupyter_sessions.model.resources import (
    EnvironmentConfig,
    ExecutionConfig,
    JupyterConfig,
    Kernel,
    Message,
    PeripheralsConfig,
    RuntimeConfig,
    Session,
    SessionTemplate,
)
from jupyter_sessions.model.shapes import Shape, shapes, spellings

M = TypeVar("M", bound=Message)
C = TypeVar("C", Session, SessionTemplate)
MAX_FAULTS = 20
"""How many paths of one mask are refused one by one: nobody mends more at a time."""
_SHOWN = 100
_SHARED = ("jupyter_session", "spark_connect_session", "runtime_config", "environment_config")
_BY_KEY = frozenset({"properties"})
_UNIONS = {
    "jupyter_session": "spark_connect_session",
    "spark_connect_session": "jupyter_session",
    "network_uri": "subnetwork_uri",
    "subnetwork_uri": "network_uri",
}
_EXECUTION = "environmentConfig.executionConfig"
SESSION_PATHS = ("labels", f"{_EXECUTION}.ttl", f"{_EXECUTION}.idleTtl")
"""The paths of a session that a PATCH may change."""


def apply_template(session: Session, template: SessionTemplate) -> Session:
    """Give the session with the template's configuration under its own; ``sessionTemplate`` becomes the full name.

    Fields of the session win; ``labels`` and ``runtimeConfig.properties`` merge key by key, other lists and maps
    are taken whole. A union's member that the session sets drops the template's other. Raises InvalidArgument for
    more labels than allowed.
    """
    labels = {**template.labels, **session.labels}
    _refuse(rules.check_labels(labels))
    base = SessionTemplate(**{name: getattr(template, name) for name in _SHARED})
    own = SessionTemplate(**{name: getattr(session, name) for name in _SHARED})
    merged = _over(own, base)
    update = {name: getattr(merged, name) for name in _SHARED}
    return session.model_copy(update={**update, "labels": labels, "session_template": template.name})


def _over(own: M, base: M) -> M:
    """Give ``own`` with what it leaves unset filled from ``base``."""
    update: dict[str, Any] = {}
    for shape in shapes(type(own)):
        mine, other = getattr(own, shape.name), getattr(base, shape.name)
        if not other or (shape.name in _UNIONS and getattr(own, _UNIONS[shape.name])):
            continue
        if not mine:
            update[shape.name] = other
        elif shape.kind == "message" and not shape.many:
            update[shape.name] = _over(mine, other)
        elif shape.name in _BY_KEY:
            update[shape.name] = {**other, **mine}
    return own.model_copy(update=update)


def fill_defaults(session: Session, ttl_ns: int, idle_ttl_ns: int) -> Session:
    """Give the session with what it leaves unset: limits (nanoseconds), a Python kernel, the creator as user."""
    environment = session.environment_config or EnvironmentConfig()
    execution = environment.execution_config or ExecutionConfig()
    limits = {"ttl": execution.ttl or ttl_ns, "idle_ttl": execution.idle_ttl or idle_ttl_ns}
    filled = {
        "execution_config": execution.model_copy(update=limits),
        "peripherals_config": environment.peripherals_config or PeripheralsConfig(),
    }
    jupyter = session.jupyter_session
    if jupyter is None and session.spark_connect_session is None:
        jupyter = JupyterConfig()
    if jupyter is not None and jupyter.kernel is Kernel.KERNEL_UNSPECIFIED:
        jupyter = jupyter.model_copy(update={"kernel": Kernel.PYTHON})
    return session.model_copy(
        update={
            "environment_config": environment.model_copy(update=filled),
            "runtime_config": session.runtime_config or RuntimeConfig(),
            "jupyter_session": jupyter,
            "user": session.user or session.creator,
        }
    )


def parse_mask(text: str, kind: type[Message]) -> list[str] | None:
    """Read an ``updateMask`` into lowerCamelCase paths; None (an empty one, or ``*``) stands for every mutable field.

    Raises InvalidArgument with every path that is unknown, output-only or cannot change.
    """
    return resolve_mask([path.strip() for path in text.split(",")], kind)


def resolve_mask(paths: Sequence[str], kind: type[Message]) -> list[str] | None:
    """Do what :func:`parse_mask` does for paths that are already split; resolved ones stay as they are."""
    if list(paths) in ([""], ["*"]):
        return None
    found: dict[str, None] = {}
    faults: list[FieldViolation] = []
    for path in dict.fromkeys(paths):
        try:
            found[_resolve(path, kind)] = None
        except ValueError as error:
            shown = path if len(path) <= _SHOWN else path[:_SHOWN] + "…"
            faults.append(FieldViolation("updateMask", f"{shown!r} {error}"))
    _refuse(faults[:MAX_FAULTS])
    return list(found)


def _resolve(path: str, kind: type[Message]) -> str:
    """Give a path's lowerCamelCase spelling; raises ValueError with what is wrong with it."""
    if path == "*":
        raise ValueError("stands for all fields and must stand alone")
    steps, key = _steps(path, kind)
    names = [shape.alias for shape in steps]
    whole = ".".join(names)
    if issubclass(kind, Session) and whole not in SESSION_PATHS:
        raise ValueError(f"cannot be changed; {', '.join(SESSION_PATHS)} and labels.KEY can")
    if whole == "name":
        raise ValueError("cannot be changed; leave it out of the mask")
    return f"{whole}.{key}" if key else whole


def _steps(path: str, kind: type[Message]) -> tuple[list[Shape], str]:
    """Give the fields that a path names, and the key where it ends inside a map."""
    rest, steps, message = path, list[Shape](), kind
    while rest:
        name, _, rest = rest.partition(".")
        shape = spellings(message).get(name)
        if shape is None:
            fields = ", ".join(shape.alias for shape in shapes(message) if not shape.output)
            raise ValueError(f"is not a field of {message.__name__}; its fields are {fields}")
        if shape.output:
            raise ValueError("is output only and cannot be changed")
        steps.append(shape)
        if shape.many == "map" and rest:
            return steps, rest[1:-1] if len(rest) > 2 and rest[0] == rest[-1] == "`" else rest
        if rest and (shape.many or shape.kind != "message"):
            raise ValueError(f"goes on after {shape.alias}, which has no fields")
        message = shape.message if shape.kind == "message" else message
    if not steps or path.endswith("."):
        raise ValueError("is empty or ends in a dot; name a field")
    return steps, ""


def apply_session_mask(current: Session, wanted: Session, mask: Sequence[str] | None) -> Session:
    """Give ``current`` with the labels and limits of ``wanted`` that ``mask`` names (None: all of them).

    A limit that ``wanted`` leaves out is cleared to 0: the caller fills in its default. Without a mask, a field that
    cannot change may be repeated as it is. Raises InvalidArgument for one that differs, another ``name``, a path that
    cannot change, or too many labels.
    """
    paths = None if mask is None else resolve_mask(mask, Session)
    faults = list(_renamed(current, wanted))
    if paths is None:
        faults += _frozen(current, wanted, "")
    changed = current
    for path in SESSION_PATHS if paths is None else paths:
        changed = _put(changed, wanted, path)
    _refuse([*faults, *rules.check_labels(changed.labels)])
    return changed


def apply_template_mask(
    current: SessionTemplate, wanted: SessionTemplate, mask: Sequence[str] | None
) -> SessionTemplate:
    """Give ``current`` with the fields of ``wanted`` that ``mask`` names (None: every mutable field).

    Setting one member of a union clears the other. Raises InvalidArgument for another ``name``, a path that cannot
    change, or a result that breaks a rule.
    """
    paths = None if mask is None else resolve_mask(mask, SessionTemplate)
    faults = list(_renamed(current, wanted))
    mutable = [shape.alias for shape in shapes(SessionTemplate) if not shape.output and shape.name != "name"]
    changed = current
    for path in mutable if paths is None else paths:
        changed = _put(changed, wanted, path)
    _refuse([*faults, *rules.check(changed)])
    return changed


def _put(current: M, wanted: M, path: str) -> M:
    """Give ``current`` with the value that ``wanted`` has at a resolved path."""
    name, _, rest = path.partition(".")
    shape = spellings(type(current))[name]
    old, new = getattr(current, shape.name), getattr(wanted, shape.name)
    if rest and shape.many == "map":
        new = {**old, rest: new[rest]} if rest in new else {key: value for key, value in old.items() if key != rest}
    elif rest:
        if old is None and new is None:
            return current
        new = _put(old or shape.message(), new or shape.message(), rest)
    update = {shape.name: new}
    other = _UNIONS.get(shape.name)
    # A field of the unset kind of a union is None or "", which the other member's own value tells apart.
    if other and new and getattr(wanted, shape.name):
        update[other] = getattr(wanted, other)
    return current.model_copy(update=update)


def _renamed(current: C, wanted: C) -> Iterator[FieldViolation]:
    if not wanted.name or wanted.name == current.name:
        return
    parse = parse_session if isinstance(current, Session) else parse_template
    try:
        same = parse(wanted.name) == parse(current.name)
    except InvalidArgument as error:
        yield from error.violations
        return
    if not same:
        yield FieldViolation("name", f"cannot change from {current.name}; leave it out")


def _frozen(current: Message, wanted: Message, path: str) -> Iterator[FieldViolation]:
    """Give the fields that a session's PATCH sets to something new and may not."""
    for shape in shapes(type(wanted)):
        where = f"{path}.{shape.alias}" if path else shape.alias
        old, new = getattr(current, shape.name), getattr(wanted, shape.name)
        if not new or new == old or shape.output or where == "name" or where in SESSION_PATHS:
            continue
        if shape.kind == "message" and not shape.many:
            yield from _frozen(old or shape.message(), new, where)
        elif where != "sessionTemplate" or not _same_template(current, new):
            yield FieldViolation(where, "cannot be changed; leave it out, or make another session")


def _same_template(current: Message, template: str) -> bool:
    """Whether a bare id or a URL names the template that a session has."""
    if not isinstance(current, Session) or not current.session_template:
        return False
    try:
        parent = parse_session(current.name).parent
        return str(parse_template(template, parent=parent)) == current.session_template
    except InvalidArgument:
        return False


def _refuse(faults: Iterator[FieldViolation] | Sequence[FieldViolation]) -> None:
    found = list(faults)
    if found:
        raise InvalidArgument(found)
