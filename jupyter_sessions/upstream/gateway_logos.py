"""The logos of a gateway's kernelspecs: fetched in the background, once each, into a private directory."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from xml.parsers import expat

from jupyter_sessions.engines.hostlink import HostUnreachable
from jupyter_sessions.upstream.ending import end

log = logging.getLogger(__name__)

MAX_LOGO = 256 << 10
"""Largest logo, in bytes."""
MAX_SPECS = 200
"""Kernelspecs whose logos are kept; those beyond show a letter."""
MAX_SIDE = 1024
"""Longest side of a PNG, in pixels: a small file may unfold to a picture that fills the memory."""
TRIES = 3
"""How often a logo is asked for that the gateway gives no answer to."""

_NAMES = ("logo-32x32.png", "logo-64x64.png", "logo-svg.svg")
_PATH = re.compile(rf"[^?#\\\s]*(/kernelspecs/(?!\.)[^/?#\\\s]+/({'|'.join(map(re.escape, _NAMES))}))", re.ASCII)
_PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"

Wanted = Mapping[str, Mapping[str, str]]
"""By a kernelspec's name its logos: where each lies on the gateway, by its file's name."""
Fetch = Callable[[str], Awaitable[tuple[int, bytes]]]


def logos_of(resources: object) -> dict[str, str]:
    """Read a kernelspec's ``resources``: each logo's path on the gateway by its file's name; the rest is left out."""
    found = {}
    for value in resources.values() if isinstance(resources, Mapping) else ():
        match = _PATH.fullmatch(value) if isinstance(value, str) else None
        # What is of another host has no place here; what stands before is the gateway's own base, as a browser sees it.
        if match is not None and value.startswith("/") and not value.startswith("//"):
            found[match[2]] = match[1]
    return found


def fault_of_logo(name: str, content: bytes) -> str:
    """Say why ``content`` is not what its name says, ``""`` where it is: a small PNG, an SVG that only draws."""
    if not content or len(content) > MAX_LOGO:
        return f"it has {len(content)} bytes, not 1 to {MAX_LOGO}"
    if name.endswith(".svg"):
        return _fault_of_svg(content)
    if not content.startswith(_PNG):
        return "it is no PNG"
    sides = [int.from_bytes(content[at : at + 4], "big") for at in (16, 20)]
    return "" if all(0 < side <= MAX_SIDE for side in sides) else f"its sides are {sides[0]} and {sides[1]} pixels"


def _fault_of_svg(content: bytes) -> str:
    faults: list[str] = []
    root: list[str] = []

    def element(name: str, attributes: Mapping[str, str]) -> None:
        local = name.rpartition(":")[2].lower()
        root[:] = root or [local]
        if local in ("script", "foreignobject", "iframe", "set") or local.startswith("animate"):
            faults.append(f"it has a <{local}>")
        for key, value in attributes.items():
            plain = key.rpartition(":")[2].lower()
            # Served from here it is of this server's origin: it may not run or load anything.
            if plain.startswith("on") or (plain == "href" and not value.strip().startswith(("#", "data:image/"))):
                faults.append(f"it has a {plain}")

    def doctype(*_: object) -> None:
        # Entities unfold without end.
        raise ValueError("it has a document type")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.StartDoctypeDeclHandler = element, doctype
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, ValueError) as error:
        return f"it is no SVG: {error}"
    if root != ["svg"]:
        return "it is no SVG"
    return faults[0] if faults else ""


class Pictures:
    """Fetches logos with ``fetch`` (path to status and bytes) and calls ``tell`` when kernelspecs have got new ones.

    Used on the event loop; nobody waits for it. The directory is readable by this account alone and goes with
    ``close``.
    """

    def __init__(self, fetch: Fetch, tell: Callable[[], None]) -> None:
        self._fetch, self._tell = fetch, tell
        self._base: Path | None = None
        self._folders: dict[str, str] = {}
        self._asked: dict[tuple[str, str], int] = {}
        self._wanted: Wanted = {}
        self._task: asyncio.Task[None] | None = None

    def folder(self, name: str) -> str:
        """Give the directory with the logos of a kernelspec, ``""`` while there are none."""
        return self._folders.get(name, "")

    def want(self, wanted: Wanted) -> None:
        """Hear which logos there are now; those that were not asked for are fetched."""
        self._wanted = dict(list(wanted.items())[:MAX_SPECS])
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """End what is under way and remove what was fetched."""
        task, self._task = self._task, None
        await end([task])
        base, self._base = self._base, None
        self._folders.clear()
        self._asked.clear()
        if base is not None:
            shutil.rmtree(base, ignore_errors=True)

    async def _run(self) -> None:
        wanted, told = None, set(self._folders)
        try:
            while wanted is not self._wanted:
                wanted = self._wanted
                self._forget()
                for name, logos in wanted.items():
                    for file, path in logos.items():
                        await self._get(name, file, path)
        except HostUnreachable as error:
            # The next look finds out whether it is back.
            log.info("kernels' logos cannot be fetched: %s", error.reason)
        except OSError as error:
            log.warning("kernels' logos cannot be kept: %s", error)
        if set(self._folders) - told:
            self._tell()

    def _forget(self) -> None:
        """Remove what belongs to no kernelspec any more."""
        for key in [key for key in self._asked if key[0] not in self._wanted]:
            del self._asked[key]
        for name in [name for name in self._folders if name not in self._wanted]:
            shutil.rmtree(self._folders.pop(name), ignore_errors=True)

    async def _get(self, name: str, file: str, path: str) -> None:
        tries = self._asked.get((name, path), 0)
        if tries >= TRIES:
            return
        self._asked[name, path] = tries + 1
        status, content = await self._fetch(path)
        self._asked[name, path] = TRIES
        fault = fault_of_logo(file, content) if status == 200 else f"{status} is answered"
        if fault:
            log.info("the logo %s of %s is left out: %s", file, name, fault)
        else:
            self._keep(name, file, content)

    def _keep(self, name: str, file: str, content: bytes) -> None:
        if self._base is None:
            self._base = Path(tempfile.mkdtemp(prefix="jupyter-sessions-logos-"))
        # A kernelspec's name is the gateway's, and may be no file's.
        folder = self._base / hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / file).touch(mode=0o600)
        (folder / file).write_bytes(content)
        self._folders[name] = str(folder)
