"""What can be asked of the leader of a state home, by this process or over the link by another one.

Parameters and answers are plain JSON values: a request reads the same wherever it comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp_orchestrator.core.answers import Handler
from mcp_orchestrator.core.dispatch import Dispatcher
from mcp_orchestrator.core.engine import Engine
from mcp_orchestrator.core.invoke import plain
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.core.resources import Resources
from mcp_orchestrator.core.rows import RunRow
from mcp_orchestrator.core.tasks import Need, Report, Task
from mcp_orchestrator.settings import Settings

__all__ = ["Requests"]


def _quiet(_fraction: float | None, _message: str) -> None:
    """Report to nobody."""


class Requests:
    """The leader's answers. Each method takes the parameters of one request."""

    def __init__(
        self, settings: Settings, registry: Registry, engine: Engine, dispatcher: Dispatcher, resources: Resources
    ) -> None:
        """Take the parts that do the work."""
        self._settings, self._registry, self._engine, self._dispatcher = settings, registry, engine, dispatcher
        self._resources = resources

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The requests by name."""
        return {
            "submit": self.submit,
            "call": self.call,
            "warm": self.warm,
            "granted": self.granted,
            **{name: self._control(name) for name in ("cancel", "pause", "resume", "retry", "decide")},
        }

    async def submit(self, params: dict[str, Any], _report: Report) -> str:
        """Check ``spec`` as far as that is quick, start a run of ``workflow`` and return its id."""
        workflow, spec, about = params.pop("workflow"), params.pop("spec"), params
        chosen = self._engine.workflow(workflow)
        checked = chosen.checked(spec)
        if chosen.look is not None:
            await chosen.look(checked, self._look)
        return await self._engine.submit(workflow, spec, **about)

    async def call(self, params: dict[str, Any], report: Report) -> Any:  # noqa: ANN401 - any JSON value
        """Call ``capability`` of ``component`` with ``params``, approved ``by`` somebody, and return its answer."""
        chosen = self._registry.get(params["component"])
        found = chosen.capability(params["capability"])
        given: dict[str, Any] = params["params"]
        found.validate(given)
        seed = given.get("seed")
        task = Task(
            component=chosen.name,
            capability=params["capability"],
            params=plain(given),
            seed=seed if isinstance(seed, int) else 0,
            by=params.get("by", ""),
        )
        need, timeout = Need(cpus=params.get("cpus", 1)), self._settings.component_timeout
        return (await self._dispatcher.perform(task, report, need=need, timeout=timeout)).answer()

    async def warm(self, _params: dict[str, Any], _report: Report) -> None:
        """Start what takes time to start."""
        await self._dispatcher.executor.start()

    async def granted(self, params: dict[str, Any], _report: Report) -> dict[str, Any]:
        """Return what there is, what is granted, and who waits: see `Resources.snapshot`."""
        return self._resources.snapshot(**params)

    def _control(self, name: str) -> Handler:
        async def control(params: dict[str, Any], _report: Report) -> str:
            run: str = params.pop("run")
            answer = await getattr(self._engine, name)(run, **params)
            return answer.id if isinstance(answer, RunRow) else run

        return control

    async def _look(self, component: str, capability: str, params: Mapping[str, Any]) -> Any:  # noqa: ANN401
        return await self.call({"component": component, "capability": capability, "params": dict(params)}, _quiet)
