"""Where a file lies: on a disk of this machine, or on the file system of another one."""

from __future__ import annotations

from pathlib import Path

__all__ = ["network"]

MOUNTS = Path("/proc/self/mountinfo")
REMOTE = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "lustre", "beegfs", "gpfs", "9p", "fuse.sshfs"}
)


def network(path: Path) -> str | None:
    """Return the kind of network file system that a path lies on; None on a local one, or where that cannot be told."""
    try:
        lines = MOUNTS.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return None
    whole = path.resolve()
    found = ("", "")
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ", 1)[0]
        point = fields[4].replace("\\040", " ") if len(fields) > 4 else ""  # noqa: PLR2004 - proc(5)
        if point and whole.is_relative_to(point) and len(point) >= len(found[0]):
            found = (point, kind)
    return found[1] if found[1] in REMOTE else None
