"""Why kernels are gone, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_sessions.model.api import KernelHost


def end_reason(host: KernelHost) -> str:
    """Say in words why the kernels of a session that is not ACTIVE are gone."""
    ended = f"the session {host.session.id} is {host.state.name}"
    return f"{ended}: {host.state_message}" if host.state_message else ended
