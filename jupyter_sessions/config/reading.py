"""Reads every configuration file and trait, and says which locations there are and what is wrong with the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jupyter_sessions.config.faults import ConfigFaults, Fault
from jupyter_sessions.config.folders import Folder, folders
from jupyter_sessions.config.locations import LocationConfig
from jupyter_sessions.model.names import LocationName

TRAIT = "c.SessionsExtension.locations"
"""The source of what a trait holds, in faults."""


@dataclass(frozen=True)
class Configured:
    """What was read: this machine first, then in the order in which locations were first named.

    ``sources`` are the files (and the trait) that were read, the weakest first. ``faults`` is empty where all is well.
    ``replaced`` are the entries that gave way to a later source's: the name, the earlier source, the later one.
    """

    locations: tuple[LocationConfig, ...]
    sources: tuple[str, ...]
    faults: tuple[Fault, ...] = ()
    replaced: tuple[tuple[LocationName, str, str], ...] = ()


def read_locations(traits: Sequence[Mapping[str, object]] = (), paths: Sequence[Folder] | None = None) -> Configured:
    """Read every source; blocks on the disk.

    ``traits`` holds locations as a file's ``locations`` does and wins over files. ``paths`` are the folders to look
    into, the weakest first (default: Jupyter's own). Raises ConfigFaults with every fault of every source.
    """
    found = survey(traits, paths)
    if found.faults:
        raise ConfigFaults(found.faults)
    return found


def survey(traits: Sequence[Mapping[str, object]] = (), paths: Sequence[Folder] | None = None) -> Configured:
    """Read every source as ``read_locations`` does, and give what is good of it beside the faults. Raises nothing.

    A location whose strongest entry is faulty is left out, for an older entry may not be what is meant; this machine
    stays. Where an entry is refused by a lock, what the administrator wrote stands.
    """
    from jupyter_sessions.config.layers import Layers
    from jupyter_sessions.config.sources import read_folder, read_traits

    layers = Layers()
    sources: list[str] = []
    faults: list[Fault] = []
    for rank, folder in enumerate(folders() if paths is None else paths):
        for source in read_folder(folder, rank, faults):
            sources.append(source.label)
            layers.add(source)
    if traits:
        sources.append(TRAIT)
        layers.add(read_traits(traits, TRAIT))
    locations = layers.locations()
    return Configured(tuple(locations), tuple(sources), (*faults, *layers.faults), tuple(layers.replaced))
