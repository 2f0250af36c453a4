"""What the API does to session templates."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Sequence
from functools import partial

from jupyter_sessions.model import merge, names, rules
from jupyter_sessions.model.api import Caller, ListRequest, Page
from jupyter_sessions.model.errors import (
    AlreadyExists,
    FieldViolation,
    InvalidArgument,
    PermissionDenied,
)
from jupyter_sessions.model.names import LocationName, TemplateName
from jupyter_sessions.model.resources import Session, SessionTemplate
from jupyter_sessions.service import lists, template_rows
from jupyter_sessions.service.core import Core
from jupyter_sessions.service.template_rows import TemplateRow


class TemplateCalls:
    """Create, get, list, update and delete of one location's templates; only an owner or an admin may change one."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def create(self, caller: Caller, parent: LocationName, template: SessionTemplate) -> SessionTemplate:
        """Store a template under the id in its ``name``."""
        core = self._core
        core.check(parent)
        if not template.name:
            rule = f"is required: {parent}/sessionTemplates/{{id}}"
            raise InvalidArgument([FieldViolation("name", rule)])
        name = names.parse_template(template.name, parent=parent)
        await self._refuse(template, parent)
        now = core.clock.now()
        update = {"name": str(name), "uuid": str(uuid.uuid4()), "creator": caller.name}
        made = template.model_copy(update={**update, "create_time": now, "update_time": now})

        def insert(connection: sqlite3.Connection) -> None:
            if (known := template_rows.find(connection, name)) is not None:
                raise AlreadyExists(core.taken(caller, name, known.template.creator, "change that one"))
            template_rows.insert(connection, name, made)

        await core.commit("create template", insert)
        return made

    async def _refuse(self, template: SessionTemplate, parent: LocationName) -> None:
        """Raise InvalidArgument for what breaks a rule or what no session made from it could have."""
        core = self._core
        faults = rules.check(template, parent)
        if not faults:
            limits = Session(environment_config=template.environment_config)
            faults = [*core.limits.check(limits), *await core.faults(template)]
        if faults:
            raise InvalidArgument(faults)

    async def _row(self, caller: Caller, name: TemplateName) -> TemplateRow:
        core = self._core
        core.check(name.parent)
        return template_rows.seen(await core.feed.read(lambda c: template_rows.find(c, name)), name, core.only(caller))

    async def get(self, caller: Caller, name: TemplateName) -> SessionTemplate:
        """Read one template."""
        return (await self._row(caller, name)).template

    async def list(self, caller: Caller, parent: LocationName, request: ListRequest) -> Page[SessionTemplate]:
        """Read a page of templates."""
        core = self._core
        core.check(parent, wildcard=True)
        return await lists.page(core, lists.TEMPLATES, caller, parent, request)

    async def update(
        self, caller: Caller, name: TemplateName, template: SessionTemplate, mask: Sequence[str] | None
    ) -> SessionTemplate:
        """Change a template that the caller owns."""
        core = self._core
        while True:
            row = await self._row(caller, name)
            _own(caller, row.template)
            changed = merge.apply_template_mask(row.template, template, mask)
            await self._refuse(changed, name.parent)
            later = max(core.clock.now(), row.template.update_time + 1)
            changed = changed.model_copy(update={"update_time": later})
            if await core.commit("update template", partial(_replace, name, row, changed)):
                return changed

    async def delete(self, caller: Caller, name: TemplateName) -> None:
        """Remove a template that the caller owns."""
        self._core.check(name.parent)

        def remove(connection: sqlite3.Connection) -> None:
            row = template_rows.seen(template_rows.find(connection, name), name, self._core.only(caller))
            _own(caller, row.template)
            template_rows.remove(connection, row.template)

        await self._core.commit("delete template", remove)


def _replace(name: TemplateName, old: TemplateRow, new: SessionTemplate, connection: sqlite3.Connection) -> bool:
    """Write a changed template; False where it changed meanwhile and must be looked at again."""
    row = template_rows.find(connection, name)
    if row is None or row.version != old.version or row.template.uuid != old.template.uuid:
        return False
    template_rows.update(connection, row, new)
    return True


def _own(caller: Caller, template: SessionTemplate) -> None:
    if not caller.admin and caller.name != template.creator:
        raise PermissionDenied(f"session template {template.name} belongs to {template.creator}; copy it to change it")
