"""The levels of a column of categories: their order, their codes, and the mean of the target in each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mcp_orchestrator.methods.columns import coercion

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

__all__ = ["codes_of", "levels_of", "target_means"]

FEW = 64
"""Rows up to which a dictionary is asked value by value; above, the distinct values are found first."""


def levels_of(values: pd.Series) -> list[str]:
    """Return the levels of a column, the most frequent first."""
    counts: dict[str, int] = {}
    for value, count in values.value_counts(dropna=False).items():
        level = coercion.label_text(value)
        counts[level] = counts.get(level, 0) + int(count)
    return sorted(counts, key=lambda level: (-counts[level], level))


def codes_of(values: pd.Series, lookup: dict[str, int]) -> NDArray[np.int64]:
    """Return the code of each value's level, -1 where it is unknown."""
    import pandas as pd

    if len(values) <= FEW:
        return np.array([lookup.get(coercion.label_text(value), -1) for value in values.tolist()], dtype=np.int64)
    codes, distinct = pd.factorize(values)
    table = [lookup.get(coercion.label_text(value), -1) for value in [*distinct, None]]  # -1, missing, is the last
    return np.array(table, dtype=np.int64)[codes]


def target_means(
    codes: NDArray[np.int64],
    levels: int,
    y: Any,  # noqa: ANN401 - labels or values
    *,
    binary: bool,
    seed: int,
) -> tuple[Matrix, Matrix]:
    """Return each row's level mean learned without that row's fold, and all levels' means, the overall last."""
    from sklearn.model_selection import KFold, StratifiedKFold
    from sklearn.preprocessing import TargetEncoder

    column, truth = codes[:, None], np.asarray(y)
    learner = TargetEncoder(
        categories=[np.arange(levels)],  # type: ignore[arg-type]  # the annotations know the default only
        target_type="binary" if binary else "continuous",
    )
    rarest = int(np.unique(truth, return_counts=True)[1].min()) if binary else len(codes)
    folds = StratifiedKFold if binary and rarest >= 2 else KFold
    across = np.empty(len(codes))
    for train, test in folds(max(2, min(5, rarest)), shuffle=True, random_state=seed).split(column, truth):
        across[test] = learner.fit(column[train], truth[train]).transform(column[test])[:, 0]
    learner.fit(column, truth)
    return across, np.append(learner.encodings_[0], learner.target_mean_)
