"""The table of metrics: what each is called, what it needs, and which way is better."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from mcp_orchestrator.errors import InvalidInput, suggestion
from mcp_orchestrator.methods.metrics import formulas
from mcp_orchestrator.methods.metrics.sample import Sample, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ALIASES", "METRICS", "Metric", "default_metric", "metric_named", "names_for"]

Needs = Literal["labels", "probabilities", "values"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: ``function`` gives one score per weighting of a sample.

    ``in_units`` says that the score is in the units of the target, so that only ratios of it mean anything.
    """

    name: str
    task: Task
    needs: Needs
    function: Callable[[Sample], NDArray[Any]]
    greater_is_better: bool = field(kw_only=True)
    binary_only: bool = False
    in_units: bool = False

    @property
    def best(self) -> float:
        """The score of a perfect model."""
        return 1.0 if self.greater_is_better else 0.0

    def better(self, one: float, other: float) -> bool:
        """Whether ``one`` is a better score than ``other``; NaN never is, and is worse than any."""
        if math.isnan(one) or math.isnan(other):
            return math.isnan(other) and not math.isnan(one)
        return one > other if self.greater_is_better else one < other

    def skill(self, score: float, baseline: float) -> float:
        """The share of the way from the baseline to a perfect model; NaN where the baseline is already perfect."""
        return (score - baseline) / (self.best - baseline) if self.best != baseline else math.nan


def _metrics() -> dict[str, Metric]:
    c: Task = "classification"
    r: Task = "regression"
    gain = partial(Metric, greater_is_better=True)
    loss = partial(Metric, greater_is_better=False)
    rows = (
        gain("accuracy", c, "labels", formulas.accuracy),
        gain("balanced_accuracy", c, "labels", formulas.balanced_accuracy),
        gain("f1", c, "labels", formulas.f1),
        gain("f1_macro", c, "labels", formulas.f1_macro),
        gain("precision", c, "labels", formulas.precision),
        gain("recall", c, "labels", formulas.recall),
        gain("mcc", c, "labels", formulas.mcc),
        gain("roc_auc", c, "probabilities", formulas.roc_auc),
        gain("average_precision", c, "probabilities", formulas.average_precision, binary_only=True),
        loss("log_loss", c, "probabilities", formulas.log_loss),
        loss("brier", c, "probabilities", formulas.brier),
        loss("rmse", r, "values", formulas.rmse, in_units=True),
        loss("mae", r, "values", formulas.mae, in_units=True),
        loss("median_absolute_error", r, "values", formulas.median_absolute_error, in_units=True),
        loss("mape", r, "values", formulas.mape),
        gain("r2", r, "values", formulas.r2),
        gain("explained_variance", r, "values", formulas.explained_variance),
    )
    return {metric.name: metric for metric in rows}


METRICS: dict[str, Metric] = _metrics()

ALIASES: dict[str, str] = {
    "auc": "roc_auc",
    "roc_auc_ovr": "roc_auc",
    "auprc": "average_precision",
    "f1_score": "f1",
    "logloss": "log_loss",
    "neg_log_loss": "log_loss",
    "cross_entropy": "log_loss",
    "brier_score": "brier",
    "neg_brier_score": "brier",
    "matthews_corrcoef": "mcc",
    "root_mean_squared_error": "rmse",
    "neg_root_mean_squared_error": "rmse",
    "mean_absolute_error": "mae",
    "neg_mean_absolute_error": "mae",
    "mean_absolute_percentage_error": "mape",
    "neg_mean_absolute_percentage_error": "mape",
    "neg_median_absolute_error": "median_absolute_error",
    "r2_score": "r2",
}


def names_for(task: Task | None = None, classes: int | None = None, *, probabilities: bool = True) -> list[str]:
    """Return the metrics that fit a task, a number of classes, and a model with or without probabilities."""
    return [
        metric.name
        for metric in METRICS.values()
        if task in (None, metric.task)
        and not (metric.binary_only and classes is not None and classes > 2)
        and (probabilities or metric.needs != "probabilities")
    ]


def metric_named(
    name: str,
    task: Task | None = None,
    classes: int | None = None,
    *,
    probabilities: bool = True,
) -> Metric:
    """Return the metric of a name or an alias, when it fits the task (None: any task).

    Raises:
        InvalidInput: there is no such metric, or it does not fit; the message names the ones that do.

    """
    asked = name.strip().lower()
    known = ALIASES.get(asked, asked)
    allowed = names_for(task, classes, probabilities=probabilities)
    if known in allowed:
        return METRICS[known]
    if known not in METRICS:
        problem = f"there is no metric {name!r}."
    elif METRICS[known].task != task:
        problem = f"{name!r} does not fit a {task}."
    elif METRICS[known].binary_only and classes is not None and classes > 2:
        problem = f"{name!r} is defined for two classes, and there are {classes}."
    else:
        problem = f"{name!r} needs probabilities, and this model gives none."
    raise InvalidInput("metric", problem, allowed=allowed, then=suggestion(known, allowed))


def default_metric(task: Task, classes: Sequence[object] | int = 2) -> str:
    """Return what is optimized when nobody says: ranking for two classes, probabilities for more, or squared error."""
    if task == "regression":
        return "rmse"
    return "roc_auc" if (classes if isinstance(classes, int) else len(classes)) <= 2 else "log_loss"
