"""Takes our own credentials out of what an upstream says back, as soon as it comes.

Whatever is made of an answer later may cut it off, fold its case or store it, so that the words would no longer be
known again. What is meant for people may lose short words as well; in data a short word may be anything, and stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from jupyter_sessions.upstream.errors import HIDDEN, secrets

SHORT = 12
"""Characters below which a word is not taken for a credential where it stands in data."""
_ESCAPES = re.compile(rb"[\\\x00]")


class Hidden:
    """What must not be read in the answers to a request with these ``headers``."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._words: Sequence[str] = [word for word in secrets(headers) if len(word) >= SHORT]
        self._raw = [word.encode("latin-1", "replace") for word in self._words]

    def __repr__(self) -> str:
        return "Hidden()"

    def of_bytes(self, content: bytes) -> bytes:
        """Give a body without the words, as far as they stand there letter by letter."""
        for word in self._raw:
            if word in content:
                content = content.replace(word, HIDDEN.encode())
        return content

    def of_header(self, value: str) -> str:
        """Give a header's value without the words, in whatever case."""
        for word in self._words:
            value = re.sub(re.escape(word), HIDDEN, value, flags=re.IGNORECASE)
        return value

    def of_json(self, content: bytes, body: Any) -> Any:
        """Give what was read from a ``content`` that has been through ``of_bytes``, also without escaped words.

        Raises RecursionError for what is nested too deeply, as reading it does.
        """
        # Without escapes, and in an encoding that has no NUL, the words would have stood there letter by letter.
        return self._walk(body) if self._words and _ESCAPES.search(content) else body

    def _walk(self, value: Any) -> Any:
        if isinstance(value, str):
            for word in self._words:
                if word in value:
                    value = value.replace(word, HIDDEN)
            return value
        if isinstance(value, list):
            return [self._walk(item) for item in value]
        if isinstance(value, dict):
            return {self._walk(name): self._walk(item) for name, item in value.items()}
        return value
