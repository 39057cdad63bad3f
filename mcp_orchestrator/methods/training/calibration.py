"""Calibration and decision threshold, both learned from out-of-fold predictions only.

A calibrator is kept where it lowers the log-loss of rows that it was not fitted on; the model below it stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.metaestimators import available_if

from mcp_orchestrator.methods.metrics import Metric, score

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mcp_orchestrator.methods.training.outoffold import OutOfFold

    Array = NDArray[Any]

__all__ = [
    "Comparison",
    "Way",
    "calibrated",
    "compare",
    "crossfitted",
    "log_losses",
    "tuned_threshold",
    "with_threshold",
]

Way = Literal["sigmoid", "isotonic", "temperature"]
PARTS = 5
TINY = 1e-15


@dataclass(frozen=True)
class Comparison:
    """A figure before and after a change, and whether the change is kept."""

    before: float
    after: float
    kept: bool
    reason: str


class _Given(ClassifierMixin, BaseEstimator):
    """Answers with the numbers it is asked about: out-of-fold predictions in the place of rows."""

    def __init__(self, classes: int, *, decides: bool) -> None:
        self.classes, self.decides = classes, decides
        self.classes_ = np.arange(classes)

    def fit(self, X: Array, y: Array) -> _Given:  # noqa: ARG002 - nothing is learned
        return self

    def predict(self, X: Array) -> Array:
        return X.argmax(axis=1)

    @available_if(lambda self: self.decides)  # pyright: ignore[reportUntypedFunctionDecorator]
    def decision_function(self, X: Array) -> Array:
        return X[:, 0] if X.shape[1] == 1 else X

    @available_if(lambda self: not self.decides)  # pyright: ignore[reportUntypedFunctionDecorator]
    def predict_proba(self, X: Array) -> Array:
        return X


def calibrated(model: Any, found: OutOfFold, y: Array, way: Way) -> Any:  # noqa: ANN401 - any fitted classifier
    """Return the fitted model below a calibrator that was learned from out-of-fold predictions."""
    from sklearn.frozen import FrozenEstimator

    made = _learned(found, y, way, np.arange(len(y)))
    below = FrozenEstimator(model)
    made.set_params(estimator=below, cv=None)
    made.calibrated_classifiers_[0].estimator = below
    for name in ("n_features_in_", "feature_names_in_"):
        if hasattr(model, name):
            setattr(made, name, getattr(model, name))
    return made


def crossfitted(found: OutOfFold, y: Array, way: Way, seed: int = 0) -> Array:
    """Return calibrated probabilities, each by a calibrator that did not see its row."""
    from sklearn.model_selection import StratifiedKFold

    folds = StratifiedKFold(max(2, min(PARTS, int(np.bincount(y).min()))), shuffle=True, random_state=seed)
    answer = np.zeros_like(found.predictions)
    for train, test in folds.split(y, y):
        answer[test] = _learned(found, y, way, train).predict_proba(_asked(found)[test])
    return answer


def log_losses(y: Array, probabilities: Array) -> Array:
    """Return each row's log-loss."""
    right = probabilities[np.arange(len(y)), y] / probabilities.sum(axis=1)
    return -np.log(np.clip(right, TINY, 1))


def compare(before: Array, after: Array) -> Comparison:
    """Compare log-losses row by row: a change is kept when the gain exceeds half its standard error."""
    gain = before - after
    error = float(gain.std(ddof=1) / np.sqrt(len(gain)))
    kept = float(gain.mean()) > 0.5 * error
    figures = f"log-loss {after.mean():.4f} against {before.mean():.4f}, each by rows not used for it"
    return Comparison(float(before.mean()), float(after.mean()), kept, figures if kept else f"no clear gain: {figures}")


def tuned_threshold(metric: Metric, y: Array, chances: Array) -> tuple[float, Comparison]:
    """Return the threshold of the second class's probability that does best, and what it brings against one half."""
    candidates = np.unique(np.quantile(chances, np.linspace(0.005, 0.995, 199)))
    at_half = score(metric, y, (chances >= 0.5).astype(int), None, (0, 1))
    scores = np.array([score(metric, y, (chances >= one).astype(int), None, (0, 1)) for one in candidates])
    signed = scores if metric.greater_is_better else -scores
    best = np.flatnonzero(signed >= np.nanmax(signed) - 1e-12)
    threshold = float(candidates[best[len(best) // 2]])
    after = float(scores[best[0]])
    kept = metric.better(after, at_half)
    figures = f"{metric.name} {after:.4f} at {threshold:.4g} against {at_half:.4f} at 0.5, out of fold"
    return threshold, Comparison(at_half, after, kept, figures if kept else f"no gain: {figures}")


def with_threshold(model: Any, threshold: float) -> Any:  # noqa: ANN401 - any fitted classifier of two classes
    """Return the fitted model with another decision threshold."""
    from sklearn.frozen import FrozenEstimator
    from sklearn.model_selection import FixedThresholdClassifier

    made = FixedThresholdClassifier(
        FrozenEstimator(model), threshold=threshold, pos_label=1, response_method="predict_proba"
    )
    return made.fit(np.zeros((2, 1)), np.array([0, 1]))


def _asked(found: OutOfFold) -> Array:
    if found.response is None:
        return found.predictions
    return found.response[:, None] if found.response.ndim == 1 else found.response


def _learned(found: OutOfFold, y: Array, way: Way, rows: Array) -> Any:  # noqa: ANN401
    """Fit a calibrator on some rows of the out-of-fold predictions."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator

    given = FrozenEstimator(_Given(found.predictions.shape[1], decides=found.response is not None))
    everything = np.arange(len(rows))
    made = CalibratedClassifierCV(given, method=way, ensemble=False, cv=[(everything, everything)])  # type: ignore[arg-type]
    return made.fit(_asked(found)[rows], y[rows])
