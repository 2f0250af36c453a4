"""Resource names: what is taken, what is refused, and with which words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_sessions.model import names
from jupyter_sessions.model.errors import InvalidArgument
from jupyter_sessions.model.names import LOCAL, LocationName, OperationName, SessionName, TemplateName

PARENT = LocationName("p", "l")


def refused(call: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """Give the one violation of a refused call as ``field: description``."""
    with pytest.raises(InvalidArgument) as caught:
        call(*args, **kwargs)
    (violation,) = caught.value.violations
    return f"{violation.field}: {violation.description}"


def test_locations() -> None:
    assert names.parse_location("projects/p/locations/l") == PARENT
    assert str(PARENT) == "projects/p/locations/l"
    assert names.parse_location("projects/example.com:p/locations/europe-west1").project == "example.com:p"
    assert names.parse_location(str(LOCAL)) == LOCAL


@pytest.mark.parametrize(
    "text",
    ["", "p/l", "projects/p", "projects//locations/l", "projects/p/locations/", "projects/p/locations/l/",
     "/projects/p/locations/l", "projects/p/regions/l", "projects/p q/locations/l", "projects/p\n/locations/l",
     "projects/p/locations/l\n", "projects/p/locations/\x00"],
)  # fmt: skip
def test_what_is_no_location_is_refused_by_name(text: str) -> None:
    assert refused(names.parse_location, text).startswith(
        "parent: must be projects/{project}/locations/{location}, not "
    )
    assert refused(names.parse_location, text, "after").startswith("after: ")


def test_wildcards_stand_only_in_lists_and_only_for_locations() -> None:
    everywhere = names.parse_location("projects/-/locations/-", wildcard=True)
    project = names.parse_location("projects/p/locations/-", wildcard=True)
    assert (everywhere.wild, project.wild, PARENT.wild) == (True, True, False)
    assert everywhere.covers(PARENT) and project.covers(PARENT) and PARENT.covers(PARENT)
    assert not project.covers(LOCAL) and not PARENT.covers(LOCAL)
    assert "wildcard" in refused(names.parse_location, "projects/-/locations/l", wildcard=True)
    for text in ("projects/-/locations/-", "projects/p/locations/-", "projects/-/locations/l"):
        assert "without the wildcard '-'" in refused(names.parse_location, text)
    assert "wildcard" in refused(names.parse_session, "projects/p/locations/-/sessions/abcd")
    assert "wildcard" in refused(names.parse_session, "projects/p/locations/l/sessions/-")
    assert "wildcard" in refused(names.parse_template, "projects/-/locations/l/sessionTemplates/t")
    assert "wildcard" in refused(names.parse_operation, "projects/p/locations/-/operations/o")


def test_sessions() -> None:
    assert names.parse_session("projects/p/locations/l/sessions/abcd") == SessionName(PARENT, "abcd")
    assert "sessions/{id}" in refused(names.parse_session, "projects/p/locations/l/sessionTemplates/abcd")
    assert refused(names.parse_session, "projects/p/locations/l/sessions/abc").startswith(
        "name: must be an id of 4 to 63"
    )


@pytest.mark.parametrize("text", ["abcd", "a-1b", "a" * 63, "a--b", "a123"])
def test_session_ids(text: str) -> None:
    assert names.check_session_id(text) == text


@pytest.mark.parametrize(
    "text", ["", "abc", "1abc", "-abc", "abc-", "Abcd", "ab_d", "ab.d", "a" * 64, "abcd\n", "äbcd", "ab d"]
)
def test_faulty_session_ids(text: str) -> None:
    assert refused(names.check_session_id, text).startswith("sessionId: must be an id of 4 to 63 of a-z, 0-9 and '-'")


@pytest.mark.parametrize("text", ["a", "a1", "a-1", "a" * 63])
def test_template_ids(text: str) -> None:
    assert names.check_template_id(text) == text


@pytest.mark.parametrize("text", ["", "1", "a-", "-a", "A", "a_b", "a" * 64, "a\n"])
def test_faulty_template_ids(text: str) -> None:
    assert refused(names.check_template_id, text).startswith("name: must be an id of 1 to 63")


def test_templates_by_full_name_url_or_bare_id() -> None:
    full = "projects/p/locations/l/sessionTemplates/t"
    wanted = TemplateName(PARENT, "t")
    assert names.parse_template(full) == wanted
    assert names.parse_template(f"https://dataproc.googleapis.com/v1/{full}") == wanted
    assert names.parse_template("t", parent=PARENT) == wanted
    assert names.parse_template(f"https://x.test/v1/{full}", "sessionTemplate", PARENT) == wanted
    assert str(wanted) == full


@pytest.mark.parametrize(
    "text",
    ["projects/q/locations/l/sessionTemplates/t", "projects/p/locations/m/sessionTemplates/t", "", "https://x.test/v1/",
     "https://x.test/v2/projects/p/locations/l/sessionTemplates/t", "http://x.test/v1/projects/p/locations/l/sessionTemplates/t",
     "T", "projects/p/locations/l/sessions/t"],
)  # fmt: skip
def test_templates_elsewhere_or_of_another_form_are_refused(text: str) -> None:
    assert refused(names.parse_template, text, "sessionTemplate", PARENT).startswith("sessionTemplate: must be ")


def test_a_bare_template_id_needs_a_parent() -> None:
    assert "sessionTemplates/{id}" in refused(names.parse_template, "t")


def test_operations_take_regions_too() -> None:
    wanted = OperationName(PARENT, "o-1")
    assert names.parse_operation("projects/p/locations/l/operations/o-1") == wanted
    assert names.parse_operation("projects/p/regions/l/operations/o-1") == wanted
    assert "operations/{id}" in refused(names.parse_operation, "projects/p/zones/l/operations/o")


def test_long_names_are_not_repeated_whole() -> None:
    assert len(refused(names.parse_session, "x" * 100_000)) < 300


def test_new_ids_are_readable_and_rarely_the_same() -> None:
    made = [names.new_session_id() for _ in range(500)]
    assert len(set(made)) > 490
    for text in made:
        adjective, noun, number = names.check_session_id(text).split("-")
        assert adjective.isalpha() and noun.isalpha() and number.isdecimal() and len(number) == 4


@given(st.text(max_size=80))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    for parse in (names.parse_location, names.parse_session, names.parse_template, names.parse_operation):
        try:
            found = parse(text)
        except InvalidArgument:
            continue
        assert str(found) == text
