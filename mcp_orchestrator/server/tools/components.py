"""Components: many of them behind two tools, described when somebody asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from anyio import to_thread
from pydantic import Field

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.core import registry
from mcp_orchestrator.errors import UnknownName
from mcp_orchestrator.server.paging import Pages
from mcp_orchestrator.server.results import Component, Components, Invoked, finite, offset
from mcp_orchestrator.server.session import Session, approver, orchestrator, watched
from mcp_orchestrator.server.shrinking import BUDGET, fitting, page, shrunk, weight
from mcp_orchestrator.server.subject import subject

if TYPE_CHECKING:
    from mcp_orchestrator.workflows.offers import Offer

__all__ = ["describe", "find_ml_components", "invoke_ml_component"]


async def invoke_ml_component(
    ctx: Session,
    component: Annotated[str, Field(min_length=1, description="Name of the component.")],
    capability: Annotated[str, Field(min_length=1, description="Name of its capability.")],
    params: Annotated[dict[str, Any] | None, Field(description="Parameters of the capability.")] = None,
    *,
    detail: Annotated[
        Literal["concise", "full"],
        Field(description="full: a large result in pages; else the first of each list and text."),
    ] = "concise",
    cursor: Annotated[str | None, Field(description="next_cursor of that result; calls nothing.")] = None,
) -> Invoked:
    """Call a capability of an ML component, in a worker. find_ml_components(name=...) gives parameters and examples."""
    held = orchestrator(ctx)
    pages = Pages(held.settings.home, subject())
    if cursor is not None:
        return await to_thread.run_sync(_page, pages, component, capability, cursor)
    by = approver.get()
    result = await watched(ctx, lambda watch: held.call(component, capability, params or {}, watch=watch, by=by))
    return await to_thread.run_sync(_told, pages, component, capability, result, detail)


async def find_ml_components(
    ctx: Session,
    query: Annotated[str | None, Field(description="Words to look for; all without.")] = None,
    name: Annotated[
        str | None,
        Field(description="A component (or component.capability), workflow (train, evaluate, custom) or template."),
    ] = None,
    cursor: Annotated[str | None, Field(description="next_cursor of the page before.")] = None,
) -> Components:
    """List ML components, workflows and templates, or describe one: schemas, examples, the graph of a template."""
    held = orchestrator(ctx)
    if name is not None:
        return await to_thread.run_sync(_named, held, name)
    return await to_thread.run_sync(_found, held, query or "", offset(cursor))


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


def _told(pages: Pages, component: str, capability: str, result: Any, detail: str) -> Invoked:  # noqa: ANN401 - any JSON value
    """Return a result as it is, or, where it is too large, what is shown of it and how the rest is had."""
    whole = finite(result)
    if weight(whole) <= BUDGET:
        return Invoked(component=component, capability=capability, result=whole)
    about = f"{component}.{capability}"
    cursor = pages.keep(about, whole)
    if detail == "full":
        return _page(pages, component, capability, cursor)
    shown, left = shrunk(whole)
    then = "The same call with cursor=next_cursor gives all of it, in pages"
    told = Invoked(component=component, capability=capability, result=shown, left_out=left, next=[then])
    return told.model_copy(update={"next_cursor": cursor})


def _page(pages: Pages, component: str, capability: str, cursor: str) -> Invoked:
    name, whole, begin = pages.find(f"{component}.{capability}", cursor)
    parts, following = page(whole, begin)
    then = None if following is None else pages.cursor(name, following)
    return Invoked(component=component, capability=capability, parts=parts, next_cursor=then)


def _named(orchestrator: Orchestrator, name: str) -> Components:
    whole, dot, capability = name.partition(".")
    if not dot or whole not in {one.name for one in orchestrator.registry}:
        return _described(describe(orchestrator, name))
    chosen = describe(orchestrator, whole)
    if capability not in chosen.capabilities:
        raise UnknownName(f"capability of {whole}", capability, chosen.capabilities)
    return _described(chosen.model_copy(update={"capabilities": {capability: chosen.capabilities[capability]}}))


def _described(chosen: Component) -> Components:
    """Return a component with the schemas of as many capabilities as fit, and of the others what they are for."""
    if chosen.family in {"workflow", "template"}:
        return Components(components=[chosen], next=[f'run_workflow(workflow="{chosen.name}", inputs=...) runs it'])
    whole: dict[str, Any] = chosen.capabilities
    names = list(whole)
    most = fitting(whole.values())
    short = {name: {"description": whole[name]["description"]} for name in names[most:]}
    then = [f'invoke_ml_component(component="{chosen.name}", capability=..., params=...) calls it']
    if short:
        then.append(f'find_ml_components(name="{chosen.name}.{names[most]}") gives the schema that is left out here')
    shown = chosen.model_copy(update={"capabilities": {**whole, **short}})
    return Components(components=[shown], next=then)


def _found(orchestrator: Orchestrator, query: str, begin: int) -> Components:
    from mcp_orchestrator.workflows import offers

    found = [_line(one) for one in orchestrator.registry.find(query)]
    found += [_offered(one) for one in offers.find(orchestrator.engine.workflows, query)]
    if query and not found:
        raise UnknownName("component about", query, [one.name for one in orchestrator.registry])
    shown = found[begin:]
    shown = shown[: fitting(one.facts() for one in shown)]
    return Components(
        components=shown,
        next=[f'find_ml_components(name="{shown[0].name}") gives schemas and examples'] if shown else [],
        next_cursor=str(begin + len(shown)) if begin + len(shown) < len(found) else None,
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
