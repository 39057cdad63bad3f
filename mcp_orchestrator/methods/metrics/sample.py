"""Truth and predictions of one model, prepared once and scored under many weightings of the rows at a time.

A weighting is one row of a matrix: how often each table row counts. Ones give the score itself, draws with replacement
a bootstrap; every formula takes the whole matrix, so that five hundred resamples cost a few matrix products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from mcp_orchestrator.errors import DataRejected, InvalidInput

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]

__all__ = ["Case", "Counts", "Sample", "Task", "case_of", "classes_of"]

Task = Literal["classification", "regression"]


@dataclass(frozen=True, eq=False)
class Case:
    """Truth and predictions: class codes with ``classes`` for classification, figures for regression."""

    truth: Array
    predicted: Array | None
    probabilities: Array | None
    classes: tuple[Any, ...]

    def rows(self, chosen: Array) -> Case:
        """Return the case of some rows only."""
        return Case(
            self.truth[chosen],
            None if self.predicted is None else self.predicted[chosen],
            None if self.probabilities is None else self.probabilities[chosen],
            self.classes,
        )

    @cached_property
    def placements(self) -> tuple[Array, Array, Array]:
        """How each row ranks for each class.

        First, for a row of the class, the share of the other rows below it; second, for any other row, the share of the
        class's rows above it; third, the area under each class's curve.
        """
        import numpy as np
        from scipy.stats import rankdata

        shares = self.probabilities
        if shares is None:
            raise InvalidInput("probabilities", "are required by this metric.")
        above, below, whole = np.zeros(shares.shape), np.zeros(shares.shape), np.full(shares.shape[1], np.nan)
        for k in range(shares.shape[1]):
            own = self.truth == k
            if not own.any() or own.all():
                continue
            ranks = rankdata(shares[:, k])
            above[own, k] = (ranks[own] - rankdata(shares[own, k])) / (~own).sum()
            below[~own, k] = 1 - (ranks[~own] - rankdata(shares[~own, k])) / own.sum()
            whole[k] = above[own, k].mean()
        return above, below, whole


class Counts(NamedTuple):
    """Per weighting and class: rows predicted rightly, rows that belong to it, rows predicted as it."""

    hits: Array
    actual: Array
    predicted: Array


@dataclass(frozen=True, eq=False)
class Sample:
    """A case under a matrix of weightings (weightings x rows)."""

    case: Case
    weights: Array

    @cached_property
    def total(self) -> Array:
        """The sum of the weights of each weighting."""
        return self.weights.sum(axis=1)

    @cached_property
    def counts(self) -> Counts:
        """What every metric on labels is made of."""
        truth, predicted = self.case.truth, self.case.predicted
        if predicted is None:
            raise InvalidInput("predicted", "is required by a metric on labels.")
        return Counts(self._per_class(truth, truth == predicted), self._per_class(truth), self._per_class(predicted))

    def mean(self, values: Array) -> Array:
        """The weighted mean of a figure per row, under each weighting."""
        return self.weights @ values / self.total

    def _per_class(self, codes: Array, rows: Array | None = None) -> Array:
        import numpy as np
        from scipy.sparse import csr_array

        ones = np.ones(len(codes)) if rows is None else rows.astype(float)
        shape = (len(codes), len(self.case.classes))
        return self.weights @ csr_array((ones, codes, np.arange(len(codes) + 1)), shape=shape)


def classes_of(*labels: ArrayLike) -> list[Any]:
    """Return the distinct labels, sorted; labels of mixed types are sorted by their text."""
    import numpy as np

    found = {label for part in labels for label in np.asarray(part, dtype=object).tolist()}
    try:
        return sorted(found)
    except TypeError:
        return sorted(found, key=str)


def case_of(
    task: Task,
    y: ArrayLike,
    predicted: ArrayLike | None,
    probabilities: ArrayLike | None = None,
    classes: Sequence[Any] = (),
) -> Case:
    """Check truth and predictions and turn labels into codes.

    Args:
        task: What kind of model it is.
        y: The true labels or values.
        predicted: The predicted labels or values.
        probabilities: One column per class in the order of ``classes``, or P(second class) alone.
        classes: The model's classes, sorted; found in ``y`` and ``predicted`` when empty.

    Raises:
        DataRejected: a label or value is missing, unknown or not finite; names the row.
        InvalidInput: there is no row, or the lengths do not match.

    """
    import numpy as np

    truth = np.asarray(y, dtype=object if task == "classification" else None)
    answers = None if predicted is None else np.asarray(predicted, dtype=object if task == "classification" else None)
    if not len(truth):
        raise InvalidInput("y", "has no row.", then="Give at least one row with a known target.")
    if answers is not None and len(answers) != len(truth):
        raise InvalidInput("predicted", f"has {len(answers)} rows, and y has {len(truth)}.")
    if task == "regression":
        values = None if answers is None else _finite(answers, "predicted")
        return Case(_finite(truth, "y"), values, None, ())
    if not len(classes):
        _present(truth)
        classes = classes_of(truth) if answers is None else classes_of(truth, answers)
    codes = None if answers is None else _codes(answers, classes, "predicted")
    shares = None if probabilities is None else _probabilities(probabilities, len(truth), len(classes))
    return Case(_codes(truth, classes, "y"), codes, shares, tuple(classes))


def _finite(values: Array, field: str) -> Array:
    import numpy as np

    try:
        numbers = values.astype(float).reshape(-1)
    except (TypeError, ValueError) as error:
        raise InvalidInput(field, "must hold numbers for a regression.") from error
    wrong = np.flatnonzero(~np.isfinite(numbers))
    if len(wrong):
        raise DataRejected(
            f"{field} holds a missing or infinite value.",
            row=int(wrong[0]) + 1,
            then="Leave out the rows without a known target." if field == "y" else "The model cannot answer this row.",
        )
    return numbers


def _present(labels: Array) -> None:
    import pandas as pd

    missing = pd.isna(pd.Series(labels, dtype=object)).to_numpy().nonzero()[0]
    if len(missing):
        raise DataRejected(
            "the label is missing.",
            row=int(missing[0]) + 1,
            then="Leave out the rows without a known target.",
        )


def _codes(labels: Array, classes: Sequence[Any], field: str) -> Array:
    import pandas as pd

    codes = pd.Index(list(classes), dtype=object).get_indexer(pd.Index(labels, dtype=object))
    unknown = (codes < 0).nonzero()[0]
    if len(unknown):
        _present(labels)
        raise DataRejected(
            f"the label {labels[unknown[0]]!r} in {field} is not one of the model's classes.",
            row=int(unknown[0]) + 1,
            then=f"Classes: {', '.join(repr(one) for one in list(classes)[:20])}. Leave such rows out, or train again.",
        )
    return codes


def _probabilities(given: ArrayLike, rows: int, classes: int) -> Array:
    import numpy as np

    shares = np.asarray(given, dtype=float)
    if shares.ndim == 1 and classes == 2:
        shares = np.column_stack([1 - shares, shares])
    if shares.shape != (rows, classes):
        raise InvalidInput(
            "probabilities",
            f"has the shape {shares.shape}, and {rows} rows x {classes} classes are expected.",
        )
    wrong = np.flatnonzero(~((shares >= -1e-9) & (shares <= 1 + 1e-9)).all(axis=1))
    if len(wrong):
        raise DataRejected("a probability is not between 0 and 1.", row=int(wrong[0]) + 1)
    return shares
