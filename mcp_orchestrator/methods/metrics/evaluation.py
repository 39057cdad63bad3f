"""Scores, their intervals, and the score of a model that knows nothing of the columns."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.methods.metrics.sample import Case, Counts, Sample, Task, case_of, classes_of
from mcp_orchestrator.methods.metrics.table import Metric, metric_named, names_for
from mcp_orchestrator.methods.statistics.intervals import wilson
from mcp_orchestrator.values import Estimate

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]
    Answers = tuple[ArrayLike | None, ArrayLike | None]
    """Predictions and probabilities of one model."""

__all__ = ["baseline", "difference", "evaluate", "score"]

RESAMPLES = 500
RESAMPLED_ROWS = 10_000
"""Above this many rows the bootstrap draws from a random part, and its width is scaled by the root of the ratio."""
CELLS = 500_000
"""Weightings x rows that are handled at a time, so that they fit the processor's cache."""


def score(
    metric: str | Metric,
    y: ArrayLike,
    predicted: ArrayLike | None,
    probabilities: ArrayLike | None = None,
    classes: Sequence[Any] = (),
) -> float:
    """Return one score; NaN where it is undefined (the area under a curve when one class only occurs).

    Raises:
        InvalidInput: there is no such metric, or it needs what is not given.
        DataRejected: a label or value is missing, unknown or not finite.

    """
    chosen = metric_named(metric) if isinstance(metric, str) else metric
    case = case_of(chosen.task, y, predicted, probabilities, classes)
    metric_named(chosen.name, chosen.task, len(case.classes), probabilities=case.probabilities is not None)
    return _point(chosen, case)


def evaluate(  # noqa: PLR0917 - the order is that of the question: what, on which truth, with which answers
    task: Task,
    y: ArrayLike,
    predicted: ArrayLike,
    probabilities: ArrayLike | None = None,
    classes: Sequence[Any] = (),
    names: Iterable[str] | None = None,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Return each metric with its 95 % interval.

    The interval is Wilson's for accuracy and the percentile bootstrap's otherwise. A score without a single error has
    no spread to resample; its interval is Wilson's for as many rows as the rarest class has.

    Raises:
        InvalidInput: a metric does not fit the task or the model.
        DataRejected: a label or value is missing, unknown or not finite.

    """
    case = case_of(task, y, predicted, probabilities, classes)
    given = case.probabilities is not None
    wanted = names_for(task, len(case.classes), probabilities=given) if names is None else names
    metrics = [metric_named(name, task, len(case.classes), probabilities=given) for name in wanted]
    drawn = _resampled([metric for metric in metrics if metric.name != "accuracy"], case, seed)
    return {metric.name: _estimate(metric, case, drawn.get(metric.name)) for metric in metrics}


def difference(
    metric: Metric,
    y: ArrayLike,
    first: Answers,
    second: Answers,
    classes: Sequence[Any] = (),
    *,
    seed: int = 0,
) -> Estimate:
    """Return how much higher the first model scores than the second on the same rows, with its 95 % interval.

    Both are scored under the same resamples, so that what makes a row hard for both cancels out.

    Raises:
        InvalidInput: the metric needs probabilities that a model does not give.
        DataRejected: a label or value is missing, unknown or not finite.

    """
    cases = [case_of(metric.task, y, *answers, classes) for answers in (first, second)]
    for case in cases:
        metric_named(metric.name, metric.task, len(case.classes), probabilities=case.probabilities is not None)
    one, other = (_resampled([metric], case, seed)[metric.name] for case in cases)
    value = _point(metric, cases[0]) - _point(metric, cases[1])
    return _spread(value, one - other)


def baseline(
    task: Task,
    y_train: ArrayLike,
    y_test: ArrayLike,
    names: Iterable[str] | None = None,
    classes: Sequence[Any] = (),
) -> dict[str, float]:
    """Return, for each metric, the score of the best model that knows only the training part's target.

    Probabilities are the classes' shares. Labels are whatever does best of always answering one class and guessing by
    the shares or evenly; values are the mean, the median, or the median weighted for relative errors. Taking the best
    of them means that a model of pure noise never looks better than the baseline because of the metric alone: recall
    is 1 for who always says yes.
    """
    import numpy as np

    if task == "regression":
        train = case_of(task, y_train, None).truth
        constants = {float(train.mean()), float(np.median(train)), _relative_median(train)}
        cases = [case_of(task, y_test, np.full(len(np.asarray(y_test)), constant)) for constant in constants]
        chosen = [metric_named(name, task) for name in names or names_for(task)]
        return {metric.name: _best(metric, [_point(metric, case) for case in cases]) for metric in chosen}
    known = list(classes) if len(classes) else classes_of(y_train, y_test)
    train, truth = (case_of(task, part, None, classes=known).truth for part in (y_train, y_test))
    shares = np.bincount(train, minlength=len(known)) / len(train)
    prior = Case(truth, None, np.tile(shares, (len(truth), 1)), tuple(known))
    ways = np.vstack([np.eye(len(known)), shares, np.full(len(known), 1 / len(known))])
    guesses = _Guesses(prior, np.ones((len(ways), len(truth))), ways)
    chosen = [metric_named(name, task, len(known)) for name in names or names_for(task, len(known))]
    return {
        metric.name: _best(metric, metric.function(guesses).tolist())
        if metric.needs == "labels"
        else _point(metric, prior)
        for metric in chosen
    }


@dataclass(frozen=True, eq=False)
class _Guesses(Sample):
    """Labels drawn without a look at the row: ``ways`` holds the chance of each class, the counts are expectations."""

    ways: Array

    @cached_property
    def counts(self) -> Counts:
        import numpy as np

        actual = np.bincount(self.case.truth, minlength=self.ways.shape[1]).astype(float)
        return Counts(actual * self.ways, np.tile(actual, (len(self.ways), 1)), actual.sum() * self.ways)


def _best(metric: Metric, scores: list[float]) -> float:
    best = scores[0]
    for one in scores[1:]:
        best = one if metric.better(one, best) else best
    return best


def _relative_median(values: Array) -> float:
    """The constant with the least mean absolute percentage error."""
    import numpy as np

    order = np.argsort(values, kind="stable")
    weights = 1 / np.maximum(abs(values[order]), np.finfo(float).eps)
    return float(values[order][np.searchsorted(weights.cumsum(), weights.sum() / 2)])


def _point(metric: Metric, case: Case) -> float:
    import numpy as np

    return float(metric.function(Sample(case, np.ones((1, len(case.truth)))))[0])


def _estimate(metric: Metric, case: Case, drawn: Array | None) -> Estimate:
    import numpy as np

    value = _point(metric, case)
    if metric.name == "accuracy":
        interval = wilson(round(value * len(case.truth)), len(case.truth))
        return Estimate(value=value, low=interval.low, high=interval.high)
    if metric.task == "classification" and metric.greater_is_better and math.isclose(value, metric.best):
        counts = np.bincount(case.truth)
        rarest = int(counts[counts > 0].min())
        return Estimate(value=value, low=wilson(rarest, rarest).low, high=value)
    return _spread(value, drawn)


def _spread(value: float, drawn: Array | None) -> Estimate:
    """The estimate with the middle 95 % of its resamples; none where too many of them are undefined."""
    import numpy as np

    if drawn is None or math.isnan(value) or np.isnan(drawn).mean() > 0.5:
        return Estimate(value=value, low=math.nan, high=math.nan)
    low, high = (float(edge) for edge in np.nanquantile(drawn, (0.025, 0.975)))
    return Estimate(value=value, low=min(low, value), high=max(high, value))


def _resampled(metrics: list[Metric], case: Case, seed: int) -> dict[str, Array]:
    """Return each metric under resamples of the rows, at the spread that all the rows have."""
    import numpy as np

    if not metrics:
        return {}
    random = np.random.default_rng(seed)
    rows = len(case.truth)
    shrink = 1.0
    if rows > RESAMPLED_ROWS:
        shrink = math.sqrt(RESAMPLED_ROWS / rows)
        part = case.rows(random.choice(rows, RESAMPLED_ROWS, replace=False))
        rows = RESAMPLED_ROWS
    else:
        part = case
    size = max(1, CELLS // rows)
    drawn: dict[str, list[Array]] = {metric.name: [] for metric in metrics}
    for start in range(0, RESAMPLES, size):
        sample = Sample(part, _weights(random, min(size, RESAMPLES - start), rows))
        for metric in metrics:
            drawn[metric.name].append(metric.function(sample))
    scores = {name: np.concatenate(parts) for name, parts in drawn.items()}
    if shrink == 1:
        return scores
    return {
        metric.name: _point(metric, case) + (scores[metric.name] - _point(metric, part)) * shrink for metric in metrics
    }


def _weights(random: Any, times: int, rows: int) -> Array:  # noqa: ANN401 - numpy's generator, not imported here
    """How often each row is drawn in each of ``times`` resamples of as many rows with replacement."""
    import numpy as np

    drawn = random.integers(0, rows, (times, rows)) + np.arange(times)[:, None] * rows
    return np.bincount(drawn.ravel(), minlength=times * rows).reshape(times, rows).astype(float)
