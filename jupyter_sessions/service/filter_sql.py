"""A list's filter as SQL over the indexed columns, so that a page reads no more rows than it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jupyter_sessions.model.filter import And, Compare, Expr, Not, Or, Pattern, Present
from jupyter_sessions.model.resources import Message, Operation, Session, SessionTemplate

DEEPEST = 16
"""How deep parentheses may nest in a condition: sqlite's parser has a stack of 100, and a level takes a few of it."""
_LARGEST = (1 << 63) - 1
_NUMBERS = frozenset({"create_time", "update_time", "done", "state", "type"})


@dataclass(frozen=True)
class Table:
    """Where resources of one kind lie.

    ``columns`` maps the filter's fields, ``key`` is what labels refer to, ``owner`` says whose a row is.
    """

    name: str
    labels: str
    key: str
    columns: Mapping[str, str]
    owner: str = "owner"


TABLES: Mapping[type[Message], Table] = {
    Session: Table(
        "sessions",
        "session_labels",
        "uuid",
        {"session_id": "id", "session_uuid": "uuid", "state": "state", "create_time": "create_time"},
    ),
    SessionTemplate: Table(
        "templates",
        "template_labels",
        "uuid",
        {
            "template_id": "id",
            "uuid": "uuid",
            "creator": "creator",
            "create_time": "create_time",
            "update_time": "update_time",
        },
        "creator",
    ),
    Operation: Table(
        "operations",
        "operation_labels",
        "id",
        {
            "done": "done",
            "operation_type": "type",
            "session": "session",
            "session_uuid": "session_uuid",
            "create_time": "create_time",
        },
    ),
}


@dataclass(frozen=True)
class Condition:
    """A WHERE clause and its values. ``whole`` is False where a predicate must judge what it lets through."""

    sql: str
    values: tuple[str | int, ...] = ()
    whole: bool = True


EVERYTHING = Condition("1")


def compile_filter(expr: Expr | None, kind: type[Message]) -> Condition:
    """Give the condition of a filter's tree: exact if ``whole``, else one that lets through all that fits."""
    if expr is None:
        return EVERYTHING
    condition = _compile(expr, TABLES[kind])
    return Condition("1", whole=False) if condition is None or _depth(condition.sql) > DEEPEST else condition


def _depth(sql: str) -> int:
    """Give how deep the parentheses of a condition nest; its values are not in it."""
    deepest = level = 0
    for sign in sql:
        level += {"(": 1, ")": -1}.get(sign, 0)
        deepest = max(deepest, level)
    return deepest


def _compile(expr: Expr, table: Table) -> Condition | None:
    """Compile one node; None where nothing of it can be said in SQL."""
    if isinstance(expr, Not):
        inner = _compile(expr.term, table)
        exact = inner is not None and inner.whole
        return Condition(f"NOT ({inner.sql})", inner.values) if inner is not None and exact else None
    if isinstance(expr, And | Or):
        parts = [_compile(term, table) for term in expr.terms]
        kept = [part for part in parts if part is not None]
        if isinstance(expr, Or) and len(kept) < len(parts):
            return None
        whole = len(kept) == len(parts) and all(part.whole for part in kept)
        return _join(kept, " AND " if isinstance(expr, And) else " OR ", whole) if kept else None
    if isinstance(expr, Present):
        return _present(expr, table)
    return _comparison(expr, table)


def _join(parts: Sequence[Condition], word: str, whole: bool) -> Condition:
    """Join balanced: sqlite refuses a tree deeper than 1,000, and a long filter has that many terms."""
    if len(parts) == 1:
        return Condition(parts[0].sql, parts[0].values, whole)
    middle = len(parts) // 2
    left, right = _join(parts[:middle], word, whole), _join(parts[middle:], word, whole)
    return Condition(f"({left.sql}{word}{right.sql})", left.values + right.values, whole)


def _label(table: Table, test: str, *values: str | int) -> Condition:
    query = f"SELECT 1 FROM {table.labels} l WHERE l.owner = {table.name}.{table.key}{test}"  # noqa: S608 - literals
    return Condition(f"EXISTS ({query})", values)


def _present(expr: Present, table: Table) -> Condition | None:
    if expr.field == "labels":
        return _label(table, " AND l.key = ?", expr.key) if expr.key else _label(table, "")
    column = table.columns[expr.field]
    # Told apart by hand: a TEXT column would take the number 0 for the string "0".
    return Condition(f"{column} != 0" if column in _NUMBERS else f"{column} != ''")


def _comparison(expr: Compare, table: Table) -> Condition | None:
    if isinstance(expr.value, str | Pattern) and not _sayable(expr):
        return None
    if expr.field != "labels":
        return _test(table.columns[expr.field], expr)
    # `!=` holds for an absent label too, so it is the complement of `=` and not a test of a value.
    positive = Compare(expr.field, "=" if expr.op == "!=" else expr.op, expr.value, expr.key)
    test = _test("l.value", positive)
    found = _label(table, f" AND l.key = ? AND {test.sql}", expr.key, *test.values)
    return Condition(f"NOT {found.sql}", found.values) if expr.op == "!=" else found


def _sayable(expr: Compare) -> bool:
    """Whether sqlite can take the strings: it has no lone surrogates and stops at NUL."""
    text = expr.value.text if isinstance(expr.value, Pattern) else str(expr.value)
    return "\0" not in text + expr.key and not any("\ud800" <= char <= "\udfff" for char in text + expr.key)


def _test(column: str, expr: Compare) -> Condition:
    value = expr.value
    if isinstance(value, Pattern):
        found = _pattern(column, value)
        return Condition(f"NOT ({found.sql})", found.values) if expr.op == "!=" else found
    if isinstance(value, int):
        # Beyond 64 bits there are no stored times: the bound stands for anything there.
        value = max(-_LARGEST, min(int(value), _LARGEST))
    return Condition(f"{column} {expr.op} ?", (value,))


def _pattern(column: str, pattern: Pattern) -> Condition:
    if not pattern.text:
        return EVERYTHING
    if pattern.before and pattern.after:
        return Condition(f"instr({column}, ?) > 0", (pattern.text,))
    start = "?" if pattern.before else "1, ?"
    length = -len(pattern.text) if pattern.before else len(pattern.text)
    return Condition(f"substr({column}, {start}) = ?", (length, pattern.text))
