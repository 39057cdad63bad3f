"""What agents have reserved for themselves: who changes it, or builds on it, must hold it or find it free."""

from __future__ import annotations

from mcp_orchestrator.errors import NotReady
from mcp_orchestrator.settings import Settings

__all__ = ["MEMORY", "guard"]

MEMORY = "memory.db"


def guard(settings: Settings, resource: str, fence: int | None = None, *, alone: bool) -> None:
    """Refuse what somebody else's reservation stands in the way of.

    ``alone`` says that the resource is to be changed, which nobody else may hold then; otherwise only those who hold it
    for themselves alone are in the way. A ``fence`` is the number of one's own reservation, which must still stand.

    Raises:
        NotReady: it is reserved by somebody else, or the reservation of the fence is over.

    """
    path = settings.home / MEMORY
    if fence is None and not path.exists():
        return
    from orchestrator_memory.errors import Stale
    from orchestrator_memory.store import MemoryStore

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
