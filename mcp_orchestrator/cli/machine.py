"""What the machine must have, and whether it has it: one finding for each question."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from orchestrator_memory.sqlite import sqlite3

if TYPE_CHECKING:
    from mcp_orchestrator.settings import Settings

__all__ = ["Finding", "bounds", "machine"]

DISTRIBUTION = "mcp-ml-orchestrator"
OLDEST = (3, 11)
SAFE_SQLITE = (3, 51, 3)
GB = 1024**3
LITTLE_DISK, SOME_DISK = 0.5 * GB, 5 * GB
LITTLE_MEMORY, SOME_MEMORY = 0.5 * GB, 2 * GB
REMOTE = {"9p", "afs", "ceph", "cifs", "fuse.sshfs", "glusterfs", "lustre", "nfs", "nfs4", "smb3", "smbfs", "vboxsf"}


@dataclass(frozen=True)
class Finding:
    """One answer: what was looked at, how it is, and what to do."""

    check: str
    state: Literal["ok", "note", "problem"]
    text: str
    then: str = ""


def machine(settings: Settings) -> Iterator[Finding]:
    """Look at everything that can be seen without starting anything."""
    yield _python()
    declared = _declared()
    if declared is None:
        then = f"Install the project, as in: pip install -e . (it is called {DISTRIBUTION})."
        yield Finding("packages", "note", "Not installed as a package, so versions were not compared.", then)
    else:
        yield from bounds(declared)
    yield _command()
    yield _sqlite()
    yield _disk(settings.home)
    yield _memory()
    yield _cores(settings.workers)
    yield from _home(settings.home)


def bounds(declared: Iterable[str]) -> Iterator[Finding]:
    """Compare what is installed with requirements such as ``pandas>=2.3,<4``; an extra is there or can be had."""
    from packaging.requirements import Requirement

    asked = [Requirement(text) for text in declared]
    core = [one for one in asked if one.marker is None or one.marker.evaluate({"extra": ""})]
    wrong = [(one, found) for one in core if (found := _installed(one.name)) is None or found not in one.specifier]
    for one, found in wrong:
        text = f"{one.name} {found or 'is not installed'}, but {one.specifier} is needed."
        yield Finding("packages", "problem", text, f'pip install "{one.name}{one.specifier}"')
    if not wrong:
        yield Finding("packages", "ok", f"{len(core)} packages are installed within their bounds.")
    extras: dict[str, list[Requirement]] = {}
    for one in asked:
        if one not in core and one.marker is not None and "extra" in str(one.marker):
            extras.setdefault(str(one.marker).rpartition("extra == ")[2].strip("\"' )"), []).append(one)
    for name, parts in extras.items():
        missing = [one.name for one in parts if (found := _installed(one.name)) is None or found not in one.specifier]
        if missing:
            text = f"Not installed: {', '.join(missing)}. Everything else works without."
            yield Finding(f"extra {name}", "note", text, f'pip install "{DISTRIBUTION}[{name}]"')
        else:
            yield Finding(f"extra {name}", "ok", ", ".join(f"{one.name} {_installed(one.name)}" for one in parts))


def _declared() -> list[str] | None:
    try:
        return requires(DISTRIBUTION)
    except PackageNotFoundError:
        return None


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _python() -> Finding:
    text = f"Python {sys.version.split()[0]} at {sys.executable}"
    if sys.version_info < OLDEST:
        return Finding("python", "problem", text, "Use Python 3.11 or later.")
    return Finding("python", "ok", text)


def _command() -> Finding:
    found = shutil.which("mcp-orchestrator")
    if found:
        return Finding("command", "ok", f"mcp-orchestrator is {found}")
    then = f"In a client's configuration, give the command as: {sys.executable} -m mcp_orchestrator serve"
    return Finding("command", "note", "mcp-orchestrator is not on the PATH.", then)


def _sqlite() -> Finding:
    text = f"SQLite {sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info < SAFE_SQLITE:
        text += (
            " is older than 3.51.3 and can damage a write-ahead log under several writers; a lock prevents that here."
        )
        return Finding("sqlite", "note", text, "Nothing, unless other programs write to the same files.")
    return Finding("sqlite", "ok", text)


def _disk(home: Path) -> Finding:
    place = _existing(home)
    free = shutil.disk_usage(place).free
    text = f"{free / GB:.1f} GB free at {place}"
    if free < LITTLE_DISK:
        return Finding("disk", "problem", text, "Make room, or put the state elsewhere with MCP_ORCHESTRATOR_HOME.")
    if free < SOME_DISK:
        return Finding("disk", "note", text, "Tables, models and experiments are kept; large ones may not fit.")
    return Finding("disk", "ok", text)


def _memory() -> Finding:
    import psutil

    found = psutil.virtual_memory()
    limit = _group_limit()
    total, free = min(found.total, limit or found.total), min(found.available, limit or found.available)
    text = f"{free / GB:.1f} of {total / GB:.1f} GB free"
    then = "Close other programs, or set MCP_ORCHESTRATOR_WORKERS=1."
    if free < LITTLE_MEMORY:
        return Finding("memory", "problem", text, then)
    return Finding("memory", "note", text, then) if free < SOME_MEMORY else Finding("memory", "ok", text)


def _group_limit() -> int | None:
    """Return the memory that a container may use, where there is a limit."""
    try:
        return int(Path("/sys/fs/cgroup/memory.max").read_text("ascii"))
    except (OSError, ValueError):
        return None


def _cores(workers: int) -> Finding:
    text = f"{os.cpu_count()} cores; {workers} steps run side by side"
    if workers > (os.cpu_count() or 1):
        then = "More workers than cores slow each other down; lower MCP_ORCHESTRATOR_WORKERS."
        return Finding("cores", "note", text, then)
    return Finding("cores", "ok", text)


def _home(home: Path) -> Iterator[Finding]:
    place = _existing(home)
    there = "" if home.exists() else " (made on first use)"
    if not os.access(place, os.W_OK | os.X_OK) or not place.is_dir():
        then = f"Give yourself the right to write to {place}, or choose another folder with MCP_ORCHESTRATOR_HOME."
        yield Finding("home", "problem", f"{home} cannot be written.", then)
        return
    if home.exists() and home.stat().st_mode & 0o077:
        yield Finding("home", "note", f"{home} can be read by others on this machine.", f"chmod 700 {home}")
    else:
        yield Finding("home", "ok", f"{home} can be written{there}")
    kind = _file_system(place)
    if kind in REMOTE:
        text = f"{home} lies on a network file system ({kind}), where a database's locks cannot be trusted."
        yield Finding("file system", "problem", text, "Set MCP_ORCHESTRATOR_HOME to a folder on a local disk.")
    else:
        yield Finding("file system", "ok", kind or "not known")


def _existing(path: Path) -> Path:
    return next(one for one in (path, *path.parents) if one.exists())


def _file_system(path: Path) -> str:
    """Return the kind of file system that a folder lies on."""
    import psutil

    mounts = {Path(one.mountpoint): one.fstype for one in psutil.disk_partitions(all=True)}
    resolved = path.resolve()
    return next((mounts[one] for one in (resolved, *resolved.parents) if one in mounts), "")
