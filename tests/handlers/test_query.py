"""Query parameters: the method's own, the standard ones, and everything else."""

from __future__ import annotations

import pytest

from jupyter_sessions.handlers.query import Parameter, boolean, integer, parse_query
from jupyter_sessions.model.errors import InvalidArgument

SIZE = Parameter("pageSize", "", integer(0, 10), 7)
NAME = Parameter("name", "")
FLAG = Parameter("flag", "", boolean, False)
MANY = Parameter("after", "", integer(0, 10), many=True)
ALL = (SIZE, NAME, FLAG, MANY)


def faults(raw: str) -> dict[str, str]:
    with pytest.raises(InvalidArgument) as caught:
        parse_query(raw, ALL)
    return {fault.field: fault.description for fault in caught.value.violations}


def test_absent_and_empty_are_the_default() -> None:
    default = {"pageSize": 7, "name": "", "flag": False, "after": []}
    assert parse_query("", ALL).values == default
    assert parse_query("pageSize=&name&flag=&after=", ALL).values == default


def test_values_are_decoded_and_read() -> None:
    found = parse_query("pageSize=%33&name=a+b%26%C3%A9&flag=true&after=1&after=2", ALL)
    assert found.values == {"pageSize": 3, "name": "a b&é", "flag": True, "after": [1, 2]}


@pytest.mark.parametrize(
    "raw",
    [
        "1732450000000",
        "pageSize=3&1732450000000",
        "alt=json&%24alt=json&fields=a&prettyPrint=true&key=k&quotaUser=q&access_token=t&oauth_token=t",
        "uploadType=&upload_protocol=raw&%24.xgafv=2&token=abc&_xsrf=2|x&no_track_activity=1",
        "key=a&key=b",
        "alt=",
    ],
)
def test_what_every_method_takes(raw: str) -> None:
    assert parse_query(raw, ALL).int_enums is False


@pytest.mark.parametrize("raw", ["$alt=json;enum-encoding=int", "%24alt=json%3Benum-encoding%3Dint&alt=json"])
def test_enums_may_be_asked_for_as_numbers(raw: str) -> None:
    assert parse_query(raw, ALL).int_enums is True


def test_every_fault_is_told_at_once() -> None:
    found = faults("pageSize=x&flag=yes&nme=1&page_size=2&after=11&alt=proto&name=a&name=b&17x=")
    assert found.keys() == {"pageSize", "flag", "nme", "page_size", "after", "alt", "name", "17x"}
    assert "it takes pageSize, name, flag, after" in found["nme"]
    assert "more than once" in found["name"]
    assert "true or false" in found["flag"]


@pytest.mark.parametrize("raw", ["pageSize=11", "pageSize=-1", "pageSize=1.5", "pageSize=1e3", "pageSize=%D9%A3"])
def test_an_integer_has_bounds_and_ascii_digits(raw: str) -> None:
    assert "must be an integer from 0 to 10" in faults(raw)["pageSize"]


def test_a_number_with_a_value_is_no_stamp() -> None:
    assert faults("1732450000000=1").keys() == {"1732450000000"}


def test_what_is_not_utf8_is_refused() -> None:
    assert "UTF-8" in faults("name=%ff")[""]
