"""A host's heartbeat as the usage a session answers with."""

from __future__ import annotations

from jupyter_sessions.model.hostfile import Heartbeat
from jupyter_sessions.model.resources import Session, UsageMetrics, UsageSnapshot
from jupyter_sessions.service.clocks import SECOND
from jupyter_sessions.service.transitions import with_info


def live(session: Session, heartbeat: Heartbeat | None) -> Session:
    """Join the latest sample to an ACTIVE session: totals and now. It is not written anywhere."""
    if heartbeat is None:
        return session
    snapshot = UsageSnapshot(milli_dcu=heartbeat.milli_dcu, snapshot_time=_time(heartbeat))
    update = {"approximate_usage": _totals(heartbeat), "current_usage": snapshot}
    return with_info(session, session.runtime_info.model_copy(update=update))


def final(session: Session, heartbeat: Heartbeat | None) -> Session:
    """Keep the last totals of a session that ends."""
    if heartbeat is None:
        return session
    return with_info(session, session.runtime_info.model_copy(update={"approximate_usage": _totals(heartbeat)}))


def _totals(heartbeat: Heartbeat) -> UsageMetrics:
    return UsageMetrics(milli_dcu_seconds=heartbeat.milli_dcu_seconds, update_time=_time(heartbeat))


def _time(heartbeat: Heartbeat) -> int:
    return round(heartbeat.time * SECOND)
