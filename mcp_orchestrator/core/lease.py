"""What was granted to somebody, for as long as it is held."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Self

from mcp_orchestrator.core.ask import Ask
from mcp_orchestrator.core.tasks import Need

if TYPE_CHECKING:
    from mcp_orchestrator.core.resources import Resources

__all__ = ["Lease"]


class Lease:
    """So many processors (``cpus``) and the graphics processors ``gpus``, and the rest of its ``need``.

    ``fence`` is the number of a lease that can expire, else 0; ``expired`` says whether it was taken back.
    """

    __slots__ = (
        "_resources", "ask", "cpus", "expired", "expires", "fair", "fence", "gpus", "keys", "label", "lost", "need",
        "priority", "timeout", "turn",
    )  # fmt: skip

    def __init__(
        self,
        resources: Resources,
        need: Need,
        *,
        priority: int,
        fair: str,
        label: str,
        keys: Iterable[str],
        timeout: float | None,
        expires: float | None,
        lost: Callable[[Lease], None] | None,
    ) -> None:
        """Describe a lease that was not asked for yet; see `Resources.lease`."""
        self._resources, self.need, self.priority, self.fair, self.label = resources, need, priority, fair, label
        self.keys, self.timeout, self.expires, self.lost = keys, timeout, expires, lost
        self.ask: Ask | None = None
        self.turn: asyncio.Future[bool] | None = None
        self.cpus = 0
        self.gpus: tuple[int, ...] = ()
        self.fence = 0
        self.expired = False

    async def __aenter__(self) -> Self:
        """Wait for the turn."""
        if not self._resources.enter(self):
            await self._resources.wait(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give back what is held."""
        if self.ask is not None:
            self._resources.leave(self)

    def wake(self, *, granted: bool) -> None:
        """Tell the one that waits whether it was granted."""
        if self.turn is not None and not self.turn.done():
            self.turn.set_result(granted)
