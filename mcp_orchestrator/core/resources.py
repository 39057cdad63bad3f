"""Who may use how many processors: leases granted in the order of asking, released on every path."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

__all__ = ["Processors"]


@dataclass
class Processors:
    """A number of processors, of which each lease takes at least one."""

    total: int
    used: int = 0
    _waiting: deque[anyio.Event] = field(default_factory=deque[anyio.Event])

    @asynccontextmanager
    async def lease(self, wanted: int = 1) -> AsyncGenerator[int]:
        """Wait for a turn and hold up to ``wanted`` processors; the number granted is what was free, at least one."""
        if self.used >= self.total or self._waiting:
            turn = anyio.Event()
            self._waiting.append(turn)
            try:
                await turn.wait()
            except BaseException:
                if turn in self._waiting:
                    self._waiting.remove(turn)
                else:
                    self.used -= 1
                    self._next()
                raise
            self.used -= 1  # the one processor that `_next` held for this turn
        granted = max(1, min(wanted, self.total - self.used))
        self.used += granted
        self._next()
        try:
            yield granted
        finally:
            self.used -= granted
            self._next()

    def _next(self) -> None:
        while self._waiting and self.used < self.total:
            self.used += 1
            self._waiting.popleft().set()

    @property
    def waiting(self) -> int:
        """How many leases wait for their turn."""
        return len(self._waiting)


from mcp_orchestrator.core.tasks import Capacity, Need  # noqa: E402 - interim, until the ledger is in


@dataclass(frozen=True)
class Lease:
    cpus: int
    gpus: tuple[int, ...] = ()


class Resources:
    """Interim: processors and one slot, in the order of asking."""

    def __init__(self, capacity: Capacity, *, slots: dict[str, int] | None = None) -> None:
        self._cpus = Processors(max(1, capacity.cpus))
        self._slots = {name: anyio.CapacityLimiter(most) for name, most in (slots or {}).items()}

    @asynccontextmanager
    async def lease(
        self, need: Need, *, priority: int = 0, fair: str = "", label: str = ""
    ) -> AsyncGenerator[Lease]:
        if need.slots:
            async with self._slots["runs"]:
                yield Lease(0)
        elif need.cpus == 0:
            yield Lease(0)
        else:
            async with self._cpus.lease(need.cpus) as cpus:
                yield Lease(cpus)
