"""How many websockets one user may have open at the gateway."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import websocket

from jupyter_sessions.model.errors import ResourceExhausted
from jupyter_sessions.serve.gateway_rules import OpenWebsockets
from tests.real.server import wait_for
from tests.serve.gatewaying import GatewayUser, activate, served_for_long
from tests.serve.serving import OWN


def test_each_user_has_a_count_of_their_own() -> None:
    websockets = OpenWebsockets(1)
    with websockets.one("alice"), websockets.one("bob"):
        with pytest.raises(ResourceExhausted, match="alice has 1 websockets of kernels open"), websockets.one("alice"):
            pytest.fail("it is one too many")
    with pytest.raises(ZeroDivisionError), websockets.one("alice"):
        _ = 1 // 0
    with websockets.one("alice"):
        assert dict(websockets._open) == {"alice": 1}
    assert not websockets._open
    anybody = OpenWebsockets(0)
    with anybody.one("alice"), anybody.one("alice"):
        pass


def test_one_too_many_is_refused_until_another_has_closed(tmp_path: Path) -> None:
    with served_for_long(tmp_path, [OWN], options=["--ServeApp.max_websockets=2"]) as served:
        activate(served, OWN, "work")
        user = GatewayUser(served, OWN)
        with user.closing:
            kernel = user.start("work.python3")
            path = f"api/kernels/{kernel}/channels"
            stream, channels = user.side_stream("work"), user.channels(kernel)
            with pytest.raises(websocket.WebSocketBadStatusException) as refused:
                user.channels(kernel)
            said = json.loads(refused.value.resp_body or b"")["message"]
            assert refused.value.status_code == 429 and f"{OWN} has 2 websockets" in said
            assert "ServeApp.max_websockets" in said
            assert user.status_of("host/stream?session=projects/local/locations/serve/sessions/work") == 429
            assert channels.text("print(1)") == "1\n", "what is open goes on"
            stream.close()
            wait_for(lambda: user.status_of(path) == 101, "a place")
            # What is refused for another reason takes no place.
            for _ in range(3):
                assert user.status_of(path.replace(kernel, "1-2-3-4-5")) == 404
            wait_for(lambda: user.status_of(path) == 101, "a place")
