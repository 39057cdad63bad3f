"""A checklist for tables: what stands between a table and a model, each check from 0 to 1."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Finding", "check_table"]


SAMPLE = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check: how far it is met, its share of the score, and what was found."""

    name: str
    score: float
    weight: float
    says: str


def check_table(frame: pd.DataFrame, target: str | None) -> Iterator[Finding]:
    """Run every check on a table; the last one, on the target, where there is one."""
    import numpy as np

    rows, columns = frame.shape
    if rows > SAMPLE:
        frame = frame.sample(SAMPLE, random_state=0)
    features = [frame.iloc[:, place] for place, name in enumerate(frame.columns) if str(name) != target]
    missing = float(frame.isna().to_numpy().mean())
    yield Finding(name="completeness", score=1 - missing, weight=0.25, says=f"{missing:.1%} of the cells are missing.")
    repeated = float(frame.astype(str).duplicated().mean())
    yield Finding(name="uniqueness", score=1 - repeated, weight=0.15, says=f"{repeated:.1%} of the rows are repeated.")
    pure = [_purity(one) for one in features]
    mixed = sum(share < 0.999 for share in pure)
    says = f"{mixed} column(s) mix numbers with words."
    yield Finding(name="consistency", score=float(np.mean(pure)) if pure else 0.0, weight=0.15, says=says)
    flat = sum(one.astype(str).nunique() < 2 for one in features)
    says = f"{flat} of {len(features)} column(s) hold one value only."
    yield Finding(name="information", score=1 - flat / max(len(features), 1), weight=0.1, says=says)
    odd = float(np.mean([_outliers(one) for one in features])) if features else 0.0
    yield Finding(
        name="plausibility",
        score=1 - odd,
        weight=0.1,
        says=f"{odd:.1%} of the values lie far outside (3 quartile ranges).",
    )
    enough = min(1.0, rows / (10 * max(columns, 1)))
    says = f"{rows} rows for {columns} columns; ten rows a column are the least to aim for."
    yield Finding(name="size", score=enough, weight=0.1, says=says)
    if target is not None:
        yield _target(frame[target])


def _purity(values: pd.Series) -> float:
    """The share of the values that are of the column's main kind: numbers or not."""
    import pandas as pd
    from pandas.api import types

    present = values.dropna()
    if not len(present) or types.is_numeric_dtype(values.dtype) or types.is_datetime64_any_dtype(values.dtype):
        return 1.0
    share = float(pd.to_numeric(present.astype(str), errors="coerce").notna().mean())
    return max(share, 1 - share)


def _outliers(values: pd.Series) -> float:
    """The share of a numeric column's values beyond Tukey's outer fences."""
    import numpy as np
    from pandas.api import types

    if not types.is_numeric_dtype(values.dtype) or types.is_bool_dtype(values.dtype):
        return 0.0
    numbers = np.asarray(values.dropna(), dtype=float)
    numbers = numbers[np.isfinite(numbers)]
    if len(numbers) < 4:
        return 0.0
    low, high = np.quantile(numbers, (0.25, 0.75))
    width = high - low
    return float(((numbers < low - 3 * width) | (numbers > high + 3 * width)).mean()) if width else 0.0


def _target(values: pd.Series) -> Finding:
    """How evenly the classes are spread; a target of many numbers counts by how much of it is known."""
    import numpy as np
    from pandas.api import types

    present = values.dropna()
    counts = present.astype(str).value_counts().to_numpy(dtype=float)
    if len(counts) < 2:
        return Finding(name="target", score=0.0, weight=0.15, says="The target has fewer than two values.")
    if types.is_float_dtype(values.dtype) or len(counts) > 20:
        known = len(present) / len(values)
        return Finding(name="target", score=known, weight=0.15, says=f"{known:.1%} of the targets are known.")
    shares = counts / counts.sum()
    even = float(-(shares * np.log(shares)).sum() / np.log(len(shares)))
    says = f"{len(counts)} classes, the rarest with {counts.min():.0f} row(s); evenness {even:.2f}."
    return Finding(name="target", score=even, weight=0.15, says=says)
