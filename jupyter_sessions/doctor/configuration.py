"""Checks the configuration files: every fault, and who else could change them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from jupyter_sessions.config.faults import Fault
from jupyter_sessions.config.locations import Auth, LocationConfig, Provider
from jupyter_sessions.config.reading import Configured
from jupyter_sessions.doctor.findings import Finding, fault, warn, well

CHECK = "configuration"


def check_configuration(read: Configured) -> list[Finding]:
    """Say what is wrong with what was read, and what it makes."""
    found = [_told(one) for one in read.faults]
    for source in read.sources:
        if Path(source).is_absolute():
            found += _changed_by_others(Path(source))
    for name, earlier, later in read.replaced:
        remedy = "take one of the two out, or give one another name, unless this is meant"
        found.append(warn(CHECK, str(name), f"is given twice: {later} replaces {earlier}", "the later counts", remedy))
    for config in read.locations:
        found += _location(config)
    if not read.locations:
        remedy = "add one to a file, or take local: false out"
        found.append(fault(CHECK, "", "there is no location", "sessions can run nowhere", remedy))
    if not any(row.level.value == "fault" for row in found):
        files = f"{len(read.sources)} source{'' if len(read.sources) == 1 else 's'} read"
        names = ", ".join(str(config.name) for config in read.locations)
        found.append(well(CHECK, "", f"the locations are {names}", files if read.sources else "nothing is configured"))
    return found


def _told(one: Fault) -> Finding:
    place = f"{one.source}:{one.line}" if one.line else one.source
    return fault(CHECK, place, f"{one.field}: {one.rule}" if one.field else one.rule, "", one.remedy)


def _changed_by_others(path: Path) -> Iterator[Finding]:
    """Name a file that another account could change: it says where credentials go, and what is run."""
    try:
        state = path.stat()
    except OSError:
        return
    if state.st_uid not in (0, os.geteuid()):
        yield warn(
            CHECK, str(path), "belongs to another account", "it says where your credentials go", "check its owner"
        )
    if state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        why = "whoever changes it says where your credentials go"
        yield warn(CHECK, str(path), "can be changed by other accounts", why, f"chmod go-w {path}")


def _location(config: LocationConfig) -> Iterator[Finding]:
    subject = str(config.name)
    if config.provider is Provider.EMBEDDED:
        return
    if config.verify is False:
        why = "anybody on the way can pretend to be the server"
        yield warn(
            CHECK, subject, "its certificate is not checked", why, "set verify to a file of certificates, or true"
        )
    if isinstance(config.verify, str) and not os.access(config.verify, os.R_OK):
        yield fault(CHECK, subject, f"verify: there is no readable file {config.verify}", "", "mend the path")
    if config.auth is Auth.BEARER and config.bearer is not None and config.bearer.file is not None:
        yield from _token_file(subject, config.bearer.file)


def _token_file(subject: str, path: Path) -> Iterator[Finding]:
    try:
        state = path.stat()
    except OSError as error:
        remedy = f"write the token into {path}, then chmod 600 {path}"
        yield fault(CHECK, subject, f"its token file {path} cannot be read", error.strerror or "", remedy)
        return
    if state.st_mode & 0o077:
        why = f"it is open to other accounts (mode {state.st_mode & 0o777:03o})"
        yield fault(CHECK, subject, f"its token file {path} is not used", why, f"chmod 600 {path}")
