"""A refusal's words, as they are raised and as Jupyter's handlers show and log them."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from tornado.web import HTTPError

from tests.kernels.room import SPEC, a_room, an_app


@pytest.mark.skipif(
    not isinstance(getattr(HTTPError, "log_message", None), property), reason="this tornado doubles it for everybody"
)
async def test_a_percent_sign_is_shown_as_it_is(
    jp_configurable_serverapp: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with an_app(jp_configurable_serverapp) as app:
        async with a_room(app) as room:
            room.hosts.end("its log ends: 100%|###| %s %d")
            with caplog.at_level(logging.WARNING):
                refused = await room.call("POST", "api/kernels", {"name": SPEC})
            assert refused.code == 409
            wanted = f"cannot start a kernel of {SPEC}: the session etl is FAILED: its log ends: 100%|###| %s %d"
            assert json.loads(refused.body)["message"] == wanted
            said = [record.getMessage() for record in caplog.records]
            assert any(wanted in line for line in said) and not any("%%" in line for line in said)
