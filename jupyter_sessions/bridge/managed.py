"""Kernel managers of ``jupyter_client`` for a kernel of a session, without a kernelspec on disk."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import KernelManager

from jupyter_sessions.bridge.provisioner import SessionProvisioner
from jupyter_sessions.bridge.wanted import Wanted
from jupyter_sessions.client.discovery import TOKEN, URL

if TYPE_CHECKING:
    from jupyter_sessions.client.transport import Transport

NAME = "session"
Manager = TypeVar("Manager", bound=KernelManager)


class _OneSpec(KernelSpecManager):
    """Knows one kernelspec, whatever it is asked for."""

    def __init__(self, spec: KernelSpec) -> None:
        super().__init__()
        self._spec = spec

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Give it."""
        return self._spec


def manager_of(
    kind: type[Manager], wanted: Wanted, told: Callable[[str], None], *, keep: bool = False
) -> tuple[Manager, SessionProvisioner]:
    """Make a manager whose kernel is the one wanted, and its provisioner; nothing is started yet.

    ``told`` is called with the steps of a start. A session that is made ends with the kernel unless ``keep``.
    Nothing is said on stderr: what went wrong is the provisioner's ``reason``, or the start's exception.
    """
    spec = KernelSpec(**wanted.kernelspec(wanted.session or wanted.template, ""))
    silent = logging.getLogger(f"{__name__}.silent")
    silent.addHandler(logging.NullHandler())
    silent.propagate = False
    made = kind(kernel_name=NAME, kernel_spec_manager=_OneSpec(spec), log=silent)
    provisioner = SessionProvisioner(kernel_spec=spec, parent=made, **wanted.config())
    provisioner.told = told
    provisioner.options = ("--quiet", *(("--keep",) if keep else ()))
    made.provisioner = provisioner
    return made, provisioner


def environment(transport: Transport) -> dict[str, Any]:
    """Give the environment in which a bridge speaks to the same server with the same token."""
    token = transport.headers().get("Authorization", "").partition(" ")[2]
    return {**os.environ, URL: transport.url, **({TOKEN: token} if token else {})}
