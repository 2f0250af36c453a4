"""Lays sources over one another: a later one wins, but for what the administrator locked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_sessions.config.faults import Fault, Path, Problem
from jupyter_sessions.config.locations import THIS_MACHINE, LocationConfig, Provider
from jupyter_sessions.model.names import LOCAL, LocationName

if TYPE_CHECKING:
    from jupyter_sessions.config.sources import Entry, Source


@dataclass(frozen=True)
class _Lock:
    """Binds every source of a higher rank than ``rank``: those of its own folder are the same administrator's."""

    rank: int
    label: str

    def binds(self, source: Source) -> bool:
        return source.rank > self.rank


@dataclass(frozen=True)
class _Claim:
    source: Source
    entry: Entry


class Layers:
    """What the sources added so far make together; ``faults`` holds theirs and those of one against another.

    ``replaced`` are the entries that gave way to a later source's: the name, the earlier source, the later one.
    """

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.replaced: list[tuple[LocationName, str, str]] = []
        self._claims: dict[LocationName, _Claim] = {}
        self._local = True
        self._everything: _Lock | None = None
        self._this_machine: _Lock | None = None
        self._locked: dict[LocationName, _Lock] = {}

    def add(self, source: Source) -> None:
        """Lay one source over the others; what a lock refuses is a fault and changes nothing."""
        self.faults += source.faults
        if source.local is not None and not self._refused(source, ("local",), self._this_machine):
            self._local = source.local
        for entry in source.entries:
            if entry.name is not None and not self._refused(source, entry.path, self._lock_of(source, entry)):
                if entry.name in self._claims:
                    self.replaced.append((entry.name, self._claims[entry.name].source.label, source.label))
                self._claims[entry.name] = _Claim(source, entry)
        self._take_locks(source)

    def locations(self) -> list[LocationConfig]:
        """Give the locations that are good; call it once, after the last source: it notes what does not go together."""
        own = self._claims.get(LOCAL)
        found: list[LocationConfig] = []
        if self._local and (own is None or own.entry.config is None or self._is_away(own)):
            found.append(THIS_MACHINE)
        for name, claim in self._claims.items():
            config = claim.entry.config
            if config is None or (name == LOCAL and THIS_MACHINE in found) or self._is_second(claim, found):
                continue
            found.append(config)
        return sorted(found, key=lambda location: location.name != LOCAL)

    def _lock_of(self, source: Source, entry: Entry) -> _Lock | None:
        """Give the lock that an entry may not pass: of its name, or of whether sessions run on this machine."""
        if entry.name in self._locked:
            return self._locked[entry.name]
        own = entry.name == LOCAL or entry.provider is Provider.EMBEDDED
        return self._this_machine if own and not self._local else None

    def _refused(self, source: Source, path: Path, lock: _Lock | None) -> bool:
        for kept in (self._everything, lock):
            if kept is not None and kept.binds(source):
                rule = f"must not be given here: the administrator locked it in {kept.label}"
                self.faults.append(source.fault(Problem(path, rule, "take it out, or ask the administrator")))
                return True
        return False

    def _take_locks(self, source: Source) -> None:
        if not source.lock:
            return
        lock = _Lock(source.rank, source.label)
        if source.lock == "all" and self._everything is None:
            self._everything = lock
        if source.local is not None and self._this_machine is None:
            self._this_machine = lock
        for entry in source.entries:
            if entry.name is not None:
                self._locked.setdefault(entry.name, lock)

    def _is_away(self, claim: _Claim) -> bool:
        """Note an entry that would put another server in this machine's place."""
        config = claim.entry.config
        if config is None or config.provider is Provider.EMBEDDED:
            return False
        rule = f"must not be another server: {LOCAL} is this machine"
        self._say(claim, rule, "give it another name, or write local: false at the file's top")
        return True

    def _is_second(self, claim: _Claim, found: list[LocationConfig]) -> bool:
        """Note an embedded location beside another: both would act on one store."""
        if claim.entry.provider is not Provider.EMBEDDED:
            return False
        other = next((location for location in found if location.provider is Provider.EMBEDDED), None)
        if other is None:
            return False
        rule = f"must not be embedded beside {other.name}: one location at a time runs on this machine"
        remedy = f"name it {LOCAL}, or write local: false at the file's top" if other == THIS_MACHINE else "keep one"
        self._say(claim, rule, remedy)
        return True

    def _say(self, claim: _Claim, rule: str, remedy: str) -> None:
        self.faults.append(claim.source.fault(Problem(claim.entry.path, rule, remedy)))
