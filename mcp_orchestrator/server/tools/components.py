"""Components: many of them behind two tools, described when somebody asks."""

from __future__ import annotations

from typing import Annotated, Any

from anyio import to_thread
from pydantic import Field

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.component import without_titles
from mcp_orchestrator.core import registry
from mcp_orchestrator.errors import UnknownName
from mcp_orchestrator.server.results import Component, Components, Invoked
from mcp_orchestrator.server.session import Session, orchestrator, watched

__all__ = ["describe", "find_ml_components", "invoke_ml_component"]


async def invoke_ml_component(
    ctx: Session,
    component: Annotated[str, Field(min_length=1, description="Name of the component.")],
    capability: Annotated[str, Field(min_length=1, description="Name of its capability.")],
    params: Annotated[dict[str, Any] | None, Field(description="Parameters of the capability.")] = None,
) -> Invoked:
    """Call a capability of an ML component, in a worker. find_ml_components(name=...) gives parameters and examples."""
    call = orchestrator(ctx).call
    result = await watched(ctx, lambda watch: call(component, capability, params or {}, watch=watch))
    return Invoked(component=component, capability=capability, result=result)


async def find_ml_components(
    ctx: Session,
    query: Annotated[str | None, Field(description="Words to look for; all components without.")] = None,
    name: Annotated[
        str | None,
        Field(description="A component, to be described in full; or a workflow (train, evaluate), for its spec."),
    ] = None,
) -> Components:
    """List the ML components, or describe one with the JSON schema and an example of each capability."""
    return await to_thread.run_sync(_found, orchestrator(ctx), query, name)


def describe(orchestrator: Orchestrator, name: str) -> Component:
    """Describe a component, or the specification of a workflow, in full.

    Raises:
        UnknownName: there is neither.

    """
    workflow = orchestrator.engine.workflows.get(name.removeprefix("run_").removesuffix("_workflow"))
    if workflow is not None:
        schema = without_titles(workflow.spec.model_json_schema())
        return Component(
            name=name, family="workflow", summary=" -> ".join(workflow.steps), capabilities={"spec": schema}
        )
    return _whole(orchestrator.registry.get(name))


def _found(orchestrator: Orchestrator, query: str | None, name: str | None) -> Components:
    if name is not None:
        chosen = describe(orchestrator, name)
        call = f'invoke_ml_component(component="{chosen.name}", capability=..., params=...) calls it'
        return Components(components=[chosen], next=[] if chosen.family == "workflow" else [call])
    found = orchestrator.registry.find(query or "")
    if query and not found:
        raise UnknownName("component about", query, [one.name for one in orchestrator.registry])
    return Components(
        components=[_line(one) for one in found],
        next=[f'find_ml_components(name="{found[0].name}") gives schemas and examples'] if found else [],
    )


def _line(one: registry.Component) -> Component:
    return Component(
        name=one.name,
        family=one.family,
        tier=one.about.tier,
        summary=one.summary,
        capabilities={key: value.summary for key, value in one.capabilities.items()},
        missing=one.missing,
    )


def _whole(one: registry.Component) -> Component:
    capabilities = {
        key: {
            "description": value.description,
            "params": value.schema,
            **({"example": dict(value.example)} if value.example is not None else {}),
        }
        for key, value in one.capabilities.items()
    }
    return _line(one).model_copy(update={"capabilities": capabilities})
