"""Operations: begun with a request, ended once, by exactly one of a session and an error."""

from __future__ import annotations

from jupyter_sessions.model.errors import SessionsError
from jupyter_sessions.model.names import OperationName
from jupyter_sessions.model.resources import (
    Operation,
    OperationType,
    RpcStatus,
    RuntimeInfo,
    Session,
    SessionOperationMetadata,
    UsageMetrics,
    UsageSnapshot,
)

_DESCRIPTIONS = {
    OperationType.CREATE: "Create session",
    OperationType.TERMINATE: "Terminate session",
    OperationType.DELETE: "Delete session",
}
_DETAILS = "type.googleapis.com/google.rpc."


def begin(name: OperationName, session: Session, kind: OperationType, now_ns: int) -> Operation:
    """Make a running operation on ``session``; raises KeyError for an unspecified kind."""
    metadata = SessionOperationMetadata(
        session=session.name,
        session_uuid=session.uuid,
        create_time=now_ns,
        operation_type=kind,
        description=_DESCRIPTIONS[kind],
        labels=dict(session.labels),
    )
    return Operation(name=str(name), metadata=metadata)


def succeed(op: Operation, session: Session, now_ns: int) -> Operation:
    """End an operation with the session as it is, or last was; one that is done stays as it is."""
    if op.done:
        return op
    return _end(op, now_ns).model_copy(update={"response": strict(session)})


def fail(op: Operation, error: SessionsError, now_ns: int) -> Operation:
    """End an operation with an error, keeping details of google.rpc types only; one that is done stays as it is."""
    if op.done:
        return op
    details = [dict(detail) for detail in error.details if str(detail.get("@type", "")).startswith(_DETAILS)]
    status = RpcStatus(code=error.code, message=error.message, details=details)
    return _end(op, now_ns).model_copy(update={"error": status})


def _end(op: Operation, now_ns: int) -> Operation:
    metadata = op.metadata.model_copy(update={"done_time": max(now_ns, op.metadata.create_time)})
    return op.model_copy(update={"done": True, "metadata": metadata})


def strict(session: Session) -> Session:
    """Give a session without the fields that strict clients do not know: the newest ones and the unknown ones.

    Clients parse an operation's response strictly, where they skip unknown fields of any other answer.
    """
    info = session.runtime_info
    usage, current = info.approximate_usage, info.current_usage
    plain = RuntimeInfo(
        endpoints=dict(info.endpoints),
        output_uri=info.output_uri,
        diagnostic_output_uri=info.diagnostic_output_uri,
        approximate_usage=usage
        and UsageMetrics(
            milli_dcu_seconds=usage.milli_dcu_seconds,
            shuffle_storage_gb_seconds=usage.shuffle_storage_gb_seconds,
            milli_accelerator_seconds=usage.milli_accelerator_seconds,
            accelerator_type=usage.accelerator_type,
            update_time=usage.update_time,
        ),
        current_usage=current
        and UsageSnapshot(
            milli_dcu=current.milli_dcu,
            shuffle_storage_gb=current.shuffle_storage_gb,
            milli_dcu_premium=current.milli_dcu_premium,
            shuffle_storage_gb_premium=current.shuffle_storage_gb_premium,
            milli_accelerator=current.milli_accelerator,
            accelerator_type=current.accelerator_type,
            snapshot_time=current.snapshot_time,
        ),
    )
    known = {name: getattr(session, name) for name in type(session).model_fields}
    return Session(**{**known, "runtime_info": plain})
