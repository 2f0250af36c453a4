"""The two limits of a session, driven by a clock that is a number."""

from __future__ import annotations

import pytest

from jupyter_sessions.host.lifetime import Lifetime, Limits, Outlook, spoken

DAY = 86_400.0
T0 = 1_000_000.0


def lifetime(ttl: float = 14 * DAY, idle_ttl: float = DAY) -> Lifetime:
    return Lifetime(Limits(ttl, idle_ttl, T0))


def test_a_session_without_kernels_is_idle_from_its_active_time() -> None:
    assert lifetime().look(T0 + 5, 0, 0.0) == Outlook(T0 + DAY, "idleTtl")


def test_activity_moves_the_idle_end_and_a_busy_kernel_stops_it() -> None:
    life = lifetime()
    assert life.look(T0 + 100, 0, T0 + 90).ends_at == T0 + 90 + DAY
    assert life.look(T0 + 200, 1, T0 + 90) == Outlook(T0 + 14 * DAY, "ttl")
    # The kernel was busy until now, whatever its last activity says.
    assert life.look(T0 + 300, 0, T0 + 90).ends_at == T0 + 200 + DAY


def test_whichever_limit_comes_first_ends_it() -> None:
    assert lifetime(ttl=3600).look(T0, 0, 0.0) == Outlook(T0 + 3600, "ttl")
    assert lifetime(ttl=3600).look(T0 + 3600, 0, T0 + 3599).due(T0 + 3600)
    assert not lifetime(ttl=3600).look(T0 + 3599, 0, 0.0).due(T0 + 3599)


def test_no_limit_is_no_end() -> None:
    life = lifetime(0, 0)
    assert life.look(T0 + 1e9, 0, 0.0) == Outlook()
    assert not life.look(T0 + 1e9, 0, 0.0).due(T0 + 1e9)


@pytest.mark.parametrize(
    ("limit", "at", "text"),
    [
        (3600.0, 3000.0, "ends in 10 min: ttl"),
        (1200.0, 600.0, "ends in 10 min: ttl"),
        (1198.0, 599.0, "ends in 10 min: ttl"),
        (600.0, 300.0, "ends in 5 min: ttl"),
    ],
)
def test_the_warning_comes_ten_minutes_before_or_at_the_half(limit: float, at: float, text: str) -> None:
    life = lifetime(ttl=limit)
    assert life.look(T0 + at - 0.1, 0, 0.0).warning == ""
    assert life.look(T0 + at, 0, 0.0).warning == text


def test_one_end_has_one_warning_that_does_not_count_down() -> None:
    life = lifetime(idle_ttl=3600)
    first = life.look(T0 + 3000, 0, 0.0).warning
    assert first == "ends in 10 min: idle"
    assert life.look(T0 + 3500, 0, 0.0).warning == first


def test_a_warning_noticed_late_says_what_is_left() -> None:
    assert lifetime(idle_ttl=3600).look(T0 + 3420, 0, 0.0).warning == "ends in 3 min: idle"


def test_activity_and_an_extension_take_the_warning_back() -> None:
    life = lifetime(idle_ttl=3600)
    assert life.look(T0 + 3100, 0, 0.0).warning
    assert life.look(T0 + 3101, 0, T0 + 3101).warning == ""
    assert life.look(T0 + 3101 + 3000, 0, T0 + 3101).warning
    life.limits = Limits(14 * DAY, 7200, T0)
    assert life.look(T0 + 3101 + 3001, 0, T0 + 3101) == Outlook(T0 + 3101 + 7200, "idleTtl")


def test_a_clock_set_back_keeps_the_session_and_its_idle_clock() -> None:
    life = lifetime(idle_ttl=3600)
    assert life.look(T0 + 1000, 1, T0 + 1000).ends_why == "ttl"
    back = life.look(T0 + 10, 0, T0 + 1000)
    assert back == Outlook(T0 + 10 + 3600, "idleTtl")


def test_a_suspended_laptop_counts() -> None:
    assert lifetime(idle_ttl=3600).look(T0 + 9 * 3600, 0, T0 + 100).due(T0 + 9 * 3600)


def test_messages_name_the_limit() -> None:
    assert lifetime().message("ttl") == "ended by its ttl: 14 d since it became active"
    assert lifetime().message("idleTtl") == "ended by its idleTtl: no kernel was busy for 24 h"


@pytest.mark.parametrize(("seconds", "text"), [(86400, "24 h"), (172800, "2 d"), (600, "10 min"), (90, "90 s")])
def test_durations_are_spoken(seconds: float, text: str) -> None:
    assert spoken(seconds) == text
