"""How states, lengths and names are written for people."""

from __future__ import annotations

import pytest

from jupyter_sessions.model.states import State
from jupyter_sessions.model.times import SECOND
from jupyter_sessions.model.words import SIGNS, length, memory, plain, short


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (0.04, "0.0 s"),
        (9.96, "9.9 s"),
        (59.9, "59 s"),
        (60, "1 m"),
        (134, "2 m 14 s"),
        (7_260, "2 h 1 m"),
        (7_205, "2 h"),
        (8_040, "2 h 14 m"),
        (273_600, "3 d 4 h"),
    ],
)
def test_lengths(seconds: float, text: str) -> None:
    assert length(round(seconds * SECOND)) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 MB"), (53_161_984, "53 MB"), (999_400_000, "999 MB"), (1_000_000_000, "1.0 GB"), (1_250_000_001, "1.3 GB")],
)
def test_memory_is_written_as_in_the_panel(size: int, text: str) -> None:
    assert memory(size) == text


def test_every_state_has_a_sign_of_its_own() -> None:
    assert set(SIGNS) == set(State) and len(set(SIGNS.values())) == len(State)


def test_names_are_short_and_texts_act_on_nothing() -> None:
    assert short("projects/p/locations/l/sessions/s-1") == short("s-1") == "s-1"
    assert plain("a\x1b[31m\x9b\x07\u202e\r\n\tb") == "a�[31m����\n\tb"
