"""Hypothesis strategies for the models, made from the shapes that the wire uses."""

from __future__ import annotations

from typing import Any, TypeVar

from hypothesis import strategies as st

from jupyter_sessions.model.resources import (
    EnvironmentConfig,
    ExecutionConfig,
    Message,
    PeripheralsConfig,
    RuntimeConfig,
    Session,
    SessionTemplate,
)
from jupyter_sessions.model.rules import MAX_LIMIT, MIN_LIMIT
from jupyter_sessions.model.shapes import Shape, shapes

M = TypeVar("M", bound=Message)
FIRST, LAST = -62_135_596_800 * 10**9, 253_402_300_800 * 10**9 - 1
LONGEST = 315_576_000_000 * 10**9
LABEL_KEYS = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
LABEL_VALUES = st.from_regex(r"([a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?)?", fullmatch=True)
TEXT = st.text(max_size=8)
RULED: dict[str, st.SearchStrategy[Any]] = {
    "labels": st.dictionaries(LABEL_KEYS, LABEL_VALUES, max_size=4),
    "ttl": st.just(0) | st.integers(MIN_LIMIT, MAX_LIMIT),
    "idle_ttl": st.just(0) | st.integers(MIN_LIMIT, MAX_LIMIT),
    "subnetwork_uri": st.just(""),
    "spark_connect_session": st.none(),
    "staging_bucket": st.sampled_from(["", "a-bucket", "b.c_d"]),
    "resource_manager_tags": st.sampled_from([{}, {"tagKeys/1": "tagValues/2"}, {"org/key": "value"}]),
    "metastore_service": st.sampled_from(["", "projects/p/locations/l/services/s"]),
    "dataproc_cluster": st.sampled_from(["", "projects/p/regions/r/clusters/c"]),
    "pypi_repository": st.sampled_from(["", "https://pypi.org/simple", "http://host:8080/"]),
    "name": st.sampled_from(["projects/p/locations/l/sessionTemplates/t"]),
}
"""Values that a user may give, where a rule says more than the type."""


def value(shape: Shape, ruled: bool) -> st.SearchStrategy[Any]:
    """Give a strategy for one value of a field, set or unset."""
    plain: dict[str, st.SearchStrategy[Any]] = {
        "string": TEXT,
        "bool": st.booleans(),
        "int32": st.integers(-(1 << 31), (1 << 31) - 1),
        "int64": st.integers(-(1 << 63), (1 << 63) - 1),
        "time": st.integers(FIRST, LAST) | st.just(0),
        "duration": st.integers(-LONGEST, LONGEST) | st.just(0),
        "any": st.dictionaries(TEXT, TEXT | st.integers(), max_size=2),
    }
    if shape.kind == "enum":
        return st.sampled_from(list(shape.enum))
    return message(shape.message, ruled) if shape.kind == "message" else plain[shape.kind]


def field(shape: Shape, ruled: bool) -> st.SearchStrategy[Any]:
    """Give a strategy for a whole field; with ``ruled`` one that a user's body may hold."""
    if ruled and shape.name in RULED:
        return RULED[shape.name]
    one = value(shape, ruled)
    if shape.many == "list":
        return st.lists(one, max_size=3)
    if shape.many == "map":
        return st.dictionaries(TEXT, one, max_size=3)
    required = shape.name in ("runtime_info", "metadata")
    return st.none() | one if shape.kind == "message" and not required else one


def message(cls: type[M], ruled: bool = False) -> st.SearchStrategy[M]:
    """Give any model of a class; with ``ruled`` only what a user may send, output-only fields unset."""
    chosen = [shape for shape in shapes(cls) if not (ruled and shape.output)]
    return st.builds(cls, **{shape.name: field(shape, ruled) for shape in chosen})


def complete(session: Session) -> Session:
    """Give a session with the messages that its JSON always holds."""
    environment = session.environment_config or EnvironmentConfig()
    filled = {
        "execution_config": environment.execution_config or ExecutionConfig(),
        "peripherals_config": environment.peripherals_config or PeripheralsConfig(),
    }
    return session.model_copy(
        update={
            "runtime_config": session.runtime_config or RuntimeConfig(),
            "environment_config": environment.model_copy(update=filled),
        }
    )


TEMPLATES = message(SessionTemplate, ruled=True)
