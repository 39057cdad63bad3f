"""A bounded pool of things that are costly to open, such as connections to a database."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, Self, TypeVar

import anyio
from anyio.abc import TaskGroup

from mcp_orchestrator.core.resources import Resources
from mcp_orchestrator.core.tasks import Need
from mcp_orchestrator.errors import NotReady

__all__ = ["Pool"]

T = TypeVar("T")


class Pool(Generic[T]):
    """Opens at most as many as there are slots of its name, lends each to one at a time, and closes idle ones.

    Slots are leased like everything else, so who waits for one is seen in `Resources.snapshot`.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], Awaitable[T]],
        *,
        resources: Resources,
        healthy: Callable[[T], Awaitable[bool]] | None = None,
        close: Callable[[T], Awaitable[None]] | None = None,
        idle: float = 300.0,
    ) -> None:
        """Open nothing yet.

        ``make`` opens one, ``healthy`` tells whether one that was lent before can be lent again, ``close`` closes one
        and raises nothing; those that nobody used for ``idle`` seconds are closed.
        """
        self._name, self._make, self._healthy, self._close = name, make, healthy, close
        self._resources, self._lasts = resources, idle
        self._idle: list[tuple[float, T]] = []
        self._returned = anyio.Event()
        self._group: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        """Start to close idle ones."""
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self._group.start_soon(self._sweep)
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close those that are not lent; the others are closed when they come back."""
        group, self._group = self._group, None
        if group is not None:
            group.cancel_scope.cancel()
            await group.__aexit__(None, None, None)
        while self._idle:
            await self._end(self._idle.pop()[1])

    @asynccontextmanager
    async def take(
        self,
        *,
        fair: str = "",
        timeout: float | None = None,  # noqa: ASYNC109 - its error says who has them
    ) -> AsyncGenerator[T]:
        """Lend one: the one used last that is healthy, or a new one.

        Raises:
            OutOfTime: all were lent for ``timeout`` seconds.
            UnknownName: there are no slots of the pool's name.
            NotReady: the pool is closed.

        """
        if self._closed:
            raise NotReady(f"The pool {self._name!r} is closed. Open it with `async with` first.")
        need = Need(cpus=0, slots={self._name: 1})
        async with self._resources.lease(need, fair=fair, label=f"a connection of {self._name}", timeout=timeout):
            one = await self._ready()
            try:
                yield one
            finally:
                if self._closed:
                    await self._end(one)
                else:
                    self._idle.append((time.monotonic(), one))
                    self._returned.set()

    @property
    def _closed(self) -> bool:
        return self._group is None

    async def _ready(self) -> T:
        while self._idle:
            _, one = self._idle.pop()
            good = False
            try:
                good = self._healthy is None or await self._healthy(one)
            finally:
                if not good:
                    await self._end(one)
            if good:
                return one
        return await self._make()

    async def _sweep(self) -> None:
        while True:
            if not self._idle:
                self._returned = anyio.Event()
                await self._returned.wait()
                continue
            left = self._idle[0][0] + self._lasts - time.monotonic()
            if left > 0:
                await anyio.sleep(left)
            elif self._idle:
                _, one = self._idle.pop(0)
                await self._end(one)

    async def _end(self, one: T) -> None:
        if self._close is not None:
            with anyio.CancelScope(shield=True):
                await self._close(one)
