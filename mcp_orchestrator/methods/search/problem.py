"""A problem to be solved: a table, its target, the metric and the folds; and how well a candidate does on one fold."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from mcp_orchestrator.errors import WorkerLost
from mcp_orchestrator.methods.columns.features import FeatureSpec
from mcp_orchestrator.methods.columns.targets import Target
from mcp_orchestrator.methods.metrics import Metric, score
from mcp_orchestrator.methods.search.folds import Fold
from mcp_orchestrator.methods.training.families import Encoding, Params, family_named
from mcp_orchestrator.methods.training.pipelines import Shape, estimator, preprocessor

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["Attempt", "Outcome", "Problem", "aligned"]

CACHED = 30_000_000
"""Numbers of encoded matrices that one process keeps."""


class Attempt(NamedTuple):
    """One fold of one candidate."""

    family: str
    params: Params
    fold: int


class Outcome(NamedTuple):
    """What came out: a score and predictions for the fold's test rows, or the reason why not.

    ``predictions`` are probabilities by class, or values; ``response`` is the decision function where there is one.
    """

    score: float
    predictions: np.ndarray | None
    response: np.ndarray | None
    seconds: float
    reason: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class Problem:
    """Everything that candidates are compared on. ``frame`` holds the rows with a known target, in order."""

    frame: pd.DataFrame
    target: Target
    features: Sequence[FeatureSpec]
    metric: Metric
    folds: Sequence[Fold]
    shape: Shape
    seed: int = 0
    _matrices: dict[tuple[Encoding, int], tuple[np.ndarray, np.ndarray]] = field(
        default_factory=dict[tuple[Encoding, int], "tuple[np.ndarray, np.ndarray]"],
        repr=False,
    )

    def score(self, fold: int, predictions: np.ndarray) -> float:
        """Return the score of predictions for the test rows of a fold."""
        truth = self.target.y[self.folds[fold].test]
        if not self.target.classes:
            return score(self.metric, truth, predictions)
        codes = range(len(self.target.classes))
        return score(self.metric, truth, predictions.argmax(axis=1), predictions, codes)

    def attempt(self, task: Attempt) -> Outcome:
        """Learn on a fold's training rows and predict its test rows."""
        started = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a candidate that does not converge is judged by its score
                predictions, response = self._fit(task)
            found = self.score(task.fold, predictions)
        except (ValueError, ArithmeticError, MemoryError) as error:
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            return Outcome(float("nan"), None, None, time.perf_counter() - started, reason)
        return Outcome(found, predictions, response, time.perf_counter() - started)

    def _fit(self, task: Attempt) -> tuple[np.ndarray, np.ndarray | None]:
        family = family_named(task.family)
        train, test = self._encoded(family.encoding, task.fold)
        model = estimator(family, task.params, self.shape, self.seed)
        model.fit(train, self.target.y[self.folds[task.fold].train])
        if not self.target.classes:
            return model.predict(test), None
        classes = len(self.target.classes)
        decides = hasattr(model, "decision_function") and len(model.classes_) == classes
        response = model.decision_function(test) if decides else None
        return aligned(model.predict_proba(test), model.classes_, classes), response

    def _encoded(self, encoding: Encoding, fold: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the matrices of a fold; they are the same for all candidates of a kind, so this process keeps some."""
        key = (encoding, fold)
        if key not in self._matrices:
            rows = self.folds[fold]
            encoder = preprocessor(self.features, encoding, self.shape, self.seed)
            train = encoder.fit_transform(self.frame.iloc[rows.train], self.target.y[rows.train])
            made = train, encoder.transform(self.frame.iloc[rows.test])
            while self._matrices and sum(a.size + b.size for a, b in [*self._matrices.values(), made]) > CACHED:
                self._matrices.pop(next(iter(self._matrices)))
            self._matrices[key] = made
        return self._matrices[key]


def aligned(probabilities: np.ndarray, known: np.ndarray, classes: int) -> np.ndarray:
    """Return probabilities with a column for each class, also for those that a fold did not know."""
    import numpy as np

    if len(known) == classes:
        return probabilities
    full = np.zeros((len(probabilities), classes))
    full[:, known] = probabilities
    return full


def outcome_of(result: Outcome | WorkerLost) -> Outcome:
    """Return a result of a pool as an outcome; a process that was lost is a reason."""
    return result if isinstance(result, Outcome) else Outcome(float("nan"), None, None, 0.0, str(result))
