"""What there is of each resource, and what of it is free: counters under names, and the ids of graphics processors.

Names: ``cpus``, ``memory_mb``, ``gpus``, ``slot:NAME`` for a named slot, ``limit:KEY`` for a limit by key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mcp_orchestrator.core.limits import Table
from mcp_orchestrator.core.tasks import Capacity, Need
from mcp_orchestrator.errors import InvalidInput, UnknownName

__all__ = ["CPUS", "GPUS", "LIMIT", "MEMORY", "SLOT", "Ledger", "Wants"]

Wants = tuple[tuple[str, int], ...]
CPUS, MEMORY, GPUS, SLOT, LIMIT = "cpus", "memory_mb", "gpus", "slot:", "limit:"
_ONE_CPU: Wants = ((CPUS, 1),)


class Ledger:
    """Counters that never go below zero, except while a capacity that shrank is still in use."""

    def __init__(self, capacity: Capacity, slots: Mapping[str, int], limits: Mapping[str, int]) -> None:
        """Start with everything free."""
        self.totals: dict[str, int] = {f"{SLOT}{name}": most for name, most in slots.items()}
        self.limits = Table(limits)
        self.free = _Free(self)
        self.free.update(self.totals)
        self._ids: list[int] = []
        self._held: set[int] = set()
        self.resize(capacity)

    def resize(self, capacity: Capacity) -> None:
        """Change what there is; what is taken stays taken."""
        for name, total in ((CPUS, capacity.cpus), (MEMORY, capacity.memory_mb), (GPUS, capacity.gpus)):
            self.free[name] = total - self.totals.get(name, 0) + self.free.get(name, 0)
            self.totals[name] = total
        self._ids = [number for number in range(capacity.gpus) if number not in self._held]
        self._widest = capacity.widest or capacity.cpus

    def wants(self, need: Need, keys: Iterable[str] = ()) -> Wants:
        """Return what a need takes at least of which counter.

        Raises:
            InvalidInput: it asks for less than nothing, or for more than there is.
            UnknownName: it asks for a slot that there is not.

        """
        asked: Wants = _ONE_CPU if need.cpus > 0 else ()
        if need.memory_mb or need.gpus or need.slots or need.cpus < 0 or self.totals[CPUS] < 1:
            asked += self._special(need)
        if self.limits:
            return (*((f"{LIMIT}{key}", 1) for key, _ in self.limits.of(keys)), *asked)
        return asked

    def _special(self, need: Need) -> Wants:
        named = [(CPUS, min(need.cpus, 1)), (MEMORY, need.memory_mb), (GPUS, need.gpus)]
        for name, amount in need.slots.items():
            if f"{SLOT}{name}" not in self.totals:
                known = [one.removeprefix(SLOT) for one in self.totals if one.startswith(SLOT)]
                raise UnknownName("slot", name, known, then="Slots are set below [pools] in orchestrator.toml.")
            named.append((f"{SLOT}{name}", amount))
        for name, amount in named:
            if amount < 0:
                raise InvalidInput(name.removeprefix(SLOT), f"{amount} was asked for.", then="Ask for 0 or more.")
            if amount > self.totals[name] and not (name == MEMORY and not self.totals[name]):
                problem = f"{amount} asked for, and there are {self.totals[name]} in all."
                raise InvalidInput(name.removeprefix(SLOT), problem, then=_THEN.get(name, _THEN[SLOT]))
        return tuple((name, amount) for name, amount in named if amount and name != CPUS and self.totals[name])

    def total(self, name: str) -> int:
        """Return how much of a counter there is in all."""
        known = self.totals.get(name)
        return self.limits.of([name[len(LIMIT) :]])[0][1] if known is None else known

    def lacking(self, wants: Wants, kept: Mapping[str, int] | None) -> str:
        """Return the first counter of which there is too little, what is ``kept`` left alone; else nothing."""
        free = self.free
        if kept is None:
            for name, amount in wants:
                if free[name] < amount:
                    return name
            return ""
        return next((name for name, amount in wants if free[name] - kept.get(name, 0) < amount), "")

    def take(self, wants: Wants, cpus: int, kept: Mapping[str, int] | None) -> tuple[int, tuple[int, ...]]:
        """Take what `lacking` found to be there; return how many processors, up to ``cpus``, and which GPUs."""
        free, ids = self.free, ()
        granted = max(1, min(cpus, self._widest, free[CPUS] - (kept.get(CPUS, 0) if kept else 0))) if cpus else 0
        for name, amount in wants:
            free[name] -= granted if name == CPUS else amount
            if name == GPUS:
                ids = tuple(self._ids[:amount])
                del self._ids[:amount]
                self._held.update(ids)
        return granted, ids

    def give(self, wants: Wants, cpus: int, gpus: tuple[int, ...]) -> None:
        """Give back what was taken."""
        free = self.free
        for name, amount in wants:
            free[name] += cpus if name == CPUS else amount
            if name == GPUS:
                self._held.difference_update(gpus)
                self._ids = sorted({*self._ids, *(number for number in gpus if number < self.totals[GPUS])})
            if name[:6] == LIMIT and free[name] == self.total(name):
                del free[name]  # keys of clients come and go

    def size(self, wants: Wants, cpus: int) -> float:
        """Return how much of the machine that is, in processors: the share of what it takes the largest share of.

        Source: Ghodsi et al., "Dominant resource fairness", NSDI 2011.
        """
        if wants == _ONE_CPU:
            return cpus
        shares = [amount / self.totals[name] for name, amount in wants if name != CPUS and name[:6] != LIMIT]
        return max(cpus, max(shares, default=0.0) * max(1, self.totals[CPUS]))


class _Free(dict[str, int]):
    """A limit that nothing counts against is not kept: all of it is free."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def __missing__(self, name: str) -> int:
        return self._ledger.total(name)


_THEN = {
    CPUS: "Set workers to 1 or more.",
    MEMORY: "Ask for less, or raise the setting memory_mb.",
    GPUS: "Ask for fewer, or run where there are more.",
    SLOT: "Ask for fewer, or raise the number below [pools] in orchestrator.toml.",
}
