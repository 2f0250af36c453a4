"""Template rows."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from jupyter_sessions.model.errors import NotFound
from jupyter_sessions.model.names import TemplateName
from jupyter_sessions.model.resources import SessionTemplate
from jupyter_sessions.service import rows, stored


@dataclass(frozen=True)
class TemplateRow:
    """One template as stored."""

    template: SessionTemplate
    version: int = 1


def find(connection: sqlite3.Connection, name: TemplateName) -> TemplateRow | None:
    """Read a template, None where there is none."""
    found = connection.execute(
        "SELECT resource, version FROM templates WHERE parent = ? AND id = ?", (str(name.parent), name.id)
    ).fetchone()
    return None if found is None else TemplateRow(stored.template(str(found[0])), int(found[1]))


def seen(row: TemplateRow | None, name: TemplateName, only: str | None) -> TemplateRow:
    """Give a template that whoever asks may see: anybody's where ``only`` is None; raises NotFound."""
    if row is None or only not in (None, row.template.creator):
        raise NotFound(f"session template {name} does not exist")
    return row


def insert(connection: sqlite3.Connection, name: TemplateName, template: SessionTemplate) -> None:
    """Write a new template; raises sqlite3.IntegrityError where its name is taken."""
    connection.execute(
        "INSERT INTO templates (parent, id, uuid, creator, create_time, update_time, version, resource) "
        "VALUES (?, ?, ?, ?, ?, ?, 1, ?)",
        (
            str(name.parent),
            name.id,
            template.uuid,
            template.creator,
            template.create_time,
            template.update_time,
            stored.text(template),
        ),
    )
    rows.write_labels(connection, "template", template.uuid, template.labels)


def update(connection: sqlite3.Connection, old: TemplateRow, template: SessionTemplate) -> None:
    """Replace a template that is still what was read; raises rows.Stale."""
    cursor = connection.execute(
        "UPDATE templates SET update_time = ?, version = ?, resource = ? WHERE uuid = ? AND version = ?",
        (template.update_time, old.version + 1, stored.text(template), template.uuid, old.version),
    )
    if cursor.rowcount != 1:
        raise rows.Stale(template.name)
    rows.write_labels(connection, "template", template.uuid, template.labels)


def remove(connection: sqlite3.Connection, template: SessionTemplate) -> None:
    """Remove a template."""
    connection.execute("DELETE FROM templates WHERE uuid = ?", (template.uuid,))
