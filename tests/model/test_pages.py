"""Page tokens: opaque, bound to list and filter, refused when touched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_sessions.model.errors import InvalidArgument
from jupyter_sessions.model.names import LOCAL, LocationName
from jupyter_sessions.model.pages import Cursor, page_size, sign, verify

KEY = b"k" * 32
CURSOR = Cursor(1_700_000_000_000_000_001, "projects/local/locations/local/sessions/abcd")


def refused(key: bytes, token: str, parent: LocationName | str, filter: str) -> None:
    """Assert that a token is refused by its field."""
    with pytest.raises(InvalidArgument) as caught:
        verify(key, token, parent, filter)
    (violation,) = caught.value.violations
    assert violation.field == "pageToken"
    assert "leave it out to begin again" in violation.description


@given(st.integers(0, 1 << 62), st.text(max_size=30), st.text(max_size=30), st.binary(max_size=40))
def test_a_token_gives_its_cursor_back(time: int, name: str, filter: str, key: bytes) -> None:
    token = sign(key, LOCAL, filter, Cursor(time, name))
    assert verify(key, token, LOCAL, filter) == Cursor(time, name)
    assert verify(key, token, str(LOCAL), filter) == Cursor(time, name)
    assert all(char.isalnum() or char in "-_" for char in token), "fits a URL as it is"


def test_a_token_is_of_one_list() -> None:
    token = sign(KEY, LOCAL, "state = ACTIVE", CURSOR)
    refused(KEY, token, LocationName("local", "other"), "state = ACTIVE")
    refused(KEY, token, f"{LOCAL}/sessionTemplates", "state = ACTIVE")
    refused(KEY, token, LOCAL, "")
    refused(KEY, token, LOCAL, "state = FAILED")
    refused(b"x" * 32, token, LOCAL, "state = ACTIVE")
    # Parent and filter are kept apart: a piece cannot move from one into the other.
    refused(KEY, sign(KEY, "a", "bc", CURSOR), "ab", "c")


def test_no_letter_of_a_token_may_change() -> None:
    token = sign(KEY, LOCAL, "", CURSOR)
    for index, char in enumerate(token):
        refused(KEY, token[:index] + ("A" if char != "A" else "B") + token[index + 1 :], LOCAL, "")
        refused(KEY, token[:index], LOCAL, "")
    for other in (token + "A", token + "=", " " + token, token + "\n"):
        refused(KEY, other, LOCAL, "")


@given(st.text(max_size=60))
def test_anything_else_is_no_token(text: str) -> None:
    refused(KEY, text, LOCAL, "")


@pytest.mark.parametrize(
    ("asked", "given_"), [(0, 100), (1, 1), (100, 100), (1000, 1000), (1001, 1000), (2**31 - 1, 1000)]
)
def test_page_sizes(asked: int, given_: int) -> None:
    assert page_size(asked) == given_


@pytest.mark.parametrize("asked", [-1, -(2**31), 2**31])
def test_faulty_page_sizes(asked: int) -> None:
    with pytest.raises(InvalidArgument, match="pageSize: must be 0"):
        page_size(asked)
