"""Ending a process with all that descends from it, and finding what a dead owner left behind.

Three ways lead to a descendant. Parentage: on Linux a worker is the reaper of its own descendants, so that a child
whose parent ended becomes the worker's own. The process group, which a worker leads. And a mark in the environment,
which children inherit: it finds those that left the group after their worker had died.

All functions block, for milliseconds; an event loop calls them in a thread.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from mcp_orchestrator.errors import WorkerLost

__all__ = [
    "MARK",
    "WIDTH",
    "adopt_orphans",
    "birth",
    "children",
    "descendants",
    "die_with",
    "end",
    "identity",
    "mark",
    "sweep",
    "works",
]

MARK = "MCP_ORCHESTRATOR_STEP"
WIDTH = 160
PROC = Path("/proc")
LINUX = sys.platform == "linux"
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
STATE, GROUP, STARTED = 0, 2, 19  # fields of /proc/PID/stat behind the name; see proc_pid_stat(5)
LONGEST = 30.0


def identity(home: Path) -> str:
    """Return what tells an existing state home from any other on this machine, by whatever path it is reached."""
    found = home.stat()
    return f"{found.st_dev:x}-{found.st_ino:x}"


def mark(place: str, serial: str = "", label: str = "") -> str:
    """Return the mark of a task of this process: `identity` of the state home, owner, ``serial``, ``label`` for people.

    All marks are `WIDTH` characters long, so that one can be written over another.
    """
    text = f"{place}:{_owner(os.getpid())}:{serial}:{label}"
    return text.encode("ascii", "replace").decode()[:WIDTH].ljust(WIDTH)


def works(pid: int) -> bool:
    """Whether a process is there and has not ended; a zombie has."""
    return _state(pid) not in {"", "Z", "X"}


def birth(pid: int) -> int:
    """Return when a process began, in a unit of the system that no change of the clock moves; 0 if there is none."""
    if LINUX:
        fields = _stat(pid)
        return int(fields[STARTED]) if fields else 0
    import psutil  # noqa: PLC0415 - only where there is no /proc

    try:
        return int(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0


def children(pid: int) -> list[int]:
    """Return the processes whose parent a process is, on Linux."""
    found: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - numbers, not paths
            with suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", "rb") as file:  # noqa: PTH123
                found.extend(int(one) for one in file.read().split())
    return found


def descendants(pid: int) -> list[int]:
    """Return the processes that descend from a process, nearest first."""
    if LINUX:
        found = children(pid)
        for one in found:
            found.extend(children(one))
        return found
    import psutil  # noqa: PLC0415 - only where there is no /proc

    try:
        return [one.pid for one in psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return []


def end(pid: int, born: int = 0, sign: str = "") -> int:
    """End a process, its group, its descendants and all that carries the mark ``sign``; return how many these were.

    Does nothing to another process that has the id by now, which is what ``born`` tells. When this returns, nothing
    of it uses a processor.

    Raises:
        WorkerLost: the system did not end a process within 30 seconds.

    """
    until = time.monotonic() + LONGEST
    ended: set[int] = set()
    if not born or birth(pid) in {born, 0}:
        _send(pid, signal.SIGSTOP)  # it starts nothing more, and orphans come to it, where they are found
        while family := [one for one in descendants(pid) if works(one)]:
            _kill(family, ended, until)
        if works(pid):
            _kill([pid], ended, until)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        while group := _left(pid, sign):
            _kill(group, ended, until)
    else:
        while marked := _left(0, sign):
            _kill(marked, ended, until)
    return len(ended)


def sweep(home: Path) -> int:
    """End every process that works for this state home and whose owner is dead; return how many these were."""
    until = time.monotonic() + LONGEST
    ended: set[int] = set()
    place = identity(home)
    while left := [pid for pid, sign in _marked(f"{place}:") if _orphaned(sign) and works(pid)]:
        _kill([*left, *(one for pid in left for one in descendants(pid))], ended, until)
    return len(ended)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends; does nothing on other systems than Linux."""
    if LINUX:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with(parent: int) -> None:
    """Have the system kill this process when its parent dies; a parent that is dead already is noticed here."""
    if LINUX:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _kill(pids: list[int], ended: set[int], until: float) -> None:
    """Kill processes and wait until none of them works."""
    for pid in pids:
        _send(pid, signal.SIGKILL)
    ended.update(pids)
    while left := [pid for pid in pids if works(pid)]:
        if time.monotonic() > until:
            raise WorkerLost(f"The system did not end the processes {left} within {LONGEST:g} seconds.")
        time.sleep(0.001)


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _left(group: int, sign: str) -> list[int]:
    """Return the processes of a group, or with a mark, that still work."""
    found = {pid for pid, _ in _marked(sign)} if sign else set[int]()
    if group and LINUX:
        for pid in _all():
            fields = _stat(pid)
            if fields and int(fields[GROUP]) == group:
                found.add(pid)
    return [pid for pid in found if pid != os.getpid() and works(pid)]


def _marked(start: str) -> Iterator[tuple[int, str]]:
    """Go through the processes of this user whose mark begins with ``start``."""
    if not LINUX:
        import psutil  # noqa: PLC0415 - only where there is no /proc

        for one in psutil.process_iter():
            with suppress(psutil.Error):
                if (sign := one.environ().get(MARK, "")).startswith(start):
                    yield one.pid, sign
        return
    name, wanted = f"{MARK}=".encode(), f"{MARK}={start}".encode()
    for pid in _all():
        with suppress(OSError):
            for line in (PROC / str(pid) / "environ").read_bytes().split(b"\0"):
                if line.startswith(wanted):
                    yield pid, line.removeprefix(name).decode()


def _orphaned(sign: str) -> bool:
    """Whether the owner that a mark names is dead."""
    pid, _, born = sign.split(":")[1].partition(".")
    return birth(int(pid)) != int(born) or not works(int(pid))


@cache
def _owner(pid: int) -> str:
    return f"{pid}.{birth(pid)}"


def _all() -> list[int]:
    return [int(one) for one in os.listdir(PROC) if one.isdecimal()]  # noqa: PTH208 - numbers, not paths


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat that follow the name, which may hold anything."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - read thousands of times a second
            return file.read().rpartition(b")")[2].decode().split()
    except OSError:
        return []


def _state(pid: int) -> str:
    if LINUX:
        fields = _stat(pid)
        return fields[STATE] if fields else ""
    import psutil  # noqa: PLC0415 - only where there is no /proc

    try:
        status = psutil.Process(pid).status()
    except psutil.Error:
        return ""
    return "Z" if status == psutil.STATUS_ZOMBIE else "R"
