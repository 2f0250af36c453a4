"""The logos of a gateway's kernelspecs: which are fetched, which kept, and where."""

from __future__ import annotations

import asyncio
import base64
import stat
from pathlib import Path
from typing import Any

import pytest

from jupyter_sessions.config.locations import LocationConfig, Provider
from jupyter_sessions.engines.hostlink import HostUnreachable
from jupyter_sessions.kernels.logos import Logos
from jupyter_sessions.model.names import SessionName, parse_location
from jupyter_sessions.upstream import gateway as gateways
from jupyter_sessions.upstream.gateway import make_gateway
from jupyter_sessions.upstream.gateway_logos import MAX_LOGO, MAX_SPECS, TRIES, Pictures, fault_of_logo, logos_of
from tests.kernels.peer import until
from tests.serve.serving import LOCATION, OWN, serving
from tests.upstream.carrying import Passes

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 2"><path d="M0 0h2"/></svg>'
FILE = "logo-64x64.png"
PLACE = "/kernelspecs/k/logo-64x64.png"


def test_only_logos_on_the_gateway_itself_are_read() -> None:
    resources = {
        "logo-64x64": "/far/kernelspecs/etl.python3/logo-64x64.png",
        "logo-svg": "/kernelspecs/etl.python3/logo-svg.svg",
        "logo-32x32": "https://elsewhere.test/kernelspecs/k/logo-32x32.png",
        "endpointParentResource": "//dataproc.googleapis.com/projects/p/locations/l/sessions/s",
    }
    assert logos_of(resources) == {
        "logo-64x64.png": "/kernelspecs/etl.python3/logo-64x64.png",
        "logo-svg.svg": "/kernelspecs/etl.python3/logo-svg.svg",
    }


@pytest.mark.parametrize(
    "path",
    [
        "//elsewhere.test/kernelspecs/k/logo-64x64.png",
        "/kernelspecs/../logo-64x64.png",
        "/kernelspecs/k/kernel.js",
        "/kernelspecs/k/logo-128x128.png",
        "/kernelspecs/k/logo-64x64.png?x=1",
        "/kernelspecs/k\r\nX: y/logo-64x64.png",
        "/api/kernels/logo-64x64.png",
        7,
    ],
)
def test_no_other_path_is(path: object) -> None:
    assert logos_of({"logo-64x64": path}) == {}


def test_a_logo_is_what_its_name_says() -> None:
    assert fault_of_logo(FILE, PNG) == "" == fault_of_logo("logo-svg.svg", SVG)
    wide = PNG[:16] + (1 << 20).to_bytes(4, "big") + PNG[20:]
    for content in (b"", b"<html>", SVG, wide, PNG + bytes(MAX_LOGO)):
        assert fault_of_logo(FILE, content), content[:20]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        PNG,
        b"<html/>",
        SVG[:-3],
        b"<svg><script>go()</script></svg>",
        b'<svg onload="go()"/>',
        b'<svg><image href="https://elsewhere.test/x"/></svg>',
        b'<svg><a><animate attributeName="href" to="javascript:go()"/></a></svg>',
        b'<svg><a><set attributeName="onclick" to="go()"/></a></svg>',
        b'<!DOCTYPE svg [<!ENTITY a "aaaa">]><svg>&a;</svg>',
    ],
)
def test_an_svg_only_draws(content: bytes) -> None:
    assert fault_of_logo("logo-svg.svg", content)


class Peer:
    """A gateway's files, and what was asked for."""

    def __init__(self, files: dict[str, Any] | None = None) -> None:
        self.files: dict[str, Any] = {PLACE: PNG} if files is None else files
        self.asked: list[str] = []
        self.told = 0

    async def fetch(self, path: str) -> tuple[int, bytes]:
        """Answer a file, 404, or not at all."""
        self.asked.append(path)
        await asyncio.sleep(0)
        found = self.files.get(path, b"")
        if found is None:
            raise HostUnreachable("it is away")
        return (200 if found else 404), found

    def tell(self) -> None:
        """Hear of news."""
        self.told += 1


def _gone(folder: Path) -> bool:
    return not folder.exists()


async def settled(pictures: Pictures) -> None:
    """Wait until nothing is under way."""
    await until(lambda: pictures._task is None or pictures._task.done())


async def test_a_logo_is_fetched_once_and_goes_with_its_kernelspec_and_the_gateway() -> None:
    peer = Peer()
    pictures = Pictures(peer.fetch, peer.tell)
    for _ in range(3):
        pictures.want({"k": {FILE: PLACE}})
        await settled(pictures)
    assert (peer.asked, peer.told) == ([PLACE], 1)
    folder = Path(pictures.folder("k"))
    assert (folder / FILE).read_bytes() == PNG
    for place, mode in ((folder.parent, 0o700), (folder, 0o700), (folder / FILE, 0o600)):
        assert stat.S_IMODE(place.stat().st_mode) == mode
    pictures.want({"../other": {FILE: PLACE}})
    await settled(pictures)
    assert pictures.folder("k") == "" and _gone(folder)
    assert Path(pictures.folder("../other")).parent == folder.parent
    await pictures.close()
    assert _gone(folder.parent)


async def test_a_failure_leaves_the_letter_and_is_not_repeated_for_ever() -> None:
    away, wrong = "/kernelspecs/away/logo-64x64.png", "/kernelspecs/wrong/logo-64x64.png"
    peer = Peer({away: None, wrong: b"<html>", PLACE: PNG})
    pictures = Pictures(peer.fetch, peer.tell)
    wanted = {"away": {FILE: away}, "none": {FILE: "/kernelspecs/none/x"}, "wrong": {FILE: wrong}, "k": {FILE: PLACE}}
    try:
        for _ in range(TRIES + 3):
            pictures.want(wanted)
            await settled(pictures)
        assert [peer.asked.count(path) for path in (away, wrong, PLACE)] == [TRIES, 1, 1]
        assert [bool(pictures.folder(name)) for name in wanted] == [False, False, False, True]
    finally:
        await pictures.close()


async def test_kernelspecs_without_number_are_not_all_fetched() -> None:
    peer = Peer({})
    pictures = Pictures(peer.fetch, peer.tell)
    pictures.want({str(number): {FILE: f"/kernelspecs/{number}/{FILE}"} for number in range(MAX_SPECS + 50)})
    await settled(pictures)
    await pictures.close()
    assert len(peer.asked) == MAX_SPECS


async def test_a_session_of_a_service_shows_its_kernels_logos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateways, "QUICK", 0.1)
    (tmp_path / "far").mkdir()
    async with serving(tmp_path / "far", users=[OWN], admins=[]) as served:
        await served.active(OWN, "pictured")
        place = parse_location(LOCATION)
        config = LocationConfig(place, Provider.UPSTREAM, endpoint=served.url)
        made = make_gateway(config, "jupyter_sessions", Passes([served.token(OWN)]), {"gateway": {"path": "/"}})
        assert made is not None
        told: list[str] = []
        made.watch(lambda: told.append(made.offered(session)[0].resource_dir if made.offered(session) else ""))
        session = SessionName(place, "pictured")
        made.start()
        try:
            await until(lambda: told and told[-1], 30)
            folder = Path(told[-1])
            logo = (folder / FILE).read_bytes()
            assert fault_of_logo(FILE, logo) == ""
            marked = Path(Logos(tmp_path / "marked").folder(str(folder))) / FILE
            assert marked.read_bytes() != logo and fault_of_logo(FILE, marked.read_bytes()) == ""
        finally:
            await made.close()
        assert _gone(folder)
