"""A training run as MLflow shows it: one parent run, a run below it for each trial, figures, files and the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mcp_orchestrator.component import Context
from mcp_orchestrator.methods.models.exports import contents_of
from mcp_orchestrator.methods.models.manifests import resolve
from mcp_orchestrator.methods.report.facts import Facts
from mcp_orchestrator.tracking.experiments import Tracker, Trial
from mcp_orchestrator.tracking.registrations import log_model
from mcp_orchestrator.values import Artifact, Value

__all__ = ["Tracked", "record"]

MODEL_TAG = "orchestrator.model"
STATES = {"complete": "complete", "failed": "failed"}


class Tracked(Value):
    """Where MLflow shows a run: its ids, and how many trials it holds."""

    mlflow_run: str
    mlflow_model: str
    experiment: str
    trials: int


def record(
    ctx: Context,
    model: str,
    name: str,
    *,
    facts: Facts | None = None,
    files: Sequence[Artifact] = (),
    experiment: str,
) -> Tracked:
    """Record a run; recording it again adds nothing twice.

    Raises:
        UnknownName: there is no such model.
        StateUnavailable: MLflow could not record it.

    """
    digest = resolve(ctx, model)
    with Tracker(ctx.settings.home, experiment) as tracker:
        run = tracker.start(name, run=facts.run if facts else f"{name}:{digest}", params=_params(facts))
        trials = tracker.trials(run, list(_trials(facts)))
        tracker.log(run, metrics=_metrics(facts))
        tracker.files(run, {one.name: ctx.artifacts.path(one.sha256) for one in files})
        shown = tracker.client.get_run(run).data.tags.get(MODEL_TAG, "")
        if not shown.startswith(digest):
            made = log_model(tracker, contents_of(ctx, digest), run_id=run, metrics=facts.metrics if facts else None)
            shown = f"{digest} {made}"
            tracker.log(run, tags={MODEL_TAG: shown})
        tracker.end(run)
        return Tracked(
            mlflow_run=run,
            mlflow_model=shown.partition(" ")[2],
            experiment=tracker.experiment,
            trials=len(trials),
        )


def _params(facts: Facts | None) -> dict[str, Any]:
    if facts is None:
        return {}
    kept = {name: value for name, value in facts.spec.items() if name not in {"data", "features"}}
    return {**kept, "estimator": facts.estimator, "dataset": facts.dataset["uri"], "split": facts.split["digest"]}


def _metrics(facts: Facts | None) -> dict[str, Any]:
    if facts is None:
        return {}
    folds = {} if facts.score is None else {f"cv_{facts.metric}": facts.score, "cv_deviation": facts.sd or 0.0}
    return {**facts.metrics, **folds, **{f"baseline_{name}": value for name, value in facts.baseline.items()}}


def _trials(facts: Facts | None) -> Iterator[Trial]:
    for one in facts.leaderboard if facts else ():
        scores = {facts.metric: one["score"], "deviation": one["sd"]} if facts else {}
        yield Trial(
            number=one["trial"],
            name=f"{one['trial']:03d} {one['family']}",
            params={"family": one["family"], **one["params"]},
            metrics={name: value for name, value in scores.items() if value is not None},
            state=STATES.get(one["state"], "pruned"),  # type: ignore[arg-type]
            reason=one["reason"],
        )
