"""AIP-160: what is read, what it means, and which column a fault is told at."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_sessions.model.errors import InvalidArgument
from jupyter_sessions.model.filter import And, Compare, Expr, Not, Or, Pattern, Present, parse, predicate
from jupyter_sessions.model.resources import (
    Message,
    Operation,
    OperationType,
    Session,
    SessionOperationMetadata,
    SessionTemplate,
)
from jupyter_sessions.model.states import State
from jupyter_sessions.model.times import format_time, parse_time

A, B, C, D = (Compare("labels", "=", "1", key) for key in "abcd")
ACTIVE = Compare("state", "=", State.ACTIVE)
NOON = parse_time("2026-11-24T12:00:00Z")


def read(text: str, kind: type[Message] = Session) -> Expr | None:
    """Read a filter."""
    return parse(text, kind)


def fits(text: str, resource: Message) -> bool:
    """Whether a resource fits a filter."""
    expr = parse(text, type(resource))
    assert expr is not None
    return predicate(expr, type(resource))(resource)


def fault(text: str, kind: type[Message] = Session) -> tuple[int, str]:
    """Give the column and the words of a refusal."""
    with pytest.raises(InvalidArgument) as caught:
        parse(text, kind)
    (violation,) = caught.value.violations
    assert violation.field == "filter"
    found = re.fullmatch(r"column (\d+): (.+)", violation.description, re.DOTALL)
    assert found is not None
    assert violation.description in str(caught.value)
    return int(found[1]), found[2]


@pytest.mark.parametrize("text", ["", "  ", "\n\t"])
def test_an_empty_filter_is_none(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("state = ACTIVE", ACTIVE),
        ("state=ACTIVE", ACTIVE),
        ('state = "ACTIVE"', ACTIVE),
        ("state='ACTIVE'", ACTIVE),
        ("(state=ACTIVE)", ACTIVE),
        ("((state=ACTIVE))", ACTIVE),
        ("state != FAILED", Compare("state", "!=", State.FAILED)),
        ("NOT state=ACTIVE", Not(ACTIVE)),
        ("-state=ACTIVE", Not(ACTIVE)),
        ("-(state=ACTIVE)", Not(ACTIVE)),
        ("NOT(state=ACTIVE)", Not(ACTIVE)),
        ("labels.a=1 AND labels.b=1", And((A, B))),
        ("labels.a=1 and labels.b=1", And((A, B))),
        ("labels.a=1 labels.b=1", And((A, B))),
        ("labels.a=1 OR labels.b=1", Or((A, B))),
        ("labels.a=1 or labels.b=1", Or((A, B))),
        ("labels.a=1 AND labels.b=1 AND labels.c=1", And((A, B, C))),
        ("labels.a=1 AND labels.b=1 OR labels.c=1", And((A, Or((B, C))))),
        ("labels.a=1 OR labels.b=1 AND labels.c=1 or labels.d=1", And((Or((A, B)), Or((C, D))))),
        ("labels.a=1 labels.b=1 OR labels.c=1", And((A, Or((B, C))))),
        ("(labels.a=1 AND labels.b=1) OR labels.c=1", Or((And((A, B)), C))),
        ("labels.a=1 AND -labels.b=1 OR labels.c=1", And((A, Or((Not(B), C))))),
        ("NOT (labels.a=1 OR labels.b=1) labels.c=1", And((Not(Or((A, B))), C))),
        ("labels.a=1\n\tAND\r\nlabels.b=1", And((A, B))),
        ("labels:a", Present("labels", "a")),
        ("labels.a:*", Present("labels", "a")),
        ("labels:*", Present("labels")),
        ("labels:'a'", Present("labels", "a")),
        ("labels.a:1", A),
        ('labels."a"=1', A),
        ("labels.a-b = x", Compare("labels", "=", "x", "a-b")),
        ("labels.env = and", Compare("labels", "=", "and", "env")),
        ("labels.env = -1", Compare("labels", "=", "-1", "env")),
        ("session_id = abcd", Compare("session_id", "=", "abcd")),
        ("sessionId = abcd", Compare("session_id", "=", "abcd")),
        ("sessionUuid:*", Present("session_uuid")),
        ("session_id:abcd", Compare("session_id", "=", "abcd")),
        ("session_id >= a", Compare("session_id", ">=", "a")),
        ("createTime > 2026-11-24T12:00:00Z", Compare("create_time", ">", NOON)),
        ('create_time <= "2026-11-24T14:00:00+02:00"', Compare("create_time", "<=", NOON)),
        ("create_time=2026-11-24T12:00:00.000000001Z", Compare("create_time", "=", NOON + 1)),
        ("session_id = a*", Compare("session_id", "=", Pattern("a", False, True))),
        ("session_id = *a", Compare("session_id", "=", Pattern("a", True, False))),
        ("session_id != '*a*'", Compare("session_id", "!=", Pattern("a", True, True))),
        ("session_id = a*b", Compare("session_id", "=", "a*b")),
        (r"session_id = 'a\*'", Compare("session_id", "=", "a*")),
        (r"session_id = '\**'", Compare("session_id", "=", Pattern("*", False, True))),
        (r'''labels.a = "\"\\'"''', Compare("labels", "=", "\"\\'", "a")),
        (r"labels.a = '\'\"'", Compare("labels", "=", "'\"", "a")),
        ('labels.a = ""', Compare("labels", "=", "", "a")),
        ("labels.a = '(x AND y) OR z'", Compare("labels", "=", "(x AND y) OR z", "a")),
    ],
)  # fmt: skip
def test_what_is_read(text: str, tree: Expr) -> None:
    assert read(text) == tree


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("foo", 4, "needs one of ="),
        ('"foo"', 1, "needs a term"),
        ("state = ACTIVE foo", 19, "needs one of ="),
        ("foo = bar", 1, "foo is not a field; the fields are session_id, session_uuid, state, create_time, labels"),
        ("State = ACTIVE", 1, "State is not a field"),
        ("state.x = ACTIVE", 1, "state.x is not a field"),
        ("state = active", 9, "state is one of STATE_UNSPECIFIED, CREATING"),
        ("state = ACT*", 9, "state is one of"),
        ("state = 2", 9, "state is one of"),
        ("state < ACTIVE", 7, "state takes = and != only, not <"),
        ("state:ACTIVE", 6, "state takes = and != only, not :"),
        ("state =", 8, "needs a value"),
        ("state = AND labels:x", 9, "state is one of"),
        ("state == ACTIVE", 8, "needs a value"),
        ("state ! ACTIVE", 7, "needs one of ="),
        ("state = ACTIVE AND", 19, "needs a term"),
        ("state = ACTIVE OR OR labels:x", 19, "needs a term"),
        ("AND state = ACTIVE", 1, "needs a term"),
        ("not state = ACTIVE", 5, "needs one of ="),
        ("NOT", 4, "needs a term"),
        ("NOT NOT state = ACTIVE", 5, "needs a term"),
        ("(state = ACTIVE", 16, "')' for each '('"),
        ("state = ACTIVE)", 15, "')' for each '('"),
        ("()", 2, "needs a term"),
        ("state = (ACTIVE)", 9, "needs a value"),
        ("state = 'ACTIVE", 9, "needs a value"),
        ("state = ACTIVE, labels:x", 15, "needs AND, OR"),
        ("state = ACTIVE & labels:x", 16, "needs AND, OR"),
        ("create_time > yesterday", 15, "create_time must be an RFC 3339 time"),
        ("create_time > 2026-02-30T00:00:00Z", 15, "create_time must be an RFC 3339 time"),
        ("labels = x", 1, "labels needs a key"),
        ("labels:a*", 8, "takes no wildcard"),
        ("labels:''", 8, "not empty"),
        ("labels.a < x*", 10, "< takes no wildcard"),
        ("session_id >= *", 12, ">= takes no wildcard"),
        ("labels. = x", 7, "needs one of ="),
        ("état = x", 1, "needs a term"),
        ("state = ACTIVE\x00", 9, "state is one of"),
    ],
)  # fmt: skip
def test_faults_are_told_at_their_column(text: str, column: int, words: str) -> None:
    found = fault(text)
    assert found[0] == column
    assert words in found[1]


def test_at_most_4096_characters() -> None:
    text = "state = ACTIVE"
    assert read(text + " " * (4096 - len(text))) == ACTIVE
    assert fault(text + " " * (4097 - len(text))) == (
        4097,
        "a filter has at most 4096 characters, this one 4097; shorten it",
    )
    assert read(" ".join(["labels:a"] * 455)) == And((Present("labels", "a"),) * 455)


@pytest.mark.parametrize("before", ["(", "-(", "NOT ("])
def test_at_most_50_levels(before: str) -> None:
    assert read(before * 50 + "state = ACTIVE" + ")" * 50) is not None
    column, words = fault(before * 51 + "state = ACTIVE" + ")" * 51)
    assert (column, words) == (51 * len(before), "parentheses nest more than 50 levels; unfold some")
    assert fault("(" * 4096)[0] == 51
    assert read("labels.a = '" + "(" * 60 + "'") is not None, "a quoted parenthesis is no level"


def test_50_levels_of_each_kind_run() -> None:
    text = "state = ACTIVE"
    for _ in range(25):
        text = f"NOT (labels:x OR (-labels:x {text}))"
    assert fits(text, Session(state=State.ACTIVE)) is False, "25 times the contrary"
    assert fits(text, Session(state=State.FAILED)) is True


SESSION = Session(
    name="projects/p/locations/l/sessions/etl-nightly",
    uuid="u-1",
    state=State.ACTIVE,
    create_time=NOON + 1,
    labels={"env": "prod", "empty": ""},
)


@pytest.mark.parametrize(
    ("text", "fit"),
    [
        ("session_id = etl-nightly", True),
        ("session_id = ETL-nightly", False),
        ("session_id = etl*", True),
        ("session_id = *nightly", True),
        ("session_id = *l-n*", True),
        ("session_id = etl", False),
        ("session_id != etl*", False),
        ("session_id < f", True),
        ("session_id > f", False),
        ("session_uuid = u-1", True),
        ("session_uuid:*", True),
        ("state = ACTIVE", True),
        ("state != ACTIVE", False),
        ("labels.env = prod", True),
        ("labels.env = dev", False),
        ("labels.env != dev", True),
        ("labels.env = p*", True),
        ("labels.env != p*", False),
        ("labels.env >= p", True),
        ("labels:env", True),
        ("labels.env:*", True),
        ("labels.env:prod", True),
        ("labels:empty", True),
        ("labels.empty:*", True),
        ("labels.empty = ''", True),
        ("labels:*", True),
        ("labels:none", False),
        ("labels.none:*", False),
        ("labels.none = x", False),
        ("labels.none != x", True),
        ("labels.none != x*", True),
        ("labels.none = ''", False),
        ("labels.none < x", False),
        ("-labels.none < x", True),
        ("create_time = 2026-11-24T12:00:00.000000001Z", True),
        ("create_time = 2026-11-24T12:00:00Z", False),
        ("create_time > 2026-11-24T12:00:00Z", True),
        ("create_time < 2026-11-24T14:00:00.000000002+02:00", True),
        ("create_time <= 2026-11-24T13:59:59.999999999+02:00", False),
        ("create_time != 2026-11-24T12:00:00Z", True),
        ("create_time:*", True),
        ("state = FAILED OR state = ACTIVE AND labels.env = dev", False),
        ("(state = ACTIVE OR state = FAILED) labels.env = prod", True),
    ],
)
def test_sessions_that_fit(text: str, fit: bool) -> None:
    assert fits(text, SESSION) is fit


@pytest.mark.parametrize(
    ("text", "fit"),
    [
        ("template_id = daily", True),
        ("templateId:*", True),
        ("uuid = u", True),
        ("creator = 'me@example.com'", True),
        ("creator = *@example.com", True),
        ("updateTime > createTime", None),
        ("update_time > 2026-11-24T12:00:00Z AND createTime <= 2026-11-24T12:00:00Z", True),
        ("labels.a = b", True),
        ("state = ACTIVE", None),
    ],
)
def test_templates_that_fit(text: str, fit: bool | None) -> None:
    template = SessionTemplate(
        name="projects/p/locations/l/sessionTemplates/daily",
        uuid="u",
        creator="me@example.com",
        create_time=NOON,
        update_time=NOON + 1,
        labels={"a": "b"},
    )
    if fit is None:
        fault(text, SessionTemplate)
    else:
        assert fits(text, template) is fit


@pytest.mark.parametrize(
    ("text", "fit"),
    [
        ("done = true", True),
        ("done != true", False),
        ("done:false", False),
        ("done = false", False),
        ("done = True", None),
        ("done > false", None),
        ("operation_type = CREATE", True),
        ("operationType != DELETE", True),
        ("operation_type = create", None),
        ("session = projects/p/locations/l/sessions/abcd", True),
        ("session = *abcd", True),
        ("session_uuid = u", True),
        ("create_time = '2026-11-24T12:00:00Z'", True),
        ("labels.a = b", True),
        ("session_id = abcd", None),
    ],
)
def test_operations_that_fit(text: str, fit: bool | None) -> None:
    metadata = SessionOperationMetadata(
        session="projects/p/locations/l/sessions/abcd",
        session_uuid="u",
        create_time=NOON,
        operation_type=OperationType.CREATE,
        labels={"a": "b"},
    )
    if fit is None:
        fault(text, Operation)
    else:
        assert fits(text, Operation(done=True, metadata=metadata)) is fit


LEAVES: list[tuple[str, Any]] = [
    ("state = ACTIVE", lambda s: s.state is State.ACTIVE),
    ("state != FAILED", lambda s: s.state is not State.FAILED),
    ("labels:a", lambda s: "a" in s.labels),
    ("labels.a = x", lambda s: s.labels.get("a") == "x"),
    ("labels.b != x", lambda s: s.labels.get("b") != "x"),
    ("session_id = *m*", lambda s: "m" in s.name.rpartition("/")[2]),
    (f"create_time >= {format_time(NOON)}", lambda s: s.create_time >= NOON),
]


def grown(inner: st.SearchStrategy[tuple[str, Any]]) -> st.SearchStrategy[tuple[str, Any]]:
    """Join filters, each with the function that says the same in Python."""
    pairs = st.tuples(inner, inner)
    both = pairs.flatmap(
        lambda pair: st.sampled_from(["AND", "and", ""]).map(
            lambda word: (f"({pair[0][0]}) {word} ({pair[1][0]})", lambda s: pair[0][1](s) and pair[1][1](s))
        )
    )
    either = pairs.flatmap(
        lambda pair: st.sampled_from(["OR", "or"]).map(
            lambda word: (f"({pair[0][0]}) {word} ({pair[1][0]})", lambda s: pair[0][1](s) or pair[1][1](s))
        )
    )
    neither = st.tuples(st.sampled_from(["NOT ", "-"]), inner).map(
        lambda pair: (f"{pair[0]}({pair[1][0]})", lambda s: not pair[1][1](s))
    )
    return both | either | neither


SESSIONS = st.builds(
    Session,
    name=st.sampled_from(["projects/p/locations/l/sessions/amber", "projects/p/locations/l/sessions/other"]),
    state=st.sampled_from(State),
    create_time=st.integers(NOON - 1, NOON + 1),
    labels=st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy"), max_size=2),
)


@settings(max_examples=150)
@given(st.recursive(st.sampled_from(LEAVES), grown, max_leaves=8), SESSIONS)
def test_filters_mean_what_they_say(filter: tuple[str, Any], session: Session) -> None:
    assert fits(filter[0], session) is filter[1](session)


@settings(max_examples=150)
@given(st.text(st.sampled_from("abels.state=ACTIVE ()\"'-<>!:*\\ORNDT\n"), max_size=60) | st.text(max_size=20))
def test_any_text_is_read_or_refused_with_a_column(text: str) -> None:
    try:
        parse(text, Session)
    except InvalidArgument as error:
        assert re.search(r"column \d+: ", str(error))
