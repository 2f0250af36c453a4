"""Why a connection came to nothing, in words: the libraries wrap the reason several times, each with its innards."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Iterator

from jupyter_sessions.model.times import SECOND, parse_time
from jupyter_sessions.model.words import length

_DEEPEST = 8
_MOMENT = re.compile(r"since (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)")


def reason(error: BaseException) -> str:
    """Give the innermost reason of a connection's failure."""
    inner = list(_layers(error))
    fault = next((one for one in inner if isinstance(one, ssl.SSLError) and one.reason), None)
    if fault is not None:
        return f"it speaks no TLS that this one does ({fault.reason.replace('_', ' ').lower()})"
    said = next((one.strerror for one in reversed(inner) if isinstance(one, OSError) and one.strerror), None)
    return said or str(inner[-1]) or type(inner[-1]).__name__


def distrust(error: BaseException) -> str:
    """Give why a server's certificate is not trusted, empty where that is not what failed."""
    for one in _layers(error):
        if isinstance(one, ssl.SSLCertVerificationError):
            return one.verify_message or "it cannot be verified"
    return ""


def lasting(error: BaseException) -> bool:
    """Say whether TLS failed by what both ends are, and would fail again; a line that was cut is none such."""
    faults = [one for one in _layers(error) if isinstance(one, ssl.SSLError)]
    return bool(faults) and not any(isinstance(one, (ssl.SSLEOFError, ssl.SSLZeroReturnError)) for one in faults)


def in_words(text: str) -> str:
    """Give what a server says with its moments as people read them: ``since 06:03 (3 m ago)``, in local time."""

    def told(found: re.Match[str]) -> str:
        try:
            then = parse_time(found[1])
        except ValueError:
            return found[0]
        form = "%H:%M" if abs(time.time_ns() - then) < 43_200 * SECOND else "%Y-%m-%d %H:%M"
        ago = length(time.time_ns() - then)
        return f"since {time.strftime(form, time.localtime(then // SECOND))} ({ago} ago)"

    return _MOMENT.sub(told, text)


def _layers(error: BaseException) -> Iterator[BaseException]:
    """Give an exception and what it wraps, the innermost last."""
    layer: BaseException | None = error
    for _ in range(_DEEPEST):
        if layer is None:
            return
        yield layer
        wrapped = (getattr(layer, "reason", None), *layer.args, layer.__cause__)
        layer = next((one for one in wrapped if isinstance(one, BaseException)), None)
