"""The host's REST beside Jupyter Server's, and its door."""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError

from jupyter_sessions.host.manager import SOCKET_PATH
from jupyter_sessions.host.server import listen
from tests.kernels.room import TAKES_IDS

from .serving import PATIENCE, Host, closed, python_entry, serving, text_of

STOCK_ERRORS = [
    ("GET", "/api/kernels/00000000-0000-0000-0000-000000000000"),
    ("DELETE", "/api/kernels/00000000-0000-0000-0000-000000000000"),
    ("POST", "/api/kernels/00000000-0000-0000-0000-000000000000/interrupt"),
    ("GET", "/api/kernelspecs/nothing"),
    ("PUT", "/api/kernels"),
]


def shape(found: Any) -> Any:
    """Give JSON with every string and number replaced by its type."""
    if isinstance(found, dict):
        return {key: shape(value) for key, value in found.items()}
    return [shape(value) for value in found] if isinstance(found, list) else type(found).__name__


@pytest.mark.skipif(not TAKES_IDS, reason="this Jupyter Server is older than what the host copies")
async def test_models_and_errors_are_jupyter_servers(jp_fetch: Callable[..., Awaitable[Any]]) -> None:
    async def stock(path: str, method: str = "GET", body: Any = None) -> tuple[int, Any, Any]:
        raw = None if body is None else json.dumps(body)
        try:
            response = await jp_fetch(
                *path.strip("/").split("/"), method=method, body=raw, allow_nonstandard_methods=True
            )
        except HTTPClientError as error:
            assert error.response is not None
            response = error.response
        return response.code, response.headers, json.loads(response.body) if response.body else None

    async with serving() as host:

        async def ours(path: str, method: str = "GET", body: Any = None) -> tuple[int, Any, Any]:
            response = await host.request(path, method, body)
            return response.code, response.headers, json.loads(response.body) if response.body else None

        for method, path in STOCK_ERRORS:
            theirs, mine = await stock(path, method), await ours(path, method)
            assert (mine[0], mine[2]) == (theirs[0], theirs[2]), path
        wanted = {"name": "python3", "kernel_id": "11111111-2222-3333-4444-555555555555"}
        for path, method, body in [
            ("/api/kernels", "GET", None),
            ("/api/kernels", "POST", wanted),
            ("/api/kernels", "POST", wanted),
            (f"/api/kernels/{wanted['kernel_id']}", "GET", None),
            ("/api/kernels", "GET", None),
            ("/api/status", "GET", None),
            (f"/api/kernels/{wanted['kernel_id']}/interrupt", "POST", {}),
            (f"/api/kernels/{wanted['kernel_id']}/restart", "POST", {}),
            (f"/api/kernels/{wanted['kernel_id']}", "DELETE", None),
            ("/api/kernels", "GET", None),
        ]:
            theirs, mine = await stock(path, method, body), await ours(path, method, body)
            assert (mine[0], shape(mine[2])) == (theirs[0], shape(theirs[2])), (method, path)
            location = theirs[1].get("Location")
            assert mine[1].get("Location") == (location and location[location.index("/api/") :])
        specs, own = await stock("/api/kernelspecs"), await ours("/api/kernelspecs")
        assert own[2]["default"] == "python3"
        assert own[2]["kernelspecs"]["python3"].keys() == specs[2]["kernelspecs"]["python3"].keys()
        assert own[2]["kernelspecs"]["python3"]["spec"].keys() == specs[2]["kernelspecs"]["python3"]["spec"].keys()
        assert re.fullmatch(r"\d+\.\d+\.\d+\S*", (await ours("/api"))[2]["version"])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "token wrong"}, 401),
        ({"Authorization": "token \xe9"}, 401),
        ({"Origin": "http://localhost"}, 403),
        ({"Authorization": "RIGHT", "Origin": "http://localhost"}, 403),
        ({"Authorization": "RIGHT", "Origin": "null", "Sec-Fetch-Site": "same-origin"}, 403),
    ],
)
async def test_strangers_and_pages_stay_outside(headers: dict[str, str], status: int) -> None:
    async with serving() as host:
        shown = {key: value.replace("RIGHT", f"token {host.token}") for key, value in headers.items()}
        for path, method in [("/api", "GET"), ("/api/kernels", "POST"), ("/host/poke", "POST"), ("/nothing", "GET")]:
            response = await host.request(path, method, headers=shown)
            assert response.code == status, path
            assert host.token not in response.body.decode()
        for path in ("/host/stream", "/api/kernels/1-1-1-1-1/channels"):
            with pytest.raises(HTTPClientError) as caught:
                await host.websocket(path, headers=shown)
            assert caught.value.code == status
        assert host.kernels.count() == host.poked == 0


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"{", "JSON"),
        ([], "object"),
        ({"name": "nothing"}, "python3"),
        ({"name": 1}, "name"),
        ({"kernel_id": "../x"}, "UUID"),
        ({"env": {"A": 1}}, "env"),
        ({"env": []} | {"cwd": 7}, "cwd"),
    ],
)
async def test_a_wrong_start_is_refused_by_name(body: Any, word: str) -> None:
    async with serving() as host:
        response = await host.request("/api/kernels", "POST", body)
        assert response.code == 400
        assert word in json.loads(response.body)["message"]


async def test_a_kernel_that_cannot_start_says_why_and_leaves_nothing() -> None:
    missing = python_entry(argv=["/nonexistent/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"])
    async with serving(kernels={"python3": missing}) as host:
        response = await host.request("/api/kernels", "POST", {})
        assert response.code == 500
        assert "/nonexistent/python" in json.loads(response.body)["message"]
        assert await host.json("/api/kernels") == []


async def test_a_poke_reaches_the_host() -> None:
    async with serving() as host:
        assert (await host.request("/host/poke", "POST")).code == 204
        assert host.poked == 1


async def test_one_id_is_one_kernel_however_often_it_is_asked_for() -> None:
    async with serving() as host:
        wanted = {"kernel_id": "a-b-c-d-e"}
        assert await asyncio.gather(*(host.start(**wanted) for _ in range(3))) == ["a-b-c-d-e"] * 3
        assert host.kernels.count() == len(host.kernels.pids()) == 1


async def test_a_kernel_gets_its_directory_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_HOST", "host")
    code = "import os, json; print(json.dumps([os.getcwd(), *map(os.environ.get, NAMES)]))"
    names = ["FROM_HOST", "JPY_SESSION_NAME", "FROM_INTENT", "FROM_SPEC"]
    entry = python_entry(env={"FROM_SPEC": "${FROM_HOST}-spec"})
    (tmp_path / "deep").mkdir()

    async def ask(host: Host, **body: Any) -> list[str]:
        kernel = await host.start(**body)
        async with host.channels(kernel) as channels:
            found: list[str] = json.loads(text_of(await channels.run(code.replace("NAMES", str(names)))))
        return found

    changes: dict[str, Any] = {"kernels": {"python3": entry}, "kernel_env": {"FROM_INTENT": "intent"}}
    async with serving(cwd=str(tmp_path), **changes) as host:
        posted = {"JPY_SESSION_NAME": "/a.ipynb", "FROM_INTENT": "posted"}
        found = await ask(host, cwd=str(tmp_path / "deep"), env=posted)
        assert found == [str(tmp_path / "deep"), "host", "/a.ipynb", "intent", "host-spec"]
        assert (await ask(host, cwd=str(tmp_path / "gone")))[0] == str(tmp_path)
        assert (await ask(host, path="deep"))[0] == str(tmp_path / "deep")
    async with serving(cwd=str(tmp_path), cwd_fixed=True, **changes) as host:
        assert (await ask(host, cwd=str(tmp_path / "deep")))[0] == str(tmp_path)


async def test_an_ipykernel_speaks_over_unix_sockets_and_another_over_loopback() -> None:
    other = python_entry(argv=[sys.executable, "-mipykernel_launcher", "-f", "{connection_file}"])
    async with serving(kernels={"python3": python_entry(), "other": other}) as host:
        directory = Path(host.path).parent
        for name, count in (("other", 0), ("python3", 5)):
            kernel = await host.start(name=name)
            async with host.channels(kernel) as channels:
                assert text_of(await channels.run("print(1)")) == "1\n"
            found = [entry for entry in directory.iterdir() if re.fullmatch(r"\d+-\d", entry.name)]
            assert len(found) == count
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert (await host.request(f"/api/kernels/{kernel}", "DELETE")).code == 204
        assert not [entry for entry in directory.iterdir() if re.fullmatch(r"\d+-\d", entry.name)]
        assert not list((directory / "kernels").glob(f"*{kernel}*"))


async def test_a_directory_too_long_for_sockets_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        async with serving(socket_dir="/tmp/" + "x" * SOCKET_PATH):
            pass


async def test_the_socket_is_this_accounts_alone(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o1777 & 0o740)
    with pytest.raises(PermissionError, match="0700"):
        listen(tmp_path / "host.sock")
    os.chmod(tmp_path, 0o700)
    door = listen(tmp_path / "host.sock")
    assert stat.S_IMODE(os.stat(tmp_path / "host.sock").st_mode) == 0o600
    door.close()


async def test_logos_come_from_the_specs_own_directory(tmp_path: Path) -> None:
    (tmp_path / "logo-svg.svg").write_text("<svg/>")
    (tmp_path / "secret").write_text("no")
    async with serving(kernels={"python3": python_entry(resource_dir=str(tmp_path))}) as host:
        spec = await host.json("/api/kernelspecs/python3")
        assert spec["resources"] == {"logo-svg": "/kernelspecs/python3/logo-svg.svg"}
        response = await host.request(spec["resources"]["logo-svg"])
        assert (response.body, response.headers["Content-Type"]) == (b"<svg/>", "image/svg+xml")
        for path in ("/kernelspecs/python3/secret", "/kernelspecs/python3/..%2Fsecret", "/kernelspecs/x/logo-svg.svg"):
            assert (await host.request(path)).code == 404


async def test_the_side_stream_tells_states_use_and_the_end() -> None:
    async with serving() as host:
        stream = await host.websocket("/host/stream")

        async def told() -> dict[str, Any]:
            text = await asyncio.wait_for(asyncio.ensure_future(stream.read_message()), PATIENCE)
            assert isinstance(text, str)
            message: dict[str, Any] = json.loads(text)
            return message

        async def until_told(condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
            while not condition(message := await told()):
                assert message["type"] in ("kernel", "gone")
            return message

        assert await told() == {"type": "kernels", "kernels": []}
        kernel = await host.start()
        first = await told()
        assert first["kernel"].keys() == {*(await host.json(f"/api/kernels/{kernel}")), "usage", "started"}
        async with host.channels(kernel) as channels:
            await until_told(lambda m: bool(m["kernel"]["connections"] == 1))
            request = await channels.execute("for i in range(3000): print('x' * 1000, flush=True)")
            await until_told(lambda m: bool(m["kernel"]["execution_state"] == "busy"))
            await channels.answers(request)
            await until_told(lambda m: bool(m["kernel"]["execution_state"] == "idle"))
            used = await until_told(lambda m: bool(m["kernel"]["usage"]["memory_bytes"] > 1 << 20))
            assert used["kernel"]["id"] == kernel
        assert host.kernels.last_activity() > first["kernel"]["started"]
        await host.request(f"/api/kernels/{kernel}", "DELETE")
        gone = await until_told(lambda m: bool(m["type"] == "gone"))
        assert gone == {"type": "gone", "id": kernel, "reason": "shut down"}
        stream.close()
        await closed(stream)
