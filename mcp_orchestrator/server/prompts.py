"""Prompts, which clients offer to people as commands: whole procedures, with what they are about filled in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias, cast

from anyio import to_thread
from mcp.server.context import HandlerResult, ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.prompts import Prompt
from mcp.server.mcpserver.prompts.base import PromptArgument
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, GetPromptRequestParams
from mcp_types import PromptArgument as Argument

from mcp_orchestrator.errors import InvalidInput, NotReady, UnknownName, reject_unknown
from mcp_orchestrator.server import briefings
from mcp_orchestrator.server.skills import text

__all__ = ["publish"]

Writing: TypeAlias = Callable[..., str]
Serve: TypeAlias = Callable[[ServerRequestContext[Any, Any], GetPromptRequestParams], Awaitable[HandlerResult]]


def publish(server: MCPServer[Any]) -> None:
    """Add the prompts to a server; made by hand, since the SDK's way takes a model of pydantic for each."""
    data = PromptArgument(name="data", description="File, builtin:NAME or dataset:// reference.", required=True)
    target = PromptArgument(name="target", description="The column to predict.", required=True)
    question = PromptArgument(name="question", description="What is to be predicted, for whom.", required=True)
    model = PromptArgument(name="model", description="The version to promote, such as churn@5.", required=True)
    run = PromptArgument(name="run_id", description="The run.", required=True)
    for writing, title, arguments in (
        (train_model, "Train a model", [data, target]),
        (build_ml_pipeline, "Build an ML pipeline", [question, data.model_copy(update={"required": False})]),
        (promote_model, "Promote a model", [model]),
        (triage_run, "Find out why a run failed", [run]),
    ):
        prompt = Prompt(
            name=writing.__name__,
            title=title,
            description=writing.__doc__,
            arguments=arguments,
            fn=_rendering(writing),
            context_kwarg=None,
        )
        server.add_prompt(prompt)
    briefings.publish(server)
    lowlevel = server._lowlevel_server  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - of what is wrong with a request the SDK tells little
    entry = lowlevel.get_request_handler("prompts/get")
    serve = cast("Serve", entry.handler if entry else None)
    lowlevel.add_request_handler("prompts/get", GetPromptRequestParams, partial(_get, server, serve))


def train_model(data: str, target: str) -> str:
    """Train a model on a table and report what it is worth."""
    return f"""\
Train a model that predicts {target!r} from {data!r} with the ML orchestrator's tools.

1. inspect_dataset(data={data!r}, target={target!r}). Tell me about leakage suspects, warnings and the balance of
   classes, and ask what only I can know: whether a suspect is known when a prediction is needed, whether rows belong
   together, whether their order in time matters.
2. run_ml_training_workflow on the dataset:// reference, then get_run until it ends. Say what was skipped or degraded,
   and why.
3. Report the metrics with their intervals beside the baseline, the gates, the name and version of the model, and where
   its card and plots lie. If it is no better than the baseline, say so first.
4. predict for two or three real records, and show the answers."""


def build_ml_pipeline(question: str, data: str = "") -> str:
    """Build an ML pipeline in six phases, from the question to a model in use, with a measured gate after each."""
    about = f"{question}\nThe data: {data}" if data else question
    return f"{text('build-ml-pipeline')}\n## What this is about\n\n{about}\n"


def promote_model(model: str) -> str:
    """Show what speaks for and against a version, and promote it once the person agrees."""
    name = model.partition("@")[0]
    return f"""\
I may want to use {model!r} from now on. Show me first what speaks for it and what against.

1. find_models(name={name!r}): the version's metrics with their intervals, and which version is the champion now.
2. get_run on the run that made it: were the gates passed, was anything skipped or degraded, what is most important?
3. If there are labelled rows that neither version was trained on, ask me for them:
   run_ml_evaluation_workflow(model={model!r}, data=..., against={name + "@champion"!r}).
4. invoke_ml_component(component="production_registry", capability="verify", ...) says whether the stored model is
   still the one that was registered.
5. Tell me in a few lines: better, and by how much (with the interval)? worse for whom? what is the way back?
6. Only when I say so: invoke_ml_component(component="production_registry", capability="promote", ...). I am asked once
   more by the client; do not answer for me. Then predict for a record that I know."""


def triage_run(run_id: str) -> str:
    """Find out why a run failed or was degraded, and what to do about it."""
    return f"""\
Find out why the run {run_id} did not end as it should, and what to do about it.

1. get_run(run_id={run_id!r}, wait_seconds=0, detail="full"): the error, the first step that failed, its attempts.
2. The resource run://{run_id}/log?level=warning: what the steps said; run://{run_id}/events in which order.
3. recall_memory(queries=[...]) with the error in two wordings: it may have happened before.
4. Say which it is, with the line that shows it: the data (which column, which row), the arguments, a limit (time,
   memory, a library that is missing), or a fault of the program.
5. Data or arguments: say what to change, ask me, start again. A limit: name the setting or argument. After that,
   control_run(run_id={run_id!r}, action="resume") goes on after the last finished step, where those still hold.
6. remember(text=..., kind="lesson", evidence={{"run": {run_id!r}}}) what the next one should know."""


async def _get(
    server: MCPServer[Any], serve: Serve, ctx: ServerRequestContext[Any, Any], params: GetPromptRequestParams
) -> HandlerResult:
    """Refuse what no prompt can be made of, before one is made."""
    known = {one.name: one.arguments or [] for one in await server.list_prompts()}
    try:
        _check(known, params.name, params.arguments or {})
    except (InvalidInput, UnknownName) as error:
        raise MCPError(INVALID_PARAMS, str(error)) from error
    return await serve(ctx, params)


def _check(known: Mapping[str, Sequence[Argument]], name: str, given: Mapping[str, str]) -> None:
    if name not in known:
        raise UnknownName("prompt", name, known)
    what = f"The prompt {name}"
    reject_unknown(given, [one.name for one in known[name]], what=what)
    missing = next((one for one in known[name] if one.required and one.name not in given), None)
    if missing is not None:
        raise InvalidInput(missing.name, f"{what} needs it.", then=missing.description or "")


def _rendering(writing: Writing) -> Callable[..., Awaitable[str]]:
    async def render(**given: str) -> str:
        try:
            return await to_thread.run_sync(lambda: writing(**given))
        except NotReady as error:
            raise MCPError(INVALID_PARAMS, str(error)) from error

    return render
