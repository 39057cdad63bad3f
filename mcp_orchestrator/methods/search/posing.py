"""From a table and a question to a problem: target, features, metric and folds, all inferred where nothing is said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from mcp_orchestrator.errors import InvalidInput, suggestion
from mcp_orchestrator.methods.columns.features import FeatureSpec, infer_features
from mcp_orchestrator.methods.columns.targets import Target, read_target
from mcp_orchestrator.methods.metrics import default_metric, metric_named
from mcp_orchestrator.methods.search.course import SCREENED
from mcp_orchestrator.methods.search.folds import folds_of, holdout
from mcp_orchestrator.methods.search.problem import Problem
from mcp_orchestrator.methods.training.pipelines import Shape

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["MOST_ROWS", "Validation", "pose"]

Validation = Literal["cross_validation", "train_test", "none"]
MOST_ROWS = 100_000
"""Rows that candidates are compared on; a random part is taken of a longer table, and the winner learns from all."""
SCREENING_FOLDS = 8
RARE = 20
BALANCED = frozenset({"balanced_accuracy", "f1", "f1_macro", "recall", "mcc"})
"""Metrics for which it helps to weigh the classes equally."""


def pose(
    frame: pd.DataFrame,
    target: str,
    *,
    task: Literal["auto", "classification", "regression"] = "auto",
    metric: str | None = None,
    features: Sequence[FeatureSpec] = (),
    validation: Validation = "cross_validation",
    folds: int = 5,
    group: str | None = None,
    time: str | None = None,
    shuffle: bool = True,
    seed: int = 0,
    most: int = MOST_ROWS,
    screening: bool = False,
) -> Problem:
    """Return the problem that a table and a target make; of a table above ``most`` rows, a random part.

    For ``screening`` a long table has more folds: one of them, on which all candidates are tried, is nearly the whole.

    Raises:
        InvalidInput: a column or the metric does not exist or does not fit.
        DataRejected: there is nothing to learn from, or not enough.

    """
    known = read_target(frame, target, task)
    for name, column in (("group", group), ("time", time)):
        if column is not None and (column not in frame.columns or column == target):
            columns = [str(one) for one in frame.columns if one != target]
            raise InvalidInput(
                name, f"there is no column {column!r}.", allowed=columns[:50], then=suggestion(column, columns)
            )
    chosen = metric_named(
        metric or default_metric(known.task, len(known.classes) or 2), known.task, len(known.classes) or None
    )
    specs = infer_features(frame, target, features, apart=[group] if group is not None else [])
    known = _sampled(known, most, seed)
    table = frame.iloc[known.rows]
    parts = {"groups": None if group is None else table[group], "times": None if time is None else table[time]}
    if validation == "none":
        pieces = []
    elif validation == "train_test":
        pieces = holdout(known, **parts, seed=seed)
    else:
        count = max(folds, SCREENING_FOLDS) if screening and len(known.y) > SCREENED else folds
        pieces = folds_of(known, count, **parts, shuffle=shuffle, seed=seed)
    shape = Shape(rows=len(known.y), classes=len(known.classes), balance=chosen.name in BALANCED)
    return Problem(frame=table, target=known, features=specs, metric=chosen, folds=pieces, shape=shape, seed=seed)


def _sampled(target: Target, most: int, seed: int) -> Target:
    """Return the target of at most about so many rows, with some of each class."""
    import numpy as np

    if len(target.y) <= most:
        return target
    order = np.random.default_rng(seed).permutation(len(target.y))
    taken: list[np.ndarray] = [order[:most]]
    taken += [order[target.y[order] == code][:RARE] for code in range(len(target.classes))]
    rows = np.unique(np.concatenate(taken))
    return Target(target.name, target.task, target.y[rows], target.classes, target.rows[rows], target.without)
