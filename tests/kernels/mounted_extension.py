"""A server extension that mounts the kernels room and nothing else."""

from __future__ import annotations

from typing import Any

from jupyter_sessions.kernels import mount


def _link_jupyter_server_extension(serverapp: Any) -> None:
    mount.link(serverapp)


def _load_jupyter_server_extension(serverapp: Any) -> None:
    serverapp.web_app.settings["mounted"] = mount.load(serverapp)


async def _start_jupyter_server_extension(serverapp: Any) -> None:
    await serverapp.web_app.settings["mounted"].start()
