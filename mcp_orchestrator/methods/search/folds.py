"""How rows are divided to compare candidates: by class, by group, by time."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from mcp_orchestrator.errors import DataRejected, InvalidInput

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mcp_orchestrator.methods.columns.targets import Target

__all__ = ["Fold", "folds_of", "holdout"]


class Fold(NamedTuple):
    """Rows to learn from and rows to be asked about, by place."""

    train: np.ndarray
    test: np.ndarray


def folds_of(
    target: Target,
    count: int,
    *,
    groups: pd.Series | None = None,
    times: pd.Series | None = None,
    shuffle: bool = True,
    seed: int = 0,
) -> list[Fold]:
    """Return folds, at most ``count``: classes in the same shares, no group in two parts, no time before its past.

    Raises:
        InvalidInput: both groups and times are given.
        DataRejected: the rows do not allow two folds.

    """
    import numpy as np
    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold, TimeSeriesSplit

    rows = np.arange(len(target.y))
    if groups is not None and times is not None:
        raise InvalidInput("folds", "can respect a group column or a time column, not both.")
    if times is not None:
        order = _in_order(times)
        most = min(count, len(rows) // 2 - 1)
        splits = list(TimeSeriesSplit(max(2, most)).split(rows)) if most >= 2 else []
        pairs = [
            (order[train], order[test]) for train, test in reversed(splits)
        ]  # the latest first: it has most to learn from
    elif groups is not None:
        codes = groups.astype("category").cat.codes.to_numpy()
        most = min(count, len(np.unique(codes)), _most(target))
        _enough(most, "groups")
        kind = StratifiedGroupKFold if target.classes else GroupKFold
        pairs = _quietly(kind(most, shuffle=True, random_state=seed).split(rows, target.y, codes))
    else:
        most = min(count, _most(target))
        _enough(most, "rows")
        kind = StratifiedKFold if target.classes else KFold
        pairs = _quietly(kind(most, shuffle=shuffle, random_state=seed if shuffle else None).split(rows, target.y))
    usable = [Fold(train, test) for train, test in pairs if len(test) and _several(target, train)]
    _enough(len(usable), "folds with two classes to learn from", least=1)
    return usable


def holdout(target: Target, *, groups: pd.Series | None, times: pd.Series | None, seed: int) -> list[Fold]:
    """Return one fold that keeps about a quarter of the rows apart: the latest ones where there is a time."""
    return folds_of(target, 4 if times is None else 3, groups=groups, times=times, seed=seed)[:1]


def _most(target: Target) -> int:
    """Return how many folds the rarest class allows; in a long table it need not be in each, but some class must."""
    import numpy as np

    largest = int(np.bincount(target.y).max()) if target.classes else len(target.y)
    return min(max(target.smallest, 5), largest) if len(target.y) >= 100 else target.smallest


def _quietly(pairs: Iterator[tuple[np.ndarray, np.ndarray]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the pairs; that a class is missing from a fold is known and provided for."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        return list(pairs)


def _in_order(times: pd.Series) -> np.ndarray:
    import numpy as np
    from pandas.api.types import is_numeric_dtype

    from mcp_orchestrator.methods.columns.coercion import dates

    known = times if is_numeric_dtype(times.dtype) else dates(times)
    if bool(known.isna().any()):
        raise DataRejected(
            "the time is missing.",
            column=str(times.name),
            row=int(np.flatnonzero(known.isna())[0]) + 1,
            then="Fill in the time, or leave out such rows.",
        )
    return np.argsort(known.to_numpy(), kind="stable")


def _several(target: Target, rows: np.ndarray) -> bool:
    import numpy as np

    return not target.classes or len(np.unique(target.y[rows])) > 1


def _enough(found: int, what: str, *, least: int = 2) -> None:
    if found < least:
        raise DataRejected(
            f"The table has {found} {what}, and {least} are needed to compare candidates.", then="Add rows."
        )
