"""PNG, read to RGBA and written again: as much as a kernel's logo needs, so that no imaging library is.

Every colour type, bit depth and interlacing is read (source: the PNG specification); 8-bit RGBA is written.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_PIXELS = 1 << 16
"""Larger pictures are no logos; reading one in Python would hold the server up."""

_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Adam7: where each pass begins, and its steps.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


@dataclass
class Picture:
    """Pixels row by row, four bytes each: red, green, blue, alpha (not premultiplied)."""

    width: int
    height: int
    rgba: bytearray


@dataclass(frozen=True)
class _Format:
    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool
    palette: bytes
    transparent: bytes

    @property
    def samples(self) -> int:
        return _SAMPLES[self.colour]

    def row_bytes(self, width: int) -> int:
        return (width * self.samples * self.depth + 7) // 8

    def passes(self) -> list[tuple[range, range]]:
        """The columns and rows of each pass; one pass holds all where nothing is interlaced."""
        starts = _PASSES if self.interlaced else ((0, 0, 1, 1),)
        found = [(range(x, self.width, dx), range(y, self.height, dy)) for x, y, dx, dy in starts]
        return [(columns, rows) for columns, rows in found if columns and rows]


def read(data: bytes) -> Picture:
    """Read a PNG; raises ValueError where it is none, is broken or is larger than ``MAX_PIXELS``."""
    try:
        layout, packed = _chunks(data)
        size = sum(len(rows) * (1 + layout.row_bytes(len(columns))) for columns, rows in layout.passes())
        inflater = zlib.decompressobj()
        raw = inflater.decompress(packed, size)
        if len(raw) < size:
            raise ValueError("the picture is cut short")
        picture = Picture(layout.width, layout.height, bytearray(layout.width * layout.height * 4))
        at = 0
        for columns, rows in layout.passes():
            at = _read_pass(layout, raw, at, columns, rows, picture)
        return picture
    except (zlib.error, struct.error, IndexError, KeyError) as error:
        raise ValueError(f"not a PNG: {error}") from error


def write(picture: Picture) -> bytes:
    """Write a picture as a PNG."""
    stride = picture.width * 4
    rows = b"".join(b"\0" + picture.rgba[y * stride : (y + 1) * stride] for y in range(picture.height))
    header = struct.pack(">IIBBBBB", picture.width, picture.height, 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _chunks(data: bytes) -> tuple[_Format, bytes]:
    if not data.startswith(SIGNATURE):
        raise ValueError("not a PNG: another signature")
    found: dict[bytes, bytes] = {}
    at = len(SIGNATURE)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        found[kind] = found.get(kind, b"") + data[at + 8 : at + 8 + length]
        at += 12 + length
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", found[b"IHDR"])
    if not 0 < width * height <= MAX_PIXELS:
        raise ValueError(f"{width}x{height} pixels are no logo")
    if colour not in _SAMPLES or depth not in (1, 2, 4, 8, 16):
        raise ValueError(f"colour type {colour} with {depth} bits is unknown")
    palette, transparent = found.get(b"PLTE", b""), found.get(b"tRNS", b"")
    return _Format(width, height, depth, colour, bool(interlaced), palette, transparent), found[b"IDAT"]


def _read_pass(layout: _Format, raw: bytes, at: int, columns: range, rows: range, picture: Picture) -> int:
    length = layout.row_bytes(len(columns))
    step = max(1, layout.samples * layout.depth // 8)
    above = bytearray(length)
    for y in rows:
        line = bytearray(raw[at + 1 : at + 1 + length])
        _unfilter(raw[at], line, above, step)
        for x, pixel in zip(columns, _pixels(layout, line, len(columns)), strict=True):
            place = (y * picture.width + x) * 4
            picture.rgba[place : place + 4] = pixel
        above = line
        at += 1 + length
    return at


def _unfilter(kind: int, line: bytearray, above: bytearray, step: int) -> None:
    if kind == 0:
        return
    for i in range(len(line)):
        left = line[i - step] if i >= step else 0
        if kind == 1:
            guess = left
        elif kind == 2:
            guess = above[i]
        elif kind == 3:
            guess = (left + above[i]) // 2
        elif kind == 4:
            guess = _paeth(left, above[i], above[i - step] if i >= step else 0)
        else:
            raise ValueError(f"filter {kind} is unknown")
        line[i] = (line[i] + guess) & 255


def _paeth(left: int, above: int, corner: int) -> int:
    near = left + above - corner
    far = (abs(near - left), abs(near - above), abs(near - corner))
    return (left, above, corner)[far.index(min(far))]


def _pixels(layout: _Format, line: bytearray, count: int) -> list[tuple[int, int, int, int]]:
    samples = _samples(line, layout.depth, count * layout.samples)
    groups = [tuple(samples[i : i + layout.samples]) for i in range(0, len(samples), layout.samples)]
    if layout.colour == 3:
        return [_from_palette(layout, group[0]) for group in groups]
    clear = struct.unpack(f">{layout.samples}H", layout.transparent) if layout.transparent else None
    scale = (1 << layout.depth) - 1
    return [_pixel(tuple(value * 255 // scale for value in group), group == clear) for group in groups]


def _samples(line: bytearray, depth: int, count: int) -> list[int]:
    if depth == 8:
        return list(line[:count])
    if depth == 16:
        return list(struct.unpack(f">{count}H", line[: count * 2]))
    per, mask = 8 // depth, (1 << depth) - 1
    return [line[i // per] >> (8 - depth * (i % per + 1)) & mask for i in range(count)]


def _from_palette(layout: _Format, index: int) -> tuple[int, int, int, int]:
    red, green, blue = layout.palette[index * 3 : index * 3 + 3]
    return red, green, blue, layout.transparent[index] if index < len(layout.transparent) else 255


def _pixel(group: tuple[int, ...], clear: bool) -> tuple[int, int, int, int]:
    if len(group) < 3:
        grey, alpha = group[0], group[1] if len(group) == 2 else 255
        return grey, grey, grey, 0 if clear else alpha
    return group[0], group[1], group[2], 0 if clear else (group[3] if len(group) == 4 else 255)
