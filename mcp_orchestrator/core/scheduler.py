"""Who is next: a pure structure that grants resources to requests. It has no clock and no threads; time is passed in.

Order. Within a client: the effective priority, which is ``priority + seconds waited / ageing``; a request is overtaken
only by those that came less than ``ageing`` seconds per level of priority later, so none starves. As all waiting
requests age alike, their order never changes, and the key ``asked - priority * ageing`` is computed once.

Between clients: stride scheduling (Waldspurger & Weihl, "Stride scheduling: deterministic proportional-share resource
management", 1995). Each client carries what it used, in processors: once for a grant, and once more for each ``ageing``
seconds that it was held. The one that used least is next; a level of priority is a head start of one. Who comes after a
pause starts where the others stand: what was left unused is not saved up, what was used too much is not forgiven.

Backfill. What does not fit is passed by what does. When requests of later rank passed a blocked one ``passes`` times
(or once, and it has waited ``patience`` seconds), it reserves: no later request may take what it needs until it starts.
How long a lease will last is not known, so the reservation is of amounts, not of times.

Cost. Requests that take the same wait in one lane, as only the first of them must be looked at ("equivalence classes":
Verma et al., "Large-scale cluster management at Google with Borg", EuroSys 2015). Lanes, clients and requests stand in
heaps; after a release at most ``look`` lanes that do not fit are looked at, besides those that its limits had shut. So
an operation costs O(log n) in the number of requests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count

from mcp_orchestrator.core.ask import Ask, Client, Lane, State
from mcp_orchestrator.core.backfill import Backfill
from mcp_orchestrator.core.heap import Heap
from mcp_orchestrator.core.ledger import CPUS, LIMIT, MEMORY, Ledger
from mcp_orchestrator.core.limits import Rates
from mcp_orchestrator.core.shares import Shares
from mcp_orchestrator.core.tasks import Capacity, Need

__all__ = ["RATE", "Scheduler"]

RATE = "rate:"


class Scheduler:
    """Grants what there is, in order; see the module for the order."""

    def __init__(
        self,
        capacity: Capacity,
        *,
        slots: Mapping[str, int] | None = None,
        limits: Mapping[str, int] | None = None,
        rates: Mapping[str, tuple[int, float]] | None = None,
        ageing: float = 60.0,
        passes: int = 20,
        patience: float = 120.0,
        look: int = 32,
    ) -> None:
        """Start with everything free.

        ``slots`` are named counters, ``limits`` how many with a key may hold something at once, ``rates`` how many may
        start in how many seconds (keys: see `mcp_orchestrator.core.limits`).
        """
        self.ledger = Ledger(capacity, slots or {}, limits or {})
        self.granted: dict[Ask, None] = {}
        self.waiting: dict[Ask, None] = {}
        self.examined = 0
        self._rates = Rates(rates)
        self._ageing, self._look = ageing, look
        self._numbers = count()
        self._shares = Shares()
        self._backfill = Backfill(passes, patience)
        self._clients: Heap[Client] = Heap()
        self._shut: dict[str, dict[Lane, None]] = {}
        self._later: Heap[Lane] = Heap()
        self._deadlines: Heap[Ask] = Heap()
        self._dry = 0  # how many wait that take no processor
        self._aside = 0

    def ask(
        self,
        need: Need,
        now: float,
        *,
        priority: int = 0,
        fair: str = "",
        keys: Iterable[str] = (),
        label: str = "",
        deadline: float | None = None,
    ) -> Ask:
        """Add a request; its ``state`` tells whether it was granted at once. At its ``deadline`` it gives up.

        Raises:
            InvalidInput: it asks for more than there is in all.
            UnknownName: it asks for a slot that there is not.

        """
        if fair:
            keys = (*keys, f"client:{fair}")
        wants = self.ledger.wants(need, keys)
        starts = self._rates.of(keys)
        client = self._shares.join(fair)
        ask = Ask(
            need, wants, starts, client,
            number=next(self._numbers), asked=now, priority=priority, rank=now - priority * self._ageing, label=label,
        )  # fmt: skip
        lane = client.lanes.get((wants, starts)) if client.lanes else None
        if lane is None or (not lane.shut and ask.order < lane.first.order):
            ask.lacks = self._lacking(ask, now)
            if not ask.lacks:
                self._start(ask, now)
                if client.waiting:
                    self._rekey(client)
                return ask
        self._wait(ask, lane)
        if deadline is not None:
            ask.deadline = deadline
            self._deadlines.put(ask, deadline)
        return ask

    def release(self, ask: Ask, now: float) -> list[Ask]:
        """Give back what a request holds, or take it out of the line; return those that start now."""
        if ask.state is State.ENDED:
            return []
        if ask.state is State.WAITING:
            return self._fill(now) if self._withdraw(ask) else []
        client = ask.client
        ask.state = State.ENDED
        del self.granted[ask]
        self.ledger.give(ask.wants, ask.cpus, ask.gpus)
        self._shares.charge(client, ask.size * (now - ask.began) / self._ageing)
        client.held -= 1
        self._shares.leave(client)
        self._reopen(ask)
        if client.waiting:
            self._rekey(client)
        return self._fill(now) if self.waiting else []

    def advance(self, now: float) -> tuple[list[Ask], list[Ask]]:
        """Let time pass; return the requests that start now, and those that gave up at their deadline."""
        late: list[Ask] = []
        while (ask := self._deadlines.first()) is not None and self._deadlines.key(ask) <= now:
            self._withdraw(ask)
            late.append(ask)
        while (lane := self._later.first()) is not None and self._later.key(lane) <= now:
            self._open(lane)
        return self._fill(now), late

    def due(self) -> float | None:
        """Return the time at which `advance` may have something to do, or None."""
        ask, lane = self._deadlines.first(), self._later.first()
        times = (ask and self._deadlines.key(ask), lane and self._later.key(lane))
        return min((one for one in times if one is not None), default=None)

    def resize(self, capacity: Capacity, now: float) -> list[Ask]:
        """Change what there is; nothing is taken from those that hold it. Return the requests that start now."""
        self.ledger.resize(capacity)
        return self._fill(now)

    def set_aside(self, megabytes: int, now: float) -> list[Ask]:
        """Hold so much memory in all for caches; return the requests that start now."""
        self.ledger.free[MEMORY], self._aside = self.ledger.free[MEMORY] + self._aside - megabytes, megabytes
        return self._fill(now)

    def why(self, ask: Ask, now: float) -> str:
        """Return what a waiting request waits for: the name of a counter, ``rate:KEY``, or ``turn``."""
        return self._lacking(ask, now) or "turn"

    def blocked(self, name: str) -> Ask | None:
        """Return the first request that lacks a resource, as far as known."""
        return self._backfill.of(name)

    def _start(self, ask: Ask, now: float) -> None:
        client = ask.client
        kept = self._backfill.kept(ask) if self._backfill.reserved else None
        ask.cpus, ask.gpus = self.ledger.take(ask.wants, ask.need.cpus, kept)
        ask.size = self.ledger.size(ask.wants, ask.cpus)
        for key in ask.rates:
            self._rates.take(key, now)
        self._shares.charge(client, ask.size)
        client.held += 1
        ask.state, ask.began = State.GRANTED, now
        self.granted[ask] = None
        if self.waiting or self._backfill.reserved:
            self._backfill.start(ask, now)
            if self._backfill.end(ask):
                self._reopen(ask)

    def _wait(self, ask: Ask, lane: Lane | None) -> None:
        client = ask.client
        if lane is None:
            lane = client.lanes[ask.wants, ask.rates] = Lane(client, (ask.wants, ask.rates))
        ask.lane = lane
        lane.asks.put(ask, ask.order)
        client.waiting += 1
        self.waiting[ask] = None
        self._dry += not ask.need.cpus
        if not lane.shut and (lane.first is not ask or not self._shuts(lane, ask)):
            client.open.put(lane, lane.first.order)
        self._rekey(client)

    def _unwait(self, ask: Ask) -> None:
        """Take a request out of its lane, and the lane away when it was the last one."""
        lane, client = ask.lane, ask.client
        if lane is None:  # it never waited
            return
        lane.asks.drop(ask)
        client.waiting -= 1
        del self.waiting[ask]
        self._deadlines.drop(ask)
        self._dry -= not ask.need.cpus
        if not lane.asks:
            del client.lanes[lane.shape]
            client.open.drop(lane)
            self._later.drop(lane)
            if lane.shut in self._shut:
                self._shut[lane.shut].pop(lane, None)

    def _withdraw(self, ask: Ask) -> bool:
        """End a waiting request; return whether others may go on for it."""
        ask.state = State.ENDED
        self._unwait(ask)
        lane, client = ask.lane, ask.client
        if lane is not None and lane.asks and not lane.shut:
            client.open.put(lane, lane.first.order)
        self._rekey(client)
        self._shares.leave(client)
        reserved = self._backfill.end(ask)
        if reserved:
            self._reopen(ask)
        return reserved

    def _fill(self, now: float) -> list[Ask]:
        """Start what fits, in order."""
        started: list[Ask] = []
        aside: list[Lane] = []
        while len(aside) < self._look and (self._dry or self.ledger.free[CPUS] > 0):
            client = self._clients.first()
            lane = client.open.first() if client is not None else None
            if client is None or lane is None:
                break
            ask, reserved = lane.first, self._backfill.reserved
            client.open.drop(lane)
            ask.lacks = self._lacking(ask, now)
            if not ask.lacks:
                self._unwait(ask)
                self._start(ask, now)
                started.append(ask)
                if lane.asks:
                    client.open.put(lane, lane.first.order)
            elif not self._shuts(lane, ask):
                aside.append(lane)
            self._rekey(client)
            if reserved is not None and self._backfill.reserved is None:
                self._all_open(aside)  # what they lacked was kept for it
        self._all_open(aside)
        return started

    def _shuts(self, lane: Lane, ask: Ask) -> bool:
        """Note what the first of a lane lacks; put the lane away when only one release or some time can help."""
        why = ask.lacks
        if why.startswith(RATE):
            lane.shut = why
            self._later.put(lane, max(self._rates.due(key) for key in ask.rates))
            if self._backfill.end(ask):  # while it waits for time only, others may go
                self._reopen(ask)
        else:
            self._backfill.block(ask)
            if why.startswith(LIMIT):
                lane.shut = why
                self._shut.setdefault(why, {})[lane] = None
        return bool(lane.shut)

    def _reopen(self, ask: Ask) -> None:
        """Open the lanes that were shut for want of what a request gives back."""
        if self._shut:
            for name, _ in ask.wants:
                self._all_open([*self._shut.pop(name, ())])

    def _open(self, lane: Lane) -> None:
        lane.shut = ""
        self._later.drop(lane)
        if lane.asks:
            lane.client.open.put(lane, lane.first.order)
            self._rekey(lane.client)

    def _all_open(self, lanes: list[Lane]) -> None:
        while lanes:
            self._open(lanes.pop())

    def _rekey(self, client: Client) -> None:
        lane = client.open.first()
        if lane is None:
            self._clients.drop(client)
        else:
            self._clients.put(client, client.used - lane.first.priority)

    def _lacking(self, ask: Ask, now: float) -> str:
        self.examined += 1
        kept = self._backfill.kept(ask) if self._backfill.reserved else None
        why = self.ledger.lacking(ask.wants, kept)
        if why or not ask.rates:
            return why
        return next((f"{RATE}{key}" for key in ask.rates if self._rates.due(key) > now), "")
