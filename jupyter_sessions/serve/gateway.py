"""The kernel gateway on the service's own port, as Google's is: Jupyter's REST and websockets over the sessions."""

from __future__ import annotations

from typing import Any

from jupyter_sessions.serve.gateway_rest import (
    ActionHandler,
    KernelHandler,
    KernelsHandler,
    LogoHandler,
    MeHandler,
    SpecHandler,
    SpecsHandler,
)
from jupyter_sessions.serve.gateway_rules import GatewaySetup
from jupyter_sessions.serve.gateway_stream import ChannelsHandler, StreamHandler

__all__ = ["GatewaySetup", "gateway_handlers"]

_ID = r"(?P<kernel_id>\w+-\w+-\w+-\w+-\w+)"
_NAME = r"(?P<name>[\w.\-]+)"


def gateway_handlers(setup: GatewaySetup) -> list[tuple[str, type[Any], dict[str, Any]]]:
    """Give pattern, class and arguments of every handler of the gateway, from the root of the service's URL."""
    rows: list[tuple[str, type[Any]]] = [
        (r"/api/me", MeHandler),
        (r"/api/kernelspecs", SpecsHandler),
        (rf"/api/kernelspecs/{_NAME}", SpecHandler),
        (rf"/kernelspecs/{_NAME}/(?P<file>[^/]+)", LogoHandler),
        (r"/api/kernels", KernelsHandler),
        (rf"/api/kernels/{_ID}", KernelHandler),
        (rf"/api/kernels/{_ID}/(?P<action>interrupt|restart)", ActionHandler),
        (rf"/api/kernels/{_ID}/channels", ChannelsHandler),
        (r"/host/stream", StreamHandler),
    ]
    return [(pattern, handler, {"setup": setup}) for pattern, handler in rows]
