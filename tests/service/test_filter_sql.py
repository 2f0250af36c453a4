"""A filter compiled to SQL lets through what its predicate does."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_sessions.model import filter as filters
from jupyter_sessions.model.filter import And, Compare, Expr, Not, Or, Pattern, Present
from jupyter_sessions.model.names import LOCAL, OperationName, TemplateName
from jupyter_sessions.model.resources import Message, Operation, OperationType, Session, SessionTemplate
from jupyter_sessions.model.states import State
from jupyter_sessions.service import lists, operation_rows, rows, schema, template_rows
from jupyter_sessions.service.filter_sql import compile_filter
from jupyter_sessions.service.machine import Machine

IDS = ("alpha", "alpine", "beta-1", "gamma", "zeta")
TIMES = (1, 5, 1_700_000_000_000_000_000, 1_700_000_000_000_000_001)
LABELS: tuple[dict[str, str], ...] = ({}, {"a": ""}, {"a": "x"}, {"a": "xy", "b": "x"}, {"b": "%_"})
CREATORS = ("alice", "ålice", "bob@example.com", "")
_TEXTS = st.sampled_from(["", "a", "al", "x", "xy", "ha", "e", "z", "é", "\ud800", "a\0b", "%", "_", *IDS, *CREATORS])
_PATTERNS = st.builds(Pattern, _TEXTS, st.booleans(), st.just(True)) | st.builds(
    Pattern, _TEXTS, st.just(True), st.booleans()
)
_ORDER = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
_EQUAL = st.sampled_from(["=", "!="])
_TIME_VALUES = st.sampled_from([*TIMES, 0, -(10**20), 10**21])


def _terms(kind: type[Message]) -> st.SearchStrategy[Expr]:
    found: list[st.SearchStrategy[Expr]] = []
    for name, field in filters.FIELDS[kind].items():
        of: dict[str, st.SearchStrategy[Any]] = {"time": _TIME_VALUES, "bool": st.booleans()}
        if field.kind == "labels":
            keys = st.sampled_from(["a", "b", "c", "\ud800"])
            found.append(st.builds(Compare, st.just(name), _ORDER, _TEXTS, keys))
            found.append(st.builds(Compare, st.just(name), _EQUAL, _PATTERNS, keys))
            found.append(st.builds(Present, st.just(name), st.sampled_from(["", "a", "b"])))
            continue
        if field.kind == "string":
            found.append(st.builds(Compare, st.just(name), _ORDER, _TEXTS))
            found.append(st.builds(Compare, st.just(name), _EQUAL, _PATTERNS))
        elif field.enum is not None:
            found.append(st.builds(Compare, st.just(name), _EQUAL, st.sampled_from(list(field.enum))))
            continue
        else:
            found.append(st.builds(Compare, st.just(name), _EQUAL if field.kind == "bool" else _ORDER, of[field.kind]))
        found.append(st.builds(Present, st.just(name)))
    return st.one_of(found)


def _exprs(kind: type[Message]) -> st.SearchStrategy[Expr]:
    def more(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
        several = st.lists(inner, min_size=2, max_size=4).map(tuple)
        return st.builds(Not, inner) | st.builds(And, several) | st.builds(Or, several)

    return st.recursive(_terms(kind), more, max_leaves=12)


def _sessions(connection: sqlite3.Connection) -> Sequence[Session]:
    made = []
    for number in range(12):
        session = Session(
            name=f"{LOCAL}/sessions/{IDS[number % 5]}-{number}",
            uuid=str(uuid.UUID(int=number * 7919 + 1)),
            create_time=TIMES[number % 4],
            state=State(number % 5 + 1),
            state_time=9,
            labels=LABELS[number % 5],
        )
        rows.insert(connection, rows.SessionRow(session, Machine("m", "b", "n"), Path("/x")))
        made.append(session)
    return made


def _templates(connection: sqlite3.Connection) -> Sequence[SessionTemplate]:
    made = []
    for number in range(12):
        template = SessionTemplate(
            name=f"{LOCAL}/sessionTemplates/{IDS[number % 5]}-{number}",
            uuid=str(uuid.UUID(int=number * 7919 + 1)),
            creator=CREATORS[number % 4],
            create_time=TIMES[number % 4],
            update_time=TIMES[number % 3],
            labels=LABELS[number % 5],
        )
        template_rows.insert(connection, TemplateName(LOCAL, template.name.rpartition("/")[2]), template)
        made.append(template)
    return made


def _operations(connection: sqlite3.Connection) -> Sequence[Operation]:
    made = []
    for number in range(12):
        session = Session(name=f"{LOCAL}/sessions/{IDS[number % 5]}", uuid=str(number), labels=LABELS[number % 5])
        kind = OperationType(number % 3 + 1)
        operation = operation_rows.begin(connection, LOCAL, kind, session, TIMES[number % 4])
        if number % 2:
            operation = operation_rows.finish(connection, operation, session, 10**19 // 2)
        made.append(operation)
    return made


CASES: list[tuple[lists.Kind[Any], Callable[[sqlite3.Connection], Sequence[Any]]]] = [
    (lists.SESSIONS, _sessions),
    (lists.TEMPLATES, _templates),
    (lists.OPERATIONS, _operations),
]


@pytest.mark.parametrize(("kind", "fill"), CASES, ids=["sessions", "templates", "operations"])
def test_sql_and_predicate_agree(
    tmp_path: Path, kind: lists.Kind[Any], fill: Callable[[sqlite3.Connection], Sequence[Any]]
) -> None:
    schema.prepare(tmp_path / "sessions.db")
    with closing(schema.connect(tmp_path / "sessions.db")) as connection:
        connection.execute("BEGIN")
        everything = fill(connection)

        @settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
        @given(_exprs(kind.cls))
        def agree(expr: Expr) -> None:
            fits = filters.predicate(expr, kind.cls)
            condition = compile_filter(expr, kind.cls)
            query = lists.Query(kind, LOCAL, 5, condition, None if condition.whole else fits, None)
            found, following = lists.read(connection, query)
            wanted = sorted((item for item in everything if fits(item)), key=_order)
            assert [item.name for item in found] == [item.name for item in wanted[:5]]
            assert (following.name if following else "") == (wanted[4].name if len(wanted) > 5 else "")

        agree()


def _order(item: Any) -> tuple[int, str]:
    time = item.metadata.create_time if isinstance(item, Operation) else item.create_time
    return (-time, item.name)


def test_the_longest_filter_compiles(tmp_path: Path) -> None:
    text = " AND ".join(["labels:a"] * 310)[: filters.MAX_LENGTH].rstrip(" AND")
    for words in (text, text.replace("AND", "OR"), "(" * 50 + "labels:a" + ")" * 50, "-" + text):
        expr = filters.parse(words, Session)
        assert expr is not None
        schema.prepare(tmp_path / "sessions.db")
        with closing(schema.connect(tmp_path / "sessions.db")) as connection:
            condition = compile_filter(expr, Session)
            assert condition.whole
            assert lists.read(connection, lists.Query(lists.SESSIONS, LOCAL, 5, condition, None, None)) == ([], None)


def test_an_operation_name_of_another_location_is_not_listed(tmp_path: Path) -> None:
    schema.prepare(tmp_path / "sessions.db")
    with closing(schema.connect(tmp_path / "sessions.db")) as connection:
        made = _operations(connection)[0]
        name = OperationName(LOCAL, made.name.rpartition("/")[2])
        assert operation_rows.find(connection, LOCAL, name.id) is not None
        other = type(LOCAL)("other", "place")
        assert operation_rows.find(connection, other, name.id) is None
