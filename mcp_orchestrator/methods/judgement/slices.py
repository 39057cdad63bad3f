"""Parts of a table on which a model does worse than on the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.errors import InvalidInput
from mcp_orchestrator.methods.statistics.intervals import wilson
from mcp_orchestrator.methods.statistics.multiplicity import benjamini_hochberg
from mcp_orchestrator.values import Estimate, Value

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]

__all__ = ["Slice", "worst_slices"]

LEAST_ROWS = 20
LEVELS = 30
FEW = 10


class Slice(Value):
    """A part of the rows: its error against that of the other rows.

    The error is the share of wrong labels, or the mean absolute error; ``worse`` says that the gap is more than chance
    (adjusted for all the slices that were looked at, at .05).
    """

    column: str
    value: str
    rows: int
    error: Estimate
    elsewhere: float
    gap: float
    adjusted_p: float
    worse: bool


def worst_slices(
    frame: pd.DataFrame,
    errors: ArrayLike,
    *,
    columns: Sequence[str] | None = None,
    least_rows: int = LEAST_ROWS,
    most: int = 10,
) -> list[Slice]:
    """Return the slices with the largest gaps, those first that are more than chance.

    Args:
        frame: The rows; slices are categories, and quarters of numbers.
        errors: For each row 1 or 0 for a wrong or right label, or the absolute error.
        columns: The columns to slice by; all when left out.
        least_rows: A slice, and what is outside it, has at least so many rows.
        most: How many to return.

    Raises:
        InvalidInput: there is no such column.

    """
    import numpy as np

    wrong = np.asarray(errors, dtype=float)
    names = [str(name) for name in frame.columns]
    for name in columns or ():
        if name not in names:
            raise InvalidInput("slices", f"there is no column {name!r}.", allowed=names[:50])
    found = [
        (name, value, inside)
        for name in columns or names
        for value, inside in _parts(frame[name])
        if least_rows <= inside.sum() <= len(wrong) - least_rows
    ]
    if not found:
        return []
    labels = bool(np.isin(wrong, (0, 1)).all())
    tested = [_tested(wrong, inside, labels=labels) for _, _, inside in found]
    adjusted = benjamini_hochberg([p for _, _, p in tested]).adjusted
    slices = [
        Slice(
            column=name,
            value=value,
            rows=int(inside.sum()),
            error=error,
            elsewhere=elsewhere,
            gap=error.value - elsewhere,
            adjusted_p=p,
            worse=p < 0.05 and error.value > elsewhere,
        )
        for (name, value, inside), (error, elsewhere, _), p in zip(found, tested, adjusted, strict=True)
    ]
    return sorted(slices, key=lambda one: (not one.worse, -one.gap, one.column, one.value))[:most]


def _parts(values: Any) -> Iterator[tuple[str, Array]]:  # noqa: ANN401 - a column
    """Each category of a column, or each quarter of its numbers, with the rows that it holds."""
    import numpy as np
    import pandas as pd
    from pandas.api import types

    from mcp_orchestrator.methods.columns.coercion import label_text

    missing = values.isna().to_numpy()
    if missing.any():
        yield "missing", missing
    if types.is_datetime64_any_dtype(values.dtype):
        values = values.dt.year
    if types.is_numeric_dtype(values.dtype) and not types.is_bool_dtype(values.dtype) and values.nunique() > FEW:
        numbers = np.asarray(pd.to_numeric(values), dtype=float)
        edges = np.unique(np.quantile(numbers[~missing & np.isfinite(numbers)], (0, 0.25, 0.5, 0.75, 1)))
        for low, high in pairwise(edges):
            inside = (numbers >= low) & ((numbers < high) | (high == edges[-1]))
            yield f"{low:.4g} to {high:.4g}", inside
        return
    texts = np.array([label_text(value) for value in values.tolist()], dtype=object)
    levels, counts = np.unique(texts[~missing].astype(str), return_counts=True)
    for level in levels[np.argsort(-counts, kind="stable")][:LEVELS]:
        yield str(level), texts == level


def _tested(wrong: Array, inside: Array, *, labels: bool) -> tuple[Estimate, float, float]:
    """The error inside with its interval, the error outside, and the p-value of their difference."""
    from scipy.stats import fisher_exact

    from mcp_orchestrator.methods.statistics.hypothesis import two_sample

    here, there = wrong[inside], wrong[~inside]
    elsewhere = float(there.mean())
    if labels:
        hits, others = int(here.sum()), int(there.sum())
        share = wilson(hits, len(here))
        table: Any = fisher_exact([[hits, len(here) - hits], [others, len(there) - others]])
        return Estimate(value=share.value, low=share.low, high=share.high), elsewhere, float(table.pvalue)
    outcome = two_sample(here, there, test="t")
    mean = float(here.mean())
    half = 1.96 * float(here.std(ddof=1)) / len(here) ** 0.5
    return Estimate(value=mean, low=max(0.0, mean - half), high=mean + half), elsewhere, outcome.p
