"""The log file of a host in the background."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mcp_orchestrator.host.reach import LOG

__all__ = ["log_file", "rotate", "tail"]

MOST_BYTES = 5_000_000
KEPT = 3


def log_file(home: Path) -> Path:
    """Return where the log of the host of a state home lies."""
    return home / "logs" / LOG


def rotate(home: Path, most: int = MOST_BYTES) -> bool:
    """Begin a new log when the present one has grown past ``most`` bytes; the last three are kept.

    What this process writes to stdout and stderr, whoever writes it, goes to the new one.
    """
    path = log_file(home)
    if not path.exists() or path.stat().st_size <= most:
        return False
    for number in range(KEPT, 0, -1):
        older = path.with_name(f"{LOG}.{number}")
        newer = path.with_name(f"{LOG}.{number - 1}") if number > 1 else path
        if newer.exists():
            newer.replace(older)
    redirect(path)
    return True


def redirect(path: Path) -> None:
    """Send stdout and stderr of this process to the end of a file."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.dup2(handle, 1)
        os.dup2(handle, 2)
    finally:
        os.close(handle)


def tail(path: Path, lines: int) -> Iterator[str]:
    """Return the last ``lines`` lines of a file."""
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 1000 * lines))
        yield from file.read().decode("utf-8", "replace").splitlines()[-lines:]
