"""A model on data that it has not seen: how good, where not, drifted or not, better than another, fit or not."""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel, Field

from mcp_orchestrator.components.data import training_data_loader
from mcp_orchestrator.components.evaluation import performance_validation
from mcp_orchestrator.core.engine import Call, Workflow
from mcp_orchestrator.core.rows import RunRow
from mcp_orchestrator.core.run import Run
from mcp_orchestrator.core.workflow import Lesson
from mcp_orchestrator.methods.judgement.gates import GateVerdict
from mcp_orchestrator.methods.models.manifests import URI
from mcp_orchestrator.settings import Settings
from mcp_orchestrator.tracking.versions import Versions
from mcp_orchestrator.values import Estimate
from mcp_orchestrator.workflows.quick import load_if_quick
from mcp_orchestrator.workflows.spec import EvaluationSpec

__all__ = ["STEPS", "EvaluationSummary", "evaluate", "lesson", "workflow"]

STEPS = ("load", "validate")
SUMMARY = "A registered model on labelled rows that it has not seen: how good, where not, drifted, better than another."


class EvaluationSummary(BaseModel):
    """What an evaluation found."""

    verdict: str
    passed: bool
    metric: str
    metrics: dict[str, Estimate]
    baseline: dict[str, float]
    gates: list[GateVerdict]
    model: dict[str, Any]
    data: dict[str, Any]
    calibration: dict[str, Any] | None = None
    slices: list[dict[str, Any]] = Field(default_factory=list[dict[str, Any]])
    comparison: dict[str, Any] | None = None
    drift: dict[str, Any] | None = None
    spec: dict[str, Any]
    next: list[str]


def workflow(settings: Settings) -> Workflow:
    """Return the evaluation workflow."""

    async def look(spec: EvaluationSpec, call: Call) -> None:
        with Versions(settings.home) as versions:
            for ref in (spec.model, spec.against):
                if ref is not None and not URI.fullmatch(ref):
                    versions.get(ref)
        await load_if_quick(settings, call, spec.data, None)

    limit = settings.evaluation_timeout
    return Workflow("evaluate", EvaluationSpec, evaluate, STEPS, limit, look, summary=SUMMARY, lesson=lesson)


async def evaluate(run: Run, spec: EvaluationSpec) -> EvaluationSummary:
    """Measure a model on a table and say whether it stands."""
    table = await run.step(
        "load",
        training_data_loader.load,
        source=spec.data,
        query=spec.query,
        table=spec.table,
    )
    found = await run.step(
        "validate",
        performance_validation.validate,
        model=spec.model,
        data=table.uri,
        limits=spec.gates,
        against=spec.against,
        metrics=spec.metrics,
        slices=spec.slices,
        group=spec.group,
    )
    for part in found.steps:
        await run.note(part.name, part.status, part.reason)
    return EvaluationSummary(
        verdict=found.says,
        passed=found.passed,
        metric=found.metric,
        metrics=found.metrics,
        baseline=found.baseline,
        gates=found.gates,
        model={"uri": found.model, "asked": spec.model, "task": found.task, "target": found.target},
        data={"uri": table.uri, "rows": found.rows, "rows_without_target": found.rows_without_target},
        calibration=_plain(found.reliability),
        slices=[one.model_dump(mode="json") for one in found.slices],
        comparison=_plain(found.comparison),
        drift=_plain(found.drift),
        spec=spec.model_dump(mode="json"),
        next=_next(spec, passed=found.passed),
    )


def lesson(row: RunRow) -> Lesson:
    """Return what an evaluation is remembered for: how the model did on these rows, and what has changed since."""
    found = EvaluationSummary.model_validate(row.result)
    model, data = found.spec["model"], found.data.get("uri", "")
    drifted = list((found.drift or {}).get("drifted", []))
    insights = [str(found.comparison["says"])] if found.comparison else []
    if drifted:
        insights.append(f"The data of {model} have drifted since its training: {', '.join(drifted[:10])}.")
    return Lesson(
        kind="fact",
        title=f"{model} {'passed' if found.passed else 'did not pass'} on new data",
        body=f"{model} on {found.data.get('rows', 'some')} rows of {data}: {found.verdict}",
        area="evaluation",
        tags=("evaluation", found.metric, str(found.model.get("target") or "")),
        data={"passed": found.passed, "metric": found.metric, "drifted": drifted},
        evidence={
            "run": row.id,
            "model": model,
            "dataset": data,
            "metrics": {name: one.value for name, one in found.metrics.items() if math.isfinite(one.value)},
        },
        impact="medium" if found.passed else "high",
        confidence=0.95,
        insights=tuple(insights),
    )


def _plain(value: BaseModel | None) -> dict[str, Any] | None:
    return None if value is None else value.model_dump(mode="json")


def _next(spec: EvaluationSpec, *, passed: bool) -> list[str]:
    if passed:
        return [f'predict(model="{spec.model}", records=[...])']
    return ["run_ml_training_workflow with newer data, or look at slices and drift for the reason"]
