"""What each step of a graph waits for, and an order in which nothing comes before what it waits for."""

from __future__ import annotations

from collections.abc import Iterable

from mcp_orchestrator.workflows.graph import Step
from mcp_orchestrator.workflows.references import Reference, found

__all__ = ["Cycle", "needs", "order"]


class Cycle(ValueError):
    """Steps that wait for each other; the message names them, each needed by the one before it."""


def needs(step: Step) -> list[str]:
    """Return the names of the steps that a step waits for, by what it refers to and by its ``after``."""
    referred = (reference for _, reference in found(step.values))
    names = [one.name for one in referred if isinstance(one, Reference) and one.kind in {"$from", "$done"}]
    return list(dict.fromkeys([*step.after, *names]))


def order(steps: Iterable[Step]) -> list[str]:
    """Return the names of steps, each after those that it waits for.

    Raises:
        Cycle: some wait for each other.

    """
    waits = {step.name: needs(step) for step in steps}
    ready: list[str] = []
    trail: list[str] = []

    def visit(name: str) -> None:
        if name in trail:
            raise Cycle(" -> ".join([*trail[trail.index(name) :], name]))
        if name in waits and name not in ready:
            trail.append(name)
            for before in waits[name]:
                visit(before)
            trail.pop()
            ready.append(name)

    for name in waits:
        visit(name)
    return ready
