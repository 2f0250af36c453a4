"""Reads one YAML file into plain values, remembering the line of each; names every fault of its syntax.

Only plain values are made (PyYAML's safe loader). Imported at first use, for it imports yaml.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from jupyter_sessions.config.faults import Path as Where
from jupyter_sessions.config.faults import Problem

MOST_BYTES = 1 << 20
MOST_VALUES = 50_000
DEEPEST = 16


class NotYaml(Exception):
    """The text is no YAML; ``problem`` says why and ``line`` where (from 1, 0: not known)."""

    def __init__(self, problem: str, line: int = 0) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line


@dataclass
class Document:
    """What a file holds: ``value`` is None where it is empty; ``lines`` gives the line of each path, from 1."""

    value: Any = None
    lines: dict[Where, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, path: Where) -> int:
        """Give the line of a value, or of the nearest thing around it that has one."""
        wanted = tuple(snake(part) if isinstance(part, str) else part for part in path)
        while wanted not in self.lines and wanted:
            wanted = wanted[:-1]
        return self.lines.get(wanted, 0)


def snake(key: str) -> str:
    """Give ``displayName`` as ``display_name``."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: f"_{found[1].lower()}", key)


def read(path: Path) -> Document:
    """Read a file; raises OSError, and NotYaml for what is no YAML or too large."""
    with path.open("rb") as source:
        data = source.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise NotYaml(f"must be at most {MOST_BYTES} bytes")
    try:
        return parse(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise NotYaml(f"must be UTF-8: {error.reason}", data[: error.start].count(b"\n") + 1) from error


def parse(text: str) -> Document:
    """Read a text; raises NotYaml."""
    document = Document()
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is not None:
                document.value = _Builder(loader, document).build(node, ())
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise NotYaml(f"is not YAML: {error.problem or error.context}", mark.line + 1 if mark else 0) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        first = str(error).partition("\n")[0] or "nested too deeply"
        raise NotYaml(f"is not YAML: {first}") from error
    return document


class _Builder:
    """Makes values of nodes; anchors may make a small file large, so that values are counted."""

    def __init__(self, loader: yaml.SafeLoader, document: Document) -> None:
        self._loader = loader
        self._document = document
        self._left = MOST_VALUES

    def build(self, node: yaml.Node, path: Where) -> Any:
        self._left -= 1
        if self._left < 0 or len(path) > DEEPEST:
            raise NotYaml(f"must hold at most {MOST_VALUES} values, {DEEPEST} deep", node.start_mark.line + 1)
        self._document.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return dict(self._members(node, path))
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, position)) for position, item in enumerate(node.value)]
        return self._loader.construct_object(node)

    def _members(self, node: yaml.MappingNode, path: Where) -> Iterator[tuple[str, Any]]:
        own = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        for name in sorted({name for name in own if own.count(name) > 1}):
            self._say((*path, name), "stands here more than once", "keep one of them")
        self._loader.flatten_mapping(node)
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._say(path, "must have plain words as keys", "a key is one word before a colon")
                continue
            inner = (*path, snake(key.value))
            self._document.lines[inner] = key.start_mark.line + 1
            yield key.value, self.build(value, inner)

    def _say(self, path: Where, rule: str, remedy: str) -> None:
        self._document.problems.append(Problem(path, rule, remedy))


def plain(value: Any) -> Mapping[str, Any] | None:
    """Give a mapping whose keys are all strings, None for anything else."""
    return value if isinstance(value, Mapping) and all(isinstance(key, str) for key in value) else None
