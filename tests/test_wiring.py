"""What runs behind the extension: the user's own kernelspecs, asked for as the user's class expects it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpecManager

from jupyter_sessions.wiring import OwnSpecs

FOUND = {"mine": {"resource_dir": "", "spec": {}}}


class Plain:
    """A kernelspec manager with plain methods, as nb_conda_kernels has; it notes the thread it is used on."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []
        self.loops: list[asyncio.AbstractEventLoop] = []

    def get_all_specs(self) -> Any:
        """Give them."""
        self.threads.append(threading.current_thread())
        self.loops.append(asyncio.get_running_loop())
        return FOUND


class Coroutines(Plain):
    """One with coroutines, as a gateway's."""

    async def get_all_specs(self) -> Any:
        """Give them, later."""
        found = super().get_all_specs()
        await asyncio.sleep(0)
        return found


class Broken(KernelSpecManager):
    """One that cannot say what there is."""

    def get_all_specs(self) -> Any:
        """Fail."""
        raise OSError("conda is not there")


class Server:
    """As much of a server as is asked."""

    def __init__(self, manager: Any) -> None:
        self.kernel_spec_manager = manager


@pytest.mark.parametrize("kind", [Plain, Coroutines])
async def test_own_specs_are_asked_for_where_the_server_does(kind: type[Plain]) -> None:
    manager = kind()
    server: Any = Server(manager)
    specs = OwnSpecs(None, server)
    assert await asyncio.to_thread(specs) == FOUND
    assert manager.threads == [threading.current_thread()]
    assert manager.loops == [asyncio.get_running_loop()]


async def test_a_manager_that_fails_says_so() -> None:
    server: Any = Server(Broken())
    with pytest.raises(OSError, match="conda is not there"):
        await asyncio.to_thread(OwnSpecs(None, server))
