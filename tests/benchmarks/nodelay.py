"""The stock connection with Nagle's algorithm off, to tell what a relay costs from what Nagle does."""

from __future__ import annotations

from typing import Any

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection


class NodelayConnection(ZMQChannelsWebsocketConnection):
    """Sends each message at once."""

    def connect(self) -> Any:
        """Connect as the stock class does."""
        handler: Any = self.websocket_handler
        handler.set_nodelay(True)
        return super().connect()
