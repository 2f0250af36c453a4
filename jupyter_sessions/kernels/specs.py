"""The kernelspec manager's half of ours: a mixin in front of the user's own class.

What ACTIVE sessions offer stands beside the user's kernelspecs, from memory. ``allowed_kernelspecs`` filters ours
as it does the user's own, which win where a name collides.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from jupyter_core.utils import ensure_async

from jupyter_sessions.kernels.logos import Logos
from jupyter_sessions.kernels.offers import Offer
from jupyter_sessions.kernels.registry import Registry

# The user's class, known only when it is mixed with.
Base: Any = object

# Set while the user's own kernelspecs alone are wanted.
_own_only: ContextVar[bool] = ContextVar("jupyter_sessions_own_only", default=False)


class SessionSpecs(Base):  # type: ignore[misc]  # a mixin: its base is Any
    """Mixed in front of the user's KernelSpecManager by ``mount``; ``bind_sessions`` brings it to life."""

    allowed_kernelspecs: set[str]
    _sessions: Registry | None = None
    _logos: Logos | None = None

    def bind_sessions(self, registry: Registry, logos: Logos) -> Callable[[], None]:
        """Begin to show what the registry's sessions offer; gives the function that ends it."""
        self._sessions, self._logos = registry, logos

        def unbind() -> None:
            self._sessions = self._logos = None

        return unbind

    def _offers(self) -> dict[str, Offer]:
        if self._sessions is None or _own_only.get():
            return {}
        allowed = {name.lower() for name in self.allowed_kernelspecs}
        return {name: offer for name, offer in self._sessions.offers().items() if not allowed or name in allowed}

    def _offer(self, name: str) -> Offer | None:
        return self._offers().get(name.lower())

    def _folder(self, offer: Offer) -> str:
        return self._logos.folder(offer.kernel.resource_dir) if self._logos is not None else ""

    def _spec(self, offer: Offer) -> dict[str, Any]:
        # An older jupyter_client's specs have fewer fields.
        return {key: value for key, value in offer.spec().items() if hasattr(self.kernel_spec_class, key)}

    def _own(self, names: Mapping[str, Any]) -> None:
        # The one place that sees the user's own names: a listing. Ours give way to them from here on.
        if self._sessions is not None and not _own_only.get():
            self._sessions.set_taken(names)

    def find_kernel_specs(self) -> dict[str, str]:
        """Give every kernelspec's resource directory by its name."""
        own: dict[str, str] = super().find_kernel_specs()
        self._own(own)
        return {**own, **{name: self._folder(offer) for name, offer in self._offers().items()}}

    def get_kernel_spec(self, kernel_name: str, *args: Any, **kwargs: Any) -> Any:
        """Give one kernelspec; raises NoSuchKernel where there is none."""
        offer = self._offer(kernel_name)
        own = super().get_kernel_spec
        if offer is None:
            return own(kernel_name, *args, **kwargs)
        spec = self.kernel_spec_class(resource_dir=self._folder(offer), name=offer.name, **self._spec(offer))
        return _ready(spec) if inspect.iscoroutinefunction(own) else spec

    def get_all_specs(self) -> Any:
        """Give every kernelspec with its resource directory, by its name."""
        token = _own_only.set(True)
        try:
            own = super().get_all_specs()
        finally:
            _own_only.reset(token)
        return self._awaited(own) if inspect.isawaitable(own) else self._with_offers(own)

    async def _awaited(self, own: Awaitable[dict[str, Any]]) -> dict[str, Any]:
        token = _own_only.set(True)
        try:
            found = await own
        finally:
            _own_only.reset(token)
        return self._with_offers(found)

    def _with_offers(self, own: dict[str, Any] | None) -> dict[str, Any]:
        own = own or {}
        self._own(own)
        ours = {
            name: {"resource_dir": self._folder(offer), "spec": self._spec(offer)}
            for name, offer in self._offers().items()
        }
        return {**own, **ours}

    def remove_kernel_spec(self, name: str) -> str:
        """Remove one of the user's kernelspecs; one of ours goes with its session."""
        if self._offer(name) is not None:
            raise KeyError(f"{name} belongs to a session: terminate the session to remove it")
        return str(super().remove_kernel_spec(name))

    async def own_specs(self) -> dict[str, Any]:
        """Give the user's own kernelspecs alone, as ``get_all_specs`` does: what a session may offer."""
        token = _own_only.set(True)
        try:
            return dict(await ensure_async(super().get_all_specs()) or {})
        finally:
            _own_only.reset(token)


class SessionSpecsWithResources(SessionSpecs):
    """For a user's class that serves resources itself, as a gateway's does.

    Not for the stock one: merely having the method makes Jupyter Server log a warning for every logo.
    """

    async def get_kernel_spec_resource(self, kernel_name: str, path: str) -> bytes | None:
        """Give a resource's bytes; None where there is none."""
        offer = self._offer(kernel_name)
        if offer is None:
            found: bytes | None = await super().get_kernel_spec_resource(kernel_name, path)
            return found
        return await asyncio.to_thread(_read, Path(self._folder(offer)), path)


def _read(folder: Path, name: str) -> bytes | None:
    # Only names that are there: what was asked for is never made into a path.
    return next((file.read_bytes() for file in folder.iterdir() if file.name == name), None)


async def _ready(value: Any) -> Any:
    return value
