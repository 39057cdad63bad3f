"""Tests of hypotheses: which difference is more than chance, by how much, and how sure that is.

Plain functions over numbers. Each answers with a frozen value that says which test was used, and why that one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from mcp_orchestrator.errors import InvalidInput
from mcp_orchestrator.methods.statistics.intervals import Interval, bootstrap_interval, numbers, wilson
from mcp_orchestrator.methods.statistics.multiplicity import Adjusted, adjust, benjamini_hochberg, bonferroni, holm

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]

__all__ = [
    "Adjusted",
    "Equivalence",
    "Interval",
    "McNemar",
    "Outcome",
    "adjust",
    "benjamini_hochberg",
    "bonferroni",
    "bootstrap_interval",
    "holm",
    "mcnemar",
    "nadeau_bengio",
    "numbers",
    "tost",
    "two_sample",
    "wilson",
]

ENOUGH = 30
"""From this size on the mean of a sample is near enough to normal for a t test."""

Test = Literal["auto", "t", "rank"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a test says: how far apart, in which interval, how likely by chance, how strong an effect."""

    test: str
    statistic: float
    p: float
    difference: float
    low: float
    high: float
    effect: float
    effect_name: str
    degrees: float | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class McNemar:
    """Two classifiers on the same rows, compared by the rows that exactly one of them gets right."""

    only_first: int
    only_second: int
    chi2: float
    p: float
    chi2_corrected: float
    p_corrected: float
    p_exact: float

    @property
    def p_value(self) -> float:
        """The p-value to report: exact below 25 discordant rows, the corrected chi-squared's from there on."""
        return self.p_exact if self.only_first + self.only_second < 25 else self.p_corrected


@dataclass(frozen=True, slots=True)
class Equivalence:
    """Two one-sided tests: whether a difference lies within the margins; the interval is of 1 - 2 alpha."""

    p: float
    difference: float
    low: float
    high: float
    equivalent: bool


class _Mean(NamedTuple):
    """A difference of means with its standard error and degrees of freedom."""

    difference: float
    error: float
    degrees: float

    def test(self, against: float = 0.0) -> tuple[float, float]:
        """Return t and its two-sided p."""
        from scipy.stats import t

        gap = self.difference - against
        if not self.error:
            return (math.copysign(math.inf, gap), 0.0) if gap else (0.0, 1.0)
        return gap / self.error, float(2 * t.sf(abs(gap / self.error), self.degrees))

    def interval(self, level: float) -> tuple[float, float]:
        from scipy.stats import t

        half = float(t.ppf((1 + level) / 2, self.degrees)) * self.error
        return self.difference - half, self.difference + half


def _spread(values: Array) -> float:
    """The standard deviation; exactly 0 for equal values, where rounding of their mean would leave a trace."""
    return float(values.std(ddof=1)) if (values != values[0]).any() else 0.0


def _welch(a: Array, b: Array) -> _Mean:
    """Welch's difference of two means, variances not taken to be equal."""
    first, second = _spread(a) ** 2 / len(a), _spread(b) ** 2 / len(b)
    total = first + second
    if not total:
        return _Mean(float(a.mean() - b.mean()), 0.0, len(a) + len(b) - 2)
    degrees = total**2 / (first**2 / (len(a) - 1) + second**2 / (len(b) - 1))
    return _Mean(float(a.mean() - b.mean()), math.sqrt(total), degrees)


def _paired(differences: Array, inflation: float = 0.0) -> _Mean:
    error = _spread(differences) * math.sqrt(1 / len(differences) + inflation)
    return _Mean(float(differences.mean()), error, len(differences) - 1)


def mcnemar(only_first: int, only_second: int) -> McNemar:
    """Compare two classifiers by the rows that exactly one gets right: chi-squared, the same corrected, and exact.

    Raises:
        InvalidInput: a count is negative.

    """
    from scipy.stats import binomtest, chi2

    if min(only_first, only_second) < 0:
        raise InvalidInput("only_first", "counts of rows are not negative.")
    total = only_first + only_second
    if not total:
        return McNemar(0, 0, 0.0, 1.0, 0.0, 1.0, 1.0)
    gap = abs(only_first - only_second)
    plain, corrected = gap**2 / total, max(gap - 1, 0) ** 2 / total
    return McNemar(
        only_first,
        only_second,
        plain,
        float(chi2.sf(plain, 1)),
        corrected,
        float(chi2.sf(corrected, 1)),
        float(binomtest(only_first, total, 0.5).pvalue),
    )


def nadeau_bengio(differences: ArrayLike, train_rows: float, test_rows: float, level: float = 0.95) -> Outcome:
    """Test the mean of differences between scores on resampled splits, corrected for their overlapping training parts.

    Nadeau and Bengio (2003): the variance of the mean is (1/J + test/train) times that of the differences, where the
    naive paired t takes 1/J and finds differences in noise.

    Raises:
        InvalidInput: fewer than two differences, or a part without rows.

    """
    array = numbers(differences, "differences", 2)
    if min(train_rows, test_rows) <= 0:
        raise InvalidInput("test_rows", "training and test part must have rows.")
    mean = _paired(array, test_rows / train_rows)
    statistic, p = mean.test()
    low, high = mean.interval(level)
    effect = _standardized(array)
    return Outcome("Nadeau-Bengio t", statistic, p, mean.difference, low, high, effect, "d_z", mean.degrees)


def two_sample(
    a: ArrayLike,
    b: ArrayLike,
    *,
    paired: bool = False,
    test: Test = "auto",
    level: float = 0.95,
    seed: int = 0,
) -> Outcome:
    """Compare two samples by the test that fits: Welch's or the paired t, or the rank test of Mann-Whitney or Wilcoxon.

    "auto" takes t from 30 values on, and below where nothing speaks against normality (Shapiro-Wilk at .05).

    Raises:
        InvalidInput: fewer than two values, one missing, or paired samples of unequal length.

    """
    first, second = numbers(a, "a", 2), numbers(b, "b", 2)
    if paired and len(first) != len(second):
        raise InvalidInput("b", f"has {len(second)} values, a has {len(first)}; paired samples have the same length.")
    parts = (first - second,) if paired else (first, second)
    chosen, why = (test, "as asked") if test != "auto" else _choice(parts)
    if chosen == "t":
        mean = _paired(parts[0]) if paired else _welch(first, second)
        statistic, p = mean.test()
        low, high = mean.interval(level)
        effect, name = (_standardized(parts[0]), "d_z") if paired else (_hedges_g(first, second), "Hedges' g")
        title = "paired t" if paired else "Welch t"
        return Outcome(title, statistic, p, mean.difference, low, high, effect, name, mean.degrees, why)
    statistic, p, effect = _signed_ranks(parts[0]) if paired else _rank_sums(first, second)
    shift = bootstrap_interval(
        *parts, statistic=_median_shift(len(parts)), method="percentile", resamples=2000, level=level, seed=seed
    )
    title = "Wilcoxon signed-rank" if paired else "Mann-Whitney U"
    return Outcome(title, statistic, p, shift.value, shift.low, shift.high, effect, "rank-biserial", None, why)


def _choice(parts: tuple[Array, ...]) -> tuple[Test, str]:
    import numpy as np
    from scipy.stats import shapiro

    if min(len(part) for part in parts) >= ENOUGH:
        return "t", f"{ENOUGH} values or more: the mean is near normal"
    if any(np.ptp(part) == 0 for part in parts):
        return "rank", "a sample without spread is not normal"
    if min(len(part) for part in parts) < 3:
        return "t", "too few values to check for normality"
    least = min(float(shapiro(part[:5000]).pvalue) for part in parts)
    if least < 0.05:
        return "rank", f"not normal (Shapiro-Wilk p = {least:.3g})"
    return "t", f"nothing speaks against normality (Shapiro-Wilk p = {least:.3g})"


def _rank_sums(a: Array, b: Array) -> tuple[float, float, float]:
    import numpy as np
    from scipy.stats import mannwhitneyu

    if np.ptp(np.concatenate([a, b])) == 0:
        return len(a) * len(b) / 2, 1.0, 0.0
    result = mannwhitneyu(a, b)
    return float(result.statistic), float(result.pvalue), float(2 * result.statistic / (len(a) * len(b)) - 1)


def _signed_ranks(differences: Array) -> tuple[float, float, float]:
    from scipy.stats import rankdata, wilcoxon

    moved = differences[differences != 0]
    if not len(moved):
        return 0.0, 1.0, 0.0
    result: Any = wilcoxon(moved)
    ranks = rankdata(abs(moved))
    effect = float((ranks * (moved > 0)).sum() - (ranks * (moved < 0)).sum()) / float(ranks.sum())
    return float(result.statistic), float(result.pvalue), effect


def _median_shift(samples: int) -> Callable[..., Any]:
    import numpy as np

    if samples == 1:
        return np.median
    return lambda a, b, axis: np.median(a, axis=axis) - np.median(b, axis=axis)


def _standardized(differences: Array) -> float:
    """Cohen's d of differences: their mean in their standard deviations."""
    spread = _spread(differences)
    mean = float(differences.mean())
    return mean / spread if spread else math.copysign(math.inf, mean) if mean else 0.0


def _hedges_g(a: Array, b: Array) -> float:
    """Cohen's d with Hedges' correction for small samples."""
    degrees = len(a) + len(b) - 2
    pooled = math.sqrt(((len(a) - 1) * _spread(a) ** 2 + (len(b) - 1) * _spread(b) ** 2) / degrees)
    gap = float(a.mean() - b.mean())
    if not pooled:
        return math.copysign(math.inf, gap) if gap else 0.0
    return gap / pooled * (1 - 3 / (4 * degrees - 1))


def tost(a: ArrayLike, b: ArrayLike, margin: float, *, paired: bool = False, alpha: float = 0.05) -> Equivalence:
    """Test whether two means differ by less than ``margin`` either way (two one-sided t tests).

    Raises:
        InvalidInput: the margin is not positive, too few values, or paired samples of unequal length.

    """
    first, second = numbers(a, "a", 2), numbers(b, "b", 2)
    if margin <= 0:
        raise InvalidInput("margin", "must be positive.")
    if paired and len(first) != len(second):
        raise InvalidInput("b", f"has {len(second)} values, a has {len(first)}; paired samples have the same length.")
    mean = _paired(first - second) if paired else _welch(first, second)
    sides = []
    for edge, sign in ((-margin, 1), (margin, -1)):
        statistic, p = mean.test(edge)
        sides.append(p / 2 if statistic * sign > 0 else 1 - p / 2)
    low, high = mean.interval(1 - 2 * alpha)
    return Equivalence(max(sides), mean.difference, low, high, max(sides) < alpha)
