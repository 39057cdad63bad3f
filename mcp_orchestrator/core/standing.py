"""What is granted and who waits for what, in plain values and in words."""

from __future__ import annotations

from typing import Any

from mcp_orchestrator.core.ask import Ask
from mcp_orchestrator.core.ledger import CPUS, GPUS, LIMIT, MEMORY, SLOT
from mcp_orchestrator.core.scheduler import RATE, Scheduler
from mcp_orchestrator.core.tasks import Need

__all__ = ["asked", "snapshot", "waited"]

FEW = 5


def snapshot(scheduler: Scheduler, now: float, caches: dict[str, int], most: int) -> dict[str, Any]:
    """Return how things stand, at most ``most`` leases and ``most`` requests; those that came first, first."""
    ledger = scheduler.ledger
    free = dict(ledger.free)
    figures = {name: _figures(ledger.total(name), left) for name, left in free.items()}
    granted, waiting = list(scheduler.granted), list(scheduler.waiting)
    figures[GPUS]["ids"] = sorted(number for ask in granted for number in ask.gpus)
    figures[MEMORY]["cached"] = sum(caches.values())
    return {
        **{name: figures[name] for name in (CPUS, MEMORY, GPUS)},
        "slots": {name.removeprefix(SLOT): one for name, one in figures.items() if name.startswith(SLOT)},
        "limits": {name.removeprefix(LIMIT): one for name, one in figures.items() if name.startswith(LIMIT)},
        "granted": [
            {**_said(ask), "cpus": ask.cpus, "gpus": list(ask.gpus), "seconds": round(now - ask.began, 3)}
            for ask in granted[:most]
        ],
        "waiting": [
            {
                **_said(ask),
                "asked": asked(ask.need),
                "priority": ask.priority,
                "seconds": round(now - ask.asked, 3),
                "why": _why(scheduler, scheduler.why(ask, now)),
            }
            for ask in waiting[:most]
        ],
        "queue": len(waiting),
        "caches": caches,
    }


def asked(need: Need) -> str:
    """Return a need in words."""
    parts = {"processors": need.cpus, "MB of memory": need.memory_mb, "graphics processors": need.gpus, **need.slots}
    return ", ".join(f"{amount} {name}" for name, amount in parts.items() if amount) or "nothing"


def waited(scheduler: Scheduler, ask: Ask, seconds: float) -> str:
    """Return what there is to say about a request that gave up after ``seconds``."""
    why = scheduler.why(ask, ask.asked + seconds)
    holders = [one.label or "somebody" for one in scheduler.granted if why in dict(one.wants)]
    held = f" Held by: {_list(holders)}." if holders else ""
    others = [one.label or "somebody" for one in scheduler.waiting]
    line = f" Waiting besides: {_list(others)}." if others else ""
    return (
        f"{ask.label or 'A lease'} asked for {asked(ask.need)} and waited {seconds:g} seconds in vain: "
        f"{_why(scheduler, why)}.{held}{line} Wait longer, ask for less, or cancel what holds it."
    )


def _figures(total: int, free: int) -> dict[str, Any]:
    return {"total": total, "used": total - free, "free": free}


def _said(ask: Ask) -> dict[str, Any]:
    return {
        "label": ask.label,
        "fair": ask.client.name,
        "memory_mb": ask.need.memory_mb,
        "slots": dict(ask.need.slots),
    }


def _why(scheduler: Scheduler, name: str) -> str:
    if name == "turn":
        return "others come first"
    if name.startswith(RATE):
        return f"the rate of {name.removeprefix(RATE)} is used up for now"
    free, total = scheduler.ledger.free[name], scheduler.ledger.total(name)
    return f"{name.removeprefix(SLOT)}: {free} of {total} free"


def _list(names: list[str]) -> str:
    return ", ".join(names[:FEW]) + (f" and {len(names) - FEW} more" if len(names) > FEW else "")
