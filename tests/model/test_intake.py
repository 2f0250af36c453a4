"""Bodies from users: the JSON rules of the API, every fault at once, each with its path."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_sessions.model import wire
from jupyter_sessions.model.errors import InvalidArgument
from jupyter_sessions.model.intake import MAX_FAULTS
from jupyter_sessions.model.names import LocationName
from jupyter_sessions.model.resources import (
    JupyterConfig,
    Kernel,
    Message,
    Scenario,
    Session,
    SessionTemplate,
    UsageMetrics,
)

M = TypeVar("M", bound=Message)
PARENT = LocationName("p", "l")
EXECUTION = "environmentConfig.executionConfig"
SECOND = 10**9
SETTABLE = "name, labels, jupyterSession, sparkConnectSession, runtimeConfig, environmentConfig, user, sessionTemplate"


def faults(body: Any, kind: type[Message] = Session, **options: Any) -> dict[str, str]:
    """Give path and description of every fault of a body."""
    with pytest.raises(InvalidArgument) as caught:
        wire.parse(kind, body, **options)
    found = {violation.field: violation.description for violation in caught.value.violations}
    assert len(found) == len(caught.value.violations), "one fault a path"
    return found


def execution(**fields: Any) -> dict[str, Any]:
    """Wrap fields into the body's executionConfig."""
    return {"environmentConfig": {"executionConfig": fields}}


@pytest.mark.parametrize("body", [b"", b"  \n", b"{}", "{}", {}])
def test_no_body_is_an_empty_object(body: Any) -> None:
    assert wire.parse(Session, body) == Session()


@pytest.mark.parametrize(
    "body",
    [b"{", b"\xff{}", b"{'a': 1}", b'{"a": NaN}', b'{"a": Infinity}', b"{} {}", b"\xef\xbb\xbf{}",
     pytest.param(b'{"user": ' + b"9" * 5000 + b"}", id="long number"), pytest.param(b"[" * 200_000, id="deep")],
)  # fmt: skip
def test_what_is_no_json_is_refused(body: bytes) -> None:
    assert faults(body)[""].startswith("the body must be JSON")


@pytest.mark.parametrize(
    ("body", "what"), [(b"[]", "an array"), (b"3", "a number"), (b'"x"', "a string"), (b"null", "null")]
)
def test_a_body_is_an_object(body: bytes, what: str) -> None:
    assert faults(body) == {"": f"must be an object, not {what}"}


def test_a_number_of_too_many_digits_is_refused_in_our_own_words() -> None:
    said = faults(b'{"user": ' + b"9" * 5000 + b"}")[""]
    assert said == "the body must be JSON in UTF-8: it holds a number of too many digits"


def test_both_spellings_even_mixed() -> None:
    body = {
        "jupyter_session": {"displayName": "D", "kernel": "SCALA"},
        "environmentConfig": {"execution_config": {"idleTtl": "700s", "staging_bucket": "bucket"}},
        "runtime_config": {"containerImage": "c", "autotuning_config": {"scenarios": ["AUTO", 2]}},
    }
    session = wire.parse(Session, body)
    assert session.jupyter_session == JupyterConfig(kernel=Kernel.SCALA, display_name="D")
    assert (session.idle_ttl, session.execution.staging_bucket) == (700 * SECOND, "bucket")
    assert session.runtime_config is not None and session.runtime_config.autotuning_config is not None
    assert session.runtime_config.autotuning_config.scenarios == [Scenario.AUTO, Scenario.SCALING]


def test_both_spellings_of_one_field_are_an_error() -> None:
    body = {
        "sessionTemplate": "t",
        "session_template": None,
        "jupyterSession": {"display_name": "a", "displayName": "a"},
    }
    assert faults(body) == {
        "sessionTemplate": "is given as sessionTemplate and as session_template; keep one",
        "jupyterSession.displayName": "is given as display_name and as displayName; keep one",
    }


def test_a_name_that_comes_twice_is_an_error() -> None:
    body = b'{"user": "a", "user": "b", "labels": {"a": "1", "a": "2"}, "createTime": 1, "createTime": 2}'
    assert faults(body) == {
        "user": "is given more than once; keep one",
        "labels.a": "is given more than once; keep one",
    }


def test_output_only_fields_are_ignored_unread() -> None:
    body = {
        "createTime": "", "create_time": 3, "uuid": [], "state": "NO_SUCH", "stateMessage": {}, "stateTime": None,
        "stateHistory": "x", "creator": 5, "runtimeInfo": {"nonsense": 1}, "runtime_info": 2, "user": "u",
    }  # fmt: skip
    assert wire.parse(Session, body) == Session(user="u")
    template = {"creator": "c", "createTime": "", "updateTime": "x", "uuid": 1, "description": "d"}
    assert wire.parse(SessionTemplate, template) == SessionTemplate(description="d")


def test_unknown_fields_are_named() -> None:
    body = {
        "nmae": "x",
        "state_Message": "",
        "zzz": 1,
        "jupyterSession": {"kernle": 1},
        "sparkConnectSession": {"a": 1},
    }
    assert faults({**body, "jupyterSession": {"kernle": 1}, "@type": "x"}) == {
        "nmae": "is not a field of Session; did you mean name?",
        "state_Message": f"is not a field of Session; its fields are {SETTABLE}",
        "zzz": f"is not a field of Session; its fields are {SETTABLE}",
        "jupyterSession.kernle": "is not a field of JupyterConfig; did you mean kernel?",
        "sparkConnectSession.a": "is not a field of SparkConnectConfig; remove it",
        "sparkConnectSession": "excludes jupyterSession; keep one of the two",
        "@type": f"is not a field of Session; its fields are {SETTABLE}",
    }


def test_null_is_unset_but_an_error_inside_a_map_or_list() -> None:
    assert (
        wire.parse(Session, {"user": None, "labels": None, "jupyterSession": None, "environmentConfig": None})
        == Session()
    )
    body = {"labels": {"a": None}, **execution(networkTags=["t", None])}
    assert faults(body) == {
        "labels.a": "must be a string, not null",
        f"{EXECUTION}.networkTags[1]": "must be a string, not null",
    }


@pytest.mark.parametrize(
    ("body", "path", "rule"),
    [
        ({"user": 3}, "user", "must be a string, not a number"),
        ({"user": True}, "user", "must be a string, not a boolean"),
        ({"user": "\ud800"}, "user", "must be Unicode text without lone surrogates"),
        ({"labels": []}, "labels", "must be an object, not an array"),
        ({"labels": {"a": 1}}, "labels.a", "must be a string, not a number"),
        ({"jupyterSession": "PYTHON"}, "jupyterSession", "must be an object, not a string"),
        (
            {"runtimeConfig": {"properties": {"\udfff": ""}}},
            "runtimeConfig.properties.\\udfff",
            "must be Unicode text without lone surrogates",
        ),
        (execution(networkTags="t"), f"{EXECUTION}.networkTags", "must be an array, not a string"),
        (execution(networkTags={}), f"{EXECUTION}.networkTags", "must be an array, not an object"),
    ],
)  # fmt: skip
def test_values_of_another_type(body: dict[str, Any], path: str, rule: str) -> None:
    assert faults(body) == {path: rule}


@pytest.mark.parametrize(("given_", "kernel"), [("PYTHON", 1), (2, 2), ("KERNEL_UNSPECIFIED", 0), (0, 0)])
def test_enums_by_exact_name_or_number(given_: object, kernel: int) -> None:
    assert wire.parse(Session, {"jupyterSession": {"kernel": given_}}).kernel == kernel


@pytest.mark.parametrize("given_", ["python", "Python", " PYTHON", "", "1", 3, -1, 1.5, True, [], {}])
def test_other_enum_values_are_refused(given_: object) -> None:
    rule = "must be one of KERNEL_UNSPECIFIED (0), PYTHON (1), SCALA (2), in exactly this case"
    assert faults({"jupyterSession": {"kernel": given_}}) == {"jupyterSession.kernel": rule}


def test_there_is_no_scenario_1() -> None:
    path = "runtimeConfig.autotuningConfig.scenarios"
    found = faults({"runtimeConfig": {"autotuningConfig": {"scenarios": ["AUTO", 1, None]}}})
    assert set(found) == {f"{path}[1]", f"{path}[2]"}


@pytest.mark.parametrize(("given_", "number"), [("7", 7), (7, 7), (7.0, 7), ("-7", -7), (str(-(1 << 63)), -(1 << 63))])
def test_int64_come_in_either_way(given_: object, number: int) -> None:
    assert wire.parse(UsageMetrics, {"milliDcuSeconds": given_}).milli_dcu_seconds == number


@pytest.mark.parametrize(
    "given_", ["", "x", "1.5", 1.5, 1 << 63, "9223372036854775808", True, [], " 1", "1_0", "٣", 1e300, "+1"]
)
def test_other_int64_are_refused(given_: object) -> None:
    assert "whole number of 64 bits" in faults({"milliDcuSeconds": given_}, UsageMetrics)["milliDcuSeconds"]


def test_times_come_in_with_any_offset() -> None:
    assert wire.parse(UsageMetrics, {"updateTime": "1970-01-01T01:00:01+01:00"}).update_time == SECOND
    assert "RFC 3339" in faults({"updateTime": "1970-01-01"}, UsageMetrics)["updateTime"]


def test_every_fault_is_told_at_once() -> None:
    body = {
        "nmae": 1, "labels": {"A": "b", "c": "D"}, "jupyterSession": {"kernel": "R"}, "sessionTemplate": "T",
        **execution(ttl="1s", stagingBucket="gs://x", networkTags=[1]), "user": [],
    }  # fmt: skip
    assert set(faults(json.dumps(body).encode(), parent=PARENT)) == {
        "nmae", "labels.A", "labels.c", "jupyterSession.kernel", "sessionTemplate", f"{EXECUTION}.ttl",
        f"{EXECUTION}.stagingBucket", f"{EXECUTION}.networkTags[0]", "user",
    }  # fmt: skip


def test_one_error_holds_them_as_a_bad_request() -> None:
    with pytest.raises(InvalidArgument) as caught:
        wire.parse(Session, {"user": 3, "nmae": 1})
    body = caught.value.body()["error"]
    assert (body["code"], body["status"]) == (400, "INVALID_ARGUMENT")
    assert "user: must be a string" in body["message"] and "nmae" in body["message"]
    assert body["details"][0]["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    assert [row["field"] for row in body["details"][0]["fieldViolations"]] == ["user", "nmae"]


def test_a_flood_of_faults_is_cut() -> None:
    found = faults({f"x{number}": 0 for number in range(MAX_FAULTS + 500)})
    assert len(found) == MAX_FAULTS + 1
    assert found[""] == "and 500 faults more"
    (path,) = faults({"k" * 100_000: 0})
    assert len(path) < 200


KEYS = st.sampled_from(
    ["labels", "name", "jupyterSession", "kernel", "ttl", "environmentConfig", "executionConfig", "sessionTemplate"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_a_session_or_refused(body: Any) -> None:
    try:
        session = wire.parse(Session, json.dumps(body).encode())
    except InvalidArgument as error:
        assert error.violations
    else:
        assert wire.parse(Session, wire.dump(wire.load(Session, wire.dump(session)))) is not None
