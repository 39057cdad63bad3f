"""Long work: it becomes a run, which outlives the call."""

from __future__ import annotations

from typing import Annotated, Any

from anyio import to_thread
from mcp_types import InputRequiredResult
from pydantic import Field

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.core.rows import Status
from mcp_orchestrator.server.errors import failed_run
from mcp_orchestrator.server.results import RunAnswer
from mcp_orchestrator.server.session import Session, approver, client, once, orchestrator, share
from mcp_orchestrator.server.subject import subject
from mcp_orchestrator.server.tasks import declared
from mcp_orchestrator.server.tasks.shapes import Created
from mcp_orchestrator.server.waiting import begun, waited
from mcp_orchestrator.values import Data, ModelRef
from mcp_orchestrator.view import RunView

__all__ = ["Wait", "outcome", "run_ml_evaluation_workflow", "run_ml_training_workflow", "run_workflow", "started"]

Wait = Annotated[
    float,
    Field(ge=0, le=50, description="Wait this long for the end; then the run goes on and get_run waits again."),
]

Priority = Annotated[int, Field(ge=-10, le=10, description="Runs of a higher one begin first.")]


async def run_ml_training_workflow(
    ctx: Session,
    *,
    data: Data,
    target: Annotated[str, Field(min_length=1, description="The column to predict.")],
    metric: Annotated[str | None, Field(description="What to optimise, such as roc_auc; inferred.")] = None,
    seconds: Annotated[float | None, Field(gt=0, description="Limit of the search; default 120.")] = None,
    trials: Annotated[int | None, Field(ge=1, description="Candidates to try; default 24.")] = None,
    name: Annotated[str | None, Field(description="Name to register the model under.")] = None,
    seed: Annotated[int | None, Field(ge=0, description="Makes the run repeatable; default 0.")] = None,
    wait_seconds: Wait = 25,
    priority: Priority = 0,
    spec: Annotated[
        dict[str, Any] | None,
        Field(
            description="More of the specification: features, families, tuning, validation (group, time), metrics, "
            'calibration, gates...; find_ml_components(name="train") gives its schema.',
        ),
    ] = None,
) -> RunAnswer | Created | InputRequiredResult:
    """From a table to a registered model: check, split, tune, fit, calibrate, test once, explain, gate, promote.

    The answer tells every step, metrics with 95 % intervals beside the baseline, the leaderboard, the model and its
    files; while the run goes on, status "running" and the next call.
    """
    from mcp_orchestrator.workflows.spec import TrainingSpec

    flat = {"data": data, "target": target, "metric": metric, "seconds": seconds, "trials": trials, "name": name}
    return await started(ctx, "train", TrainingSpec.of({**flat, "seed": seed}, spec or {}), wait_seconds, priority)


async def run_ml_evaluation_workflow(
    ctx: Session,
    *,
    model: ModelRef,
    data: Data,
    against: Annotated[str | None, Field(description="Another model to compare with on the same rows.")] = None,
    wait_seconds: Wait = 25,
    priority: Priority = 0,
    spec: Annotated[
        dict[str, Any] | None,
        Field(description='More: metrics, limits, slices...; find_ml_components(name="evaluate") gives the schema.'),
    ] = None,
) -> RunAnswer | Created | InputRequiredResult:
    """Test a registered model on new labelled rows: metrics with intervals, calibration, slices, drift, a verdict."""
    from mcp_orchestrator.workflows.spec import join

    flat = {"model": model, "data": data, "against": against}
    return await started(ctx, "evaluate", join(flat, spec or {}, inner={}), wait_seconds, priority)


async def run_workflow(
    ctx: Session,
    *,
    workflow: Annotated[str | None, Field(description="Workflow or template; find_ml_components lists them.")] = None,
    graph: Annotated[
        dict[str, Any] | None,
        Field(
            description="Or a graph of your own: inputs, steps (component+capability+params, workflow+spec, approval; "
            'after, when, each, optional...), outputs; {"$from": "step.field"} refers to an answer. '
            'find_ml_components(name="custom") gives schema and example.'
        ),
    ] = None,
    inputs: Annotated[dict[str, Any] | None, Field(description="Its spec, or the inputs of the graph.")] = None,
    wait_seconds: Wait = 25,
    priority: Priority = 0,
) -> RunAnswer | Created | InputRequiredResult:
    """Run a workflow by its name, or a graph of components: checked whole first, then run side by side, durably.

    Read a template with find_ml_components(name="template:train"), change its graph and run that.
    """
    from mcp_orchestrator.workflows.custom import asked

    return await started(ctx, *asked(workflow, graph, inputs or {}), wait_seconds, priority)


async def started(
    ctx: Session, workflow: str, spec: dict[str, Any], seconds: float, priority: int = 0
) -> RunAnswer | Created | InputRequiredResult:
    """Start a run and wait up to ``seconds`` for it; for a client that knows tasks, return the task at once.

    What the run asks meanwhile goes to the person at the client; a later part of the call goes on with its run.

    Raises:
        InvalidInput: the specification is not acceptable; there is no run.
        ToolError: the run failed.

    """
    held, run = orchestrator(ctx), begun(ctx)
    run = run or await _submitted(ctx, workflow, spec, priority)
    if declared(ctx.request_context):
        from mcp_orchestrator.server.tasks.state import created

        return await to_thread.run_sync(created, held, run)
    view = await waited(ctx, run, seconds)
    return view if isinstance(view, InputRequiredResult) else outcome(held, view)


async def _submitted(ctx: Session, workflow: str, spec: dict[str, Any], priority: int) -> str:
    owner, named = subject(), once(ctx)
    about: dict[str, Any] = {"priority": priority, "fair": share(ctx), "created_by": client(ctx)}
    if owner is not None:  # a key that somebody else drew is another key
        about, named = {**about, "subject": owner}, named and f"{owner}/{named}"
    if approver.get():
        about["approved"] = approver.get()
    return await orchestrator(ctx).submit(workflow, spec, key=named, **about)


def outcome(held: Orchestrator, run: RunView) -> RunAnswer:
    """Return what a tool answers whose run has come so far.

    Raises:
        ToolError: the run failed.

    """
    if run.status is Status.FAILED:
        raise failed_run(run, held.settings.home / "logs")
    return RunAnswer.of(run)
