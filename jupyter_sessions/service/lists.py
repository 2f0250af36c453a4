"""Pages of a list: newest first, then by name, from a signed cursor on."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from jupyter_sessions.model import filter as filters
from jupyter_sessions.model import pages
from jupyter_sessions.model.api import Caller, ListRequest, Page
from jupyter_sessions.model.errors import Internal
from jupyter_sessions.model.names import LocationName
from jupyter_sessions.model.resources import Message, Operation, Session, SessionTemplate
from jupyter_sessions.service import stored
from jupyter_sessions.service.core import Core
from jupyter_sessions.service.filter_sql import TABLES, Condition, compile_filter

log = logging.getLogger(__name__)
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
    """A checked list request for the rows of ``location``, or for those of one ``owner`` there."""

    kind: Kind[M]
    location: LocationName
    size: int
    condition: Condition
    fits: Callable[[M], bool] | None
    after: pages.Cursor | None
    owner: str | None = None


async def page(core: Core, kind: Kind[M], caller: Caller, parent: LocationName, request: ListRequest) -> Page[M]:
    """Answer one page of what the caller may see; the token is bound to ``parent`` (perhaps a wildcard) and to them.

    Raises InvalidArgument for a bad size, filter or token.
    """
    key, only = core.store.hmac_key, core.only(caller)
    bound = f"{parent}/{kind.collection}" + ("" if only is None else f" of {only}")
    size = pages.page_size(request.page_size)
    expr = filters.parse(request.filter, kind.cls)
    after = pages.verify(key, request.page_token, bound, request.filter) if request.page_token else None
    condition = compile_filter(expr, kind.cls)
    fits = None if expr is None or condition.whole else filters.predicate(expr, kind.cls)
    query = Query(kind, core.location, size, condition, fits, after, only)
    items, following = await core.feed.read(lambda c: read(c, query))
    return Page(items, pages.sign(key, bound, request.filter, following) if following else "")


def read(connection: sqlite3.Connection, query: Query[M]) -> tuple[Sequence[M], pages.Cursor | None]:
    """Read a page's items and, if more follow, the cursor of its last one. Rows that cannot be read are left out."""
    found: list[tuple[pages.Cursor, M]] = []
    after = query.after
    while True:
        batch = _batch(connection, query, after)
        items = ((cursor, _load(query.kind, cursor, text)) for cursor, text in batch)
        found += [(c, item) for c, item in items if item is not None and (query.fits is None or query.fits(item))]
        if len(found) > query.size:
            return [item for _, item in found[: query.size]], found[query.size - 1][0]
        if len(batch) <= query.size:
            return [item for _, item in found], None
        after = batch[-1][0]


def _load(kind: Kind[M], cursor: pages.Cursor, text: str) -> M | None:
    """Read one row; one that cannot be read (by an older program, say) is logged and hides no other."""
    try:
        return kind.load(text)
    except Internal as error:
        log.error("%s is left out of its list: %s", cursor.name, error)
        return None


def _batch(
    connection: sqlite3.Connection, query: Query[M], after: pages.Cursor | None
) -> list[tuple[pages.Cursor, str]]:
    """Read up to one row more than a page from a cursor on, each as its own cursor and its text."""
    table = TABLES[query.kind.cls]
    where, values = "", list[str | int]([str(query.location)])
    if query.owner is not None:
        where += f" AND {table.owner} = ?"
        values.append(query.owner)
    if after is not None:
        # The first comparison is implied by the second, and the one that the index can use.
        where += " AND create_time <= ? AND (create_time < ? OR id > ?)"
        values += [after.create_time, after.create_time, after.name.rpartition("/")[2]]
    sql = (
        f"SELECT create_time, id, resource FROM {table.name} WHERE parent = ?{_NOT_HIDDEN.get(table.name, '')}{where} "  # noqa: S608 - literals
        f"AND {query.condition.sql} ORDER BY create_time DESC, id LIMIT {query.size + 1}"
    )
    rows = connection.execute(sql, (*values, *query.condition.values))
    prefix = f"{query.location}/{query.kind.collection}/"
    return [(pages.Cursor(int(time), f"{prefix}{id}"), str(text)) for time, id, text in rows]
