"""Columns that give the target away: a copy of it, one that alone predicts it, or gaps that tell the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["suspects"]

ROWS = 5000
ENOUGH = 30
"""Rows below which a column can look perfect by chance."""
NEAR = 0.99
RANKS = 0.995


def suspects(
    frame: pd.DataFrame,
    target: str,
    task: Literal["classification", "regression"],
) -> dict[str, str]:
    """Return the columns that give the target away, each with the reason, from a sample of rows."""
    known = frame[frame[target].notna()]
    if len(known) < ENOUGH:
        return {}
    if len(known) > ROWS:
        known = known.sample(ROWS, random_state=0)
    others = [name for name in known.columns if name != target]
    if task == "regression":
        return _ranked(known, target, others)
    import pandas as pd

    y, classes = pd.factorize(known[target])
    if not 2 <= len(classes) <= len(y) / 4:
        return {}
    found: dict[str, str] = {}
    for name in others:
        reason = _reason(known[name], y, len(classes))
        if reason:
            found[name] = reason
    return found


def _ranked(known: pd.DataFrame, target: str, others: list[str]) -> dict[str, str]:
    """Compare ranks, so that a copy in another unit or on another scale is found as well."""
    import numpy as np
    from pandas.api import types

    found: dict[str, str] = {}
    if not types.is_numeric_dtype(known[target].dtype):
        return found
    for name in others:
        values = known[name]
        if types.is_datetime64_any_dtype(values.dtype):
            values = values.astype("int64").where(values.notna())
        if not types.is_numeric_dtype(values.dtype) or types.is_bool_dtype(values.dtype):
            continue
        both = values.notna()
        if both.sum() < ENOUGH or values[both].nunique() < 3:
            continue
        ranks = np.corrcoef(values[both].rank(), known.loc[both, target].rank())[0, 1]
        if abs(ranks) > RANKS:
            same = bool((values[both] == known.loc[both, target]).all())
            found[name] = (
                "it is a copy of the target" if same else f"its rank correlation with the target is {ranks:.4f}"
            )
    return found


def _reason(values: pd.Series, y: np.ndarray, classes: int) -> str:
    import numpy as np
    import pandas as pd
    from pandas.api import types

    gaps = values.isna().to_numpy()
    if gaps.any() and not gaps.all():
        told = _halves(gaps.astype(np.int64), y, classes)
        if told >= NEAR and classes == 2:
            return f"whether it is missing alone gives the target in {told:.1%} of the cases"
    codes, distinct = pd.factorize(values)
    if len(distinct) == classes and len(np.unique(codes * classes + y)) == classes and not gaps.any():
        return "it is the target under other labels"
    if types.is_numeric_dtype(values.dtype) or types.is_datetime64_any_dtype(values.dtype):
        told = _threshold(values, y, classes)
    elif len(distinct) <= len(y) / 4:
        told = _halves(codes + 1, y, classes) if _pure(codes + 1, y) else 0.0
    else:
        told = 0.0
    borders = (classes - 1) / len(y)  # a threshold learned on every other row misses about one row for each border
    return f"it alone gives the target in {told:.1%} of the cases" if told >= NEAR - borders else ""


def _threshold(values: pd.Series, y: np.ndarray, classes: int) -> float:
    """Return how well a small tree on one column does on rows that it did not see."""
    import numpy as np
    from pandas.api import types

    if types.is_datetime64_any_dtype(values.dtype):
        values = values.astype("int64").where(values.notna())
    x = values.to_numpy(dtype=np.float64, na_value=np.nan)
    present = ~np.isnan(x)
    x = np.where(present, x, (x[present].min() if present.any() else 0.0) - 1.0)
    order = np.argsort(x, kind="stable")
    leaves = 2 * classes + 6
    changes = np.count_nonzero(np.diff(y[order])[np.diff(x[order]) > 0])
    if changes > leaves + 0.04 * len(y) or not _pure(np.unique(x, return_inverse=True)[1], y):
        return 0.0  # the classes take turns along the column: no need to fit
    from sklearn.tree import DecisionTreeClassifier

    def fitted(rows: np.ndarray) -> Any:  # noqa: ANN401 - scikit-learn's estimator
        return DecisionTreeClassifier(max_leaf_nodes=leaves, random_state=0).fit(x[rows, None], y[rows])

    half = _half(y)
    predicted = np.empty_like(y)
    predicted[~half] = fitted(half).predict(x[~half, None])
    predicted[half] = fitted(~half).predict(x[half, None])
    return _balanced(predicted, y, classes)


def _halves(codes: np.ndarray, y: np.ndarray, classes: int) -> float:
    """Return how well the most frequent class of each value does on rows that it was not counted on."""
    import numpy as np

    half = _half(y)
    predicted = np.empty_like(y)
    for learned in (half, ~half):
        counts = np.zeros((codes.max() + 1, classes))
        np.add.at(counts, (codes[learned], y[learned]), 1)
        predicted[~learned] = counts.argmax(axis=1)[codes[~learned]]
    return _balanced(predicted, y, classes)


def _pure(codes: np.ndarray, y: np.ndarray) -> bool:
    """Tell whether nearly every value goes with one class; if not, nothing needs to be learned."""
    import numpy as np

    pairs, counts = np.unique(codes.astype(np.int64) * (y.max() + 1) + y, return_counts=True)
    best = np.zeros(codes.max() + 1)
    np.maximum.at(best, pairs // (y.max() + 1), counts)
    return bool(best.sum() >= NEAR * len(y))


def _half(y: np.ndarray) -> np.ndarray:
    """Return a half of the rows with the classes in the same shares."""
    import numpy as np

    order = np.argsort(y + np.random.default_rng(0).random(len(y)), kind="stable")
    half = np.zeros(len(y), dtype=bool)
    half[order[::2]] = True
    return half


def _balanced(predicted: np.ndarray, y: np.ndarray, classes: int) -> float:
    import numpy as np

    right = np.bincount(y[predicted == y], minlength=classes)
    return float(np.mean(right / np.maximum(np.bincount(y, minlength=classes), 1)))
