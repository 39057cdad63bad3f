"""What agents have reserved for themselves: who changes it, or builds on it, must hold it or find it free."""

from __future__ import annotations

import logging

from mcp_orchestrator.errors import NotReady, StateUnavailable
from mcp_orchestrator.settings import Settings
from orchestrator_memory.door import Busy
from orchestrator_memory.sqlite import sqlite3

__all__ = ["MEMORY", "guard"]

MEMORY = "memory.db"
log = logging.getLogger(__name__)


def guard(settings: Settings, resource: str, fence: int | None = None, *, alone: bool) -> None:
    """Refuse what somebody else's reservation stands in the way of.

    ``alone`` says that the resource is to be changed, which nobody else may hold then; otherwise only those who hold it
    for themselves alone are in the way. A ``fence`` is the number of one's own reservation, which must still stand.

    A memory that cannot be read stops nobody who only builds on the resource.

    Raises:
        NotReady: it is reserved by somebody else, or the reservation of the fence is over.
        StateUnavailable: what is reserved cannot be read, and the resource is to be changed.

    """
    path = settings.home / MEMORY
    if fence is None and not path.exists():
        return
    try:
        _refuse(settings, resource, fence, alone=alone)
    except (sqlite3.Error, OSError, Busy) as error:
        if alone or fence is not None:
            raise StateUnavailable(f"What is reserved cannot be read in {path}: {error}") from error
        log.warning("what is reserved cannot be read", exc_info=True)


def _refuse(settings: Settings, resource: str, fence: int | None, *, alone: bool) -> None:
    from orchestrator_memory.errors import Stale
    from orchestrator_memory.store import MemoryStore

    path = settings.home / MEMORY
    with MemoryStore.open(path, settings.project.name, anywhere=True) as memory:
        if fence is not None:
            try:
                memory.reservations.check(resource, fence)
            except Stale as error:
                raise NotReady(
                    f"{error} Reserve it again, look at what has changed, and give the new fence."
                ) from error
        others = [one for one in memory.reservations.holders(resource) if one.fence != fence]
    holders = [one for one in others if alone or one.mode == "exclusive"]
    if holders:
        names = ", ".join(f"{one.agent} ({one.reason})" if one.reason else one.agent for one in holders)
        then = "Wait until it is released, ask its holder, or give the fence of your own reservation."
        raise NotReady(f"{resource} is reserved by {names}. {then}")
