"""Pages of a list: newest first, then by name, from a signed cursor on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from jupyter_sessions.model import filter as filters
from jupyter_sessions.model import pages
from jupyter_sessions.model.api import ListRequest, Page
from jupyter_sessions.model.names import LocationName
from jupyter_sessions.model.resources import Message, Operation, Session, SessionTemplate
from jupyter_sessions.service import stored
from jupyter_sessions.service.feed import ChangeFeed
from jupyter_sessions.service.filter_sql import TABLES, Condition, compile_filter

M = TypeVar("M", bound=Message)
_NOT_HIDDEN = {"operations": " AND hidden = 0"}


@dataclass(frozen=True)
class Kind(Generic[M]):
    """One kind of list: the class of its items, the collection its tokens are bound to, how a stored text is read."""

    cls: type[M]
    collection: str
    load: Callable[[str], M]


SESSIONS = Kind(Session, "sessions", stored.session)
TEMPLATES = Kind(SessionTemplate, "sessionTemplates", stored.template)
OPERATIONS = Kind(Operation, "operations", stored.operation)


@dataclass(frozen=True)
class Query(Generic[M]):
    """A checked list request for the rows of ``location``."""

    kind: Kind[M]
    location: LocationName
    size: int
    condition: Condition
    fits: Callable[[M], bool] | None
    after: pages.Cursor | None


async def page(
    feed: ChangeFeed, key: bytes, kind: Kind[M], parent: LocationName, location: LocationName, request: ListRequest
) -> Page[M]:
    """Answer one page; ``parent`` (perhaps a wildcard) is what the token is bound to, ``location`` what is read.

    Raises InvalidArgument for a bad size, filter or token.
    """
    bound = f"{parent}/{kind.collection}"
    size = pages.page_size(request.page_size)
    expr = filters.parse(request.filter, kind.cls)
    after = pages.verify(key, request.page_token, bound, request.filter) if request.page_token else None
    condition = compile_filter(expr, kind.cls)
    fits = None if expr is None or condition.whole else filters.predicate(expr, kind.cls)
    query = Query(kind, location, size, condition, fits, after)
    items, more = await feed.read(lambda c: read(c, query))
    token = pages.sign(key, bound, request.filter, _cursor(items[-1])) if more else ""
    return Page(items, token)


def _cursor(item: Message) -> pages.Cursor:
    assert isinstance(item, Session | SessionTemplate | Operation)  # noqa: S101 - the three kinds above
    time = item.metadata.create_time if isinstance(item, Operation) else item.create_time
    return pages.Cursor(time, item.name)


def read(connection: sqlite3.Connection, query: Query[M]) -> tuple[Sequence[M], bool]:
    """Read a page's items and whether more follow."""
    found: list[M] = []
    after = query.after
    while True:
        batch = _batch(connection, query, after)
        found += [item for item in batch if query.fits is None or query.fits(item)]
        if len(found) > query.size:
            return found[: query.size], True
        if len(batch) <= query.size:
            return found, False
        after = _cursor(batch[-1])


def _batch(connection: sqlite3.Connection, query: Query[M], after: pages.Cursor | None) -> list[M]:
    table = TABLES[query.kind.cls].name
    where, values = "", list[str | int]([str(query.location)])
    if after is not None:
        # The first comparison is implied by the second, and the one that the index can use.
        where = " AND create_time <= ? AND (create_time < ? OR id > ?)"
        values += [after.create_time, after.create_time, after.name.rpartition("/")[2]]
    sql = (
        f"SELECT resource FROM {table} WHERE parent = ?{_NOT_HIDDEN.get(table, '')}{where} "  # noqa: S608 - literals
        f"AND {query.condition.sql} ORDER BY create_time DESC, id LIMIT {query.size + 1}"
    )
    rows = connection.execute(sql, (*values, *query.condition.values))
    return [query.kind.load(str(row[0])) for row in rows]
