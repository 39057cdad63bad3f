"""How much memory a process takes with all that descends from it.

A limit of the system holds for one process each; what a step takes in several, only a look at all of them tells.
"""

from __future__ import annotations

from pathlib import Path

from mcp_orchestrator.core.kill import LINUX, descendants

__all__ = ["EVERY", "memory", "share"]

EVERY = 0.15
"""Seconds between two looks."""


def memory(pid: int, limit: float) -> float:
    """Return the megabytes that a process and its descendants take, pages that several share counted once.

    While the plain sum of resident memory stays below ``limit``, that sum is returned: it is never too small, and
    costs microseconds. Beyond it the shares are added up (PSS, see proc_pid_smaps(5)), which costs milliseconds.
    """
    family = [pid, *descendants(pid)]
    if not LINUX:
        return sum(map(_resident_elsewhere, family)) / (1 << 20)
    rough = sum(map(_resident, family)) / 1024
    return rough if rough <= limit else sum(map(share, family))


def _resident(pid: int) -> int:
    """Return the kilobytes that a process has in memory, shared ones included."""
    return _kilobytes(Path(f"/proc/{pid}/status"), "VmRSS:")


def share(pid: int) -> float:
    """Return the megabytes of a process, each page divided by the number of processes that share it."""
    if not LINUX:
        return _resident_elsewhere(pid) / (1 << 20)
    return _kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss:") / 1024


def _kilobytes(path: Path, name: str) -> int:
    try:
        lines = path.read_text("ascii", "replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)


def _resident_elsewhere(pid: int) -> int:
    import psutil  # noqa: PLC0415 - only where there is no /proc

    try:
        return psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return 0
