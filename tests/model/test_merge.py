"""Templates under sessions, defaults, and what a PATCH may change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given

from jupyter_sessions.model import merge, wire
from jupyter_sessions.model.errors import InvalidArgument
from jupyter_sessions.model.resources import (
    EnvironmentConfig,
    ExecutionConfig,
    JupyterConfig,
    Kernel,
    PeripheralsConfig,
    RuntimeConfig,
    Session,
    SessionTemplate,
    SparkConnectConfig,
)
from jupyter_sessions.model.states import State
from tests.model.strategies import TEMPLATES

SECOND = 10**9
TTL, IDLE = 1_209_600 * SECOND, 86_400 * SECOND
NAME = "projects/p/locations/l/sessions/abcd"
TEMPLATE = "projects/p/locations/l/sessionTemplates/t"
EXECUTION = "environmentConfig.executionConfig"


def refused(call: Callable[..., Any], *args: Any) -> dict[str, str]:
    """Give path and description of every violation of a refused call."""
    with pytest.raises(InvalidArgument) as caught:
        call(*args)
    return {violation.field: violation.description for violation in caught.value.violations}


def session(body: dict[str, Any]) -> Session:
    """Read a session."""
    return wire.load(Session, body)


def template(body: dict[str, Any]) -> SessionTemplate:
    """Read a template."""
    return wire.load(SessionTemplate, {"name": TEMPLATE, **body})


def merged(own: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """Apply a template's body to a session's and give the session's JSON without its empty objects."""
    out = wire.dump(merge.apply_template(session(own), template(base)))
    return {key: value for key, value in out.items() if key not in ("runtimeInfo", "sessionTemplate")}


def test_the_sessions_own_fields_win() -> None:
    own = {
        "user": "u",
        "jupyterSession": {"kernel": "SCALA"},
        "runtimeConfig": {"version": "2", "properties": {"a": "own", "b": "own"}},
        "environmentConfig": {"executionConfig": {"ttl": "700s", "networkTags": ["own"]}},
        "labels": {"a": "own", "b": "own"},
    }
    base = {
        "displayName": "the template's",
        "description": "nothing of the session's",
        "jupyterSession": {"kernel": "PYTHON", "displayName": "D"},
        "runtimeConfig": {"version": "1", "cohort": "c", "properties": {"b": "base", "c": "base"}},
        "environmentConfig": {
            "executionConfig": {"ttl": "900s", "idleTtl": "800s", "networkTags": ["base", "more"]},
            "peripheralsConfig": {"metastoreService": "m"},
        },
        "labels": {"b": "base", "c": "base"},
    }
    assert merged(own, base) == {
        "user": "u",
        "jupyterSession": {"kernel": "SCALA", "displayName": "D"},
        "runtimeConfig": {"version": "2", "cohort": "c", "properties": {"a": "own", "b": "own", "c": "base"}},
        "environmentConfig": {
            "executionConfig": {"ttl": "700s", "idleTtl": "800s", "networkTags": ["own"]},
            "peripheralsConfig": {"metastoreService": "m"},
        },
        "labels": {"a": "own", "b": "own", "c": "base"},
    }


def test_the_template_is_answered_by_its_full_name() -> None:
    assert merge.apply_template(session({"sessionTemplate": "t"}), template({})).session_template == TEMPLATE


@pytest.mark.parametrize(
    ("own", "base", "left"),
    [
        ({"sparkConnectSession": {}}, {"jupyterSession": {"kernel": "SCALA"}}, {"sparkConnectSession": {}}),
        ({"jupyterSession": {}}, {"sparkConnectSession": {}}, {"jupyterSession": {}}),
        ({}, {"sparkConnectSession": {}}, {"sparkConnectSession": {}}),
        ({"jupyterSession": {}}, {"jupyterSession": {"kernel": "SCALA"}}, {"jupyterSession": {"kernel": "SCALA"}}),
    ],
)
def test_one_member_of_a_union_drops_the_templates_other(own: Any, base: Any, left: Any) -> None:
    out = merged(own, base)
    assert {key: out[key] for key in ("jupyterSession", "sparkConnectSession") if key in out} == left


def test_one_kind_of_network_drops_the_templates_other() -> None:
    own = {"environmentConfig": {"executionConfig": {"networkUri": "n"}}}
    base = {"environmentConfig": {"executionConfig": {"subnetworkUri": "s", "kmsKey": "k"}}}
    assert merged(own, base)["environmentConfig"]["executionConfig"] == {"networkUri": "n", "kmsKey": "k"}


def test_labels_are_counted_after_the_merge() -> None:
    own = session({"labels": {f"a{number}": "" for number in range(20)}})
    assert (
        "holds 40 labels"
        in refused(merge.apply_template, own, template({"labels": {f"b{number}": "" for number in range(20)}}))[
            "labels"
        ]
    )
    same = template({"labels": {f"a{number}": "x" for number in range(20)}})
    assert merge.apply_template(own, same).labels == own.labels


@given(TEMPLATES)
def test_an_empty_session_takes_all_and_merging_again_changes_nothing(base: SessionTemplate) -> None:
    once = merge.apply_template(Session(name=NAME), base)
    assert (once.labels, once.jupyter_session, once.runtime_config) == (
        base.labels,
        base.jupyter_session,
        base.runtime_config,
    )
    assert once.environment_config == base.environment_config
    assert merge.apply_template(once, base) == once


def test_defaults_fill_what_is_unset() -> None:
    filled = merge.fill_defaults(Session(name=NAME, creator="me"), TTL, IDLE)
    assert (filled.ttl, filled.idle_ttl, filled.kernel, filled.user) == (TTL, IDLE, Kernel.PYTHON, "me")
    assert filled.runtime_config == RuntimeConfig()
    assert filled.environment_config is not None and filled.environment_config.peripherals_config == PeripheralsConfig()
    assert merge.fill_defaults(filled, 1, 1) == filled


def test_defaults_leave_what_is_set() -> None:
    own = Session(
        user="you",
        creator="me",
        jupyter_session=JupyterConfig(kernel=Kernel.SCALA, display_name="D"),
        environment_config=EnvironmentConfig(execution_config=ExecutionConfig(ttl=600 * SECOND, kms_key="k")),
        runtime_config=RuntimeConfig(properties={"a": "b"}),
    )
    filled = merge.fill_defaults(own, TTL, IDLE)
    assert (filled.ttl, filled.idle_ttl, filled.user, filled.properties) == (600 * SECOND, IDLE, "you", {"a": "b"})
    assert (filled.jupyter_session, filled.execution.kms_key) == (own.jupyter_session, "k")


def test_a_spark_session_gets_no_jupyter_config() -> None:
    filled = merge.fill_defaults(Session(spark_connect_session=SparkConnectConfig()), TTL, IDLE)
    assert filled.jupyter_session is None


@pytest.mark.parametrize("text", ["", "*", " * "])
def test_all_fields(text: str) -> None:
    assert merge.parse_mask(text, Session) is None


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("labels", ["labels"]),
        ("labels.a-b", ["labels.a-b"]),
        ("labels.`a-b`", ["labels.a-b"]),
        (f"labels, {EXECUTION}.ttl", ["labels", f"{EXECUTION}.ttl"]),
        ("environment_config.executionConfig.idle_ttl,labels,labels", [f"{EXECUTION}.idleTtl", "labels"]),
    ],
)
def test_masks_of_sessions(text: str, paths: list[str]) -> None:
    assert merge.parse_mask(text, Session) == paths
    assert merge.resolve_mask(paths, Session) == paths


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nope", "is not a field of Session; its fields are name, labels"),
        ("state", "is output only"),
        ("runtimeInfo.endpoints", "is output only"),
        ("user", "cannot be changed; labels, "),
        ("name", "cannot be changed"),
        ("environmentConfig", "cannot be changed"),
        (EXECUTION, "cannot be changed"),
        (f"{EXECUTION}.stagingBucket", "cannot be changed"),
        (f"{EXECUTION}.ttl.seconds", "goes on after ttl"),
        (f"{EXECUTION}.TTL", "is not a field of ExecutionConfig"),
        ("labels,*", "must stand alone"),
        ("labels,", "name a field"),
        ("labels.", "ends in a dot"),
        (".labels", "is not a field"),
    ],
)
def test_faulty_masks_of_sessions(text: str, words: str) -> None:
    assert words in refused(merge.parse_mask, text, Session)["updateMask"]


def test_masks_of_templates_reach_every_mutable_field() -> None:
    text = "displayName,runtime_config.properties.spark.executor.cores,jupyterSession.kernel,environmentConfig,labels.a"
    paths = text.replace("runtime_config", "runtimeConfig").split(",")
    assert merge.parse_mask(text, SessionTemplate) == paths
    for faulty in (
        "name",
        "uuid",
        "creator",
        "create_time",
        "updateTime",
        "state",
        "runtimeConfig.autotuningConfig.scenarios.0",
    ):
        assert "updateMask" in refused(merge.parse_mask, faulty, SessionTemplate)


def test_every_faulty_path_is_told() -> None:
    with pytest.raises(InvalidArgument) as caught:
        merge.parse_mask("state,labels,nope", Session)
    assert [violation.description.split()[0] for violation in caught.value.violations] == ["'state'", "'nope'"]


@pytest.mark.parametrize("mask", ["nope," * 20_000, ",".join(f"nope{n}" for n in range(8000)), "n" * 60_000])
def test_a_long_faulty_mask_is_not_answered_at_length(mask: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        merge.parse_mask(mask, Session)
    assert len(caught.value.message) < 6000


CURRENT = merge.fill_defaults(
    session(
        {"name": NAME, "uuid": "u", "state": "ACTIVE", "creator": "me", "labels": {"a": "1", "b": "2"}}
        | {"sessionTemplate": TEMPLATE}
    ),
    TTL,
    IDLE,
)


def patched(body: dict[str, Any], mask: list[str] | None) -> Session:
    """Apply a body to the current session."""
    return merge.apply_session_mask(CURRENT, session(body), mask)


def test_without_a_mask_every_mutable_field_is_replaced() -> None:
    out = patched({"labels": {"c": "3"}, "environmentConfig": {"executionConfig": {"ttl": "900s"}}}, None)
    assert (out.labels, out.ttl, out.idle_ttl) == ({"c": "3"}, 900 * SECOND, 0)
    cleared = patched({}, None)
    assert (cleared.labels, cleared.ttl, cleared.idle_ttl) == ({}, 0, 0)
    assert (cleared.uuid, cleared.state, cleared.user, cleared.kernel) == ("u", State.ACTIVE, "me", Kernel.PYTHON)


def test_with_a_mask_only_its_paths_change() -> None:
    body = {
        "labels": {"a": "9", "c": "3"},
        "environmentConfig": {"executionConfig": {"ttl": "900s"}},
        "user": "ignored",
    }
    assert patched(body, ["labels.a"]).labels == {"a": "9", "b": "2"}
    assert patched(body, ["labels.b"]).labels == {"a": "1"}, "a path that the body leaves out is cleared"
    assert patched(body, ["labels.x"]).labels == CURRENT.labels
    out = patched(body, ["environment_config.execution_config.ttl"])
    assert (out.ttl, out.idle_ttl, out.labels, out.user) == (900 * SECOND, IDLE, CURRENT.labels, "me")
    assert patched(body, [f"{EXECUTION}.idleTtl"]).idle_ttl == 0
    assert "updateMask" in refused(patched, body, ["user"])


def test_a_body_may_repeat_what_cannot_change() -> None:
    whole = wire.dump(CURRENT)
    assert merge.apply_session_mask(CURRENT, wire.parse(Session, whole), None) == CURRENT
    assert patched({**whole, "sessionTemplate": "t"}, None).session_template == TEMPLATE
    assert patched({**whole, "sessionTemplate": f"https://x.test/v1/{TEMPLATE}"}, None).session_template == TEMPLATE
    assert patched({**whole, "name": ""}, None).name == NAME


def test_what_cannot_change_is_refused_each_by_its_path() -> None:
    body = {
        "name": NAME + "e",
        "user": "you",
        "sessionTemplate": "other",
        "jupyterSession": {"kernel": "SCALA"},
        "runtimeConfig": {"version": "2"},
        "environmentConfig": {
            "executionConfig": {"kmsKey": "k", "ttl": "900s"},
            "peripheralsConfig": {"metastoreService": "m"},
        },
        "state": "FAILED",
    }
    assert set(refused(patched, body, None)) == {
        "name", "user", "sessionTemplate", "jupyterSession.kernel", "runtimeConfig.version", f"{EXECUTION}.kmsKey",
        "environmentConfig.peripheralsConfig.metastoreService",
    }  # fmt: skip
    assert set(refused(patched, body, ["labels"])) == {"name"}


def test_a_patch_may_not_end_in_too_many_labels() -> None:
    full = CURRENT.model_copy(update={"labels": {f"k{number}": "" for number in range(32)}})
    wanted = session({"labels": {"more": ""}})
    assert "holds 33 labels" in refused(merge.apply_session_mask, full, wanted, ["labels.more"])["labels"]


OLD = template(
    {
        "uuid": "u", "creator": "me", "createTime": "2026-01-01T00:00:00Z", "displayName": "D", "description": "d",
        "labels": {"a": "1"}, "jupyterSession": {"kernel": "PYTHON", "displayName": "J"},
        "runtimeConfig": {"version": "1", "properties": {"x.y": "1", "z": "2"}},
        "environmentConfig": {"executionConfig": {"ttl": "900s", "networkUri": "n"}},
    }
)  # fmt: skip


def replaced(body: dict[str, Any], mask: list[str] | None) -> dict[str, Any]:
    """Apply a body to the old template and give what differs."""
    wanted = wire.load(SessionTemplate, body)
    before, after = wire.dump(OLD), wire.dump(merge.apply_template_mask(OLD, wanted, mask))
    return {key: after.get(key) for key in {*before, *after} if before.get(key) != after.get(key)}


def test_a_templates_patch_without_a_mask_replaces_all_but_its_identity() -> None:
    assert replaced({"description": "new", "creator": "you", "uuid": "v"}, None) == {
        "description": "new", "displayName": None, "labels": None, "jupyterSession": None, "runtimeConfig": None,
        "environmentConfig": None,
    }  # fmt: skip
    assert replaced(wire.dump(OLD), None) == {}
    assert replaced({**wire.dump(OLD), "name": f"https://x.test/v1/{TEMPLATE}"}, None) == {}


@pytest.mark.parametrize(
    ("mask", "body", "changes"),
    [
        ("description", {"description": "new", "displayName": "other"}, {"description": "new"}),
        ("displayName", {}, {"displayName": None}),
        ("labels.a", {}, {"labels": None}),
        ("labels.b", {"labels": {"b": "2"}}, {"labels": {"a": "1", "b": "2"}}),
        ("runtimeConfig.properties.x.y", {}, {"runtimeConfig": {"version": "1", "properties": {"z": "2"}}}),
        (
            "runtime_config.version",
            {"runtimeConfig": {"version": "2"}},
            {"runtimeConfig": {"version": "2", "properties": {"x.y": "1", "z": "2"}}},
        ),
        (
            "jupyterSession.kernel",
            {"jupyterSession": {"kernel": "SCALA"}},
            {"jupyterSession": {"kernel": "SCALA", "displayName": "J"}},
        ),
        ("sparkConnectSession", {"sparkConnectSession": {}}, {"sparkConnectSession": {}, "jupyterSession": None}),
        ("sparkConnectSession", {}, {}),
        (
            f"{EXECUTION}.subnetworkUri",
            {"environmentConfig": {"executionConfig": {"subnetworkUri": "s"}}},
            {"environmentConfig": {"executionConfig": {"ttl": "900s", "subnetworkUri": "s"}}},
        ),
        ("environmentConfig.peripheralsConfig.metastoreService", {}, {}),
        ("environmentConfig", {}, {"environmentConfig": None}),
    ],
)
def test_a_templates_patch_with_a_mask(mask: str, body: dict[str, Any], changes: dict[str, Any]) -> None:
    paths = merge.parse_mask(mask, SessionTemplate)
    assert paths is not None
    assert replaced(body, paths) == changes


def test_a_templates_name_cannot_change() -> None:
    assert "cannot change" in refused(replaced, {"name": TEMPLATE + "2"}, ["labels"])["name"]
    assert "sessionTemplates/{id}" in refused(replaced, {"name": "t"}, None)["name"]


def test_a_templates_patch_may_not_break_a_rule() -> None:
    assert "displayName" in refused(replaced, {"displayName": "x" * 64}, ["displayName"])


@given(TEMPLATES, TEMPLATES)
def test_a_whole_replacement_is_the_wanted_template(old: SessionTemplate, new: SessionTemplate) -> None:
    old = old.model_copy(update={"uuid": "u", "create_time": 5})
    assert merge.apply_template_mask(old, new, None) == new.model_copy(update={"uuid": "u", "create_time": 5})
