"""The seams inside the proxy: who vouches for us, and who carries a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class Credentials(Protocol):
    """Proves to one upstream who we are. Made once for each location; used on the event loop."""

    async def headers(self) -> Mapping[str, str]:
        """Give the headers of one request, fresh: renewed off the loop before they expire, once for many waiters.

        The transport calls it for each try, the kernel gateway for each request and each websocket. Raises
        Unauthenticated with the remedy where there are none or they cannot be renewed.
        """

    def refused(self, headers: Mapping[str, str]) -> None:
        """Hear that the upstream answered 401 to these headers: the next call of ``headers`` gives others.

        Whoever hears a 401 calls it, then tries once more.
        """

    def remedy(self) -> list[str]:
        """Give the steps that a person takes to sign in again, each one sentence; shown in the panel's banner."""


@dataclass(frozen=True)
class Answer:
    """One HTTP answer with status 2xx: ``body`` is its JSON (an object; ``{}`` where it was empty)."""

    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reach:
    """How well an upstream can be reached now.

    ``since`` is nanoseconds since the epoch of the last change between reachable and not, 0 before the first answer.
    ``status`` is the google.rpc status of what went wrong (UNAVAILABLE, UNAUTHENTICATED, …) and ``message`` its words;
    both empty while reachable.
    """

    reachable: bool
    since: int = 0
    status: str = ""
    message: str = ""


class Transport(Protocol):
    """Carries the requests of one location, on pooled connections off the loop. The only place that knows HTTP."""

    @property
    def reach(self) -> Reach:
        """Whether the circuit is closed; from memory."""

    async def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        *,
        safe: bool = False,
        deadline: float | None = None,
        probe: bool = False,
    ) -> Answer:
        """Send one request to ``{endpoint}/v1/{path}`` and give its answer.

        ``safe``: it may be sent again after a fault (it changes nothing, or carries a requestId that is kept).
        ``deadline`` is seconds for everything, tries and waits included (default: the location's request timeout for
        each try). ``probe``: sent also while the circuit is open; only the feed's poller says so. Raises the
        SessionsError that the upstream's answer means, with its message and details as they were and our hint added;
        Unavailable or DeadlineExceeded where there was none, at once while the circuit is open; Unauthenticated.
        """

    async def close(self) -> None:
        """Close the connections and end what is under way."""
