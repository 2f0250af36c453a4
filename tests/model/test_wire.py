"""JSON out, and JSON of our own store and of an upstream in; Google's client library is the oracle."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.cloud.dataproc_v1.types import Session as GoogleSession
from google.cloud.dataproc_v1.types import SessionOperationMetadata as GoogleMetadata
from google.cloud.dataproc_v1.types import SessionTemplate as GoogleTemplate
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_sessions.model import operations, wire
from jupyter_sessions.model.names import LOCAL, OperationName
from jupyter_sessions.model.resources import (
    AutotuningConfig,
    EnvironmentConfig,
    ExecutionConfig,
    JupyterConfig,
    Kernel,
    Message,
    Operation,
    OperationType,
    RpcStatus,
    RuntimeConfig,
    RuntimeInfo,
    Scenario,
    Session,
    SessionOperationMetadata,
    SessionStateHistory,
    SessionTemplate,
    SparkConnectConfig,
    UsageMetrics,
    UsageSnapshot,
)
from jupyter_sessions.model.states import State
from tests.model.strategies import TEMPLATES, complete, message
from tests.model.test_discovery import MESSAGES

EMPTY: dict[str, Any] = {
    "runtimeInfo": {},
    "runtimeConfig": {"properties": {}},
    "environmentConfig": {"executionConfig": {}, "peripheralsConfig": {}},
}
SECOND = 10**9


def test_a_session_always_has_the_objects_that_clients_read_unlooked() -> None:
    assert wire.dump(Session()) == EMPTY


def test_a_template_has_only_what_was_given() -> None:
    assert wire.dump(SessionTemplate(name="n")) == {"name": "n"}


def test_fields_go_out_as_proto3_json() -> None:
    session = Session(
        name="n",
        create_time=1_500_000_000,
        state=State.ACTIVE,
        state_history=[SessionStateHistory(state=State.CREATING, state_message="m", state_start_time=SECOND)],
        labels={"a": ""},
        jupyter_session=JupyterConfig(),
        runtime_config=RuntimeConfig(autotuning_config=AutotuningConfig(scenarios=[Scenario.AUTO, Scenario(0)])),
        environment_config=EnvironmentConfig(execution_config=ExecutionConfig(ttl=600 * SECOND)),
        runtime_info=RuntimeInfo(current_usage=UsageSnapshot(milli_dcu=1200, milli_accelerator_a100_40=2)),
    )
    assert wire.dump(session) == {
        "name": "n",
        "createTime": "1970-01-01T00:00:01.500Z",
        "state": "ACTIVE",
        "stateHistory": [{"state": "CREATING", "stateMessage": "m", "stateStartTime": "1970-01-01T00:00:01Z"}],
        "labels": {"a": ""},
        "jupyterSession": {},
        "runtimeConfig": {"properties": {}, "autotuningConfig": {"scenarios": ["AUTO", "SCENARIO_UNSPECIFIED"]}},
        "environmentConfig": {"executionConfig": {"ttl": "600s"}, "peripheralsConfig": {}},
        "runtimeInfo": {"currentUsage": {"milliDcu": "1200", "milliAcceleratorA10040": "2"}},
    }


def test_enums_go_out_as_numbers_when_asked() -> None:
    session = Session(
        state=State.FAILED,
        state_history=[SessionStateHistory(state=State.CREATING)],
        jupyter_session=JupyterConfig(kernel=Kernel.SCALA),
        runtime_config=RuntimeConfig(autotuning_config=AutotuningConfig(scenarios=[Scenario.AUTO])),
    )
    out = wire.dump(session, enum_numbers=True)
    assert out["state"] == 5
    assert out["stateHistory"] == [{"state": 1}]
    assert out["jupyterSession"] == {"kernel": 2}
    assert out["runtimeConfig"]["autotuningConfig"] == {"scenarios": [6]}
    assert not isinstance(out["state"], State), "plain numbers, whatever writes the JSON"
    assert wire.load(Session, out) == complete(session)


def test_a_dump_shares_nothing_with_the_model() -> None:
    session = Session(labels={"a": "b"}, runtime_config=RuntimeConfig(properties={"a": "b"}))
    out = wire.dump(session)
    out["labels"]["c"] = out["runtimeConfig"]["properties"]["c"] = "d"
    assert (session.labels, session.properties) == ({"a": "b"}, {"a": "b"})


@pytest.mark.parametrize("cls", MESSAGES, ids=lambda cls: cls.__name__)
def test_every_message_survives_the_round_trip(cls: type[Message]) -> None:
    @settings(max_examples=25)
    @given(message(cls), st.booleans())
    def check(model: Message, numbers: bool) -> None:
        if isinstance(model, Session):
            model = complete(model)
        if isinstance(model, Operation) and model.response is not None:
            model = model.model_copy(update={"response": complete(model.response)})
        text = json.dumps(wire.dump(model, enum_numbers=numbers))
        assert wire.load(cls, json.loads(text)) == model

    check()


@settings(max_examples=50)
@given(TEMPLATES)
def test_what_a_user_may_send_survives_the_strict_round_trip(template: SessionTemplate) -> None:
    assert wire.parse(SessionTemplate, json.dumps(wire.dump(template)).encode()) == template


GOOGLE: list[tuple[type[Message], Any]] = [
    (Session, GoogleSession),
    (SessionTemplate, GoogleTemplate),
    (SessionOperationMetadata, GoogleMetadata),
]


def known(model: Any) -> Any:
    """Give a model without the fields that the generated client lacks."""
    if isinstance(model, Session):
        return complete(operations.strict(model))
    return model.model_copy(update={"display_name": ""}) if isinstance(model, SessionTemplate) else model


@pytest.mark.parametrize(("cls", "google"), GOOGLE, ids=lambda cls: cls.__name__)
def test_googles_client_reads_and_writes_the_same(cls: type[Message], google: Any) -> None:
    @settings(max_examples=40)
    @given(message(cls).filter(one_of_each_union), st.booleans())
    def check(model: Message, numbers: bool) -> None:
        model = known(model)
        theirs = google.from_json(json.dumps(wire.dump(model, enum_numbers=numbers)))
        text = google.to_json(theirs, use_integers_for_enums=numbers, always_print_fields_with_no_presence=False)
        assert wire.load(cls, json.loads(text)) == model

    check()


def one_of_each_union(model: Any) -> bool:
    """Whether no union has two members, which the client cannot hold."""
    if not isinstance(model, Session | SessionTemplate):
        return True
    both = model.jupyter_session is not None and model.spark_connect_session is not None
    return not both and not (model.execution.network_uri and model.execution.subnetwork_uri)


def test_an_operation_names_the_types_of_what_it_holds() -> None:
    op = operations.begin(OperationName(LOCAL, "o"), Session(name="s"), OperationType.CREATE, SECOND)
    out = wire.dump(op)
    assert out == {
        "name": "projects/local/locations/local/operations/o",
        "metadata": {
            "@type": "type.googleapis.com/google.cloud.dataproc.v1.SessionOperationMetadata",
            "session": "s",
            "createTime": "1970-01-01T00:00:01Z",
            "operationType": "CREATE",
            "description": "Create session",
        },
    }
    done = wire.dump(operations.succeed(op, Session(name="s", state=State.ACTIVE), 2 * SECOND))
    assert done["done"] is True
    assert done["response"] == {
        "@type": "type.googleapis.com/google.cloud.dataproc.v1.Session", "name": "s", "state": "ACTIVE", **EMPTY,
    }  # fmt: skip
    assert "error" not in done


def test_an_error_goes_out_as_its_status() -> None:
    op = Operation(name="o", done=True, error=RpcStatus(code=10, message="m", details=[{"@type": "t", "a": 1}]))
    assert wire.dump(op)["error"] == {"code": 10, "message": "m", "details": [{"@type": "t", "a": 1}]}
    assert "response" not in wire.dump(op)


UPSTREAM: dict[str, Any] = {
    **EMPTY,
    "name": "projects/p/locations/l/sessions/abcd",
    "state": "SUSPENDED",
    "newField": {"deep": [1, None]},
    "labels": {"Not_Ours": "To Judge"},
    "runtimeInfo": {"newUsage": {"milli": "3"}, "currentUsage": {"milliDcu": "5", "milliTpu": "7"}},
    "stateHistory": [{"state": "CREATING", "region": "x"}],
}


def test_an_upstreams_unknown_fields_are_handed_on() -> None:
    session = wire.load(Session, UPSTREAM)
    assert session.labels == {"Not_Ours": "To Judge"}
    assert session.state is State.STATE_UNSPECIFIED
    assert session.model_extra == {"state": "SUSPENDED", "newField": {"deep": [1, None]}}
    assert wire.dump(session) == UPSTREAM
    assert wire.dump(session.model_copy(update={"state": State.ACTIVE}))["state"] == "ACTIVE"


@pytest.mark.parametrize(
    "odd",
    [
        {"createTime": "yesterday"}, {"createTime": 5}, {"labels": ["x"]}, {"labels": {"a": 1}}, {"state": 99},
        {"state": True}, {"stateHistory": "x"}, {"stateHistory": [3]}, {"runtimeInfo": 3}, {"runtimeConfig": "x"},
        {"environmentConfig": []}, {"user": 5}, {"runtimeInfo": {"approximateUsage": {"milliDcuSeconds": "many"}}},
        {"runtimeInfo": {"approximateUsage": {"milliDcuSeconds": 1 << 63}}},
    ],
)  # fmt: skip
def test_values_that_do_not_fit_are_kept_as_they_came(odd: dict[str, Any]) -> None:
    out = wire.dump(wire.load(Session, odd))
    (key, value), *_ = odd.items()
    # runtimeInfo is always there, so ours stands before one of an unknown type.
    assert out[key] == ({} if odd == {"runtimeInfo": 3} else value)


def test_both_spellings_and_nulls_are_read() -> None:
    session = wire.load(
        Session, {"create_time": "1970-01-01T00:00:01Z", "user": None, "jupyter_session": {"kernel": 1}}
    )
    assert (session.create_time, session.user, session.kernel) == (SECOND, "", Kernel.PYTHON)
    assert not session.model_extra


@pytest.mark.parametrize("given_", ["7", 7, 7.0])
def test_int64_are_read_either_way(given_: object) -> None:
    assert wire.load(UsageMetrics, {"milliDcuSeconds": given_}).milli_dcu_seconds == 7


def test_foreign_operations_are_handed_on() -> None:
    op = {
        "name": "projects/p/regions/r/operations/o",
        "done": True,
        "metadata": {"@type": "type.googleapis.com/google.cloud.dataproc.v1.BatchOperationMetadata", "batch": "b"},
        "response": {"@type": "type.googleapis.com/google.protobuf.Empty"},
    }
    loaded = wire.load(Operation, op)
    assert wire.dump(loaded) == op
    assert loaded.parsed_name.parent.location == "r"


@pytest.mark.parametrize("data", [None, [], "x", 3])
def test_only_objects_are_resources(data: Any) -> None:
    with pytest.raises(ValueError, match="Session must be a JSON object"):
        wire.load(Session, data)


def test_an_empty_union_member_counts_as_set() -> None:
    session = wire.load(Session, {"sparkConnectSession": {}})
    assert session.spark_connect_session == SparkConnectConfig()
    assert wire.dump(session)["sparkConnectSession"] == {}


def test_schemas_describe_the_wire() -> None:
    schema = Session.model_json_schema()
    fields = schema["properties"]
    assert fields["createTime"] == {"title": "Create time", "type": "string", "format": "date-time", "readOnly": True}
    assert fields["state"]["enum"][1] == "CREATING"
    assert schema["$defs"]["UsageMetrics"]["properties"]["milliDcuSeconds"]["format"] == "int64"
    assert schema["$defs"]["ExecutionConfig"]["properties"]["idleTtl"]["type"] == "string"
    assert "default" not in json.dumps(schema)
    assert "null" not in json.dumps(schema)
