"""Reads one source whole: its entries, its locks, and everything that is wrong with it.

Imported at first use, for it imports yaml and pydantic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_sessions.config import rules, shapes, yamlfile
from jupyter_sessions.config.faults import Fault, Problem, dotted
from jupyter_sessions.config.faults import Path as Where
from jupyter_sessions.config.folders import Folder
from jupyter_sessions.config.locations import LocationConfig, Provider
from jupyter_sessions.model.names import LocationName

TOP = ("locations", "local", "lock")
TRAITS_RANK = 1 << 16
"""Above that of any folder."""


@dataclass(frozen=True)
class Entry:
    """One location of a source: ``config`` is None where it is faulty, ``name`` None where even that is."""

    path: Where
    name: LocationName | None
    config: LocationConfig | None
    provider: Provider


@dataclass
class Source:
    """What one file or trait says; ``rank`` is that of its folder, the higher the stronger.

    ``lock`` is what its administrator locked: ``named`` things, ``all``, or nothing. ``local`` is None where it says
    nothing of this machine.
    """

    label: str
    rank: int
    system: bool = False
    lock: str = ""
    local: bool | None = None
    entries: list[Entry] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    document: yamlfile.Document = field(default_factory=yamlfile.Document)

    def say(self, problem: Problem) -> None:
        """Note a fault."""
        self.faults.append(self.fault(problem))

    def fault(self, problem: Problem) -> Fault:
        """Give a problem as a fault of this source."""
        path = problem.path
        return Fault(self.label, dotted(path), problem.rule, problem.remedy, self.document.line(path))


def read_folder(folder: Folder, rank: int, faults: list[Fault]) -> Iterator[Source]:
    """Give each file of a folder, in order; a folder that cannot be read is a fault."""
    try:
        files = folder.files()
    except OSError as error:
        faults.append(Fault(str(folder.path), "", f"cannot be read: {error.strerror}", "make it readable"))
        return
    for path in files:
        yield read_file(path, rank, folder.system)


def read_file(path: Path, rank: int, system: bool) -> Source:
    """Read one file. Raises nothing."""
    source = Source(str(path), rank, system)
    try:
        source.document = yamlfile.read(path)
    except yamlfile.NotYaml as error:
        source.faults.append(Fault(str(path), "", error.problem, "mend it, or move the file away", error.line))
        return source
    except OSError as error:
        source.faults.append(Fault(str(path), "", f"cannot be read: {error.strerror}", "make it readable"))
        return source
    for problem in source.document.problems:
        source.say(problem)
    if source.document.value is not None:
        _read_top(source, source.document.value)
    return source


def read_traits(given: Sequence[Mapping[str, object]], label: str) -> Source:
    """Read a trait's list of locations; paths in its faults begin with the entry's position."""
    source = Source(label, TRAITS_RANK)
    _read_entries(source, list(given), ())
    return source


def _read_top(source: Source, value: Any) -> None:
    top = yamlfile.plain(value)
    if top is None:
        source.say(Problem((), f"must be a mapping with {', '.join(TOP)}", "begin it with locations:"))
        return
    for key in top:
        if key not in TOP:
            source.say(Problem((key,), "is not a field here", f"the fields here are {', '.join(TOP)}"))
    _read_local(source, top.get("local"))
    _read_lock(source, top.get("lock"))
    entries = top.get("locations")
    if isinstance(entries, list):
        _read_entries(source, entries, ("locations",))
    elif entries is not None:
        source.say(Problem(("locations",), "must be a list", "begin each location with a dash"))


def _read_local(source: Source, given: object) -> None:
    if isinstance(given, bool):
        source.local = given
    elif given is not None:
        source.say(Problem(("local",), "must be true or false", "false takes this machine out of the locations"))


def _read_lock(source: Source, given: object) -> None:
    if given is None or given is False:
        return
    if not source.system:
        rule = "must not be given in a user's file: only the administrator's lock anything"
        source.say(Problem(("lock",), rule, "leave it out, or move the file to /etc/jupyter/jupyter_sessions"))
        return
    # A lock that is written wrongly was meant as one.
    source.lock = "all" if given == "all" else "named"
    if given is not True and given != "all":
        source.say(Problem(("lock",), "must be true, false or all", "true locks what the file names, all everything"))


def _read_entries(source: Source, entries: list[Any], path: Where) -> None:
    seen: dict[LocationName, int] = {}
    for position, given in enumerate(entries):
        place = (*path, position)
        entry = _read_entry(source, given, place)
        if entry is None:
            continue
        first = seen.setdefault(entry.name, len(source.entries)) if entry.name else len(source.entries)
        if first < len(source.entries):
            other = source.entries[first]
            rule = f"names {entry.name} as {dotted(other.path)} does already"
            source.say(Problem(place, rule, "keep one of them, for it is not known which is meant"))
            source.entries[first] = Entry(other.path, other.name, None, other.provider)
            continue
        source.entries.append(entry)


def _read_entry(source: Source, given: Any, path: Where) -> Entry | None:
    plain = yamlfile.plain(given)
    if plain is None:
        source.say(Problem(path, "must be a mapping with project and location", "write project: … and location: …"))
        return None
    shape, problems = shapes.read_location(plain)
    damaged = _damaged(source, path)
    problems += rules.judge(shape, {problem.path for problem in problems} | damaged)
    for problem in problems:
        source.say(problem.under(*path))
    name = rules.location_name(shape)
    config = None if problems or damaged else rules.make(shape, source.label)
    return Entry(path, name, config, rules.provider(shape))


def _damaged(source: Source, path: Where) -> set[Where]:
    """Give the fields of an entry of which the file's own syntax leaves in doubt what they say (a key twice)."""
    within = (problem.path for problem in source.document.problems if problem.path[: len(path)] == path)
    return {where[len(path) :] for where in within}
