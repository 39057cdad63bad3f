"""Components: many of them behind two tools, described when somebody asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from anyio import to_thread
from pydantic import Field

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.core import registry
from mcp_orchestrator.errors import UnknownName
from mcp_orchestrator.server.results import Component, Components, Invoked
from mcp_orchestrator.server.session import Session, orchestrator, watched

if TYPE_CHECKING:
    from mcp_orchestrator.workflows.offers import Offer

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
    query: Annotated[str | None, Field(description="Words to look for; all without.")] = None,
    name: Annotated[
        str | None,
        Field(description="A component, workflow (train, evaluate, custom) or template, to be described in full."),
    ] = None,
) -> Components:
    """List ML components, workflows and templates, or describe one: schemas, examples, the graph of a template."""
    return await to_thread.run_sync(_found, orchestrator(ctx), query, name)


def describe(orchestrator: Orchestrator, name: str) -> Component:
    """Describe a component, a workflow or a template in full.

    Raises:
        UnknownName: there is none of that name.

    """
    from mcp_orchestrator.workflows.offers import offer, offers

    workflows = orchestrator.engine.workflows
    plain = name.removeprefix("run_").removesuffix("_workflow")
    if plain in {one.name for one in offers(workflows)}:
        found = offer(workflows, plain)
        return _offered(found).model_copy(update={"name": name, "capabilities": found.details})
    return _whole(orchestrator.registry.get(name))


def _found(orchestrator: Orchestrator, query: str | None, name: str | None) -> Components:
    from mcp_orchestrator.workflows import offers

    if name is not None:
        chosen = describe(orchestrator, name)
        call = f'invoke_ml_component(component="{chosen.name}", capability=..., params=...) calls it'
        run = f'run_workflow(workflow="{chosen.name}", inputs=...) runs it'
        return Components(components=[chosen], next=[run if chosen.family in {"workflow", "template"} else call])
    found = [_line(one) for one in orchestrator.registry.find(query or "")]
    found += [_offered(one) for one in offers.find(orchestrator.engine.workflows, query or "")]
    if query and not found:
        raise UnknownName("component about", query, [one.name for one in orchestrator.registry])
    return Components(
        components=found,
        next=[f'find_ml_components(name="{found[0].name}") gives schemas and examples'] if found else [],
    )


def _offered(one: Offer) -> Component:
    steps = {"steps": " -> ".join(one.steps)} if one.steps else {}
    return Component(name=one.name, family=one.kind, summary=one.summary, capabilities=steps)


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
