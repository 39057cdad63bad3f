"""From a table to a registered, honestly evaluated model.

The test part is locked away before anything is fitted and is used once. Candidates, calibration and threshold are
judged by predictions for rows that were not in the fit, all within the training part. What is not done is said, with
the reason.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from anyio import to_thread

from mcp_orchestrator.components.data import training_data_loader
from mcp_orchestrator.components.evaluation import performance_validation
from mcp_orchestrator.components.training import (
    ml_integration,
    production_registry,
)
from mcp_orchestrator.components.training.automl_orchestrator import Study
from mcp_orchestrator.components.training.production_registry import Registered
from mcp_orchestrator.core.engine import Call, Workflow
from mcp_orchestrator.core.policy import Policy
from mcp_orchestrator.core.run import Run
from mcp_orchestrator.methods.judgement.gates import GateLimits
from mcp_orchestrator.methods.metrics import metric_named
from mcp_orchestrator.methods.report.facts import Facts
from mcp_orchestrator.methods.report.logbook import Tracked
from mcp_orchestrator.methods.training.adjustment import ENOUGH
from mcp_orchestrator.settings import Settings
from mcp_orchestrator.tracking.reserved import guard
from mcp_orchestrator.values import Artifact, Dataset, Estimate, Trained
from mcp_orchestrator.workflows.lessons import lesson
from mcp_orchestrator.workflows.quick import load_if_quick
from mcp_orchestrator.workflows.spec import TrainingSpec
from mcp_orchestrator.workflows.summary import TrainingSummary, facts_of, summarize
from mcp_orchestrator.workflows.tuning import recall, tuned

__all__ = ["STEPS", "train", "workflow"]

STEPS = (
    "load",
    "check",
    "split",
    "recall",
    "tune",
    "fit",
    "calibrate",
    "threshold",
    "test",
    "explain",
    "report",
    "track",
    "register",
    "champion",
    "compare",
    "gate",
    "promote",
)
SUMMARY = "From a table to a registered, honestly evaluated model."
ALL = 256
"""More processors than there are: the search takes what is free."""


def workflow(settings: Settings) -> Workflow:
    """Return the training workflow."""

    async def look(spec: TrainingSpec, call: Call) -> None:
        if isinstance(spec.data, str):
            await to_thread.run_sync(partial(guard, settings, f"dataset:{spec.data}", alone=False))
        if spec.tuning.start_from:
            await call("automl_orchestrator", "remembered", {"runs": spec.tuning.start_from})
        table = await load_if_quick(settings, call, spec.data, spec.target, query=spec.query, table=spec.table)
        if table is not None:
            verdict = await call("training_data_loader", "check", _checked(table, spec))
            for name in (*spec.metrics, *([spec.tuning.metric] if spec.tuning.metric else [])):
                metric_named(name, verdict["task"], len(verdict["classes"]) or None)

    limit = settings.training_timeout
    return Workflow("train", TrainingSpec, train, STEPS, limit, look, summary=SUMMARY, lesson=lesson)


async def train(run: Run, spec: TrainingSpec) -> TrainingSummary:
    """Take a table to a registered model; see the module for the order and its reasons."""
    table = await run.step(
        "load",
        training_data_loader.load,
        source=spec.data,
        target=spec.target,
        query=spec.query,
        table=spec.table,
    )
    checked = await run.step("check", training_data_loader.check, **_checked(table, spec))
    parts = await run.step(
        "split",
        training_data_loader.split,
        data=table.uri,
        target=spec.target,
        test=spec.test_fraction,
        stratify=checked.task == "classification",
        group=spec.validation.group,
        time=spec.validation.time,
        seed=spec.seed,
    )
    known = await recall(run, spec, checked.task, parts.train.uri)
    study = await tuned(run, spec, checked.task, parts.train.uri, Policy(cpus=ALL), known)
    await run.explain("tune", study.choice)
    fitted = await run.step(
        "fit",
        ml_integration.fit,
        Policy(cpus=ALL),
        data=parts.train.uri,
        target=spec.target,
        members=study.members,
        task=study.task,
        features=study.features,
        metric=study.metric,
        seed=spec.seed,
    )
    model = await _calibrated(run, spec, study, fitted.model, parts.train.uri)
    model = await _with_threshold(run, spec, study, model, parts.train.uri)
    scores = await run.step(
        "test",
        ml_integration.evaluate,
        model=model.uri,
        data=parts.test.uri,
        metrics=_wanted(spec, study.metric),
    )
    importance = await run.attempt(
        "explain",
        ml_integration.explain,
        Policy(cpus=ALL),
        model=model.uri,
        data=parts.test.uri,
        metric=study.metric,
    )
    so_far = [one for one in run.steps() if one.name in STEPS[: STEPS.index("report")]]  # also when it is done again
    facts = facts_of(run.origin, spec, table, checked, parts, study, model, scores, importance, so_far)
    report = await run.attempt(
        "report",
        production_registry.document,
        Policy(cpus=ALL),
        model=model.uri,
        data=parts.test.uri,
        facts=facts,
    )
    artifacts = [] if report is None else report.artifacts
    tracked = await _tracked(run, spec, facts, artifacts)
    registered = await run.step(
        "register",
        production_registry.register,
        model=model.uri,
        name=facts.name,
        metrics=scores.metrics,
        mlflow_run=None if tracked is None else tracked.mlflow_run,
        mlflow_model=None if tracked is None else tracked.mlflow_model,
    )
    difference = await _against_champion(run, spec, study, registered, parts.test.uri)
    gates = await run.step(
        "gate",
        performance_validation.gate,
        metric=study.metric,
        metrics=scores.metrics,
        baseline=scores.baseline,
        limits=GateLimits.model_validate(spec.gates.model_dump(exclude={"champion"})),
        fold_scores=[one for one in study.fold_scores if one is not None],
        experiments=study.trials,
        tracked=0 if tracked is None else tracked.trials,
        explained=importance is not None,
        difference=difference,
    )
    await run.explain("gate", gates.says)
    promoted = gates.passed and await _promoted(run, spec, registered, gates.says)
    if not gates.passed:
        await run.skip("promote", gates.says)
    return summarize(facts, registered, gates, artifacts, study, known, promoted=promoted)


async def _calibrated(run: Run, spec: TrainingSpec, study: Study, model: Trained, data: str) -> Trained:
    """Calibrate on out-of-fold predictions where that was asked for, or the rows are many, and keep it if it helps."""
    why_not = {
        "it was not asked for": spec.calibration == "none",
        "a regression has no probabilities": study.task == "regression",
        f"below {ENOUGH} training rows it costs more than it brings": (
            spec.calibration == "auto" and study.rows < ENOUGH
        ),
    }
    for reason, holds in why_not.items():
        if holds:
            await run.skip("calibrate", reason)
            return model
    adjusted = await run.attempt(
        "calibrate",
        ml_integration.calibrate,
        model=model.uri,
        data=data,
        method=spec.calibration,
        oof=study.oof,
    )
    if adjusted is None:
        return model
    await run.explain("calibrate", f"{'kept' if adjusted.kept else 'not kept'}: {adjusted.reason}")
    return adjusted.model


async def _with_threshold(run: Run, spec: TrainingSpec, study: Study, model: Trained, data: str) -> Trained:
    """Set or tune the decision threshold where that was asked for."""
    if spec.threshold is None:
        await run.skip("threshold", "it was not asked for")
        return model
    adjusted = await run.attempt(
        "threshold",
        ml_integration.tune_threshold,
        model=model.uri,
        data=data,
        metric=study.metric if metric_named(study.metric).needs == "labels" else None,
        threshold=None if spec.threshold == "auto" else spec.threshold,
        oof=study.oof,
    )
    if adjusted is None:
        return model
    await run.explain("threshold", adjusted.reason)
    return adjusted.model


async def _tracked(run: Run, spec: TrainingSpec, facts: Facts, artifacts: list[Artifact]) -> Tracked | None:
    """Log the run, its trials, its plots and its model to MLflow."""
    if not spec.tracking:
        await run.skip("track", "it was not asked for")
        return None
    return await run.attempt(
        "track",
        production_registry.track,
        model=facts.model,
        name=facts.name,
        facts=facts,
        files=artifacts,
        experiment=spec.experiment or facts.name,
    )


async def _promoted(run: Run, spec: TrainingSpec, registered: Registered, why: str) -> bool:
    """Make the version the champion, unless somebody else has reserved the model."""
    moved = await run.attempt(
        "promote",
        production_registry.promote,
        name=registered.name,
        version=registered.version,
        why=f"run {run.origin}: {why}",
        fence=spec.fence,
    )
    return moved is not None


async def _against_champion(
    run: Run,
    spec: TrainingSpec,
    study: Study,
    registered: Registered,
    data: str,
) -> Estimate | None:
    """Return how much higher the model scores than the present champion on the test part, if there is another one."""
    found = await run.step("champion", production_registry.find, name=registered.name)
    others = [one for one in found.versions if "champion" in one.aliases and one.version != registered.version]
    if not spec.gates.champion or not others:
        await run.skip("compare", "it was not asked for" if others else "there is no other champion")
        return None
    compared = await run.attempt(
        "compare",
        performance_validation.validate,
        model=registered.uri,
        data=data,
        against=others[0].uri,
        metric=study.metric,
    )
    if compared is None or compared.comparison is None:
        return None
    await run.explain("compare", compared.comparison.says)
    return compared.comparison.difference


def _wanted(spec: TrainingSpec, metric: str) -> list[str]:
    return list(dict.fromkeys([metric, *spec.metrics])) if spec.metrics else []


def _checked(table: Dataset, spec: TrainingSpec) -> dict[str, Any]:
    return {"data": table.uri, "target": spec.target, "task": spec.task}
