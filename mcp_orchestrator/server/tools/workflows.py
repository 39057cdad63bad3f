"""Long work: it becomes a run, which outlives the call."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from mcp_orchestrator.core.rows import Status
from mcp_orchestrator.server.errors import failed_run
from mcp_orchestrator.server.results import RunAnswer
from mcp_orchestrator.server.session import Session, client, follow, key, orchestrator, share
from mcp_orchestrator.values import Data, ModelRef

__all__ = ["Wait", "run_ml_evaluation_workflow", "run_ml_training_workflow", "run_workflow"]

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
) -> RunAnswer:
    """From a table to a registered model: check, split, tune, fit, calibrate, test once, explain, gate, promote.

    The answer tells every step, metrics with 95 % intervals beside the baseline, the leaderboard, the model and its
    files; while the run goes on, status "running" and the next call.
    """
    from mcp_orchestrator.workflows.spec import TrainingSpec

    flat = {"data": data, "target": target, "metric": metric, "seconds": seconds, "trials": trials, "name": name}
    return await _run(ctx, "train", TrainingSpec.of({**flat, "seed": seed}, spec or {}), wait_seconds, priority)


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
) -> RunAnswer:
    """Test a registered model on new labelled rows: metrics with intervals, calibration, slices, drift, a verdict."""
    from mcp_orchestrator.workflows.spec import join

    flat = {"model": model, "data": data, "against": against}
    return await _run(ctx, "evaluate", join(flat, spec or {}, inner={}), wait_seconds, priority)


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
) -> RunAnswer:
    """Run a workflow by its name, or a graph of components: checked whole first, then run side by side, durably.

    Read a template with find_ml_components(name="template:train"), change its graph and run that.
    """
    from mcp_orchestrator.workflows.custom import asked

    return await _run(ctx, *asked(workflow, graph, inputs or {}), wait_seconds, priority)


async def _run(ctx: Session, workflow: str, spec: dict[str, Any], seconds: float, priority: int) -> RunAnswer:
    about = {"priority": priority, "fair": share(ctx), "created_by": client(ctx)}
    run = await follow(ctx, await orchestrator(ctx).submit(workflow, spec, key=key(ctx), **about), seconds)
    if run.status is Status.FAILED:
        raise failed_run(run, orchestrator(ctx).settings.home / "logs")
    return RunAnswer.of(run)
