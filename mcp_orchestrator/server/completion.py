"""What fits where something is to be filled in: an argument of a prompt, a part of an address."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp_types import CompleteRequestParams, CompleteResult, Completion, ResourceTemplateReference

from mcp_orchestrator.core.runlog import LEVELS
from mcp_orchestrator.errors import OrchestratorError
from orchestrator_memory.names import slug

if TYPE_CHECKING:
    from mcp_orchestrator.app import Orchestrator
    from mcp_orchestrator.server.shell import Guest

__all__ = ["KNOWN", "publish"]

Given = Mapping[str, str]
"""What is filled in already, and under no name the beginning of what is asked for."""
MOST = 100
"""As many as the protocol allows."""
MANY = 1000
PLOTS = "plots/"


def publish(server: MCPServer[Any]) -> None:
    """Have a server complete what it publishes."""
    lowlevel = server._lowlevel_server  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - the SDK's own way hands on no context
    lowlevel.add_request_handler("completion/complete", CompleteRequestParams, _completed)


async def _completed(ctx: ServerRequestContext[Guest, Any], params: CompleteRequestParams) -> CompleteResult:
    name, begun = params.argument.name, params.argument.value
    ref = params.ref
    place = ref.uri.partition("://")[0] if isinstance(ref, ResourceTemplateReference) else f"prompt {ref.name}"
    filled = (params.context.arguments if params.context else None) or {}
    known = KNOWN.get((place, name), _nothing)
    try:
        values = await to_thread.run_sync(known, ctx.lifespan_context.orchestrator, {**filled, "": begun})
    except OrchestratorError:  # what is filled in already is nothing that there is
        values = list[str]()
    found = [one for one in dict.fromkeys(values) if one.lower().startswith(begun.lower())]
    return CompleteResult(
        completion=Completion(values=found[:MOST], total=len(found), has_more=len(found) > MOST),
    )


def _nothing(_held: Orchestrator, _given: Given) -> list[str]:
    return []


def _project(held: Orchestrator, _given: Given) -> list[str]:
    return [slug(held.settings.project.name)]


def _agents(held: Orchestrator, _given: Given) -> list[str]:
    return [one.name for one in held.memory.agents.list() if one.retired is None]


def _tasks(held: Orchestrator, _given: Given) -> list[str]:
    return [one.uid for one in held.memory.tasks.list(most=MOST)]


def _open_tasks(held: Orchestrator, _given: Given) -> list[str]:
    return [one.uid for one in held.memory.tasks.list(outcome="running", most=MOST)]


def _runs(held: Orchestrator, given: Given) -> list[str]:
    """Return the newest runs; older ones too, when the beginning of an id is there to choose by."""
    return [one.id for one in held.journal.runs(most=MANY if given[""] else MOST)]


def _failed(held: Orchestrator, given: Given) -> list[str]:
    unhappy = held.journal.runs(status=("failed", "timed_out", "degraded", "cancelled"), most=MOST)
    return [*(one.id for one in unhappy), *_runs(held, given)]


def _steps(held: Orchestrator, given: Given) -> list[str]:
    return [one.name for one in held.journal.steps(held.journal.run(given.get("run_id", "")).id)]


def _plots(held: Orchestrator, given: Given) -> list[str]:
    result = held.journal.run(given.get("run_id", "")).result or {}
    names = [str(one["name"]) for one in result.get("artifacts", [])]
    return [one.removeprefix(PLOTS).removesuffix(".png") for one in names if one.startswith(PLOTS)]


def _levels(_held: Orchestrator, _given: Given) -> list[str]:
    return list(LEVELS)


def _models(held: Orchestrator, given: Given) -> list[str]:
    """Return the names of models; behind an @, the aliases and numbers of one."""
    name, at, _ = given[""].partition("@")
    names = held.versions.names()
    if not at or name not in names:
        return names
    versions = held.versions.list(name)
    aliases = [alias for one in versions for alias in one.aliases]
    return [f"{name}@{one}" for one in (*aliases, *(one.version for one in versions))]


def _components(held: Orchestrator, _given: Given) -> list[str]:
    from mcp_orchestrator.workflows.offers import offers

    return [*(one.name for one in held.registry), *(one.name for one in offers(held.engine.workflows))]


def _tables(held: Orchestrator, _given: Given) -> list[str]:
    from mcp_orchestrator.server.tables import tables

    return tables(held.settings)


def _columns(held: Orchestrator, given: Given) -> Iterable[str]:
    from mcp_orchestrator.server.tables import columns

    return columns(held.settings, given.get("data", ""))


KNOWN: dict[tuple[str, str], Callable[[Orchestrator, Given], Iterable[str]]] = {
    ("memory", "project"): _project,
    ("memory", "agent"): _agents,
    ("memory", "id"): _tasks,
    ("run", "run_id"): _runs,
    ("run", "step"): _steps,
    ("run", "plot"): _plots,
    ("run", "level"): _levels,
    ("model", "name"): _models,
    ("component", "name"): _components,
    ("prompt train_model", "data"): _tables,
    ("prompt train_model", "target"): _columns,
    ("prompt build_ml_pipeline", "data"): _tables,
    ("prompt promote_model", "model"): _models,
    ("prompt triage_run", "run_id"): _failed,
    ("prompt start_task", "agent"): _agents,
    ("prompt finish_task", "agent"): _agents,
    ("prompt finish_task", "task"): _open_tasks,
    ("prompt handoff", "to"): _agents,
    ("prompt handoff", "task"): _open_tasks,
    ("prompt review_insights", "agent"): _agents,
}
"""Where something fits, by the scheme of the address or the prompt, and the argument."""
