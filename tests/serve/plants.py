"""What a user puts in place of their own session's files, as code for their kernel, by what it is meant to do.

``DIRECTORY`` is the session's, ``BOBS`` another user's session's, ``SECRET`` a file of root's.
"""

PLANTS = {
    "links to what is root's": """
targets = {"log/host.log": "/etc/shadow", "token": "/etc/shadow", "ready.json": SECRET, "end.json": SECRET}
for name, target in targets.items():
    put(name, lambda path: os.symlink(target, path))
""",
    "links to what is Bob's": """
for name in ("log/host.log", "token", "ready.json", "heartbeat.json", "host.json", "host.lock", "intent.json"):
    put(name, lambda path: os.symlink(f"{BOBS}/{name}", path))
""",
    "the socket is a link to Bob's": """
put("host.sock", lambda path: os.symlink(f"{BOBS}/host.sock", path))
""",
    "the address and the token are Bob's": """
ready = json.load(open("ready.json"))
ready["address"] = f"unix:{BOBS}/host.sock"
put("ready.json", lambda path: open(path, "w").write(json.dumps(ready)))
""",
    "links to the system's own": """
targets = {"log/host.log": "/proc/self/maps", "token": "/proc/self/environ", "heartbeat.json": "/dev/zero"}
for name, target in targets.items():
    put(name, lambda path: os.symlink(target, path))
""",
    "pipes that nobody writes to": """
for name in ("log/host.log", "log/offsets.json", "token", "ready.json", "heartbeat.json", "marked.json", "host.lock"):
    put(name, os.mkfifo)
""",
    "files without an end": """
for name in ("log/host.log", "token", "heartbeat.json", "ready.json", "marked.json", "end.json", "log/offsets.json"):
    put(name, lambda path: open(path, "w").truncate(1 << 40))
""",
    "records that are none": """
for name in ("heartbeat.json", "ready.json", "marked.json", "end.json", "log/offsets.json", "host.json"):
    put(name, lambda path: open(path, "w").write("[" * 500_000))
""",
    "the directory is a link to Bob's": """
os.rename(DIRECTORY, DIRECTORY + ".away")
os.symlink(BOBS, DIRECTORY)
""",
    "the log's directory is a link to Bob's": """
os.rename("log", "gone")
os.symlink(f"{BOBS}/log", "log")
""",
}
PUT = """
import json, os
os.chdir(DIRECTORY)
def put(name, make):
    try:
        os.unlink(name)
    except FileNotFoundError:
        pass
    make(name)
"""
