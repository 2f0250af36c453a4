"""Why a connection came to nothing, in words: the libraries wrap the reason several times, each with its innards."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

_DEEPEST = 8


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


def _layers(error: BaseException) -> Iterator[BaseException]:
    """Give an exception and what it wraps, the innermost last."""
    layer: BaseException | None = error
    for _ in range(_DEEPEST):
        if layer is None:
            return
        yield layer
        wrapped = (getattr(layer, "reason", None), *layer.args, layer.__cause__)
        layer = next((one for one in wrapped if isinstance(one, BaseException)), None)
