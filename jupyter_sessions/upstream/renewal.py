"""Proof that wears out: made off the loop, once for all who wait, before it ends and after it was refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from jupyter_sessions.model.errors import SessionsError
from jupyter_sessions.upstream.offload import Once

REST = 5.0
"""Seconds between two makings of which the first failed, or gave what the upstream refused."""


@dataclass(frozen=True)
class Proof:
    """Headers that convince an upstream for ``good`` seconds from their making."""

    headers: Mapping[str, str] = field(repr=False)
    good: float


class Renewal:
    """Keeps the proof that ``make`` gives.

    In its last ``ahead`` seconds it is renewed while it is still used, with less than ``least`` it is not used any
    more. What ``make`` raised is raised again for REST seconds, then ``make`` is asked once more. ``clock`` gives
    seconds.
    """

    def __init__(
        self,
        make: Callable[[], Awaitable[Proof]],
        clock: Callable[[], float],
        *,
        ahead: float = 0.0,
        least: float = 0.0,
    ) -> None:
        self._make = make
        self._clock = clock
        self._ahead = ahead
        self._least = least
        self._once = Once(self._renew)
        self._headers: Mapping[str, str] | None = None
        self._end = 0.0
        self._error: SessionsError | None = None
        self._tried: float | None = None
        self._suspect = False
        # The first refusal of a proof that served well is answered at once, only those after it wait.
        self._renewed: float | None = None

    async def headers(self) -> Mapping[str, str]:
        """Give the headers of now; raises what making them raised."""
        left = self._end - self._clock() if self._headers is not None else 0.0
        if self._suspect:
            if not self._rests(self._renewed):
                await self._once.result()
        elif self._headers is not None and left > self._least:
            if left < self._ahead and not self._rests(self._tried):
                self._once.start()
        elif self._error is None or not self._rests(self._tried):
            await self._once.result()
        if self._error is not None:
            raise type(self._error)(self._error.message, self._error.details)
        return dict(self._headers or {})

    def refused(self, headers: Mapping[str, str]) -> None:
        """Hear that the upstream refused these headers; nothing is done about those of before."""
        if headers == self._headers:
            self._suspect = True

    def _rests(self, last: float | None) -> bool:
        # A clock that was set back does not make the rest longer.
        return last is not None and 0 <= self._clock() - last < REST

    async def _renew(self) -> None:
        suspect = self._suspect
        try:
            proof = await self._make()
        except SessionsError as error:
            # A proof that is still good outlives an issuer that is away for a while.
            if suspect or self._headers is None or self._end - self._clock() <= self._least:
                self._error = error
        else:
            self._headers, self._end, self._error = dict(proof.headers), self._clock() + proof.good, None
            self._suspect = False
        self._tried = self._clock()
        if suspect:
            self._renewed = self._tried
