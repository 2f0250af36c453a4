"""Operations: begun once, ended once, by exactly one of a session and an error."""

from __future__ import annotations

import pytest

from jupyter_sessions.model import operations, wire
from jupyter_sessions.model.errors import Aborted, FieldViolation, InvalidArgument
from jupyter_sessions.model.names import LOCAL, OperationName
from jupyter_sessions.model.resources import (
    CohortInfo,
    JupyterConfig,
    OperationType,
    PropertiesInfo,
    RuntimeInfo,
    Session,
    UsageMetrics,
    UsageSnapshot,
    ValueInfo,
)
from jupyter_sessions.model.states import State
from tests.model.test_discovery import NEWER

SESSION = Session(name="s", uuid="u", labels={"a": "b"}, state=State.ACTIVE, jupyter_session=JupyterConfig())
NAME = OperationName(LOCAL, "o")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (OperationType.CREATE, "Create session"),
        (OperationType.TERMINATE, "Terminate session"),
        (OperationType.DELETE, "Delete session"),
    ],
)
def test_a_running_operation_says_what_it_does(kind: OperationType, words: str) -> None:
    op = operations.begin(NAME, SESSION, kind, 7)
    assert (op.name, op.done, op.response, op.error) == (str(NAME), False, None, None)
    meta = op.metadata
    assert (meta.session, meta.session_uuid, meta.create_time, meta.done_time) == ("s", "u", 7, 0)
    assert (meta.operation_type, meta.description, meta.labels) == (kind, words, {"a": "b"})
    assert op.parsed_name == NAME


def test_success_holds_the_session_and_no_error() -> None:
    op = operations.succeed(operations.begin(NAME, SESSION, OperationType.CREATE, 7), SESSION, 9)
    assert (op.done, op.response, op.error, op.metadata.done_time) == (True, SESSION, None, 9)


def test_failure_holds_the_error_and_no_session() -> None:
    error = Aborted("terminated while CREATING", [{"@type": "type.googleapis.com/google.rpc.Help"}, {"@type": "x"}, {}])
    op = operations.fail(operations.begin(NAME, SESSION, OperationType.CREATE, 7), error, 9)
    assert (op.done, op.response, op.metadata.done_time) == (True, None, 9)
    assert op.error is not None
    assert (op.error.code, op.error.message) == (10, "terminated while CREATING")
    assert op.error.details == [{"@type": "type.googleapis.com/google.rpc.Help"}], "google.rpc types only"


def test_faulty_fields_stay_in_the_error() -> None:
    error = InvalidArgument([FieldViolation("user", "is wrong")])
    op = operations.fail(operations.begin(NAME, SESSION, OperationType.CREATE, 7), error, 9)
    assert op.error is not None
    assert op.error.details[0]["fieldViolations"] == [{"field": "user", "description": "is wrong"}]


def test_what_is_done_stays_as_it_is() -> None:
    op = operations.succeed(operations.begin(NAME, SESSION, OperationType.CREATE, 7), SESSION, 9)
    assert operations.fail(op, Aborted("late"), 11) == op
    failed = operations.fail(operations.begin(NAME, SESSION, OperationType.CREATE, 7), Aborted("first"), 9)
    assert operations.succeed(failed, SESSION, 11) == failed


def test_an_operation_never_ends_before_it_began() -> None:
    op = operations.succeed(operations.begin(NAME, SESSION, OperationType.CREATE, 7), SESSION, 3)
    assert op.metadata.done_time == 7


def test_nothing_is_changed_in_place() -> None:
    op = operations.begin(NAME, SESSION, OperationType.CREATE, 7)
    operations.succeed(op, SESSION, 9)
    assert not op.done and op.metadata.done_time == 0
    op.metadata.labels["c"] = "d"
    assert SESSION.labels == {"a": "b"}


def test_a_response_holds_no_field_that_strict_clients_refuse() -> None:
    info = RuntimeInfo(
        endpoints={"Jupyter Kernels": "http+unix://x/"},
        output_uri="file:///x",
        diagnostic_output_uri="file:///y",
        approximate_usage=UsageMetrics(milli_dcu_seconds=5, milli_accelerator_seconds_l4=1, update_time=3),
        current_usage=UsageSnapshot(milli_dcu=5, shuffle_storage_gb=1, milli_accelerator_a100_80=1, snapshot_time=3),
        properties_info=PropertiesInfo(autotuning_properties={"p": ValueInfo(value="v")}),
        cohort_info=CohortInfo(cohort="c"),
    )
    session = wire.load(Session, {**wire.dump(SESSION.model_copy(update={"runtime_info": info})), "newField": 1})
    op = operations.succeed(operations.begin(NAME, SESSION, OperationType.CREATE, 7), session, 9)
    response = wire.dump(op)["response"]
    assert response["runtimeInfo"] == {
        "endpoints": {"Jupyter Kernels": "http+unix://x/"},
        "outputUri": "file:///x",
        "diagnosticOutputUri": "file:///y",
        "approximateUsage": {"milliDcuSeconds": "5", "updateTime": "1970-01-01T00:00:00.000000003Z"},
        "currentUsage": {"milliDcu": "5", "shuffleStorageGb": "1", "snapshotTime": "1970-01-01T00:00:00.000000003Z"},
    }
    assert "newField" not in response
    kept = set(type(info).model_fields) | set(UsageMetrics.model_fields) | set(UsageSnapshot.model_fields)
    assert kept & NEWER, "the stripped fields are real ones"
