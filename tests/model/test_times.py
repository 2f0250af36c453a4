"""Timestamps and durations: digits, offsets, ranges; protobuf's own code is the oracle."""

from __future__ import annotations

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from jupyter_sessions.model.times import SECOND, format_duration, format_time, parse_duration, parse_time
from tests.model.strategies import FIRST, LAST, LONGEST


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (1_000, "1970-01-01T00:00:00.000001Z"),
        (1_000_000, "1970-01-01T00:00:00.001Z"),
        (500_000_000, "1970-01-01T00:00:00.500Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (FIRST, "0001-01-01T00:00:00Z"),
        (LAST, "9999-12-31T23:59:59.999999999Z"),
    ],
)
def test_times_have_0_3_6_or_9_digits(ns: int, text: str) -> None:
    assert format_time(ns) == text
    assert parse_time(text) == ns


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-11-24T14:00:00+02:00", "2026-11-24T12:00:00Z"),
        ("2026-11-24T14:00:00-05:30", "2026-11-24T19:30:00Z"),
        ("2026-11-24T14:00:00-00:00", "2026-11-24T14:00:00Z"),
        ("2026-11-24T14:00:00.1Z", "2026-11-24T14:00:00.100Z"),
        ("2026-11-24T14:00:00.1234567Z", "2026-11-24T14:00:00.123456700Z"),
        ("2024-02-29T23:59:59+00:00", "2024-02-29T23:59:59Z"),
    ],
)
def test_any_offset_and_1_to_9_digits_are_read(text: str, same: str) -> None:
    assert format_time(parse_time(text)) == same


@pytest.mark.parametrize(
    "text",
    [
        "", "2026-11-24", "2026-11-24T14:00:00", "2026-11-24 14:00:00Z", "2026-11-24t14:00:00Z", "2026-11-24T14:00:00z",
        "2026-11-24T14:00Z", "2026-11-24T24:00:00Z", "2026-11-24T14:60:00Z", "2026-11-24T14:00:60Z",
        "2025-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "0000-01-01T00:00:00Z", "2026-11-24T14:00:00.Z",
        "2026-11-24T14:00:00.1234567890Z", "2026-11-24T14:00:00+2:00", "2026-11-24T14:00:00+24:00",
        "2026-11-24T14:00:00+00:60", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", " 2026-11-24T14:00:00Z",
        "2026-11-24T14:00:00Z\n", "٢026-11-24T14:00:00Z",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused_with_the_rule(text: str) -> None:
    with pytest.raises(ValueError, match="RFC 3339"):
        parse_time(text)


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0s"),
        (3 * SECOND, "3s"),
        (3_500_000_000, "3.500s"),
        (1, "0.000000001s"),
        (-1_500_000_000, "-1.500s"),
        (-1_000, "-0.000001s"),
        (LONGEST, "315576000000s"),
        (-LONGEST, "-315576000000s"),
    ],
)
def test_durations_have_0_3_6_or_9_digits(ns: int, text: str) -> None:
    assert format_duration(ns) == text
    assert parse_duration(text) == ns


@pytest.mark.parametrize(("text", "ns"), [("3.5s", 3_500_000_000), ("0.25s", 250_000_000), ("-0.5s", -500_000_000)])
def test_durations_are_read_with_any_digits(text: str, ns: int) -> None:
    assert parse_duration(text) == ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "s",
        "3m",
        "3.s",
        ".5s",
        "+3s",
        "3.1234567890s",
        "1e3s",
        "3 s",
        "3s ",
        "٣s",
        "315576000001s",
        "9" * 30 + "s",
    ],
)
def test_what_is_no_duration_is_refused_with_the_rule(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_duration(text)


def test_what_protobuf_cannot_hold_is_not_written() -> None:
    for ns in (FIRST - 1, LAST + 1):
        with pytest.raises(ValueError, match="0001 to 9999"):
            format_time(ns)
    for ns in (LONGEST + 1, -LONGEST - 1):
        with pytest.raises(ValueError, match="315576000000s"):
            format_duration(ns)
    with pytest.raises(ValueError, match="at most"):
        parse_duration("315576000000.000000001s")


@given(st.integers(FIRST, LAST))
def test_times_are_written_as_protobuf_writes_them(ns: int) -> None:
    message = Timestamp(seconds=ns // SECOND, nanos=ns % SECOND)
    assert format_time(ns) == message.ToJsonString()
    assert parse_time(format_time(ns)) == ns


@given(st.integers(-LONGEST, LONGEST))
def test_durations_are_written_as_protobuf_writes_them(ns: int) -> None:
    message = Duration()
    message.FromNanoseconds(ns)
    assert format_duration(ns) == message.ToJsonString()
    assert parse_duration(format_duration(ns)) == ns


@given(st.integers(FIRST + 86_400 * SECOND, LAST - 86_400 * SECOND), st.integers(-1439, 1439))
def test_an_offset_changes_the_writing_and_not_the_time(ns: int, minutes: int) -> None:
    local = format_time(ns + minutes * 60 * SECOND).removesuffix("Z")
    sign = "-" if minutes < 0 else "+"
    assert parse_time(f"{local}{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}") == ns
