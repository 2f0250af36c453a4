"""Our mark, a dot on a line, drawn into a kernel's own logos, so that a session's kernels are told apart at a glance.

The logos keep their names and types. They lie in a folder of ours that holds nothing else, made once for each set of
sources and kept.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
import shutil
import tempfile
from pathlib import Path

from jupyter_sessions.kernels import png

log = logging.getLogger(__name__)

_DRAWN = "1"
"""Goes into each folder's name: another drawing of the mark gets folders of its own."""

COLOUR = (0x3F, 0x51, 0xB5)
# In parts of the logo's side, from its upper left: the line's ends, its height, and the radii, each with its halo.
_LEFT, _RIGHT, _MIDDLE, _Y = 0.55, 0.95, 0.75, 0.84
_SHAPES = (
    ((255, 255, 255), _LEFT, _RIGHT, 0.07),
    ((255, 255, 255), _MIDDLE, _MIDDLE, 0.15),
    (COLOUR, _LEFT, _RIGHT, 0.035),
    (COLOUR, _MIDDLE, _MIDDLE, 0.105),
)

_ROOT = re.compile(r"<svg\b[^>]*>", re.S)
_NUMBER = re.compile(r"\s*(\d*\.?\d+)\s*(px|pt|pc|mm|cm|in|)\s*$")
_UNITS = {"": 1.0, "px": 1.0, "pt": 96 / 72, "pc": 16.0, "mm": 96 / 25.4, "cm": 96 / 2.54, "in": 96.0}


class Logos:
    """Folders of marked logos under ``base`` (or, where that cannot be written, under the temporary directory)."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._known: dict[tuple[str, ...], str] = {}

    def folder(self, source: str) -> str:
        """Give the absolute folder with the marked logos of a kernel's resource directory; never ``""``.

        A source without logos, or ``""``, gives a folder with nothing in it.
        """
        logos = sorted(Path(source).glob("logo-*")) if source else []
        key = tuple(f"{logo.name}:{_stamp(logo)}:{logo.parent}" for logo in logos)
        known = self._known.get(key)
        if known is None or not Path(known).is_dir():
            known = self._known[key] = str(self._made(logos))
        return known

    def _made(self, logos: list[Path]) -> Path:
        contents = {logo.name: data for logo in logos if (data := _content(logo)) is not None}
        digest = hashlib.sha256(_DRAWN.encode())
        for name, data in contents.items():
            digest.update(name.encode() + b"\0" + data)
        folder = self._base / digest.hexdigest()[:24]
        try:
            return _written(folder, contents)
        except OSError as error:
            log.warning("cannot write the kernels' logos to %s (%s), using the temporary directory", folder, error)
            self._base = Path(tempfile.mkdtemp(prefix="jupyter-sessions-logos-"))
            return _written(self._base / folder.name, contents)


def _stamp(path: Path) -> str:
    try:
        stat = path.stat()
    except OSError:
        return ""
    return f"{stat.st_mtime_ns}.{stat.st_size}"


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.is_file() else None
    except OSError as error:
        log.warning("cannot read the logo %s: %s", path, error)
        return None


def _written(folder: Path, contents: dict[str, bytes]) -> Path:
    """Write the folder whole: beside, then renamed, so that another server never sees half of it."""
    if folder.is_dir():
        return folder
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
    try:
        for name, data in contents.items():
            (beside / name).touch(mode=0o600)
            (beside / name).write_bytes(marked(name, data))
        beside.replace(folder)
    except OSError:
        shutil.rmtree(beside, ignore_errors=True)
        # Another server may have written the same one meanwhile.
        if not folder.is_dir():
            raise
    return folder


def marked(name: str, data: bytes) -> bytes:
    """Draw the mark into one logo; what is neither SVG nor a readable PNG stays as it is."""
    kind = name.rpartition(".")[2].lower()
    try:
        if kind == "svg":
            return marked_svg(data)
        if kind == "png":
            return marked_png(data)
    except ValueError as error:
        log.info("the logo %s stays without our mark: %s", name, error)
    return data


def marked_png(data: bytes) -> bytes:
    """Draw the mark into a PNG; raises ValueError where it cannot be read."""
    picture = png.read(data)
    side = min(picture.width, picture.height)
    for y in range(int((_Y - 0.2) * picture.height), picture.height):
        for x in range(int((_LEFT - 0.1) * picture.width), picture.width):
            # The mark is not stretched: it keeps to a square at the lower right.
            u = 1 - (picture.width - x - 0.5) / side
            v = 1 - (picture.height - y - 0.5) / side
            for colour, left, right, radius in _SHAPES:
                away = ((u - min(max(u, left), right)) ** 2 + (v - _Y) ** 2) ** 0.5
                cover = min(1.0, max(0.0, (radius - away) * side + 0.5))
                if cover:
                    _blend(picture.rgba, (y * picture.width + x) * 4, colour, cover)
    return png.write(picture)


def _blend(rgba: bytearray, at: int, colour: tuple[int, int, int], cover: float) -> None:
    below = rgba[at + 3] / 255 * (1 - cover)
    alpha = cover + below
    for i in range(3):
        rgba[at + i] = round((colour[i] * cover + rgba[at + i] * below) / alpha)
    rgba[at + 3] = round(alpha * 255)


def marked_svg(data: bytes) -> bytes:
    """Draw the mark into an SVG, on top of what it shows; raises ValueError where it is none.

    One whose size cannot be told from its root element is shown as a picture inside one of ours.
    """
    text = data.decode("utf-8", "replace")
    root = _ROOT.search(text)
    box = _box(root.group()) if root else None
    end = text.rfind("</svg>")
    if root is None or box is None or end < root.end() or "�" in text:
        if b"svg" not in data[:4096]:
            raise ValueError("not an SVG")
        picture = base64.b64encode(data).decode()
        inner = f'<image width="64" height="64" href="data:image/svg+xml;base64,{picture}"/>'
        whole = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">{inner}{_mark_svg(0, 0, 64, 64)}</svg>'
        return whole.encode()
    return (text[:end] + _mark_svg(*box) + text[end:]).encode()


def _box(root: str) -> tuple[float, float, float, float] | None:
    """Read what a root element shows: x, y, width, height in its own units."""
    attributes = dict(re.findall(r"\b(viewBox|width|height)\s*=\s*[\"']([^\"']*)[\"']", root))
    numbers = re.findall(r"-?\d*\.?\d+(?:[eE][-+]?\d+)?", attributes.get("viewBox", ""))
    if len(numbers) == 4:
        x, y, width, height = map(float, numbers)
        return (x, y, width, height) if width > 0 and height > 0 else None
    sizes = [_NUMBER.match(attributes.get(key, "")) for key in ("width", "height")]
    if sizes[0] is None or sizes[1] is None:
        return None
    return 0.0, 0.0, float(sizes[0][1]) * _UNITS[sizes[0][2]], float(sizes[1][1]) * _UNITS[sizes[1][2]]


def _mark_svg(x: float, y: float, width: float, height: float) -> str:
    shapes = "".join(
        f'<line x1="{left}" y1="{_Y}" x2="{right}" y2="{_Y}" stroke="#{bytes(colour).hex()}" '
        f'stroke-width="{radius * 2:g}" stroke-linecap="round"/>'
        if left != right
        else f'<circle cx="{left}" cy="{_Y}" r="{radius:g}" fill="#{bytes(colour).hex()}"/>'
        for colour, left, right, radius in _SHAPES
    )
    place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
    fit = 'viewBox="0 0 1 1" preserveAspectRatio="xMaxYMax meet"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {place} {fit}>{shapes}</svg>'
