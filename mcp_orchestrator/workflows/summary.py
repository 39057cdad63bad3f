"""What a training run ends with: the figures, where they come from, and how to get them again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, Field

from mcp_orchestrator.components.evaluation.performance_validation import Gates
from mcp_orchestrator.components.training.automl_orchestrator import Study
from mcp_orchestrator.components.training.production_registry import Registered
from mcp_orchestrator.core.rows import StepRow
from mcp_orchestrator.methods.judgement.gates import GateVerdict
from mcp_orchestrator.methods.report.facts import Facts
from mcp_orchestrator.methods.search.recalling import Recalled
from mcp_orchestrator.methods.tables.splitting import Splits
from mcp_orchestrator.methods.tables.verdict import Verdict
from mcp_orchestrator.methods.training.importance import Importance
from mcp_orchestrator.methods.training.scores import Scores
from mcp_orchestrator.values import Artifact, Dataset, Estimate, Trained
from mcp_orchestrator.workflows.spec import TrainingSpec

__all__ = ["TrainingSummary", "facts_of", "name_of", "summarize"]


class TrainingSummary(BaseModel):
    """The result of a training run."""

    verdict: str
    task: str
    metric: str
    metrics: dict[str, Estimate]
    baseline: dict[str, float]
    leaderboard: list[dict[str, Any]]
    model: dict[str, Any]
    gates: list[GateVerdict]
    warnings: list[str]
    artifacts: list[Artifact] = Field(default_factory=list[Artifact])
    validation: dict[str, Any]
    importance: list[dict[str, Any]]
    data: dict[str, Any]
    spec: dict[str, Any]
    seed: int
    search: dict[str, Any] = Field(default_factory=dict[str, Any])
    warm_start: dict[str, Any] = Field(default_factory=dict[str, Any])
    fingerprint: dict[str, Any] = Field(default_factory=dict[str, Any])
    next: list[str]


def name_of(spec: TrainingSpec, table: Dataset) -> str:
    """Return the name to register under: the one asked for, or one made of the table's and the target's."""
    if spec.name is not None:
        return spec.name
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{table.name}-{spec.target}").strip("-._").lower()
    return name[:80] or "model"


def facts_of(  # noqa: PLR0917 - one of each step
    run: str,
    spec: TrainingSpec,
    table: Dataset,
    checked: Verdict,
    parts: Splits,
    study: Study,
    model: Trained,
    scores: Scores,
    importance: Importance | None,
    steps: Iterable[StepRow],
) -> Facts:
    """Gather what is known of a run; times are left out, so that equal runs have equal facts."""
    warnings = [*checked.warnings, *parts.warnings, *study.notes]
    if study.stopped_by == "seconds":
        warnings.append("The time limit cut the search: the same specification and seed may give another result.")
    return Facts(
        run=run,
        name=name_of(spec, table),
        task=study.task,
        target=spec.target,
        metric=study.metric,
        greater_is_better=study.greater_is_better,
        classes=study.classes,
        estimator=model.estimator,
        model=model.uri,
        dataset={"uri": table.uri, "source": table.source, "rows": table.rows, "columns": table.columns},
        split={
            "method": parts.method,
            "digest": parts.digest,
            "train": parts.train.uri,
            "test": parts.test.uri,
            "sizes": parts.sizes,
        },
        features=study.features,
        members=study.members,
        choice=study.choice,
        ensemble=study.ensemble,
        folds=study.folds,
        fold_scores=study.fold_scores,
        score=study.score,
        sd=study.sd,
        trials=study.trials,
        stopped_by=study.stopped_by,
        leaderboard=[one.model_dump(mode="json", exclude={"seconds"}) for one in study.leaderboard],
        metrics=scores.metrics,
        baseline=scores.baseline,
        importance=[] if importance is None else importance.features,
        warnings=warnings,
        steps=[{"name": one.name, "status": one.status, "reason": one.reason} for one in steps],
        spec=spec.model_dump(mode="json"),
        seed=spec.seed,
    )


def summarize(  # noqa: PLR0917 - one of each step
    facts: Facts,
    registered: Registered,
    gates: Gates,
    artifacts: list[Artifact],
    study: Study,
    known: Recalled | None,
    *,
    promoted: bool,
) -> TrainingSummary:
    """Return what the run ends with."""
    aliases = [*(one for one in registered.aliases if one != "champion"), *(["champion"] if promoted else [])]
    metric, against = facts.metrics[facts.metric], facts.baseline.get(facts.metric)
    figures = f"{facts.metric} {metric.value:.4g} [{metric.low:.4g}, {metric.high:.4g}] on unseen rows"
    compared = "" if against is None else f", baseline {against:.4g}"
    why_not = "see the step promote" if gates.passed else gates.says
    fate = "promoted to champion" if promoted else f"not promoted: {why_not}"
    return TrainingSummary(
        verdict=f"{facts.estimator}: {figures}{compared}; {fate}",
        task=facts.task,
        metric=facts.metric,
        metrics=facts.metrics,
        baseline=facts.baseline,
        leaderboard=facts.leaderboard,
        model={
            "name": registered.name,
            "version": registered.version,
            "aliases": aliases,
            "uri": registered.uri,
            "sha256": registered.sha256,
            "estimator": facts.estimator,
            "members": [one.model_dump(mode="json") for one in facts.members],
        },
        gates=gates.gates,
        warnings=facts.warnings,
        artifacts=artifacts,
        validation={"folds": facts.folds, "scores": facts.fold_scores, "mean": facts.score, "deviation": facts.sd},
        importance=[one.model_dump(mode="json") for one in facts.importance],
        data={**facts.dataset, "split": facts.split},
        spec=facts.spec,
        seed=facts.seed,
        search={
            "trials": study.trials,
            "stopped_by": study.stopped_by,
            "greater_is_better": study.greater_is_better,
            "choice": study.choice,
            "calibration": next((one["reason"] for one in facts.steps if one["name"] == "calibrate"), ""),
        },
        warm_start=_warm_start(study, known),
        fingerprint={} if known is None else known.fingerprint.model_dump(mode="json"),
        next=_next(registered, promoted=promoted),
    )


def _warm_start(study: Study, known: Recalled | None) -> dict[str, Any]:
    """Return what the search was begun with, from which runs, and whether one of these trials won."""
    if known is None:
        return {"from": [], "won": False, "says": "cold: what is known could not be looked up"}
    tried: dict[str, list[dict[str, Any]]] = {}
    for one in study.warm:
        tried.setdefault(one.run, []).append(one.model_dump(mode="json", exclude={"run"}))
    return {
        "from": [
            {"run": one.run, "similarity": one.similarity, "configurations": tried.get(one.run, [])}
            for one in known.sources
        ],
        "won": any(one.won for one in study.warm),
        "says": known.says,
        "identity": known.identity,
    }


def _next(registered: Registered, *, promoted: bool) -> list[str]:
    ref = registered.name if promoted else f"{registered.name}@{registered.version}"
    return [
        f'predict(model="{ref}", records=[...])',
        f'run_ml_evaluation_workflow(model="{ref}", data=...) on newer data',
    ]
