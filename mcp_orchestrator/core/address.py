"""Where the sockets of a state home lie. Standard library only, and little of it: a front starts with this."""

from __future__ import annotations

import os

__all__ = ["address"]

LONGEST = 100  # bytes; the kernels allow 104 (macOS) to 108 (Linux) with the end


def address(home: str, name: str) -> str:
    """Return the path of the socket ``name`` of a state home.

    It lies in the home; where that makes the path longer than a socket's may be, in a folder below the temporary
    directory, named by a digest of the home, which belongs to this user alone.

    Raises:
        PermissionError: the folder below the temporary directory is another user's, or open to others.

    """
    path = os.path.join(home, name)  # noqa: PTH118 - pathlib costs a front more than all else here
    if len(os.fsencode(path)) <= LONGEST:
        return path
    import hashlib  # noqa: PLC0415 - only for long paths
    import tempfile  # noqa: PLC0415

    digest = hashlib.sha256(os.fsencode(os.path.realpath(home))).hexdigest()[:16]
    folder = os.path.join(tempfile.gettempdir(), f"mcp-orchestrator-{os.getuid()}-{digest}")  # noqa: PTH118
    try:
        os.mkdir(folder, 0o700)  # noqa: PTH102
    except FileExistsError:
        found = os.lstat(folder)
        if found.st_uid != os.getuid() or found.st_mode & 0o077 or not os.path.isdir(folder):  # noqa: PTH112
            message = f"{folder} is not this user's alone; remove it, or choose a state home with a shorter path."
            raise PermissionError(message) from None
    return os.path.join(folder, name)  # noqa: PTH118
