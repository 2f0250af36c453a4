"""Two users of one service, as two accounts of the machine: what code in one's kernel tries on the other's fails."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import pwd
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from jupyter_sessions.engines.process import rights
from tests.real.kernel import KernelSocket
from tests.serve import attacks
from tests.serve.gatewaying import GatewayUser, activate, served_for_long
from tests.serve.plants import PLANTS, PUT
from tests.serve.serving import LOCATION, Served, until

SECRET = "a-secret-of-the-service"
PROGRAM = Path(attacks.__file__).read_text()
KEYS = """
import ctypes
libc = ctypes.CDLL(None)
libc.syscall.restype = ctypes.c_long
def add():
    return libc.syscall(248, b"user", b"js-test-key", b"secret", ctypes.c_long(6), ctypes.c_long(-3))
def search():
    return libc.syscall(250, ctypes.c_long(10), ctypes.c_long(-3), b"user", b"js-test-key", ctypes.c_long(0))
def read(key):
    return libc.syscall(250, ctypes.c_long(11), ctypes.c_long(key), ctypes.create_string_buffer(64), ctypes.c_long(64))
"""
"""Puts a key into the session keyring, looks for it, reads one: add_key and keyctl."""
PROMPT = 20.0
"""Seconds in which a service that is not kept waiting answers."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service on which Alice attacks and Bob has a session with a kernel."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root, on Linux, serves several accounts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRET_OF_THE_SERVICE", SECRET)
        # As from a login: the service, and all that it starts, would have one keyring.
        rights.fresh_keyring()
        with served_for_long(tmp_path_factory.mktemp("accounts"), ["alice", "bob"]) as running:
            activate(running, "bob", "bobs-own")
            activate(running, "alice", "alices-own")
            yield running


@pytest.fixture(scope="module")
def bob(served: Served) -> Iterator[KernelSocket]:
    """Bob's kernel."""
    yield from kernel_of(served, "bob", "bobs-own")


@pytest.fixture(scope="module")
def alice(served: Served, bob: KernelSocket) -> Iterator[KernelSocket]:
    """Alice's kernel, with the attacks loaded."""
    for socket in kernel_of(served, "alice", "alices-own"):
        socket.text(PROGRAM)
        yield socket


@pytest.fixture(autouse=True)
def all_is_well_afterwards(served: Served, bob: KernelSocket) -> Iterator[None]:
    """After each attack the service answers at once, and Bob's session lives and is as it was."""
    before = what(served, "bobs-own")
    yield
    begun = time.monotonic()
    answer = served.request("bob", "GET", f"v1/{LOCATION}/sessions/bobs-own")
    assert answer.json()["state"] == "ACTIVE"
    assert served.request("", "GET", "healthz").status_code == 200
    assert time.monotonic() - begun < PROMPT
    assert bob.text("print(6 * 7)") == "42\n"
    after = what(served, "bobs-own")
    assert (after["pids"], after["locks"], after["uid"]) == (before["pids"], before["locks"], before["uid"])


def kernel_of(served: Served, user: str, session: str) -> Iterator[KernelSocket]:
    """Start a kernel in a session and open it."""
    someone = GatewayUser(served, user)
    with someone.closing:
        socket = someone.channels(someone.start(f"{session}.python3"))
        socket.ready()
        yield socket


def session_of(served: Served, session: str) -> dict[str, Any]:
    """Give a session as its user sees it."""
    user = "bob" if session.startswith("bob") else "alice"
    found: dict[str, Any] = served.request(user, "GET", f"v1/{LOCATION}/sessions/{session}").json()
    return found


def home_of(served: Served, session: str) -> Path:
    """Give the directory of a session's host."""
    user = "bob" if session.startswith("bob") else "alice"
    return Path(served.places) / "accounts" / user / str(session_of(served, session)["uuid"])


def what(served: Served, session: str) -> attacks.Target:
    """Give everything there is to attack of a session, as only root can know it."""
    directory = home_of(served, session)
    uuid = directory.name
    found = list(directory.rglob("*"))
    marked = [process for process in served.processes() if uuid in process.environ()["JUPYTER_SESSIONS_MARK"]]
    host = [process.pid for process in marked if "jupyter_sessions.host" in process.cmdline()]
    return {
        "account": str(directory.parent),
        "directories": [str(directory), *(str(path) for path in found if path.is_dir())],
        "files": [str(path) for path in found if path.is_file()],
        "sockets": [str(path) for path in found if path.is_socket()],
        "pids": host + [process.pid for process in marked if process.pid not in host],
        "locks": [str(served.data_dir / "sessions" / uuid / "act.lock"), str(directory / "host.lock")],
        "uid": directory.stat().st_uid,
        "ports": [each.laddr[1] for process in marked for each in process.net_connections("inet") if not each.raddr],
    }


def tried(alice: KernelSocket, target: attacks.Target, attempts: str) -> list[str]:
    """Have Alice's kernel try ``attempts`` on a target; give those that succeeded."""
    found: list[str] = json.loads(alice.text(f"import json; print(json.dumps(attack({target!r}, {attempts})))"))
    return found


def test_each_session_runs_as_its_users_account(served: Served, alice: KernelSocket) -> None:
    for user, session in (("alice", "alices-own"), ("bob", "bobs-own")):
        entry = pwd.getpwnam(user)
        target = what(served, session)
        assert len(target["pids"]) >= 2 and len(target["sockets"]) > 1 and len(target["files"]) > 5
        for pid in target["pids"]:
            process = psutil.Process(pid)
            assert set(process.uids()) == {entry.pw_uid}
            assert set(process.gids()) == {entry.pw_gid}
            assert SECRET not in process.environ().values()
            assert process.environ()["HOME"] == entry.pw_dir
            # IPython's own, which takes the output of forked processes from who knows its secret, and says nothing.
            ports = [each for each in process.net_connections(kind="inet") if each.status == psutil.CONN_LISTEN]
            assert len(ports) <= ("ipykernel_launcher" in process.cmdline()), "every account could reach it"
            for handle in Path(f"/proc/{pid}/fd").iterdir():
                assert not os.path.realpath(handle).startswith(str(served.home)), "nothing of root's came with it"
        for path in (*target["directories"], *target["files"], *target["sockets"]):
            assert os.lstat(path).st_uid == entry.pw_uid and not os.lstat(path).st_mode & 0o077, path


def test_alice_may_do_to_her_own_what_is_tried_on_bobs(served: Served, alice: KernelSocket) -> None:
    """Were a try no try, its failing on another's would say nothing."""
    own = what(served, "alices-own")
    assert set(tried(alice, own, "ATTACKS")) == set(attacks.ATTACKS)


def test_nothing_of_bobs_session_can_be_got_at(served: Served, alice: KernelSocket) -> None:
    assert tried(alice, what(served, "bobs-own"), "{**ATTACKS, **MORE}") == []


def test_nothing_of_the_service_can_be_got_at(served: Served, alice: KernelSocket) -> None:
    children = [process.pid for process in psutil.Process(served.pid).children(recursive=True)]
    found = [path for path in served.home.rglob("*") if not path.is_symlink()]
    target: attacks.Target = {
        "account": str(Path(served.places) / "accounts"),
        "directories": [str(served.data_dir), *(str(path) for path in found if path.is_dir())],
        "files": [str(path) for path in found if path.is_file()],
        "sockets": [],
        "pids": [served.pid, *(pid for pid in children if not psutil.Process(pid).uids().real)],
        "locks": [str(path) for path in found if path.name == "act.lock"],
        "uid": 0,
        "ports": [],
    }
    names = {path.name for path in found}
    assert {"sessions.db", "tokens", "act.lock", "intent.json"} <= names
    assert tried(alice, target, "{**ATTACKS, **MORE}") == []
    # What the machine shows to everybody must hold no secret either.
    shown = alice.text(f"print(open('/proc/{served.pid}/cmdline').read())")
    assert served.token("bob") not in shown and SECRET not in shown


def test_the_services_port_gives_alice_nothing_of_bobs(served: Served, alice: KernelSocket) -> None:
    code = f"""
import urllib.error, urllib.request
for header in ({{}}, {{"Authorization": "Bearer {served.token("alice")}"}}):
    for path in ("v1/{LOCATION}/sessions/bobs-own", "v1/{LOCATION}/sessions/bobs-own/logs", "api/kernels/{{kernel}}"):
        url = f"{served.url}/{{path}}".replace("{{kernel}}", "KERNEL")
        try:
            print(urllib.request.urlopen(urllib.request.Request(url, headers=header)).status)
        except urllib.error.HTTPError as error:
            print(error.code)
"""
    kernel = next(iter(GatewayUser(served, "bob").kernels()))
    codes = alice.text(code.replace("KERNEL", kernel)).split()
    assert codes == ["403", "403", "403", "404", "404", "404"] or codes == ["401", "401", "401", "404", "404", "404"]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers of system calls are this processor's")
def test_no_key_of_bobs_is_in_alices_keyring(alice: KernelSocket, bob: KernelSocket) -> None:
    bob.text(KEYS)
    if (key := int(bob.text("print(add())"))) < 0:
        pytest.skip("this system keeps no keys, or lets nobody near them")
    assert int(bob.text("print(search())")) == key
    alice.text(KEYS)
    assert alice.text("print(search())") == "-1\n"
    assert alice.text(f"print(read({key}))") == "-1\n"


def other_session(served: Served, name: str, alice: KernelSocket) -> Path:
    """Give a further session of Alice's, on whose files she can lay hands; its kernel is one of another session."""
    activate(served, "alice", name)
    return home_of(served, name)


def looked_at(served: Served, session: str) -> str:
    """Have the service look at a session for some time, in every way that reads its files; give all that it said."""
    said = []
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        for path in (f"{session}", f"{session}/logs", f"{session}/logs?offset=-1000", f"{session}/kernels"):
            begun = time.monotonic()
            answer = served.request("alice", "GET", f"v1/{LOCATION}/sessions/{path}")
            said.append(answer.text)
            assert time.monotonic() - begun < PROMPT, path
        begun = time.monotonic()
        assert served.request("bob", "GET", f"v1/{LOCATION}/sessions/bobs-own").ok
        assert time.monotonic() - begun < PROMPT
    return "".join(said)


def ended(served: Served, session: str) -> None:
    """Delete a session and wait until nothing is left of it."""
    directory = home_of(served, session)
    served.request("alice", "DELETE", f"v1/{LOCATION}/sessions/{session}")

    def gone() -> bool:
        return served.request("alice", "GET", f"v1/{LOCATION}/sessions/{session}").status_code == 404

    asyncio.run(until(gone, f"{session} to be removed", 40.0))
    assert not directory.exists()


@pytest.mark.parametrize("number", range(len(PLANTS)), ids=[name.replace(" ", "-") for name in PLANTS])
def test_what_alice_plants_gives_her_nothing_and_keeps_nobody_waiting(
    served: Served, alice: KernelSocket, bob: KernelSocket, number: int
) -> None:
    directory = other_session(served, f"alices-{number}", alice)
    bobs = home_of(served, "bobs-own")
    secret = served.home / "tokens"
    known = f"DIRECTORY, BOBS, SECRET = {str(directory)!r}, {str(bobs)!r}, {str(secret)!r}\n"
    alice.text(known + PUT + list(PLANTS.values())[number])
    marker = "bobs-output-in-his-log"
    bob.text(f"import os; os.write(2, b'{marker}')")
    said = looked_at(served, f"alices-{number}")
    for hidden in ("root:", "daemon:", marker, (bobs / "token").read_text(), served.token("bob"), "libc.so"):
        assert hidden not in said
    if "away" in PLANTS[list(PLANTS)[number]]:
        alice.text("os.unlink(DIRECTORY); os.rename(DIRECTORY + '.away', DIRECTORY)")
    alice.text("os.chdir('/')")
    ended(served, f"alices-{number}")


def test_no_process_of_anothers_ends_with_alices_session(served: Served, alice: KernelSocket) -> None:
    directory = other_session(served, "alices-list", alice)
    pids = [*what(served, "bobs-own")["pids"], served.pid, os.getpid(), 1]
    code = f"""
import json, os, subprocess, time
rows = []
for pid in {pids!r}:
    fields = open(f"/proc/{{pid}}/stat").read().rpartition(")")[2].split()
    rows.append([pid, int(fields[19]) / os.sysconf("SC_CLK_TCK")])
writing = subprocess.Popen(["python3", "-c", '''
import json, sys, time, os
end = time.time() + 20
while time.time() < end:
    try:
        open("marked.json.mine", "w").write(sys.argv[1])
        os.replace("marked.json.mine", "marked.json")
    except OSError:
        pass
    time.sleep(0.005)
''', json.dumps(rows)], cwd={str(directory)!r})
"""
    alice.text(code)
    ended(served, "alices-list")
    alice.text("writing.kill(); writing.wait()")
    assert all(psutil.pid_exists(pid) for pid in pids)


def test_a_mark_of_bobs_session_makes_no_process_bobs(served: Served, alice: KernelSocket) -> None:
    activate(served, "bob", "bobs-second")
    target = what(served, "bobs-second")
    mark = psutil.Process(target["pids"][0]).environ()["JUPYTER_SESSIONS_MARK"]
    code = f"""
import os, subprocess
sleeper = subprocess.Popen(["sleep", "60"], env={{"JUPYTER_SESSIONS_MARK": {mark!r}}})
print(sleeper.pid)
"""
    sleeper = psutil.Process(int(alice.text(code)))
    served.request("bob", "DELETE", f"v1/{LOCATION}/sessions/bobs-second")

    def gone() -> bool:
        return served.request("bob", "GET", f"v1/{LOCATION}/sessions/bobs-second").status_code == 404

    asyncio.run(until(gone, "Bob's second session to be removed", 20.0))
    assert sleeper.is_running() and sleeper.status() == psutil.STATUS_SLEEPING
    alice.text("sleeper.kill(); sleeper.wait()")


def test_a_directory_that_changes_while_it_is_removed_leads_nowhere_else(served: Served, alice: KernelSocket) -> None:
    directory = other_session(served, "alices-swapped", alice)
    victim = served.home / "roots"
    victim.mkdir()
    (victim / "kept").write_text("kept")
    code = f"""
import os, subprocess
swapping = subprocess.Popen(["python3", "-c", '''
import os, sys, time
directory, victims = sys.argv[1], sys.argv[2:]
end = time.time() + 4
number = 0
while time.time() < end:
    number += 1
    try:
        os.rename(directory, directory + ".away")
        os.symlink(victims[number % 2], directory)
        os.unlink(directory)
        os.rename(directory + ".away", directory)
        if number % 50 == 0:
            path = directory
            for _ in range(300):
                path += "/deep"
                os.mkdir(path)
    except OSError:
        pass
''', {str(directory)!r}, {str(victim)!r}, {str(home_of(served, "bobs-own"))!r}])
"""
    alice.text(code)
    served.request("alice", "DELETE", f"v1/{LOCATION}/sessions/alices-swapped")
    looked_at(served, "alices-swapped")
    alice.text("swapping.wait(20)")

    def gone() -> bool:
        return served.request("alice", "GET", f"v1/{LOCATION}/sessions/alices-swapped").status_code == 404

    asyncio.run(until(gone, "the session to be removed", 40.0))
    assert (victim / "kept").read_text() == "kept"
