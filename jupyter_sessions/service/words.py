"""The state messages a user reads: what happened, and what can be done about it."""

from __future__ import annotations

from jupyter_sessions.model.hostfile import End, Heartbeat

SUBMITTED = "Waiting to be started"
STARTING = "Starting the session's host"
READY = "Ready"
REBOOTED = "The machine restarted and took the session with it. Create it again."
CONTAINER = "The container it ran in has ended and took the session with it. Create it again."
LOG_BYTES = 4_000
LOG_LINES = 12


def asked_by(caller: str, what: str) -> str:
    """Say who asked for an end; ``what`` is ``Terminated``, ``Deleted`` or ``Cancelled``."""
    return f"{what} by {caller}" if caller else what


def late(limit: float, step: str) -> str:
    """Say that a session did not get ready in time; ``step`` is what it was doing last."""
    doing = f" (it was at: {step})" if step else ""
    return f"The session was not ready within {limit:g} s{doing}. The machine may be overloaded: try again."


def worn_out(tries: int, end: End | None) -> str:
    """Say that every try to start a host was cut short, and how the last one was."""
    last = f" The last time: {end.message}." if end is not None and end.message else ""
    return f"The session's host ended {tries} times before it was ready.{last}"


def died(end: End | None, heartbeat: Heartbeat | None) -> str:
    """Say how a host went that nobody asked to end."""
    said = end.message if end is not None else ""
    said = said or "The session ended without a word (killed, or out of memory)"
    return f"{said.rstrip('.')}. {memory(heartbeat)}".strip()


def memory(heartbeat: Heartbeat | None) -> str:
    """Say the last memory sample, empty where there is none."""
    if heartbeat is None or not heartbeat.memory:
        return ""
    return f"It last used {heartbeat.memory / 2**20:,.0f} MiB of memory."


def stuck(marked: int) -> str:
    """Say that an end could not be brought about."""
    count = f"{marked} of its processes" if marked else "its host"
    return f"The session could not be ended: SIGKILL did not end {count}. Look for processes stuck in the system."


def with_log(message: str, content: str) -> str:
    """Add the last lines of a log to a message."""
    lines = [line.rstrip() for line in content.splitlines() if line.strip()][-LOG_LINES:]
    return message if not lines else "\n".join([f"{message} The log's last lines:", *lines])


def on_machine(message: str, machine: str) -> str:
    """Say where a session of another machine runs."""
    return f"{message} (on machine {machine})" if message else f"On machine {machine}"


def unheard(machine: str) -> str:
    """Say why a session of another machine is taken for ended."""
    return f"Machine {machine} did not tell of its end, which its ttl has brought about"
