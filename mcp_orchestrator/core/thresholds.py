"""Warnings when much is used, many wait, or somebody waits long: once for each crossing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mcp_orchestrator.core.scheduler import Scheduler

__all__ = ["Tell", "Thresholds", "Watch"]

Tell = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """From which on to warn.

    ``high`` is the used share of a resource; a warning is over when it falls to ``low``, and the same resource is not
    warned about again for ``quiet`` seconds. ``queue`` is how many wait (over at half of it), ``wait`` how many
    seconds the one waits that has waited longest.
    """

    high: float = 0.9
    low: float = 0.7
    quiet: float = 60.0
    queue: int = 100
    wait: float = 300.0


class Watch:
    """Compares how things stand with the thresholds, and tells what was crossed."""

    def __init__(self, thresholds: Thresholds, tell: Tell) -> None:
        """Start with nothing crossed."""
        self._marks, self._tell = thresholds, tell
        self._crossed: set[str] = set()
        self._quiet: dict[str, float] = {}
        self._check = 0.0

    def look(self, scheduler: Scheduler, now: float) -> None:
        """Compare, and tell what was crossed."""
        marks, free = self._marks, scheduler.ledger.free
        for name, total in scheduler.ledger.totals.items():
            if total:
                self._compare(name, (total - free[name]) / total, (marks.high, marks.low), now)
        waiting = len(scheduler.waiting)
        self._compare("queue", waiting, (marks.queue, marks.queue / 2), now)
        if not waiting:
            self._check = 0.0
            self._compare("wait", 0, (marks.wait, 0), now)
        elif self._check <= now:
            oldest = next(iter(scheduler.waiting))
            self._check = max(oldest.asked + marks.wait, now + marks.wait / 10)
            self._compare("wait", now - oldest.asked, (marks.wait, marks.wait / 2), now)

    def due(self, scheduler: Scheduler) -> float | None:
        """Return when to look again although nothing happens."""
        return self._check if scheduler.waiting else None

    def _compare(self, what: str, value: float, marks: tuple[float, float], now: float) -> None:
        high, low = marks
        if what in self._crossed:
            if value <= low:
                self._crossed.discard(what)
                self._tell("threshold_cleared", {"what": what, "value": round(value, 3), "threshold": low})
        elif value >= high and self._quiet.get(what, now) <= now:
            self._crossed.add(what)
            self._quiet[what] = now + self._marks.quiet
            self._tell("threshold_crossed", {"what": what, "value": round(value, 3), "threshold": high})
