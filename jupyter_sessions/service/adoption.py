"""What a crash left behind: processes and directories of this store that belong to no session."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing
from typing import Any

from jupyter_sessions.engines.base import Engine, Job
from jupyter_sessions.service import rows, schema
from jupyter_sessions.service.directories import Directories
from jupyter_sessions.service.store import SessionStore

log = logging.getLogger(__name__)
InThread = Callable[..., Awaitable[Any]]


class KnownJobs(Mapping[str, Job]):
    """The sessions of a store by uuid.

    One that is not in the snapshot is looked up in the file itself: another server may have made it since, and its
    processes must not be taken for leftovers.
    """

    def __init__(self, store: SessionStore, directories: Directories, uuids: set[str]) -> None:
        self._store = store
        self._directories = directories
        self._uuids = uuids

    def __getitem__(self, uuid: str) -> Job:
        with closing(schema.connect(self._store.path)) as connection:
            row = rows.find_uuid(connection, uuid)
        if row is None:
            raise KeyError(uuid)
        return Job(self._store.uuid, row.session, self._directories.of_host(row.session), row.lock_dir)

    def __contains__(self, uuid: object) -> bool:
        return uuid in self._uuids or super().__contains__(uuid)

    def __iter__(self) -> Iterator[str]:
        return iter(self._uuids)

    def __len__(self) -> int:
        return len(self._uuids)


async def end_leftovers(store: SessionStore, engine: Engine, directories: Directories, in_thread: InThread) -> None:
    """End processes and remove directories of this store that belong to no session of any of its locations."""
    uuids = await store.read(rows.uuids)
    for uuid in await engine.adopt(store.uuid, KnownJobs(store, directories, uuids)):
        log.warning("ended what was left of session %s, which is not in the store", uuid)
    # The directories are read before the rows: a session made meanwhile has its row before its directory.
    found: list[str] = await in_thread(lambda: list(directories.leftovers(())))
    uuids = await store.read(rows.uuids)
    for uuid in found:
        if uuid not in uuids:
            # A host that lives there all the same (too young to be ended above) ends once its directory is gone.
            await directories.clear(uuid, await in_thread(directories.account, uuid))
            await in_thread(lambda gone=uuid: directories.remove(gone, directories.lock_dir(gone)))
