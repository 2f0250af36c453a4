"""The pages of what was last seen of an upstream: their tokens are these pages' own, and of one filter."""

from __future__ import annotations

import base64

import pytest

from jupyter_sessions.model.api import ListRequest
from jupyter_sessions.model.errors import InvalidArgument
from jupyter_sessions.upstream.known import Known
from jupyter_sessions.upstream.mirror import Mirror, last_known_token
from tests.upstream.proxies import FAR

FILTER = 'state = "ACTIVE"'


@pytest.fixture
def mirror() -> Mirror:
    """Give one with three sessions, two of them ACTIVE."""
    made = Mirror(FAR, "Far away")
    states = {"one-1": "ACTIVE", "two-2": "FAILED", "three-3": "ACTIVE"}
    rows = [{"name": f"{FAR}/sessions/{name}", "uuid": name, "state": state} for name, state in states.items()]
    made.replace({str(row["name"]): Known(row) for row in rows})
    return made


def ids(mirror: Mirror, size: int, filter: str = "") -> list[list[str]]:
    """Read every page."""
    found, token = [], ""
    while True:
        page = mirror.page(ListRequest(size, token, filter))
        found.append([row.name.rpartition("/")[2] for row in page.items])
        token = page.next_page_token
        if not token:
            return found
        assert last_known_token(token)


def test_pages_follow_one_another(mirror: Mirror) -> None:
    assert ids(mirror, 2) == [["one-1", "three-3"], ["two-2"]]
    assert ids(mirror, 1, FILTER) == [["one-1"], ["three-3"]]


@pytest.mark.parametrize("payload", [b'[1e999, ""]', b"[" * 50_000, b"[1]", b'[0, "x"]', b"", b"\xff"])
def test_a_token_that_was_made_up_is_refused(mirror: Mirror, payload: bytes) -> None:
    for token in (base64.urlsafe_b64encode(payload).decode(), "?", "\udc00"):
        with pytest.raises(InvalidArgument, match="pageToken"):
            mirror.page(ListRequest(1, f"last-known.{token}"))


def test_a_token_is_for_its_own_filter_alone(mirror: Mirror) -> None:
    token = mirror.page(ListRequest(1, "", FILTER)).next_page_token
    for filter, size in ((FILTER, 5), (FILTER, 1)):
        assert mirror.page(ListRequest(size, token, filter)).items
    with pytest.raises(InvalidArgument, match="pageToken"):
        mirror.page(ListRequest(1, token))
    with pytest.raises(InvalidArgument, match="pageToken"):
        mirror.page(ListRequest(1, token[:-1] + ("A" if token[-1] != "A" else "B"), FILTER))
