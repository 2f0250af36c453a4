"""The models against the public API's own documents: no field missing, none extra, the same enums."""

from __future__ import annotations

import enum
import functools
import importlib.resources
import json
import re
from typing import Any

import pytest
from google.cloud.dataproc_v1.types import operations as google_operations
from google.cloud.dataproc_v1.types import session_templates as google_templates
from google.cloud.dataproc_v1.types import sessions as google_sessions
from google.cloud.dataproc_v1.types import shared as google_shared

from jupyter_sessions.model import resources
from jupyter_sessions.model.resources import Message, Operation, RpcStatus, Session, SessionTemplate
from jupyter_sessions.model.shapes import Shape, shapes
from jupyter_sessions.model.states import State

FORMATS = {"google-datetime": "time", "google-duration": "duration", "int64": "int64", "int32": "int32"}
RENAMED: dict[type[Message], str] = {RpcStatus: "Status"}
NEWER = {
    "milli_accelerator_seconds_l4", "milli_accelerator_seconds_a100_40", "milli_accelerator_seconds_a100_80",
    "milli_accelerator_l4", "milli_accelerator_a100_40", "milli_accelerator_a100_80", "properties_info", "cohort_info",
    "display_name",
}  # fmt: skip
"""Fields that the discovery document has and the generated client lacks."""


@functools.cache
def schemas() -> dict[str, Any]:
    """Read the discovery document's schemas."""
    path = importlib.resources.files("googleapiclient.discovery_cache.documents") / "dataproc.v1.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["schemas"]
    return found


def named(*names: str) -> set[str]:
    """Give the discovery document's messages that may stand anywhere in some."""
    found: set[str] = set()
    queue = list(names)
    while queue:
        name = queue.pop()
        if name not in found:
            found.add(name)
            queue.extend(re.findall(r'"\$ref": "(\w+)"', json.dumps(schemas()[name])))
    return found


def reachable(*kinds: type[Message]) -> list[type[Message]]:
    """Give the messages that may stand anywhere in some."""
    found: list[type[Message]] = []
    queue = list(kinds)
    while queue:
        cls = queue.pop()
        if cls not in found:
            found.append(cls)
            queue.extend(shape.message for shape in shapes(cls) if shape.kind == "message")
    return found


MESSAGES = reachable(Session, SessionTemplate, Operation)


def test_every_message_of_ours_is_reached() -> None:
    ours = {cls for cls in vars(resources).values() if isinstance(cls, type) and issubclass(cls, Message)}
    assert {cls for cls in ours if not cls.__name__.startswith("_")} - {Message} == set(MESSAGES)
    assert {RENAMED.get(cls, cls.__name__) for cls in MESSAGES} == named("Session", "SessionTemplate", "Operation") | {
        "SessionOperationMetadata"  # named in no other schema: an operation holds anything there
    }


def described(schema: dict[str, Any]) -> tuple[str, str]:
    """Give a discovery field's many and kind as a Shape has them."""
    many, item = "", schema
    if schema.get("type") == "array":
        many, item = "list", schema["items"]
    elif isinstance(schema.get("additionalProperties"), dict) and schema["additionalProperties"].get("type") != "any":
        many, item = "map", schema["additionalProperties"]
    if "$ref" in item or "enum" in item:
        return many, "message" if "$ref" in item else "enum"
    return many, FORMATS.get(
        item.get("format", ""), {"boolean": "bool", "object": "any"}.get(item["type"], item["type"])
    )


@pytest.mark.parametrize("cls", MESSAGES, ids=lambda cls: cls.__name__)
def test_fields_are_those_of_the_discovery_document(cls: type[Message]) -> None:
    properties = schemas()[RENAMED.get(cls, cls.__name__)].get("properties", {})
    assert {shape.alias for shape in shapes(cls)} == set(properties)
    for shape in shapes(cls):
        many, kind = described(properties[shape.alias])
        if (cls, shape.name) in ((Operation, "metadata"), (Operation, "response")):
            many, kind = "", "message"  # the document says any: what is in it is told by @type
        assert (shape.many, shape.kind) == (many, kind), shape.alias
        if kind == "message" and shape.alias not in ("metadata", "response"):
            item = properties[shape.alias]
            ref = item.get("$ref") or (item.get("items") or item.get("additionalProperties"))["$ref"]
            assert ref == RENAMED.get(shape.message, shape.message.__name__)


@pytest.mark.parametrize("cls", MESSAGES, ids=lambda cls: cls.__name__)
def test_output_only_fields_are_marked(cls: type[Message]) -> None:
    properties = schemas()[RENAMED.get(cls, cls.__name__)].get("properties", {})
    for shape in shapes(cls):
        if properties[shape.alias].get("readOnly"):
            assert shape.output, shape.alias
        elif shape.output:
            # The document marks the whole of runtimeInfo, and not each field in it.
            assert cls.__name__ == "RuntimeInfo", shape.alias


def enums() -> list[Shape]:
    """Give every field of ours that holds an enum."""
    return [shape for cls in MESSAGES for shape in shapes(cls) if shape.kind == "enum"]


@pytest.mark.parametrize("cls", MESSAGES, ids=lambda cls: cls.__name__)
def test_enum_names_are_those_of_the_discovery_document(cls: type[Message]) -> None:
    properties = schemas()[RENAMED.get(cls, cls.__name__)].get("properties", {})
    for shape in shapes(cls):
        if shape.kind == "enum":
            item = properties[shape.alias].get("items") or properties[shape.alias]
            assert [member.name for member in shape.enum] == item["enum"]


GOOGLE_ENUMS: dict[type[enum.IntEnum], Any] = {
    State: google_sessions.Session.State,
    resources.Kernel: google_sessions.JupyterConfig.Kernel,
    resources.Scenario: google_shared.AutotuningConfig.Scenario,
    resources.AuthenticationType: google_shared.AuthenticationConfig.AuthenticationType,
    resources.OperationType: google_operations.SessionOperationMetadata.SessionOperationType,
}


def test_enum_numbers_are_the_generated_clients() -> None:
    used = {shape.enum for shape in enums()}
    assert used == {*GOOGLE_ENUMS, resources.CohortSource}, "the client has no CohortSource"
    for ours, theirs in GOOGLE_ENUMS.items():
        assert {member.name: member.value for member in ours} == {member.name: member.value for member in theirs}


GOOGLE = {
    name: kind
    for module in (google_sessions, google_templates, google_shared, google_operations)
    for name, kind in vars(module).items()
    if hasattr(kind, "meta")
}
GOOGLE["SessionStateHistory"] = google_sessions.Session.SessionStateHistory


@pytest.mark.parametrize("cls", [cls for cls in MESSAGES if cls.__name__ in GOOGLE], ids=lambda cls: cls.__name__)
def test_attributes_are_the_protos_names(cls: type[Message]) -> None:
    theirs = set(GOOGLE[cls.__name__].meta.fields)
    ours = {shape.name for shape in shapes(cls)}
    assert theirs <= ours
    assert ours - theirs <= NEWER
