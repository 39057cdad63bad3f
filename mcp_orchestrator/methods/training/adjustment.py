"""Changes to a fitted classifier that must prove themselves out of fold: a calibrator, another decision threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mcp_orchestrator.component import Context
from mcp_orchestrator.errors import InvalidInput
from mcp_orchestrator.values import Trained, Value

if TYPE_CHECKING:
    import pandas as pd

    from mcp_orchestrator.methods.models import Loaded

__all__ = ["Adjusted", "Calibration", "calibrate", "choose_threshold"]

Calibration = Literal["none", "auto", "sigmoid", "isotonic", "temperature"]
ENOUGH = 3000
"""Rows from which on calibration is tried unasked: fitted on fewer, temperature more often raised the log-loss."""


class Adjusted(Value):
    """What became of a model: another one where the change is ``kept``, else the same; and why."""

    model: Trained
    kept: bool
    reason: str
    metric: str
    method: str | None = None
    threshold: float | None = None
    before: float | None = None
    after: float | None = None


def calibrate(ctx: Context, loaded: Loaded, table: pd.DataFrame, method: Calibration, oof: str | None) -> Adjusted:
    """Calibrate a classifier on out-of-fold predictions, if that lowers the log-loss of rows not used for it.

    Raises:
        InvalidInput: the table is not the one that the model was trained on.

    """
    from mcp_orchestrator.methods.training.calibration import calibrated, compare, crossfitted, log_losses
    from mcp_orchestrator.methods.training.fitting import kept_again, out_of_fold_of

    rows, seed = int(loaded.facts.get("rows", 0)), int(loaded.facts.get("seed", 0))
    why_not = {
        "it was not asked for": method == "none",
        "a regression has no probabilities": loaded.task == "regression",
        "the model is calibrated already": "calibration" in loaded.facts,
        "it has a threshold already, which comes after calibration": "threshold" in loaded.facts,
        f"{rows} rows are too few to calibrate on unasked; it takes {ENOUGH}": method == "auto" and rows < ENOUGH,
    }
    unchanged = Adjusted(model=loaded.trained, kept=False, reason="", metric="log_loss")
    for reason, holds in why_not.items():
        if holds:
            return unchanged.model_copy(update={"reason": reason})
    way = "sigmoid" if method == "sigmoid" else "isotonic" if method == "isotonic" else "temperature"
    found, y = out_of_fold_of(ctx, loaded, table, oof)
    if found.response is None and hasattr(loaded.estimator, "decision_function"):
        reason = "a fold lacks a class, so that the decisions of the folds cannot be compared"
        return unchanged.model_copy(update={"reason": reason, "method": way})
    verdict = compare(log_losses(y, found.predictions), log_losses(y, crossfitted(found, y, way, seed)))
    trained = loaded.trained
    if verdict.kept:
        trained = kept_again(ctx, loaded, calibrated(loaded.estimator, found, y, way), {"calibration": way})
    return Adjusted(
        model=trained,
        kept=verdict.kept,
        reason=verdict.reason,
        metric="log_loss",
        method=way,
        before=verdict.before,
        after=verdict.after,
    )


def choose_threshold(
    ctx: Context,
    loaded: Loaded,
    table: pd.DataFrame,
    *,
    metric: str | None,
    threshold: float | None,
    oof: str | None,
) -> Adjusted:
    """Set the probability from which on a row is given the second class: as asked, or what does best out of fold.

    Raises:
        InvalidInput: the model does not tell two classes apart, or the table is not the one of the training.

    """
    from mcp_orchestrator.methods.metrics import metric_named
    from mcp_orchestrator.methods.training.calibration import crossfitted, tuned_threshold, with_threshold
    from mcp_orchestrator.methods.training.fitting import kept_again, out_of_fold_of

    if len(loaded.classes) != 2:
        raise InvalidInput("threshold", f"fits a model of two classes; this one has {len(loaded.classes)}.")
    asked = metric_named(metric or "balanced_accuracy", "classification", 2)
    named = asked if asked.needs == "labels" else metric_named("balanced_accuracy", "classification", 2)
    below = loaded.estimator.estimator.estimator if "threshold" in loaded.facts else loaded.estimator
    if threshold is not None:
        trained = kept_again(ctx, loaded, with_threshold(below, threshold), {"threshold": threshold})
        return Adjusted(model=trained, kept=True, reason="as asked", metric=named.name, threshold=threshold)
    found, y = out_of_fold_of(ctx, loaded, table, oof)
    way = loaded.facts.get("calibration")
    chances = crossfitted(found, y, way, int(loaded.facts.get("seed", 0))) if way else found.predictions
    best, verdict = tuned_threshold(named, y, chances[:, 1])
    trained = loaded.trained
    if verdict.kept:
        trained = kept_again(ctx, loaded, with_threshold(below, best), {"threshold": best})
    return Adjusted(
        model=trained,
        kept=verdict.kept,
        reason=verdict.reason,
        metric=named.name,
        threshold=best if verdict.kept else None,
        before=verdict.before,
        after=verdict.after,
    )
