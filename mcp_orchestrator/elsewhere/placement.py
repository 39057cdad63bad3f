"""Which steps go to the cluster, and which stay at home.

A step needs nothing but its parameters and artifacts, unless it asks for what only the home has: a capability that is
declared ``at_home`` (sources, studies, the registry, tracking), a registered model by its name, which the registry must
resolve, or a table by anything but a reference. Such steps run at home, and so do single calls, which somebody waits
for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, get_args, get_type_hints

from mcp_orchestrator.component import Capability
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.core.tasks import Abilities, Capacity, Executor, Killed, Outcome, Report, Task, WorkerRef
from mcp_orchestrator.elsewhere.away import Away
from mcp_orchestrator.elsewhere.dask import Dask
from mcp_orchestrator.elsewhere.ray import Ray
from mcp_orchestrator.errors import OrchestratorError
from mcp_orchestrator.settings import Settings
from mcp_orchestrator.values import Data, ModelRef

__all__ = ["HomeAndAway", "placed", "stays"]

LINES = {"dask": Dask, "ray": Ray}
DIGEST = re.compile(r"model://[0-9a-f]{64}")


def placed(
    settings: Settings, registry: Registry, home: Executor, changed: Callable[[Capacity], None] = lambda _: None
) -> Executor:
    """Return the executor of the settings; ``home`` is the one of this machine.

    ``changed`` is called with what a cluster has to grant when it is started, and when workers of it come or go.
    """
    if settings.executor == "local":
        return home
    return HomeAndAway(registry, home, Away(settings, LINES[settings.executor], changed))


def stays(registry: Registry, task: Task) -> bool:
    """Whether a task must run at home."""
    if not task.run:
        return True
    try:
        chosen = registry.get(task.component).capability(task.capability)
    except OrchestratorError:
        return True  # whoever runs it says why it cannot be
    if chosen.at_home is True:
        return True
    if chosen.at_home and task.params.get(chosen.at_home) is not None:
        return True
    return any(_local(kind, task.params[name]) for name, kind in _references(chosen).items() if name in task.params)


class HomeAndAway:
    """Runs tasks on a cluster, and at home those that must."""

    def __init__(self, registry: Registry, home: Executor, away: Executor) -> None:
        """Take both executors."""
        self._registry, self._home, self._away = registry, home, away
        self.name = away.name
        self.abilities: Abilities = away.abilities

    async def start(self) -> None:
        """Start both."""
        await self._home.start()
        await self._away.start()

    async def capacity(self) -> Capacity:
        """Return what the cluster has; steps at home are few and short, and take from it as well."""
        return await self._away.capacity()

    async def submit(self, task: Task, report: Report) -> WorkerRef:
        """Hand a task to a worker, here or there."""
        return await (self._home if stays(self._registry, task) else self._away).submit(task, report)

    async def wait(self, ref: WorkerRef) -> Outcome:
        """Return how a task ended."""
        return await self._of(ref).wait(ref)

    async def kill(self, ref: WorkerRef, grace: float = 0.0) -> Killed:
        """End a task and all that descends from it."""
        return await self._of(ref).kill(ref, grace)

    async def adopt(self, ref: WorkerRef) -> bool:
        """Take over a task of an engine before this one, or make sure that nothing of it runs."""
        return await self._of(ref).adopt(ref)

    async def close(self) -> None:
        """End all workers, here and there."""
        try:
            await self._away.close()
        finally:
            await self._home.close()

    def _of(self, ref: WorkerRef) -> Executor:
        return self._away if ref.executor == self._away.name else self._home


def _references(chosen: Capability[..., Any]) -> dict[str, object]:
    """Return the parameters that name models or tables, with which of the two."""
    hints = get_type_hints(chosen.function, include_extras=True)
    return {name: kind for name, hint in hints.items() for kind in (ModelRef, Data) if _mentions(hint, kind)}


def _mentions(hint: object, kind: object) -> bool:
    return hint == kind or any(_mentions(part, kind) for part in get_args(hint))


def _local(kind: object, value: object) -> bool:
    """Whether a reference means something at home only."""
    if not isinstance(value, str):
        return False
    if kind is ModelRef:
        return DIGEST.fullmatch(value) is None
    return not value.startswith(("dataset://", "builtin:"))
