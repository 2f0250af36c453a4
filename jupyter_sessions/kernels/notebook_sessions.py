"""The notebook-session manager's half of ours: a mixin in front of the user's own class.

"Notebook session" is Jupyter's own record of which document runs on which kernel. Those on remote kernels are kept
here and in ``Records``, apart from the stock table: that may be a file shared by servers, which delete the rows of
kernels they do not know.
"""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any

from jupyter_core.utils import ensure_async
from jupyter_server.services.sessions.sessionmanager import SessionManager

from jupyter_sessions.kernels.records import NotebookRow, Records
from jupyter_sessions.kernels.refused import Refused
from jupyter_sessions.kernels.registry import Registry, RemoteKernel, What

# The user's class, known only when it is mixed with.
Base: Any = object

# The id of a notebook session that goes over to the user's class, while that makes it.
_made_again: ContextVar[str] = ContextVar("jupyter_sessions_made_again", default="")

COLUMNS = frozenset(field.name for field in dataclasses.fields(NotebookRow))


class NotebookSessions(Base):  # type: ignore[misc]  # a mixin: its base is Any
    """Mixed in front of the user's SessionManager by ``mount``; ``bind_sessions`` brings it to life."""

    kernel_manager: Any
    _sessions: Registry | None = None
    _records: Records | None = None
    _rows: dict[str, NotebookRow]
    # Of those, the ids that the user's class has made too, and those it is to make once their kernel is heard.
    _made: set[str]
    _restored: set[str]
    _making: set[asyncio.Future[None]]

    def bind_sessions(
        self, registry: Registry, records: Records, rows: Iterable[NotebookRow] = ()
    ) -> Callable[[], None]:
        """Begin to keep the rows of remote kernels, ``rows`` restored; gives the function that ends it.

        The registry must hold the restored kernels already: a row without its kernel is dropped.
        """
        self._sessions, self._records, self._rows = registry, records, {}
        self._made, self._restored, self._making = set(), set(), set()
        for row in rows:
            if registry.get(row.kernel_id) is None:
                records.drop(row.session_id)
            else:
                self._rows[row.session_id] = row
        if self._listens():
            self._restored = set(self._rows)
        unsubscribe = registry.subscribe(self._on_session_kernel)

        def unbind() -> None:
            unsubscribe()
            for making in list(self._making):
                making.cancel()
            self._sessions = self._records = None

        return unbind

    def _on_session_kernel(self, kernel: RemoteKernel, what: What) -> None:
        rows = [row for row in self._rows.values() if row.kernel_id == kernel.kernel_id]
        if what == "removed" or (what == "dead" and self._lost(kernel)):
            # The records drop them with the kernel. A page takes a row that is gone for "no kernel"; one that stays
            # for a kernel that may come back, and sends it cells that nobody answers.
            for row in rows:
                del self._rows[row.session_id]
                self._made.discard(row.session_id)
                self._restored.discard(row.session_id)
        elif what == "added" and self._records is not None:
            for row in rows:
                self._records.save(row)
        if kernel.up:
            for row in (row for row in rows if row.session_id in self._restored):
                self._restored.discard(row.session_id)
                making = asyncio.ensure_future(self._show_restored(row))
                self._making.add(making)
                making.add_done_callback(self._making.discard)

    def _kernel(self, kernel_id: str | None) -> RemoteKernel | None:
        return self._sessions.get(kernel_id) if self._sessions is not None else None

    def _lost(self, kernel: RemoteKernel) -> bool:
        """Say whether a kernel has gone with its session, so that no restart brings it back."""
        return kernel.dead and self._sessions is not None and self._sessions.host(kernel.session_uuid) is None

    def _find(self, **wanted: Any) -> NotebookRow | None:
        if self._sessions is None or not wanted or not wanted.keys() <= COLUMNS:
            return None
        matches = (row for row in self._rows.values() if all(getattr(row, key) == wanted[key] for key in wanted))
        return next(matches, None)

    def _keep(self, row: NotebookRow) -> None:
        self._rows[row.session_id] = row
        if self._records is not None:
            self._records.save(row)

    def _model(self, row: NotebookRow) -> dict[str, Any]:
        kernel = self._kernel(row.kernel_id)
        model = {
            "id": row.session_id,
            "path": row.path,
            "name": row.name,
            "type": row.type,
            "kernel": kernel.model() if kernel is not None else None,
        }
        if row.type == "notebook":
            model["notebook"] = {"path": row.path, "name": row.name}
        return model

    async def session_exists(self, path: str) -> bool:
        """Say whether a document has a notebook session."""
        return self._find(path=path) is not None or bool(await super().session_exists(path))

    async def create_session(
        self,
        path: str | None = None,
        name: str | None = None,
        type: str | None = None,
        kernel_name: str | None = None,
        kernel_id: str | None = None,
    ) -> dict[str, Any]:
        """Make a notebook session on a kernel that runs, or on one it starts, and give its model.

        Raises Refused where it is to run on a kernel that has ended with its session, and no other is named.
        """
        lost = self._kernel(kernel_id)
        if lost is not None and self._lost(lost):
            if not kernel_name:
                raise Refused(409, f"kernel {kernel_id} is dead: {lost.reason}; choose another kernel")
            # The user's class would take it for one that runs.
            kernel_id = None
        if not self._goes_remote(kernel_name, kernel_id):
            made: dict[str, Any] = await super().create_session(path, name, type, kernel_name, kernel_id)
            return made
        session_id = str(self.new_session_id())
        kernel, started = self._kernel(kernel_id), False
        if kernel is None or kernel.dead:
            more = {"kernel_id": kernel_id} if kernel_id and _takes_id(self.start_kernel_for_session) else {}
            kernel_id = await self.start_kernel_for_session(
                session_id=session_id, path=path, name=name, type=type, kernel_name=kernel_name, **more
            )
            started = True
        assert kernel_id is not None  # noqa: S101 - for the type alone
        row = NotebookRow(session_id, path, name, type, kernel_id)
        if not self._listens():
            return await self.save_session(session_id, path=path, name=name, type=type, kernel_id=kernel_id)
        try:
            return await self._shown(row)
        except Refused:
            # As if it had not been asked for: the next try is to find neither a row nor a kernel nobody uses.
            self._drop(session_id)
            if started:
                await ensure_async(self.kernel_manager.shutdown_kernel(kernel_id))
            raise

    def _listens(self) -> bool:
        """Say whether the user's class does more with a notebook session than the stock one."""
        own = getattr(super().create_session, "__func__", None)
        return own is not SessionManager.create_session

    async def _have_made(self, row: NotebookRow) -> dict[str, Any]:
        """Have the user's class make it, under the id it has: one like jupyter_server_documents knows no other.

        Its row lands where its kernel says, by ``save_session``. Raises Refused where the kernel is gone: the user's
        class would start another.
        """
        if row.kernel_id not in self.kernel_manager:
            raise Refused(503, f"the kernel {row.kernel_id} is gone")
        token = _made_again.set(row.session_id)
        try:
            made: dict[str, Any] = await super().create_session(row.path, row.name, row.type, None, row.kernel_id)
        finally:
            _made_again.reset(token)
        self._made.add(row.session_id)
        return made

    async def _shown(self, row: NotebookRow) -> dict[str, Any]:
        """Have the user's class make it; where that fails its websocket works all the same. Raises Refused."""
        try:
            return await self._have_made(row)
        except Refused:
            raise
        except Exception as error:
            kind = type(self).__name__
            self.log.warning("%s has failed for %s on kernel %s: %s", kind, row.name, row.kernel_id, error)
        self._keep(row)
        return self._model(row)

    async def _show_restored(self, row: NotebookRow) -> None:
        try:
            await self._shown(row)
        except Refused as error:
            self.log.warning("Could not restore all of %s on kernel %s: %s", row.name, row.kernel_id, error)

    def _goes_remote(self, kernel_name: str | None, kernel_id: str | None) -> bool:
        if self._sessions is None:
            return False
        kernel = self._sessions.get(kernel_id)
        if kernel is not None and not kernel.dead:
            return True
        running_here = kernel is None and kernel_id is not None and kernel_id in self.kernel_manager
        return not running_here and (kernel_name or "").lower() in self._sessions.offers()

    async def save_session(
        self,
        session_id: str,
        path: str | None = None,
        name: str | None = None,
        type: str | None = None,
        kernel_id: str | None = None,
    ) -> dict[str, Any]:
        """Keep a notebook session and give its model."""
        if self._kernel(kernel_id) is None or kernel_id is None:
            saved: dict[str, Any] = await super().save_session(
                session_id, path=path, name=name, type=type, kernel_id=kernel_id
            )
            return saved
        row = NotebookRow(session_id, path, name, type, kernel_id)
        self._keep(row)
        return self._model(row)

    async def get_session(self, **kwargs: Any) -> dict[str, Any]:
        """Give the model of the notebook session with these columns; 404 where there is none."""
        row = self._find(**kwargs)
        if row is not None:
            return self._model(row)
        found: dict[str, Any] = await super().get_session(**kwargs)
        return found

    async def list_sessions(self) -> list[dict[str, Any]]:
        """Give the models of all notebook sessions."""
        own: list[dict[str, Any]] = await super().list_sessions()
        return own if self._sessions is None else own + [self._model(row) for row in self._rows.values()]

    async def update_session(self, session_id: str, **kwargs: Any) -> None:
        """Change columns of a notebook session; with another kernel it may change the side it is kept on."""
        row = self._find(session_id=session_id)
        moved = kwargs.get("kernel_id")
        remote = row is not None if moved is None else self._kernel(moved) is not None
        unknown = kwargs.keys() - COLUMNS
        if unknown or (row is None and not remote):
            await super().update_session(session_id, **kwargs)
        elif row is None:
            await self._take_in(session_id, kwargs)
        elif remote:
            await self._move(row, dataclasses.replace(row, **kwargs))
        else:
            await self._hand_over(dataclasses.replace(row, **kwargs))

    async def _move(self, before: NotebookRow, row: NotebookRow) -> None:
        if row.kernel_id != before.kernel_id and self._listens():
            try:
                await self._shown(row)
            except Refused:
                await self._shown(before)
                raise
        self._change(row)

    def _change(self, row: NotebookRow) -> None:
        self._keep(row)
        self._tell_name(row)

    def _tell_name(self, row: NotebookRow) -> None:
        """Note the document's name for its kernel's next start, as the stock manager does with each change."""
        if row.path is not None and hasattr(self.kernel_manager, "update_env"):
            self.kernel_manager.update_env(kernel_id=row.kernel_id, env=self.get_kernel_env(row.path, row.name))

    async def _take_in(self, session_id: str, changes: dict[str, Any]) -> None:
        model = await super().get_session(session_id=session_id)
        row = NotebookRow(session_id, model["path"], model["name"], model["type"], model["kernel"]["id"])
        # Not by the user's delete_session: that ends the old kernel, which the handler does when all else is done.
        self.cursor.execute("DELETE FROM session WHERE session_id=?", (session_id,))
        moved = dataclasses.replace(row, **changes)
        if self._listens():
            try:
                await self._shown(moved)
            except Refused:
                self._drop(session_id)
                await self._have_made(row)
                self._made.discard(session_id)
                raise
        self._change(moved)

    async def _hand_over(self, row: NotebookRow) -> None:
        before = self._rows.pop(row.session_id)
        try:
            await self._have_made(row)
        except BaseException:
            self._rows[row.session_id] = before
            raise
        # It is the user's alone now.
        self._made.discard(row.session_id)
        if self._records is not None:
            self._records.drop(row.session_id)
        self._tell_name(row)

    def new_session_id(self) -> str:
        """Give the id for a notebook session that is being made."""
        return _made_again.get() or str(super().new_session_id())

    async def delete_session(self, session_id: str) -> None:
        """End a notebook session and its kernel."""
        row = self._find(session_id=session_id)
        if row is None:
            await super().delete_session(session_id)
            return
        if session_id in self._made:
            # Once: it may have let go of its part when the host refuses, and would not know it again.
            self._made.discard(session_id)
            await super().delete_session(session_id)
        else:
            await ensure_async(self.kernel_manager.shutdown_kernel(row.kernel_id))
        self._rows.pop(session_id, None)

    def _drop(self, session_id: str) -> None:
        self._rows.pop(session_id, None)
        if self._records is not None:
            self._records.drop(session_id)


def _takes_id(method: Callable[..., Any]) -> bool:
    # An older Jupyter Server's lets the kernel manager choose, always.
    parameters = inspect.signature(method).parameters.values()
    return any(each.name == "kernel_id" or each.kind is each.VAR_KEYWORD for each in parameters)
