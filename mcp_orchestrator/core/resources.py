"""Who may use how much of the machine, and who waits for it: leases over a scheduler, given back on every path.

A lease is asked for, waited for, held and given back in one event loop. `Resources.snapshot` may be read from anywhere.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import Any

from mcp_orchestrator.core.ask import Ask, State
from mcp_orchestrator.core.caches import Caches
from mcp_orchestrator.core.heap import Heap
from mcp_orchestrator.core.lease import Lease
from mcp_orchestrator.core.ledger import MEMORY
from mcp_orchestrator.core.machine import measured
from mcp_orchestrator.core.scheduler import Scheduler
from mcp_orchestrator.core.standing import snapshot, waited
from mcp_orchestrator.core.tasks import Capacity, Need
from mcp_orchestrator.core.thresholds import Tell, Thresholds, Watch
from mcp_orchestrator.errors import NotReady, OutOfTime
from mcp_orchestrator.settings import Settings

__all__ = ["Lease", "Resources"]


class Resources:
    """Leases on processors, memory, graphics processors and named slots; see `Scheduler` for the order."""

    def __init__(
        self,
        capacity: Capacity,
        *,
        slots: Mapping[str, int] | None = None,
        limits: Mapping[str, int] | None = None,
        rates: Mapping[str, tuple[int, float]] | None = None,
        ageing: float = 60.0,
        gpu_timeout: float | None = 300.0,
        fences: int = 1,
        clock: Callable[[], float] = time.monotonic,
        tell: Tell | None = None,
        thresholds: Thresholds | None = None,
    ) -> None:
        """Start with everything free.

        ``gpu_timeout`` is how many seconds a lease with graphics processors is waited for when it says nothing else.
        ``fences`` is the first number of a lease; whoever starts anew on the same state passes a greater one. ``tell``
        is called in the event loop with the kind and the data of an event: `threshold_crossed`, `threshold_cleared`,
        `lease_expired`.
        """
        self.scheduler = Scheduler(capacity, slots=slots, limits=limits, rates=rates, ageing=ageing)
        self.clock = clock
        self.caches = Caches()
        self._limited = bool(limits or rates)
        self._gpu_timeout = gpu_timeout
        self._fences = count(fences)
        self._tell = tell
        self._thresholds = Watch(thresholds or Thresholds(), tell) if tell else None
        self._expiries: Heap[Lease] = Heap()
        self._granted: dict[int, Lease] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due: tuple[float, asyncio.AbstractEventLoop] | None = None

    @classmethod
    def of(cls, settings: Settings, capacity: Capacity, *, fences: int = 1, tell: Tell | None = None) -> Resources:
        """Return the resources of an executor's ``capacity``, with the pools, limits and rates of the settings."""
        return cls(
            capacity,
            slots=settings.pools,
            limits=settings.limits,
            rates=settings.rates,
            ageing=settings.ageing,
            gpu_timeout=settings.allocation_timeout,
            fences=fences,
            tell=tell,
        )

    def lease(
        self,
        need: Need,
        *,
        priority: int = 0,
        fair: str = "",
        label: str = "",
        keys: Iterable[str] = (),
        timeout: float | None = None,
        expires: float | None = None,
        lost: Callable[[Lease], None] | None = None,
    ) -> Lease:
        """Return a lease to be held with ``async with``, which waits for its turn.

        ``fair`` names the client that it counts for, ``label`` says for people what it is for, ``keys`` are what limits
        and rates are looked up by. ``timeout`` is how many seconds to wait for it. One that ``expires`` is taken back
        after so many seconds, unless it is renewed; ``lost`` is called with it then.

        Raises:
            InvalidInput: more is asked for than there is in all (on entering).
            UnknownName: there is no such slot (on entering).
            OutOfTime: it was not granted in time (on entering).

        """
        if timeout is None and need.gpus:
            timeout = self._gpu_timeout
        return Lease(
            self,
            need,
            priority=priority,
            fair=fair,
            label=label,
            keys=keys,
            timeout=timeout,
            expires=expires,
            lost=lost,
        )

    async def grant(self, name: str, need: Need, seconds: float, **how: Any) -> Lease:  # noqa: ANN401 - see `lease`
        """Wait for a lease for somebody in another process and return it; it ends after ``seconds`` unless renewed.

        Its ``fence`` names it. It is greater than that of every lease before, so that a store can refuse what a
        holder writes whose lease was taken back.
        """
        lease = await self.lease(need, label=name, expires=seconds, **how).__aenter__()
        self._granted[lease.fence] = lease
        return lease

    def renew(self, fence: int, seconds: float) -> Lease:
        """Let a lease of `grant` go on for ``seconds`` from now.

        Raises:
            NotReady: it has ended.

        """
        lease = self._granted.get(fence)
        if lease is None:
            message = f"Lease {fence} has ended: it was given back, or taken back because its time was over."
            raise NotReady(f"{message} Ask for a new one.")
        self._expiries.put(lease, self.clock() + seconds)
        self._arm()
        return lease

    def free(self, fence: int) -> bool:
        """Give a lease of `grant` back; return whether it was still held."""
        lease = self._granted.pop(fence, None)
        if lease is not None:
            self.leave(lease)
        return lease is not None

    def resize(self, capacity: Capacity) -> None:
        """Change what there is; nothing is taken from those that hold it."""
        self._after(self.scheduler.resize(capacity, self.clock()))

    def account(self, name: str, megabytes: int, evict: Callable[[], None]) -> bool:
        """Count memory that a cache of this process holds under ``name``, used just now.

        Returns whether there is room for it: leases go first. Where there is none, nothing is counted, and the caller
        keeps nothing. ``evict`` is called when a lease or a newer entry needs the room, first that of the entry that
        was not used for longest; it drops what is held.
        """
        ledger = self.scheduler.ledger
        spare = self.caches.remove(name) + ledger.free[MEMORY]
        room = not ledger.totals[MEMORY] or megabytes <= spare
        if not room and not self.scheduler.blocked(MEMORY) and megabytes <= spare + self.caches.held:
            while megabytes > spare:
                spare += self.caches.evict()
            room = True
        if room:
            self.caches.add(name, megabytes, evict)
        self._set_aside()
        return room

    def touch(self, name: str) -> None:
        """Note that a cache's entry was used."""
        self.caches.touch(name)

    def forget(self, name: str) -> None:
        """Count a cache's entry no longer: it was dropped."""
        if self.caches.remove(name):
            self._set_aside()

    def snapshot(self, most: int = 100) -> dict[str, Any]:
        """Return what there is, what is granted to whom since when, and who waits for what, as plain values."""
        return {**snapshot(self.scheduler, self.clock(), self.caches.sizes(), most), "machine": measured()}

    def tick(self) -> None:
        """Do what is due by the clock; the event loop's timer calls this by itself."""
        now = self.clock()
        started, late = self.scheduler.advance(now)
        for ask in late:
            ask.holder.wake(granted=False)
        while (lease := self._expiries.first()) is not None and self._expiries.key(lease) <= now:
            lease.expired = True
            self._granted.pop(lease.fence, None)
            self.leave(lease)
            if self._tell is not None:
                self._tell("lease_expired", {"label": lease.label, "fence": lease.fence, "fair": lease.fair})
            if lease.lost is not None:
                lease.lost(lease)
        self._after(started)

    # What a lease calls

    def enter(self, lease: Lease) -> bool:
        """Ask for a lease; return whether it is granted, and needs no waiting."""
        need = lease.need
        if not (need.cpus or need.memory_mb or need.gpus or need.slots or self._limited or lease.expires):
            return True
        now = self.clock()
        deadline = None if lease.timeout is None else now + lease.timeout
        ask = lease.ask = self.scheduler.ask(
            need, now, priority=lease.priority, fair=lease.fair, keys=lease.keys, label=lease.label, deadline=deadline
        )
        if ask.state is State.WAITING:
            return False
        if self._thresholds is not None:
            self._thresholds.look(self.scheduler, now)
        self._hold(lease, ask)
        return True

    async def wait(self, lease: Lease) -> None:
        """Wait for the turn of a lease that was not granted at once."""
        ask = lease.ask
        if ask is None:
            return
        ask.holder = lease
        turn = lease.turn = asyncio.get_running_loop().create_future()
        try:
            self._after([])
            granted = await turn
        except BaseException:
            self.leave(lease)
            raise
        if not granted:
            raise OutOfTime(waited(self.scheduler, ask, lease.timeout or 0.0))
        self._hold(lease, ask)

    def leave(self, lease: Lease) -> None:
        """Give back what a lease holds; one that has ended is left alone."""
        if lease.expires:
            self._expiries.drop(lease)
        if lease.ask is not None and lease.ask.state is not State.ENDED:
            self._after(self.scheduler.release(lease.ask, self.clock()))

    def _hold(self, lease: Lease, ask: Ask) -> None:
        lease.cpus, lease.gpus = ask.cpus, ask.gpus
        if lease.expires:
            lease.fence = next(self._fences)
            self._expiries.put(lease, self.clock() + lease.expires)
            self._arm()

    def _after(self, started: list[Ask]) -> None:
        """Wake those that start; make room for those that wait for memory; set the timer."""
        for ask in started:
            ask.holder.wake(granted=True)
        if self.caches.held and self.scheduler.waiting:
            self._make_room()
        if self._thresholds is not None:
            self._thresholds.look(self.scheduler, self.clock())
        if self._timer is not None or self.scheduler.waiting or self._expiries:
            self._arm()

    def _make_room(self) -> None:
        ledger = self.scheduler.ledger
        while (ask := self.scheduler.blocked(MEMORY)) is not None and ask.need.memory_mb > ledger.free[MEMORY]:
            if not self.caches.held:
                return
            self.caches.evict()
            self._set_aside()

    def _set_aside(self) -> None:
        for ask in self.scheduler.set_aside(self.caches.held, self.clock()):
            ask.holder.wake(granted=True)

    def _arm(self) -> None:
        """Set the timer to the next time at which something is due."""
        lease = self._expiries.first()
        times = [
            self.scheduler.due(),
            None if lease is None else self._expiries.key(lease),
            None if self._thresholds is None else self._thresholds.due(self.scheduler),
        ]
        due = min((one for one in times if one is not None), default=None)
        loop = asyncio.get_running_loop()
        if due is not None and self._due == (due, loop):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._due = None
        if due is not None:
            self._timer, self._due = loop.call_later(max(0.0, due - self.clock()), self._ring), (due, loop)

    def _ring(self) -> None:
        self._timer = self._due = None
        self.tick()
