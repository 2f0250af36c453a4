"""Bearer tokens from files, variables and programs; each refusal names what to do, none shows a token."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from jupyter_sessions.config.locations import Auth, Bearer, LocationConfig
from jupyter_sessions.model.errors import Unauthenticated
from jupyter_sessions.upstream.bearer import LONGEST, BearerCredentials
from jupyter_sessions.upstream.credentials import NoCredentials, make_credentials
from jupyter_sessions.upstream.renewal import REST
from tests.faults.replies import ok, unauthenticated
from tests.faults.server import FaultServer
from tests.upstream.carrying import BASE, SESSIONS, Hand, carried


def config(bearer: Bearer) -> LocationConfig:
    return replace(BASE, auth=Auth.BEARER, bearer=bearer)


def from_file(path: Path) -> BearerCredentials:
    return BearerCredentials(config(Bearer(file=path)))


def held(path: Path, text: str | bytes, mode: int = 0o600) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


def program(tmp_path: Path, body: str, refresh: float = 300.0) -> Bearer:
    """Make a program that appends a line to ``runs`` and then does ``body``."""
    script = tmp_path / "give-token"
    script.write_text(f"#!/bin/sh\necho run >> {shlex.quote(str(tmp_path / 'runs'))}\n{body}\n")
    script.chmod(0o700)
    return Bearer(command=(str(script), "an argument"), refresh=refresh)


def runs(tmp_path: Path) -> int:
    return len((tmp_path / "runs").read_text().splitlines())


async def test_a_file_is_read_for_each_request(tmp_path: Path) -> None:
    path = held(tmp_path / "token", "first-token\n")
    credentials = from_file(path)
    assert await credentials.headers() == {"Authorization": "Bearer first-token"}
    held(path, "other-token")
    assert await credentials.headers() == {"Authorization": "Bearer other-token"}
    path.unlink()
    with pytest.raises(Unauthenticated, match=rf"{path}: No such file.* \[Write a valid token into {path}"):
        await credentials.headers()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666, 0o601])
async def test_a_file_that_others_can_read_is_refused_naming_chmod(tmp_path: Path, mode: int) -> None:
    path = held(tmp_path / "token", "secret", mode)
    with pytest.raises(Unauthenticated, match=f"chmod 600 {path}") as caught:
        await from_file(path).headers()
    assert "secret" not in caught.value.message


async def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(Unauthenticated, match=r"is not a file|Is a directory"):
            await asyncio.wait_for(from_file(path).headers(), 5.0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_a_file_of_another_account_is_refused(tmp_path: Path) -> None:
    path = held(tmp_path / "token", "secret")
    os.chown(path, 65534, 65534)
    with pytest.raises(Unauthenticated, match="belongs to another account"):
        await from_file(path).headers()


@pytest.mark.parametrize(
    "text", ["", " \n", "two words", "a\nb", "tök", b"\xff\xfe", "a\x00b", "x" * (LONGEST + 1)], ids=repr
)
async def test_what_is_no_token_is_not_sent(tmp_path: Path, text: str | bytes) -> None:
    path = held(tmp_path / "token", text)
    with pytest.raises(Unauthenticated, match=f"{path} holds no token") as caught:
        await from_file(path).headers()
    assert "two words" not in caught.value.message


async def test_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = BearerCredentials(config(Bearer(environment="OUR_TOKEN")))
    monkeypatch.delenv("OUR_TOKEN", raising=False)
    with pytest.raises(Unauthenticated, match=r"the variable OUR_TOKEN holds no token \[Start the server again"):
        await credentials.headers()
    monkeypatch.setenv("OUR_TOKEN", "from-environment")
    assert await credentials.headers() == {"Authorization": "Bearer from-environment"}


async def test_nothing_configured_says_so() -> None:
    with pytest.raises(Unauthenticated, match="`file`, `environment` or `command`"):
        await BearerCredentials(config(Bearer())).headers()


async def test_a_program_is_run_once_for_all_and_again_when_its_token_is_old(tmp_path: Path) -> None:
    hand = Hand()
    credentials = BearerCredentials(
        config(program(tmp_path, f"echo token-$(wc -l < {tmp_path}/runs | tr -d ' ')", 60.0)), steady=hand.steady
    )
    given = await asyncio.gather(*(credentials.headers() for _ in range(20)))
    assert given == [{"Authorization": "Bearer token-1"}] * 20
    hand.seconds += 59
    await credentials.headers()
    assert runs(tmp_path) == 1
    hand.seconds += 2
    assert await credentials.headers() == {"Authorization": "Bearer token-2"}


async def test_a_refused_token_has_the_program_run_again_but_not_in_a_whirl(tmp_path: Path) -> None:
    hand = Hand()
    credentials = BearerCredentials(config(program(tmp_path, "echo same-token")), steady=hand.steady)
    headers = await credentials.headers()
    for _ in range(5):
        credentials.refused(headers)
        assert await credentials.headers() == headers
    assert runs(tmp_path) == 2
    hand.seconds += REST
    credentials.refused(headers)
    await credentials.headers()
    assert runs(tmp_path) == 3


async def test_a_refusal_of_an_older_token_changes_nothing(tmp_path: Path) -> None:
    credentials = BearerCredentials(config(program(tmp_path, "echo token")))
    await credentials.headers()
    credentials.refused({"Authorization": "Bearer older"})
    await credentials.headers()
    assert runs(tmp_path) == 1


async def test_a_waiter_that_goes_away_takes_the_program_from_nobody(tmp_path: Path) -> None:
    credentials = BearerCredentials(config(program(tmp_path, "sleep 0.2; echo token")))
    waiters = [asyncio.create_task(credentials.headers()) for _ in range(3)]
    await asyncio.sleep(0)
    waiters[0].cancel()
    assert await waiters[1] == await waiters[2] == {"Authorization": "Bearer token"}
    assert runs(tmp_path) == 1


FAILING: Mapping[str, tuple[str, str]] = {
    "status": ("echo sorry, not today >&2; exit 3", r"ended with status 3: sorry, not today \[Run "),
    "nothing": ("true", "the output of .* holds no token"),
    "words": ("echo please sign in first", "holds no token: it is one word"),
    "slow": ("sleep 60 & sleep 60", "did not end within 0.3 s"),
    "prints": ("echo printed-token; echo printed-token is bad >&2; exit 1", "to stderr is not shown"),
    "shows": ("echo 'sent Authorization: Bearer abcdef' >&2; exit 1", "to stderr is not shown"),
    "google": ("echo ya29.abc >&2; exit 1", "to stderr is not shown"),
    "long": ("echo refresh 0123456789abcdef0123456789abcdef >&2; exit 1", "to stderr is not shown"),
}


@pytest.mark.parametrize(("body", "words"), FAILING.values(), ids=FAILING)
async def test_a_program_that_fails(tmp_path: Path, body: str, words: str) -> None:
    hand = Hand()
    credentials = BearerCredentials(config(program(tmp_path, body)), steady=hand.steady, timeout=0.3)
    for _ in range(3):
        with pytest.raises(Unauthenticated, match=words) as caught:
            await credentials.headers()
        shown = caught.value.message
        assert not [word for word in ("printed-token", "abcdef", "ya29", "please sign") if word in shown]
        assert "an argument" not in shown
    assert runs(tmp_path) == 1
    hand.seconds += REST
    with pytest.raises(Unauthenticated):
        await credentials.headers()
    assert runs(tmp_path) == 2


async def test_what_a_program_leaves_behind_is_not_waited_for(tmp_path: Path) -> None:
    """It holds the program's output open in a session of its own, where no signal to the program's reaches it."""
    left = "import os, time; os.setsid(); open({!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    left = left.format(str(tmp_path / "left"))
    body = f"{shlex.quote(sys.executable)} -S -c {shlex.quote(left)} &\nwait"
    credentials = BearerCredentials(config(program(tmp_path, body)), timeout=3.0)
    try:
        with pytest.raises(Unauthenticated, match="did not end within 3 s"):
            await asyncio.wait_for(credentials.headers(), 20)
    finally:
        os.kill(int((tmp_path / "left").read_text()), signal.SIGKILL)


async def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    credentials = BearerCredentials(config(Bearer(command=(str(tmp_path / "nothing"),))))
    with pytest.raises(Unauthenticated, match="nothing: No such file"):
        await credentials.headers()


async def test_no_shell_reads_the_arguments(tmp_path: Path) -> None:
    argv = (sys.executable, "-c", "import sys; print(sys.argv[1].replace(' ', '_'))", "$(id); `id` *")
    credentials = BearerCredentials(config(Bearer(command=argv)))
    assert await credentials.headers() == {"Authorization": "Bearer $(id);_`id`_*"}


async def test_a_program_runs_off_the_loop(tmp_path: Path) -> None:
    credentials = BearerCredentials(config(program(tmp_path, "sleep 0.3; echo token")))
    task, ticks = asyncio.create_task(credentials.headers()), 0
    while not task.done():
        await asyncio.sleep(0.01)
        ticks += 1
    assert ticks > 5
    await task
    assert not [thread for thread in threading.enumerate() if thread.name == "bearer token" and not thread.daemon]


async def test_401_then_good_with_a_program(tmp_path: Path) -> None:
    bearer = program(tmp_path, f"echo token-$(wc -l < {tmp_path}/runs | tr -d ' ')")
    async with FaultServer(unauthenticated(), ok()) as server, carried(server.url, config=config(bearer)) as transport:
        await transport.call("POST", SESSIONS, {}, {})
        sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer token-1", "Bearer token-2"]


async def test_a_new_file_ends_the_refusal_without_a_restart(tmp_path: Path) -> None:
    path = held(tmp_path / "token", "old-token")
    bearer = config(Bearer(file=path))
    async with FaultServer(unauthenticated(), ok()) as server, carried(server.url, config=bearer) as transport:
        for _ in range(2):
            with pytest.raises(Unauthenticated, match="Write a valid token into"):
                await transport.call("GET", SESSIONS, safe=True)
        held(path, "new-token")
        await transport.call("GET", SESSIONS, safe=True)
        sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer old-token", "Bearer new-token"]


async def test_each_auth_has_its_credentials() -> None:
    from jupyter_sessions.upstream.google import GoogleCredentials

    assert isinstance(make_credentials(replace(BASE, auth=Auth.GOOGLE)), GoogleCredentials)
    assert isinstance(make_credentials(config(Bearer(environment="X"))), BearerCredentials)
    nothing = make_credentials(BASE)
    assert isinstance(nothing, NoCredentials)
    assert await nothing.headers() == {}
    nothing.refused({})
    assert "/etc/locations.yaml" in nothing.remedy()[0]


def test_no_credentials_show_in_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_TOKEN", "from-environment")
    credentials = BearerCredentials(config(Bearer(environment="OUR_TOKEN", command=("x", "secret-argument"))))
    assert "from-environment" not in repr(vars(credentials))
    assert "secret-argument" not in repr(config(credentials._bearer))
