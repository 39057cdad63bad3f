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
