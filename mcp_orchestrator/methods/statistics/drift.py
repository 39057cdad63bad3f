"""Drift of a table against a reference: which columns no longer look as they did when the model was trained.

Numbers are compared by Kolmogorov and Smirnov, categories and missing values by chi-squared; all p-values are adjusted
together by Benjamini and Hochberg. A column has *drifted* when an adjusted p-value is at most ``alpha`` and the
effect reaches ``floor``, and is *suspect* when only the first holds: in a large table any trifle is significant. "Any p
below .05" would cry wolf in every second batch.

The effect of numbers is the Wasserstein distance in standard deviations of the reference; of categories, and of the
share of missing values, it is the total variation distance (half the sum of the differences of shares).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import Field

from mcp_orchestrator.errors import DataRejected
from mcp_orchestrator.methods.statistics.multiplicity import benjamini_hochberg
from mcp_orchestrator.values import Value

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["ColumnDrift", "Drift", "compare"]

FEW = 10
"""Numbers with at most so many different values are compared as categories."""
LEVELS = 50
"""The most frequent levels that are told apart; the others are one."""
EXPECTED = 5.0
"""Levels expected less often than this are pooled, or chi-squared's approximation does not hold."""
ROWS = 100_000

Verdict = Literal["steady", "suspect", "drifted", "not compared"]


class ColumnDrift(Value):
    """What became of one column."""

    column: str
    verdict: Verdict
    test: Literal["Kolmogorov-Smirnov", "chi-squared", "missing values", ""] = ""
    statistic: float | None = None
    p: float | None = None
    adjusted_p: float | None = None
    effect: float | None = None
    missing_before: float = 0.0
    missing_now: float = 0.0
    unseen: Annotated[list[str], Field(description="Categories that the reference does not have.")] = Field(
        default_factory=list
    )
    note: str = ""


class Drift(Value):
    """What became of a table."""

    drifted: list[str]
    suspect: list[str]
    columns: list[ColumnDrift]
    rows_before: int
    rows_now: int
    alpha: float
    floor: float


class _Finding(NamedTuple):
    test: Literal["Kolmogorov-Smirnov", "chi-squared", "missing values", ""]
    statistic: float
    p: float
    effect: float


def compare(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    *,
    kinds: Mapping[str, str] | None = None,
    alpha: float = 0.01,
    floor: float = 0.1,
    seed: int = 0,
) -> Drift:
    """Compare each column of the reference with the same column of the current table.

    ``kinds`` says what a column is used as (numeric, categorical, boolean, text, date, drop) where that is known, else
    its type decides. Text and dates are not compared: the one has no categories, the other always moves.

    Raises:
        DataRejected: one of the tables has no row.

    """
    for name, table in (("reference", reference), ("current table", current)):
        if not len(table):
            raise DataRejected(f"The {name} has no row.", then="Give at least one row; drift is seen from about 50.")
    before = reference.sample(ROWS, random_state=seed) if len(reference) > ROWS else reference
    now = current.sample(ROWS, random_state=seed) if len(current) > ROWS else current
    found = [_column(before, now, str(name), (kinds or {}).get(str(name))) for name in before.columns]
    p_values = [finding.p for _, findings in found for finding in findings]
    adjusted = iter(benjamini_hochberg(p_values).adjusted if p_values else ())
    columns = [
        _judged(column, [(next(adjusted), finding) for finding in findings], alpha, floor) for column, findings in found
    ]
    return Drift(
        drifted=[column.column for column in columns if column.verdict == "drifted"],
        suspect=[column.column for column in columns if column.verdict == "suspect"],
        columns=columns,
        rows_before=len(reference),
        rows_now=len(current),
        alpha=alpha,
        floor=floor,
    )


def _column(before: pd.DataFrame, now: pd.DataFrame, name: str, kind: str | None) -> tuple[ColumnDrift, list[_Finding]]:
    """Return the column's facts and what its tests found; a column without findings is not compared."""
    if name not in now.columns:
        return ColumnDrift(column=name, verdict="drifted", note="The column is missing from the new table."), []
    old: Any = before[name]
    new: Any = now[name]
    kind = kind or _kind(old)
    if kind == "numeric" and old.nunique() > FEW:
        first, second = _numbers(old), _numbers(new)
        values, unseen = _numeric(first[~_gaps(first)], second[~_gaps(second)]), []
        gaps = (int(_gaps(first).sum()), int(_gaps(second).sum()))
    else:
        levels = _levels(old), _levels(new)
        values, unseen = _categorical(*levels)
        gaps = (len(old) - levels[0].total(), len(new) - levels[1].total())
    column = ColumnDrift(
        column=name, verdict="not compared", missing_before=gaps[0] / len(old), missing_now=gaps[1] / len(new)
    )
    if kind in {"text", "date", "drop"}:
        note = {"text": "Free text has no categories.", "date": "Dates always move."}.get(kind, "Not used.")
        return column.model_copy(update={"note": note}), []
    findings = [one for one in (values, _missing(gaps, (len(old), len(new)))) if one is not None]
    note = "" if findings else "Too few rows of any one value to compare."
    return column.model_copy(update={"unseen": unseen, "note": note}), findings


def _judged(column: ColumnDrift, findings: list[tuple[float, _Finding]], alpha: float, floor: float) -> ColumnDrift:
    """Return the column with the strongest of its findings."""
    if not findings:
        return column

    def rank(one: tuple[float, _Finding]) -> tuple[bool, bool, float]:
        return one[0] > alpha, one[1].effect < floor, one[1].p

    adjusted, strongest = min(findings, key=rank)
    weak, small, _ = rank((adjusted, strongest))
    return column.model_copy(
        update={
            "verdict": "steady" if weak else "suspect" if small else "drifted",
            "test": strongest.test,
            "statistic": strongest.statistic,
            "p": strongest.p,
            "adjusted_p": adjusted,
            "effect": strongest.effect,
        }
    )


def _gaps(numbers: Array) -> Array:
    import numpy as np

    return np.isnan(numbers)


def _kind(values: pd.Series) -> str:
    from pandas.api import types

    if types.is_bool_dtype(values.dtype):
        return "categorical"
    if types.is_numeric_dtype(values.dtype):
        return "numeric"
    if types.is_datetime64_any_dtype(values.dtype):
        return "date"
    levels = _levels(values)
    return "text" if levels.total() >= 20 and len(levels) > 0.5 * levels.total() else "categorical"


def _numbers(values: pd.Series) -> Array:
    """Values as floats; what is no finite number counts as missing."""
    import numpy as np
    import pandas as pd

    numbers = np.asarray(pd.to_numeric(values, errors="coerce"), dtype=float)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _levels(values: pd.Series) -> Counter[str]:
    """How often each category occurs, missing ones left out."""
    from mcp_orchestrator.methods.columns.coercion import label_text

    return Counter(level for level in map(label_text, values.tolist()) if level)


def _numeric(old: Array, new: Array) -> _Finding | None:
    from scipy.stats import ks_2samp, wasserstein_distance

    if min(len(old), len(new)) < 2:
        return None
    result: Any = ks_2samp(old, new, method="exact" if len(old) * len(new) <= 10_000 else "asymp")
    effect = float(wasserstein_distance(old, new)) / (float(old.std()) or 1.0)
    return _Finding("Kolmogorov-Smirnov", float(result.statistic), float(result.pvalue), effect)


def _categorical(old: Counter[str], new: Counter[str]) -> tuple[_Finding | None, list[str]]:
    """Compare the shares of the levels; rare ones are pooled, or join the least of the others."""
    unseen = [level for level, _ in new.most_common() if level not in old][:10]
    if not old or not new:
        return None, unseen
    both = old + new
    share = min(old.total(), new.total()) / both.total()
    kept = [level for level, count in both.most_common(LEVELS) if count * share >= EXPECTED]
    table = [[old[level], new[level]] for level in kept]
    rest = [old.total() - sum(row[0] for row in table), new.total() - sum(row[1] for row in table)]
    if sum(rest) * share >= EXPECTED:
        table.append(rest)
    elif table:
        table[-1] = [table[-1][0] + rest[0], table[-1][1] + rest[1]]
    if len(table) > 1:
        return _chi_squared("chi-squared", table), unseen
    return (_Finding("chi-squared", 0.0, 1.0, 0.0) if len(both) == 1 else None), unseen


def _missing(gaps: tuple[int, int], rows: tuple[int, int]) -> _Finding | None:
    if not any(gaps) or gaps == rows:
        return None
    return _chi_squared("missing values", [list(gaps), [rows[0] - gaps[0], rows[1] - gaps[1]]])


def _chi_squared(test: Literal["chi-squared", "missing values"], rows: list[list[int]]) -> _Finding:
    import numpy as np
    from scipy.stats import chi2_contingency, fisher_exact

    table = np.asarray(rows, dtype=float)
    shares = table / table.sum(axis=0)
    effect = float(abs(shares[:, 0] - shares[:, 1]).sum() / 2)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    if table.shape == (2, 2) and expected.min() < EXPECTED:
        result: Any = fisher_exact(table.astype(int))
        statistic = float(result.statistic)
        return _Finding(test, statistic if math.isfinite(statistic) else 0.0, float(result.pvalue), effect)
    result = chi2_contingency(table, correction=False)
    return _Finding(test, float(result.statistic), float(result.pvalue), effect)
