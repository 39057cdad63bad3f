"""A graph that somebody sent, run as a workflow: its steps side by side, each as soon as what it needs is done.

A step starts after the commit of what it needs, and waits for nothing else. A required step that fails stops what
depends on it; the rest goes on, and then the run fails with the cause.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Self, cast

import anyio
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mcp_orchestrator.core.engine import Workflow
from mcp_orchestrator.core.family import Suspended
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.core.run import Run
from mcp_orchestrator.errors import Cancelled, InvalidInput, OrchestratorError, StepFailed
from mcp_orchestrator.settings import Settings
from mcp_orchestrator.workflows.catalog import Catalog
from mcp_orchestrator.workflows.checking import check
from mcp_orchestrator.workflows.conditions import holds
from mcp_orchestrator.workflows.graph import Graph, Step, read, refuse
from mcp_orchestrator.workflows.ordering import needs, order
from mcp_orchestrator.workflows.references import Missing, Reference, follow, resolve

__all__ = ["NAME", "CustomSpec", "CustomSummary", "asked", "workflow"]

NAME = "custom"
MOST_ITEMS = 10_000
SUMMARY = "A graph of your own: components, workflows and questions as steps, side by side, sent as JSON."


class CustomSpec(BaseModel):
    """A graph and what it asks for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    graph: Graph
    inputs: Annotated[dict[str, Any], Field(description="Values for the inputs of the graph.")] = {}

    @field_validator("graph", mode="before")
    @classmethod
    def _read(cls, value: object) -> Graph:
        return read(value)


class CustomSummary(BaseModel):
    """What a graph ends with: its outputs, or, where it names none, the answers of its steps.

    ``missing`` says of an output that is null why there is nothing.
    """

    name: str
    outputs: dict[str, Any]
    missing: dict[str, str] = Field(default_factory=dict[str, str])


def workflow(settings: Settings, registry: Registry, others: Mapping[str, Workflow]) -> Workflow:
    """Return the workflow that runs graphs; their steps may name the components and the ``others``."""
    known = dict(others)
    catalog = Catalog(registry, known)

    class Checked(CustomSpec):
        """A graph that can be run with these inputs."""

        @model_validator(mode="after")
        def _whole(self) -> Self:
            refuse(check(self.graph, catalog, self.inputs))
            return self

    async def custom(run: Run, spec: CustomSpec) -> CustomSummary:
        return await Work(run, spec, registry, settings.component_timeout).all()

    made = Workflow(NAME, Checked, custom, (), summary=SUMMARY)
    known[NAME] = made
    return made


def asked(
    workflow: str | None, graph: Mapping[str, Any] | None, inputs: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Return the workflow to run and its specification, for a name, the name of a template, or a graph.

    Raises:
        InvalidInput: it is none of them, or two.
        UnknownName: there is no such template.

    """
    from mcp_orchestrator.workflows.templates import PREFIX, template

    if (workflow is None) == (graph is None):
        then = 'find_ml_components(query="workflow") lists workflows and templates.'
        raise InvalidInput("workflow", "give either the name of a workflow, or a graph.", then=then)
    if graph is not None:
        return NAME, {"graph": dict(graph), "inputs": dict(inputs)}
    name = workflow or ""
    if name.startswith(PREFIX):
        return NAME, {"graph": template(name).model_dump(mode="json"), "inputs": dict(inputs)}
    return name, dict(inputs)


@dataclass(frozen=True)
class Result:
    """How a step of a graph ended: done, refused (by a person), skipped, failed, or suspended (it goes on later)."""

    status: str
    value: Any = None
    reason: str = ""
    error: OrchestratorError | None = None


@dataclass
class Work:
    """One run of a graph."""

    run: Run
    spec: CustomSpec
    registry: Registry
    timeout: float
    results: dict[str, Result] = field(default_factory=dict[str, Result])

    def __post_init__(self) -> None:
        """Take up what the journal knows."""
        graph = self.spec.graph
        defaults = {name: one.default for name, one in graph.inputs.items() if not one.required}
        self.inputs = {**defaults, **self.spec.inputs}
        self.steps = {step.name: step for step in graph.steps}
        self.order = order(graph.steps)
        self.settled = {name: anyio.Event() for name in self.order}
        self.failed_before = {one.name: one.reason for one in self.run.steps() if one.status in {"failed", "timed_out"}}

    async def all(self) -> CustomSummary:
        """Do all steps.

        Raises:
            StepFailed: a required one failed.
            Suspended: one waits, and none failed.

        """
        self.run.plan = tuple(self.order)
        try:
            await self.run.gather(*(self._settle(self.steps[name]) for name in self.order))
        except Suspended:
            if self._failure() is None:
                raise
        if (failure := self._failure()) is not None:
            raise failure
        return self._summary()

    def _failure(self) -> OrchestratorError | None:
        failed = (one.error for name, one in self.results.items() if not self.steps[name].optional)
        return next((error for error in failed if error is not None), None)

    def _summary(self) -> CustomSummary:
        graph = self.spec.graph
        if not graph.outputs:
            done = {name: self.results[name].value for name in self.order if self.results[name].status == "done"}
            return CustomSummary(name=graph.name, outputs=done)
        outputs: dict[str, Any] = {}
        missing: dict[str, str] = {}
        for name, value in graph.outputs.items():
            try:
                outputs[name] = resolve(value, self._look)
            except Missing as reason:
                outputs[name], missing[name] = None, str(reason)
        return CustomSummary(name=graph.name, outputs=outputs, missing=missing)

    async def _settle(self, step: Step) -> None:
        """Wait for what a step needs, do it, and let those go on that need it."""
        result = Result("suspended")
        try:
            for name in needs(step):
                await self.settled[name].wait()
            if all(self.results[name].status != "suspended" for name in needs(step)):
                result = await self._ended(step)
        finally:
            self.results[step.name] = result
            self.settled[step.name].set()

    async def _ended(self, step: Step) -> Result:
        if step.optional and step.name in self.failed_before:  # what used its absence must find the same again
            self.run.degraded = True
            return Result("failed", reason=self.failed_before[step.name])
        try:
            reason, todo = self._prepared(step)
            if reason:
                await self.run.skip(step.name, reason)
                return Result("skipped", reason=reason)
            return await self._done(step, todo)
        except Cancelled:
            raise
        except OrchestratorError as error:
            if not any(one.name == step.name and one.status in {"failed", "timed_out"} for one in self.run.steps()):
                await self.run.note(step.name, "failed", str(error))  # it failed before it could begin
            self.run.degraded = True
            return Result("failed", reason=str(error), error=_named(step.name, error))

    def _prepared(self, step: Step) -> tuple[str, Any]:
        """Return why a step is not to be done, or an empty string and what it is to be done with."""
        for name in step.after:
            before = self.results[name]
            if before.status == "refused" or (before.status != "done" and not self.steps[name].optional):
                return _because(name, before), None
        try:
            if step.when is not None and not holds(step.when, self._look):
                return "its condition does not hold", None
            if step.each is not None:
                return "", self._items(step, resolve(step.each, self._look))
            return "", resolve(
                {"workflow": step.spec, "approval": step.details}.get(step.kind, step.params), self._look
            )
        except Missing as reason:
            return str(reason), None

    def _items(self, step: Step, items: object) -> list[dict[str, Any]]:
        """Return the parameters for each item of a list."""
        if not isinstance(items, list):
            raise InvalidInput("each", f"is {type(items).__name__}, and no list.")
        those = cast("list[Any]", items)
        if len(those) > MOST_ITEMS:
            raise InvalidInput("each", f"has {len(those)} items; at most {MOST_ITEMS} are taken.")

        def given(item: object) -> dict[str, Any]:
            def look(reference: Reference) -> Any:  # noqa: ANN401 - any JSON value
                return follow(item, reference.path, "the item") if reference.kind == "$item" else self._look(reference)

            return resolve(step.params, look)

        return [given(item) for item in those]

    async def _done(self, step: Step, todo: Any) -> Result:  # noqa: ANN401 - any JSON value
        """Do a step with what was prepared for it."""
        if step.workflow is not None:
            return Result("done", await self.run.child(step.name, step.workflow, todo))
        if step.approval is not None:
            decision = await self.run.approval(step.name, step.approval, **todo)
            said = f"it was refused by {decision.by or 'a person'}" + (f": {decision.note}" if decision.note else "")
            value = decision.model_dump(mode="json")
            return Result("done", value) if decision.approved else Result("refused", value, said)
        capability = self.registry.get(step.component or "").capability(step.capability or "")
        policy = step.policy(self.timeout)
        if step.each is None:
            answer = await self.run.step(step.name, capability, policy, **todo)
            return Result("done", capability.returns.dump_python(answer, mode="json"))
        answers = await self.run.map(step.name, capability, todo, policy, at_once=step.at_once)
        await self.run.note(step.name, "done", f"{len(answers)} items")
        return Result("done", [capability.returns.dump_python(one, mode="json") for one in answers])

    def _look(self, reference: Reference) -> Any:  # noqa: ANN401 - any JSON value
        """Return what a reference means now.

        Raises:
            Missing: the step was not done, or has no such field.

        """
        match reference.kind:
            case "$input":
                return follow(self.inputs[reference.name], reference.path, reference.name)
            case "$run":
                return self.run.id
            case "$done":
                return self.results[reference.name].status == "done"
            case _:
                result = self.results[reference.name]
                if result.status not in {"done", "refused"}:
                    raise Missing(_because(reference.name, result))
                return follow(result.value, reference.path, reference.name)


def _because(name: str, result: Result) -> str:
    return f"{name!r} was {result.status}: {result.reason}" if result.status != "failed" else f"{name!r} failed"


def _named(name: str, error: OrchestratorError) -> OrchestratorError:
    if isinstance(error, StepFailed):
        return error
    failed = StepFailed(f"Step {name!r} failed: {error}")
    failed.code = error.code  # type: ignore[misc]  # the cause decides how programs see it
    failed.__cause__ = error
    return failed
