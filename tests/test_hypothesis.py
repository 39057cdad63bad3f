from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_ind, ttost_paired

from mcp_orchestrator.errors import InvalidInput
from mcp_orchestrator.methods.statistics.hypothesis import (
    Test,
    adjust,
    benjamini_hochberg,
    bonferroni,
    bootstrap_interval,
    holm,
    mcnemar,
    nadeau_bengio,
    tost,
    two_sample,
    wilson,
)
from mcp_orchestrator.methods.statistics.multiplicity import Method
from mcp_orchestrator.methods.statistics.power import cohen_h, solve_power

LAW = (
    (576, 635, 558, 578, 666, 580, 555, 661, 651, 605, 653, 575, 545, 572, 594),
    (3.39, 3.30, 2.81, 3.03, 3.44, 3.07, 3.00, 3.43, 3.36, 3.13, 3.12, 2.74, 2.76, 2.88, 2.96),
)


def correlation(x: NDArray[Any], y: NDArray[Any], axis: int) -> NDArray[Any]:
    result: Any = stats.pearsonr(x, y, axis=axis)
    return result.statistic


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0)],
)
def test_wilsons_interval_is_the_textbook_one(successes: int, trials: int, low: float, high: float) -> None:
    found = wilson(successes, trials)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)
    assert found.low <= found.value <= found.high


@pytest.mark.parametrize(("successes", "trials"), [(1, 0), (-1, 10), (11, 10)])
def test_a_share_of_nothing_is_refused(successes: int, trials: int) -> None:
    with pytest.raises(InvalidInput, match="not a share"):
        wilson(successes, trials)


def test_mcnemar_gives_agrestis_figures() -> None:
    found = mcnemar(121, 59)
    assert (found.chi2, found.chi2_corrected) == pytest.approx((21.36, 20.67), abs=0.01)
    assert found.p_value == found.p_corrected == pytest.approx(stats.chi2.sf(20.672, 1), rel=1e-3)


def test_mcnemar_is_exact_for_few_rows_and_says_nothing_for_none() -> None:
    assert mcnemar(1, 9).p_value == pytest.approx(22 / 1024)
    assert mcnemar(0, 0).p_value == 1


def corrected_and_naive_p(seed: int, pairs: int) -> tuple[float, float]:
    """Compare two models of equal worth on fifteen overlapping splits of pure noise."""
    random = np.random.default_rng(seed)
    gaps = random.normal(size=pairs)
    splits = [random.permutation(pairs)[: pairs // 5] for _ in range(15)]
    differences = np.array([gaps[split].mean() for split in splits])
    corrected = nadeau_bengio(differences, pairs * 0.8, pairs * 0.2).p
    naive: Any = stats.ttest_1samp(differences, 0)
    return corrected, float(naive.pvalue)


def test_the_corrected_t_keeps_its_error_rate_where_the_naive_one_loses_it() -> None:
    pairs = np.array([corrected_and_naive_p(seed, 100) for seed in range(400)])
    corrected, naive = (pairs < 0.05).mean(axis=0)
    assert corrected <= 0.09
    assert naive > 0.25


def test_the_corrected_t_is_the_formula_of_nadeau_and_bengio() -> None:
    differences = np.array([0.02, 0.01, 0.03, 0.00, 0.02])
    found = nadeau_bengio(differences, 80, 20)
    expected = differences.mean() / math.sqrt((1 / 5 + 20 / 80) * differences.var(ddof=1))
    assert found.statistic == pytest.approx(expected)
    assert found.low < found.difference < found.high


def test_equal_scores_on_every_split_are_no_difference() -> None:
    assert nadeau_bengio([0.0, 0, 0], 80, 20).p == 1
    assert nadeau_bengio([0.1, 0.1, 0.1], 80, 20).p == 0


@pytest.mark.parametrize("method", ["benjamini_hochberg", "benjamini_yekutieli", "bonferroni", "holm"])
def test_adjusted_p_values_are_those_of_statsmodels(method: Method) -> None:
    name = {"benjamini_hochberg": "fdr_bh", "benjamini_yekutieli": "fdr_by"}.get(method) or method
    p = [*np.random.default_rng(0).beta(0.4, 1, 40).tolist(), 0.01, 0.01, 1.0]
    rejected, adjusted, *_ = multipletests(p, 0.05, name)
    found = adjust(p, method)
    assert found.adjusted == pytest.approx(adjusted)
    assert list(found.rejected) == rejected.tolist()


def test_the_fifteen_p_values_of_benjamini_and_hochberg() -> None:
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459]
    p += [0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    assert [sum(way(p).rejected) for way in (benjamini_hochberg, bonferroni, holm)] == [4, 3, 3]


@pytest.mark.parametrize("wrong", [[], [0.1, 1.2], [0.1, float("nan")]])
def test_p_values_that_are_none_are_refused(wrong: list[float]) -> None:
    with pytest.raises(InvalidInput) as refusal:
        benjamini_hochberg(wrong)
    assert refusal.value.field == "p_values"


def test_the_law_school_correlation_has_efrons_interval() -> None:
    found = bootstrap_interval(*LAW, statistic=correlation, paired=True)
    assert found.value == pytest.approx(0.776, abs=0.001)
    assert (found.low, found.high) == pytest.approx((0.31, 0.94), abs=0.03)
    assert found.method == "bca"


def test_values_without_spread_have_an_interval_without_width() -> None:
    found = bootstrap_interval([2.0, 2.0, 2.0], statistic=np.mean)
    assert (found.low, found.value, found.high, found.method) == (2, 2, 2, "percentile")


@pytest.mark.parametrize("test", ["t", "rank"])
@pytest.mark.parametrize("paired", [False, True])
def test_a_comparison_is_the_one_of_scipy(test: Test, *, paired: bool) -> None:
    random = np.random.default_rng(4)
    a, b = random.normal(0.5, 1, 20), random.normal(0, 2, 20)
    oracle: Any = {
        ("t", False): lambda: stats.ttest_ind(a, b, equal_var=False),
        ("t", True): lambda: stats.ttest_rel(a, b),
        ("rank", False): lambda: stats.mannwhitneyu(a, b),
        ("rank", True): lambda: stats.wilcoxon(a, b),
    }[test, paired]()
    found = two_sample(a, b, paired=paired, test=test)
    assert (found.statistic, found.p) == pytest.approx((oracle.statistic, oracle.pvalue))
    assert found.low <= found.difference <= found.high
    if test == "t":
        interval = oracle.confidence_interval()
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize(
    ("a", "b", "paired", "expected"),
    [
        (range(40), range(40), False, "Welch t"),
        ([1, 2, 3, 4, 5, 6], [2, 3, 4, 5, 6, 7], False, "Welch t"),
        ([1, 1, 1, 1, 1, 90], [2, 2, 3, 2, 2, 80], False, "Mann-Whitney U"),
        ([1, 2, 3, 4], [2, 2, 5, 7], True, "paired t"),
        ([0, 0, 0, 0, 0, 0, 9], [0, 1, 0, 2, 0, 1, 80], True, "Wilcoxon signed-rank"),
        ([5, 5, 5], [5, 5, 5], False, "Mann-Whitney U"),
    ],
)
def test_the_test_that_fits_the_sample_is_chosen_and_explained(
    a: ArrayLike, b: ArrayLike, expected: str, *, paired: bool
) -> None:
    found = two_sample(a, b, paired=paired)
    assert found.test == expected
    assert found.why


@pytest.mark.parametrize("test", ["auto", "t", "rank"])
@pytest.mark.parametrize("paired", [False, True])
def test_equal_constant_samples_do_not_differ(test: Test, *, paired: bool) -> None:
    found = two_sample([3.0] * 4, [3.0] * 4, paired=paired, test=test)
    assert (found.p, found.difference, found.effect) == (1, 0, 0)


def test_effects_have_their_sign_and_size() -> None:
    a, b = list(range(10, 20)), list(range(10))
    assert two_sample(a, b, test="rank").effect == 1
    assert two_sample(b, a, test="rank").effect == -1
    pooled = np.std(a, ddof=1)
    assert two_sample(a, b, test="t").effect == pytest.approx(10 / pooled * (1 - 3 / 71))


@pytest.mark.parametrize(
    ("a", "b", "paired", "field"),
    [([1.0], [1.0, 2.0], False, "a"), ([1, 2, 3], [1, 2], True, "b"), ([1, 2, float("nan")], [1, 2], False, "a")],
)
def test_samples_that_cannot_be_compared_are_refused_by_name(
    a: ArrayLike, b: ArrayLike, field: str, *, paired: bool
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        two_sample(a, b, paired=paired)
    assert refusal.value.field == field


@pytest.mark.parametrize("paired", [False, True])
def test_equivalence_is_the_one_of_statsmodels(*, paired: bool) -> None:
    random = np.random.default_rng(1)
    a, b = random.normal(0, 1, 50), random.normal(0.1, 1, 50)
    oracle = ttost_paired(a, b, -0.5, 0.5) if paired else ttost_ind(a, b, -0.5, 0.5, usevar="unequal")
    found = tost(a, b, 0.5, paired=paired)
    assert found.p == pytest.approx(oracle[0])
    assert found.equivalent == (found.low > -0.5 and found.high < 0.5)


def test_a_large_difference_is_not_equivalence() -> None:
    assert not tost([5.0, 6, 7], [1.0, 2, 3], 1).equivalent
    assert tost([1.0, 1, 1], [1.0, 1, 1], 0.1).equivalent


def test_power_answers_the_one_that_is_left_out() -> None:
    assert solve_power(effect=0.5, power=0.8).rows == pytest.approx(63.77, abs=0.01)
    assert solve_power(effect=0.5, rows=64).power == pytest.approx(0.8015, abs=1e-3)
    assert solve_power(rows=64, power=0.8).effect == pytest.approx(0.499, abs=1e-3)
    assert solve_power("proportions", effect=cohen_h(0.12, 0.10), power=0.8).rows == pytest.approx(3834.6, abs=1)
    assert solve_power("paired", effect=0.5, power=0.8).rows == pytest.approx(33.37, abs=0.01)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"effect": 0.5},
        {"effect": 0.5, "rows": 9, "power": 0.8},
        {"effect": 0, "power": 0.8},
        {"effect": 1, "power": 0.01},
    ],
)
def test_a_design_without_a_solution_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        solve_power(**given)
