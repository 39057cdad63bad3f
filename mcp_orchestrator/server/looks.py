"""What can be listened to: how it looks, to be compared with before, and how to see that it may look different."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import unquote

from mcp_orchestrator.core.output import log_of
from mcp_orchestrator.errors import UnknownName

if TYPE_CHECKING:
    from mcp_orchestrator.app import Orchestrator

__all__ = ["LIST", "NEWEST", "WHAT", "changes", "look"]

LIST = ""
"""In place of an address: which runs and models there are."""
NEWEST = 20
"""Runs that are listed as resources."""
WHAT = "run://RUN, run://RUN/log, model://NAME and memory://..., as resources/templates/list has them"
RUN = re.compile(r"run://([0-9a-f]{6,32})(?:/(log|events|timeline))?", re.ASCII)
MODEL = re.compile(r"model://([^/]+)")
WHOLE = 32


def look(orchestrator: Orchestrator, address: str) -> object:
    """Return what an address shows, as far as it is to be told of; takes a few milliseconds.

    Raises:
        LookupError: no resource that changes has such an address.

    """
    if address == LIST:
        runs = [one.id for one in orchestrator.journal.runs(most=NEWEST)]
        return runs, orchestrator.versions.names()
    if address.startswith("memory://"):
        from mcp_orchestrator.server import memory

        return memory.look(orchestrator, address)
    if fits := RUN.fullmatch(address):
        return _run(orchestrator, fits[1], fits[2])
    if fits := MODEL.fullmatch(address):
        version = orchestrator.versions.get(unquote(fits[1]))
        return version.name, version.version, version.aliases
    raise UnknownName("resource", address)


def changes(orchestrator: Orchestrator, addresses: Iterable[str]) -> object:
    """Return something that is different after any of the addresses may have changed; asking costs microseconds.

    The memory is not opened unless one of them is in it.
    """
    known = list(addresses)
    remembered = any(one.startswith("memory://") for one in known)
    logs = [fits[1] for one in known if (fits := RUN.fullmatch(one)) and fits[2] == "log"]
    return (
        orchestrator.memory.changes() if remembered else 0,
        orchestrator.journal.changes() if any(not one.startswith("memory://") for one in known) else 0,
        [_length(orchestrator, one) for one in logs],
    )


def _run(orchestrator: Orchestrator, run: str, part: str | None) -> object:
    row = orchestrator.engine.seen(orchestrator.journal.run(run))
    if part == "log":
        return _length(orchestrator, row.id)
    return row.status, row.progress, row.message, orchestrator.journal.changed(row.id)


def _length(orchestrator: Orchestrator, run: str) -> tuple[int, int] | None:
    """Return which file the log of a run is, and how long; it is turned over when it is too long."""
    name = run if len(run) == WHOLE else orchestrator.journal.run(run).id
    try:
        about = log_of(orchestrator.settings.home, name).stat()
    except FileNotFoundError:
        return None
    return about.st_ino, about.st_size
