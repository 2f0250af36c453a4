"""Runs every check, each for a limited time, and gathers what they found."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from jupyter_sessions.config.locations import LocationConfig, Provider
from jupyter_sessions.config.reading import survey
from jupyter_sessions.doctor import (
    configuration,
    engine,
    extension,
    kernelspecs,
    orphans,
    permissions,
    ports,
    servers,
    storage,
)
from jupyter_sessions.doctor.findings import Finding, fault, scrubbed
from jupyter_sessions.doctor.location import check_locations
from jupyter_sessions.doctor.settings import Settings, read_settings
from jupyter_sessions.upstream.offload import in_thread

Tell = Callable[[str], None]
Check = tuple[str, Callable[[], list[Finding]]]


async def examine(data_dir: Path | None, only: Sequence[str], tell: Tell, seconds: float) -> list[Finding]:
    """Check everything, locations at the same time, and give what was found, free of secrets.

    ``only`` names the locations to try, all where it is empty; each check may take ``seconds``.
    """
    tell("settings")
    settings, found = read_settings(data_dir, only)
    read = await asyncio.to_thread(survey, settings.locations)
    found += configuration.check_configuration(read)
    wanted = [config for config in read.locations if not only or str(config.name) in only]
    found += _unknown(only, wanted)
    away = [config for config in wanted if config.provider is Provider.UPSTREAM]
    embedded = any(config.provider is Provider.EMBEDDED for config in read.locations)
    here = _machine(settings, embedded, seconds)
    machine = asyncio.gather(*(_timed(check, tell, seconds) for check in here))
    secrets: set[str] = set()
    try:
        async for rows, hidden in check_locations(away, tell, seconds):
            found += rows
            secrets |= hidden
    finally:
        local = await machine
    return scrubbed([*found, *(row for rows in local for row in rows)], secrets)


def _machine(settings: Settings, embedded: bool, seconds: float) -> list[Check]:
    """Give the checks of this machine; what sessions on it need is of no interest where none run on it."""
    checks: list[Check] = []
    if embedded:
        checks += [
            (storage.DIRECTORY, lambda: storage.check_directory(settings.data_dir)),
            (storage.STORE, lambda: storage.check_store(settings.data_dir)),
            (orphans.CHECK, lambda: orphans.check_orphans(settings.data_dir)),
            (kernelspecs.CHECK, lambda: kernelspecs.check_kernelspecs(settings.data_dir)),
            (engine.CHECK, engine.check_engine),
            (engine.SURROUNDINGS, engine.check_surroundings),
        ]
    return [
        *checks,
        (permissions.CHECK, lambda: permissions.check_permissions(settings.data_dir)),
        (ports.CHECK, lambda: ports.check_ports(settings.serve_port)),
        (servers.CHECK, lambda: servers.check_servers(seconds)),
        (extension.SERVER, lambda: extension.check_server(settings)),
        (extension.LAB, extension.check_lab),
    ]


async def _timed(check: Check, tell: Tell, seconds: float) -> list[Finding]:
    name, work = check
    tell(name)
    try:
        return await asyncio.wait_for(in_thread(work, f"doctor {name}"), seconds)
    except asyncio.TimeoutError:
        why = f"it took longer than {seconds:g} s"
        return [fault(name, "", "cannot be checked in time", why, "a disk or a network file system may hang")]
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        return [fault(name, "", "cannot be checked", why, "tell the authors of jupyter_sessions")]


def _unknown(only: Sequence[str], wanted: Sequence[LocationConfig]) -> list[Finding]:
    names = {str(config.name) for config in wanted}
    return [
        fault(configuration.CHECK, name, "is not a location here", "", "see the names above, or add it to a file")
        for name in only
        if name not in names
    ]
