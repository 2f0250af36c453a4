"""Filters as deep as they may be: sqlite's parser has its own, lower limit."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from jupyter_sessions.model import filter as filters
from jupyter_sessions.model.api import ListRequest
from jupyter_sessions.model.names import LOCAL
from jupyter_sessions.model.resources import Operation, Session, SessionTemplate
from jupyter_sessions.service import schema
from jupyter_sessions.service.filter_sql import DEEPEST, TABLES, compile_filter
from tests.service.servers import ALICE, serving

DEEP = {
    "not": ("NOT (", "labels.a = b", ")"),
    "minus": ("-(", "create_time > 2026-01-01T00:00:00Z", ")"),
    "or in and": ("create_time > 2026-01-01T00:00:00Z AND (labels.a != b OR (", 'labels.c = "*d*"', "))"),
    "last in": ("((", "labels:a", " OR labels.a = b) AND labels.b = c)"),
}


@pytest.mark.parametrize("form", DEEP)
@pytest.mark.parametrize("kind", [Session, SessionTemplate, Operation])
def test_a_filter_of_any_depth_can_be_asked(
    tmp_path: Path, form: str, kind: type[Session | SessionTemplate | Operation]
) -> None:
    opening, middle, closing_ = DEEP[form]
    schema.prepare(tmp_path / "sessions.db")
    with closing(schema.connect(tmp_path / "sessions.db")) as connection:
        for levels in range(1, filters.MAX_LEVELS // opening.count("(") + 1):
            expr = filters.parse(opening * levels + middle + closing_ * levels, kind)
            condition = compile_filter(expr, kind)
            table = TABLES[kind].name
            sql = f"SELECT 1 FROM {table} WHERE parent = '' AND {condition.sql}"  # noqa: S608 - as the lists ask
            assert connection.execute(sql, condition.values).fetchall() == []
            # What the store can say at all is left to it while its parser can follow.
            assert condition.whole or levels * opening.count("(") > DEEPEST // 2


async def test_a_deep_filter_answers_what_it_says(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        for name, label in (("first-one", "b"), ("second-one", "c")):
            await service.create_session(ALICE, LOCAL, Session(labels={"a": label}), name)
        found = []
        for levels in (49, 50):
            deep = "NOT (" * levels + "labels.a = b" + ")" * levels
            page = await service.list_sessions(ALICE, LOCAL, ListRequest(filter=deep))
            found.append([session.name.rpartition("/")[2] for session in page.items])
        assert found == [["second-one"], ["first-one"]]
