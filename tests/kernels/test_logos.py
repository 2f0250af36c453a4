"""Our mark in a kernel's logos; PNG read and written without an imaging library."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from xml.dom import minidom

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ipykernel.kernelspec import RESOURCES

from jupyter_sessions.kernels import png
from jupyter_sessions.kernels.logos import COLOUR, Logos, marked, marked_png, marked_svg

ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def packed(values: list[int], depth: int) -> bytes:
    """Pack one row's samples, most significant first."""
    bits = "".join(f"{value:0{depth}b}" for value in values)
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def filtered(kind: int, row: bytes, above: bytes, step: int) -> bytes:
    """Apply one of the format's five filters to a row, as an encoder does."""
    out = bytearray([kind])
    for i, value in enumerate(row):
        left, corner = (row[i - step], above[i - step]) if i >= step else (0, 0)
        near = left + above[i] - corner
        guesses = sorted((abs(near - each), order, each) for order, each in enumerate((left, above[i], corner)))
        guess = (0, left, above[i], (left + above[i]) // 2, guesses[0][2])[kind]
        out.append((value - guess) & 255)
    return bytes(out)


def encode(samples: list[list[list[int]]], depth: int, colour: int, interlaced: bool = False, **more: bytes) -> bytes:
    """Write a PNG of any kind from rows of pixels of samples; every filter is used in turn."""
    height, width = len(samples), len(samples[0])
    step = max(1, len(samples[0][0]) * depth // 8)
    raw = b""
    for x0, y0, dx, dy in ADAM7 if interlaced else ((0, 0, 1, 1),):
        above = b""
        if x0 >= width:
            continue
        for number, y in enumerate(range(y0, height, dy)):
            row = packed([value for x in range(x0, width, dx) for value in samples[y][x]], depth)
            raw += filtered(number % 5, row, above or bytes(len(row)), step)
            above = row
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    extra = b"".join(chunk(kind.encode(), body) for kind, body in more.items())
    return png.SIGNATURE + chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


KINDS = [(0, d) for d in (1, 2, 4, 8, 16)] + [(3, d) for d in (1, 2, 4, 8)]
KINDS += [(c, d) for c in (2, 4, 6) for d in (8, 16)]


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(("colour", "depth"), KINDS)
def test_every_kind_of_png_is_read(colour: int, depth: int, interlaced: bool) -> None:
    count = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    top = (1 << depth) - 1
    pixels = [[[(x * 7 + y * 13 + s * 29) & top for s in range(count)] for x in range(11)] for y in range(9)]
    palette = bytes(range(256)) * 3
    more = {"PLTE": palette, "tRNS": bytes([9, 200])} if colour == 3 else {}
    picture = png.read(encode(pixels, depth, colour, interlaced, **more))
    assert (picture.width, picture.height) == (11, 9)
    for y, x in ((0, 0), (4, 5), (8, 10), (3, 7)):
        at = (y * 11 + x) * 4
        values = [value * 255 // top for value in pixels[y][x]]
        if colour == 3:
            index = pixels[y][x][0]
            wanted = [*palette[index * 3 : index * 3 + 3], [9, 200][index] if index < 2 else 255]
        elif colour in (0, 4):
            wanted = [values[0]] * 3 + [values[1] if colour == 4 else 255]
        else:
            wanted = [*values[:3], values[3] if colour == 6 else 255]
        assert list(picture.rgba[at : at + 4]) == wanted


def test_a_transparent_colour_is_read() -> None:
    picture = png.read(encode([[[5], [6]]], 8, 0, tRNS=struct.pack(">H", 6)))
    assert list(picture.rgba) == [5, 5, 5, 255, 6, 6, 6, 0]


@given(st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=20, deadline=None)
def test_what_is_written_is_read_again(width: int, height: int) -> None:
    rgba = bytearray(value * 37 % 256 for value in range(width * height * 4))
    again = png.read(png.write(png.Picture(width, height, rgba)))
    assert (again.width, again.height, again.rgba) == (width, height, rgba)


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_rubbish_is_refused_in_one_way(data: bytes) -> None:
    logo = Path(RESOURCES, "logo-32x32.png").read_bytes()
    for each in (data, png.SIGNATURE + data, logo[: len(logo) // 2] + data):
        with pytest.raises(ValueError):
            png.read(each)
        assert marked("logo-32x32.png", each) == each


def test_a_picture_too_large_is_refused_before_it_is_unpacked() -> None:
    head = struct.pack(">IIBBBBB", 60000, 60000, 8, 6, 0, 0, 0)
    bomb = png.SIGNATURE + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1 << 20)))
    with pytest.raises(ValueError, match="60000x60000"):
        png.read(bomb)


@pytest.mark.parametrize("size", [32, 64])
def test_the_mark_is_drawn_at_the_lower_right_and_nowhere_else(size: int) -> None:
    data = Path(RESOURCES, f"logo-{size}x{size}.png").read_bytes()
    before, after = png.read(data), png.read(marked_png(data))
    assert (after.width, after.height) == (size, size)
    dot = (int(0.84 * size) * size + int(0.75 * size)) * 4
    assert tuple(after.rgba[dot : dot + 4]) == (*COLOUR, 255)
    half = size * (size // 2) * 4
    assert after.rgba[:half] == before.rgba[:half]
    for y in range(size):
        assert after.rgba[y * size * 4 : (y * size + size // 3) * 4] == before.rgba[y * size * 4 :][: size // 3 * 4]


@pytest.mark.parametrize(
    ("root", "box"),
    [
        ('viewBox="10 20 30 40"', 'x="10" y="20" width="30" height="40"'),
        ('viewBox="-1.5,0,3e1,4" width="9"', 'x="-1.5" y="0" width="30" height="4"'),
        ('width="64" height="32px"', 'x="0" y="0" width="64" height="32"'),
        ('width="72pt" height="1in"', 'x="0" y="0" width="96" height="96"'),
    ],
)
def test_the_mark_of_an_svg_is_as_large_as_what_it_shows(root: str, box: str) -> None:
    svg = f'<?xml version="1.0"?>\n<!-- c -->\n<svg xmlns="http://www.w3.org/2000/svg" {root}><svg/><g id="a"/></svg>\n'
    made = marked_svg(svg.encode()).decode()
    document = minidom.parseString(made)  # noqa: S318 - written by this test
    assert document.documentElement is not None
    last = document.documentElement.childNodes[-1]
    assert isinstance(last, minidom.Element)
    assert last.tagName == "svg" and box in last.toxml() and made.startswith(svg[:-8])


@pytest.mark.parametrize("root", ['width="100%" height="auto"', "", 'viewBox="0 0 0 0"'])
def test_an_svg_without_a_size_becomes_a_picture_in_ours(root: str) -> None:
    made = marked_svg(f'<svg xmlns="http://www.w3.org/2000/svg" {root}><g/></svg>'.encode()).decode()
    minidom.parseString(made)  # noqa: S318 - written by this test
    assert "data:image/svg+xml;base64," in made and made.count("<circle") == 2


def test_what_is_no_svg_stays(tmp_path: Path) -> None:
    assert marked("logo-svg.svg", b"hello") == b"hello"
    assert marked("logo-64x64.jpg", b"\xff\xd8") == b"\xff\xd8"


def test_a_folder_is_made_once_and_holds_logos_alone(tmp_path: Path) -> None:
    source = tmp_path / "kernel"
    source.mkdir()
    for name in ("logo-svg.svg", "kernel.json", "kernel.js"):
        (source / name).write_text('<svg viewBox="0 0 1 1"></svg>')
    logos = Logos(tmp_path / "logos")
    folder = Path(logos.folder(str(source)))
    assert [each.name for each in folder.iterdir()] == ["logo-svg.svg"]
    assert [place.stat().st_mode & 0o077 for place in (folder.parent, folder, folder / "logo-svg.svg")] == [0, 0, 0]
    assert logos.folder(str(source)) == str(folder) == Logos(tmp_path / "logos").folder(str(source))
    (source / "logo-svg.svg").write_text('<svg viewBox="0 0 22 22"></svg>')
    assert logos.folder(str(source)) != str(folder)
    assert logos.folder("") == logos.folder(str(tmp_path / "not there")) != ""
    assert sorted(each.name[0] for each in (tmp_path / "logos").iterdir()) != ["."]


def test_a_folder_that_cannot_be_written_costs_no_kernelspec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "logos").write_text("a file, where a folder should be")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    folder = Path(Logos(tmp_path / "logos").folder(RESOURCES))
    assert len(list(folder.iterdir())) == 3 and tmp_path / "temporary" in folder.parents
