"""Where a session's socket and locks may lie: a path short enough for a socket, on a file system of this machine."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from pathlib import Path

SOCKET_PATH_BYTES = 107 if sys.platform == "linux" else 103
"""What the system allows a Unix socket's path."""

SOCKET_NAME_BYTES = 12
"""What the names inside a socket directory may take: the host's own and those of its kernels."""

NETWORK_FILE_SYSTEMS = frozenset(
    "9p afpfs afs beegfs ceph cifs davfs fuse.ceph fuse.glusterfs fuse.rclone fuse.s3fs fuse.sshfs glusterfs gpfs "
    "lustre ncpfs nfs nfs4 ocfs2 orangefs panfs pvfs2 smb2 smb3 smbfs virtiofs webdav".split()
)


def on_network(path: Path) -> bool:
    """Say whether ``path`` lies on a network file system, as far as the system's mount table tells."""
    import psutil  # here: a server that never starts a session need not load it

    target = os.path.realpath(path)
    best, kind = "", ""
    for part in psutil.disk_partitions(all=True):
        mount = part.mountpoint.rstrip("/")
        inside = target == mount or target.startswith(mount + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, part.fstype
    return kind.lower() in NETWORK_FILE_SYSTEMS


def socket_directory(directory: Path, session_uuid: str) -> Path:
    """Give (and make) the directory for a session's sockets: its own, else a private one under the temporary one.

    Raises OSError: PermissionError where somebody else holds that place.
    """
    if fits(directory) and not on_network(directory):
        return directory
    return private_directory(session_uuid)


def private_directory(session_uuid: str) -> Path:
    """Give (and make) this session's 0700 directory under the machine's temporary directory.

    Also the place of the lock files of a session whose own directory is on a network file system. Raises OSError:
    PermissionError where somebody else holds that place.
    """
    name = short_name(session_uuid)
    bases = [Path(tempfile.gettempdir()), Path("/tmp")]  # noqa: S108 - owner and mode are checked below
    candidates = [base / f"jupyter-sessions-{os.geteuid()}" / name for base in bases]
    chosen = next((path for path in candidates if fits(path)), candidates[-1])
    _make_private(chosen.parent)
    _make_private(chosen)
    return chosen


def short_name(session_uuid: str) -> str:
    """Give what a session's directory is called where paths must be short."""
    return session_uuid.replace("-", "")[:16]


def fits(directory: Path) -> bool:
    """Say whether a directory's path is short enough for the sockets in it."""
    return len(os.fsencode(directory)) + SOCKET_NAME_BYTES <= SOCKET_PATH_BYTES


def _make_private(path: Path) -> None:
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise PermissionError(
            f"{path} must be a directory of user id {os.geteuid()} with mode 0700; it is held by user id "
            f"{found.st_uid} with mode {stat.S_IMODE(found.st_mode):04o}: remove it, or set TMPDIR to another place"
        )
