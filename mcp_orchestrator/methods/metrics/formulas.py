"""The formulas of the metrics: each takes a sample and returns one score per weighting of its rows.

Undefined scores are NaN (an area under the curve with one class only), never a made-up figure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mcp_orchestrator.methods.metrics.sample import Sample

    Array = NDArray[Any]


def _ratio(numerator: Array, denominator: Array, otherwise: float) -> Array:
    import numpy as np

    out = np.full(np.broadcast(numerator, denominator).shape, otherwise)
    return np.divide(numerator, denominator, out=out, where=denominator != 0)


def _binary_or_macro(per_class: Array, present: Array) -> Array:
    """The figure of the second class of two, or the mean over the classes that occur."""
    return per_class[:, 1] if per_class.shape[1] == 2 else _macro(per_class, present)


def _macro(per_class: Array, present: Array) -> Array:
    return _ratio((per_class * present).sum(axis=1), present.sum(axis=1), float("nan"))


def accuracy(sample: Sample) -> Array:
    """The share of right labels."""
    return sample.counts.hits.sum(axis=1) / sample.total


def balanced_accuracy(sample: Sample) -> Array:
    """The mean recall over the classes that occur."""
    hits, actual, _ = sample.counts
    return _macro(_ratio(hits, actual, 0.0), actual > 0)


def precision(sample: Sample) -> Array:
    """The share of right ones among the rows predicted as a class; 0 where there is none."""
    hits, actual, predicted = sample.counts
    return _binary_or_macro(_ratio(hits, predicted, 0.0), actual + predicted > 0)


def recall(sample: Sample) -> Array:
    """The share of a class's rows that are found; 0 where there is none."""
    hits, actual, predicted = sample.counts
    return _binary_or_macro(_ratio(hits, actual, 0.0), actual + predicted > 0)


def f1(sample: Sample) -> Array:
    """The harmonic mean of precision and recall."""
    hits, actual, predicted = sample.counts
    return _binary_or_macro(_ratio(2 * hits, actual + predicted, 0.0), actual + predicted > 0)


def f1_macro(sample: Sample) -> Array:
    """The mean over the classes of the harmonic mean of precision and recall."""
    hits, actual, predicted = sample.counts
    return _macro(_ratio(2 * hits, actual + predicted, 0.0), actual + predicted > 0)


def mcc(sample: Sample) -> Array:
    """Matthews' correlation of labels (Gorodkin's for several classes); 0 for a constant answer."""
    import numpy as np

    hits, actual, predicted = sample.counts
    total = sample.total
    covariance = hits.sum(axis=1) * total - (actual * predicted).sum(axis=1)
    spread = (total**2 - (predicted**2).sum(axis=1)) * (total**2 - (actual**2).sum(axis=1))
    return _ratio(covariance, np.sqrt(np.maximum(spread, 0)), 0.0)


def log_loss(sample: Sample) -> Array:
    """The mean of minus the logarithm of the probability given to the true class."""
    import numpy as np

    shares, truth = _shares(sample), sample.case.truth
    right = shares[np.arange(len(truth)), truth] / shares.sum(axis=1)
    tiny = float(np.finfo(shares.dtype).eps)
    return sample.mean(-np.log(np.clip(right, tiny, 1)))


def brier(sample: Sample) -> Array:
    """The mean squared distance of the probabilities from the truth (halved for two classes, as is usual)."""
    import numpy as np

    shares, truth = _shares(sample), sample.case.truth
    wrong = ((shares - np.eye(shares.shape[1])[truth]) ** 2).sum(axis=1)
    return sample.mean(wrong / 2 if shares.shape[1] == 2 else wrong)


def roc_auc(sample: Sample) -> Array:
    """The chance that a row of a class is ranked above one of another; the mean over the classes of three or more.

    Many weightings of three or more classes are scored by the first-order expansion of each area (its Hajek
    projection), which is linear in the weights: going through each resample for each class takes twenty times as long.
    """
    import numpy as np

    shares = _shares(sample)
    if shares.shape[1] == 2:
        return _auc(sample, shares[:, 1], sample.case.truth == 1)
    if len(sample.weights) == 1:
        each = [_auc(sample, shares[:, k], sample.case.truth == k) for k in range(shares.shape[1])]
        areas = np.stack(each, axis=1)
    else:
        above, below, whole = sample.case.placements
        actual = sample.weights @ np.eye(shares.shape[1])[sample.case.truth]
        others = sample.total[:, None] - actual
        hits = _ratio(sample.weights @ above, actual, float("nan"))
        areas = hits + _ratio(sample.weights @ below, others, float("nan")) - whole
    return _macro(np.nan_to_num(areas), ~np.isnan(areas))


def average_precision(sample: Sample) -> Array:
    """The area under the precision-recall steps of the second class."""
    shares = _shares(sample)
    positive, negative = _ranked(sample, -shares[:, 1], sample.case.truth == 1)
    found, wrong = positive.cumsum(axis=1), negative.cumsum(axis=1)
    steps = positive * _ratio(found, found + wrong, 0.0)
    return _ratio(steps.sum(axis=1), found[:, -1], float("nan"))


def _shares(sample: Sample) -> Array:
    from mcp_orchestrator.errors import InvalidInput

    if sample.case.probabilities is None:
        raise InvalidInput("probabilities", "are required by this metric.")
    return sample.case.probabilities


def _ranked(sample: Sample, score: Array, positive: Array) -> tuple[Array, Array]:
    """The weights of positive and negative rows in ascending order of the score, tied rows added up."""
    import numpy as np

    order = np.argsort(score, kind="stable")
    weights, mask, ranked = sample.weights[:, order], positive[order], score[order]
    up, down = weights * mask, weights * ~mask
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    if len(starts) == len(ranked):
        return up, down
    return np.add.reduceat(up, starts, axis=1), np.add.reduceat(down, starts, axis=1)


def _auc(sample: Sample, score: Array, positive: Array) -> Array:
    up, down = _ranked(sample, score, positive)
    below = down.cumsum(axis=1)
    wins = (up * (below - down / 2)).sum(axis=1)
    return _ratio(wins, up.sum(axis=1) * below[:, -1], float("nan"))


def _errors(sample: Sample) -> Array:
    from mcp_orchestrator.errors import InvalidInput

    if sample.case.predicted is None:
        raise InvalidInput("predicted", "is required by a metric of a regression.")
    return sample.case.truth - sample.case.predicted


def rmse(sample: Sample) -> Array:
    """The root of the mean squared error."""
    import numpy as np

    return np.sqrt(sample.mean(_errors(sample) ** 2))


def mae(sample: Sample) -> Array:
    """The mean absolute error."""
    return sample.mean(abs(_errors(sample)))


def mape(sample: Sample) -> Array:
    """The mean absolute error as a share of the true value (huge where that is zero)."""
    import numpy as np

    return sample.mean(abs(_errors(sample)) / np.maximum(abs(sample.case.truth), np.finfo(float).eps))


def median_absolute_error(sample: Sample) -> Array:
    """The median absolute error."""
    import numpy as np

    errors = abs(_errors(sample))
    order = np.argsort(errors, kind="stable")
    heavier = sample.weights[:, order].cumsum(axis=1)
    half = heavier[:, -1:] / 2
    low, high = (heavier < half).sum(axis=1), (heavier <= half).sum(axis=1)
    ranked = errors[order]
    return (ranked[low] + ranked[np.minimum(high, len(ranked) - 1)]) / 2


def r2(sample: Sample) -> Array:
    """The share of the variance that is explained; 0 for a constant truth that is missed."""
    return _explained(sample, sample.mean(_errors(sample) ** 2))


def explained_variance(sample: Sample) -> Array:
    """The share of the variance that is explained, whatever the bias."""
    return _explained(sample, _variance(sample, _errors(sample)))


def _explained(sample: Sample, left: Array) -> Array:
    import numpy as np

    if len(sample.case.truth) < 2:
        return np.full(len(sample.weights), np.nan)
    spread = _variance(sample, sample.case.truth)
    flat = spread <= 0
    return np.where(flat, np.where(left <= 0, 1.0, 0.0), 1 - left / np.where(flat, 1, spread))


def _variance(sample: Sample, values: Array) -> Array:
    import numpy as np

    if not np.ptp(values):
        return np.zeros(len(sample.weights))
    centered = values - values.mean()
    return np.maximum(sample.mean(centered**2) - sample.mean(centered) ** 2, 0)
