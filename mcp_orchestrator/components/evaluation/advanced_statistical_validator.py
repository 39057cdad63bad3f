"""The right test for a comparison, corrected for how many were made, with the size of the effect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from mcp_orchestrator.component import About, Check, Context, capability
from mcp_orchestrator.errors import InvalidInput
from mcp_orchestrator.methods.statistics.hypothesis import Test, adjust, bootstrap_interval, tost, two_sample
from mcp_orchestrator.methods.statistics.multiplicity import Method
from mcp_orchestrator.methods.statistics.power import Design, solve_power
from mcp_orchestrator.values import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

ABOUT = About(tier=3, libraries=("scipy", "statsmodels"))

Values = Annotated[list[float], Field(min_length=2, max_length=100_000)]
Paired = Annotated[bool, Field(description="Whether each value of a belongs to the value of b at the same place.")]
Alpha = Annotated[float, Field(gt=0, lt=1, description="The share of false alarms that is accepted.")]
Level = Annotated[float, Field(gt=0, lt=1, description="How often the interval should hold the truth.")]
Statistic = Literal["mean", "median", "std", "correlation", "mean_difference", "median_difference"]

SLEEP = (
    [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0],
    [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4],
)
LAW = (
    [576, 635, 558, 578, 666, 580, 555, 661, 651, 605, 653, 575, 545, 572, 594],
    [3.39, 3.30, 2.81, 3.03, 3.44, 3.07, 3.00, 3.43, 3.36, 3.13, 3.12, 2.74, 2.76, 2.88, 2.96],
)
FIFTEEN = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
           0.7590, 1.0]  # fmt: skip


class Verdict(Value):
    """A comparison of two samples: the test and why it was chosen, and the difference (a - b) with its interval."""

    test: str
    why: str
    statistic: float
    degrees: float | None
    p: float
    significant: bool
    difference: float
    low: float
    high: float
    effect: float
    effect_name: str
    effect_size: Literal["negligible", "small", "medium", "large"]
    says: str


class Corrected(Value):
    """p-values adjusted for the number of tests, in the given order."""

    method: str
    alpha: float
    adjusted: list[float]
    rejected: list[bool]
    rejections: int


class Equivalence(Value):
    """Whether two means differ by less than the margin."""

    equivalent: bool
    p: float
    difference: float
    low: float
    high: float
    margin: float
    says: str


class Interval(Value):
    """A statistic with its bootstrap interval; ``method`` is the one that could be used."""

    statistic: str
    value: float
    low: float
    high: float
    level: float
    method: str


class PowerPlan(Value):
    """A design with the figure that was left out."""

    design: str
    effect: float
    rows_per_group: float
    alpha: float
    power: float


@capability(
    example={"a": SLEEP[0], "b": SLEEP[1], "paired": True},
    contrast={"paired": False},
)
def validate(
    a: Annotated[Values, Field(description="The first sample.")],
    b: Annotated[Values, Field(description="The second sample.")],
    paired: Paired = False,  # noqa: FBT002 - by name, as all parameters of a capability
    *,
    test: Annotated[Test, Field(description="t, rank, or auto: the one that fits the samples.")] = "auto",
    alpha: Alpha = 0.05,
) -> Verdict:
    """Compare two samples by the test that fits them, and say how large the difference is."""
    found = two_sample(a, b, paired=paired, test=test, level=1 - alpha)
    significant = found.p < alpha
    size = _size(abs(found.effect), rank=test == "rank" or found.effect_name == "rank-biserial")
    word = "differ" if significant else "do not differ by more than chance explains"
    return Verdict(
        test=found.test,
        why=found.why,
        statistic=found.statistic,
        degrees=found.degrees,
        p=found.p,
        significant=significant,
        difference=found.difference,
        low=found.low,
        high=found.high,
        effect=found.effect,
        effect_name=found.effect_name,
        effect_size=size,
        says=f"The samples {word}: a - b = {found.difference:.4g} [{found.low:.4g}, {found.high:.4g}], "
        f"{found.test} p = {found.p:.3g}, {size} effect.",
    )


def _size(effect: float, *, rank: bool) -> Literal["negligible", "small", "medium", "large"]:
    """Cohen's words for a standardized difference, and for a rank-biserial correlation those for a correlation."""
    for limit, word in zip(
        (0.1, 0.3, 0.5) if rank else (0.2, 0.5, 0.8), ("negligible", "small", "medium"), strict=True
    ):
        if effect < limit:
            return word
    return "large"


@capability(example={"p_values": FIFTEEN}, contrast={"method": "bonferroni"})
def correct(
    p_values: Annotated[
        list[Annotated[float, Field(ge=0, le=1)]],
        Field(min_length=1, max_length=1_000_000, description="The p-values of all tests that were made."),
    ],
    method: Annotated[
        Method,
        Field(description="benjamini_* bound the share of false discoveries, bonferroni and holm any false one."),
    ] = "benjamini_hochberg",
    alpha: Alpha = 0.05,
) -> Corrected:
    """Adjust p-values for the number of tests that were made."""
    found = adjust(p_values, method, alpha)
    return Corrected(
        method=method,
        alpha=alpha,
        adjusted=list(found.adjusted),
        rejected=list(found.rejected),
        rejections=sum(found.rejected),
    )


@capability(
    example={"a": [5.1, 4.9, 5.0, 5.2, 4.8, 5.0], "b": [5.0, 5.1, 4.9, 5.1, 4.9, 5.0], "margin": 0.3},
    contrast={"margin": 0.05},
)
def equivalence(
    a: Annotated[Values, Field(description="The first sample.")],
    b: Annotated[Values, Field(description="The second sample.")],
    margin: Annotated[float, Field(gt=0, le=1e12, description="A smaller difference does not matter.")],
    *,
    paired: Paired = False,
    alpha: Alpha = 0.05,
) -> Equivalence:
    """Test whether two means are the same for practical purposes (two one-sided t tests)."""
    found = tost(a, b, margin, paired=paired, alpha=alpha)
    word = "lies" if found.equivalent else "need not lie"
    return Equivalence(
        equivalent=found.equivalent,
        p=found.p,
        difference=found.difference,
        low=found.low,
        high=found.high,
        margin=margin,
        says=f"The difference {found.difference:.4g} [{found.low:.4g}, {found.high:.4g}] {word} within "
        f"{margin:.4g} of zero (p = {found.p:.3g}).",
    )


@capability(
    example={"values": LAW[0], "second": LAW[1], "statistic": "correlation", "resamples": 2000},
    contrast={"statistic": "mean_difference"},
)
def bootstrap_ci(
    ctx: Context,
    values: Annotated[Values, Field(description="The sample.")],
    second: Annotated[
        Values | None, Field(description="The second sample: by row for a correlation, else independent.")
    ] = None,
    statistic: Annotated[Statistic, Field(description="What to estimate.")] = "mean",
    *,
    level: Level = 0.95,
    method: Annotated[Literal["bca", "percentile"], Field(description="bca corrects for bias and skew.")] = "bca",
    resamples: Annotated[int, Field(ge=100, le=100_000, description="How often to resample.")] = 9999,
) -> Interval:
    """Return a bootstrap interval of a mean, median, spread, correlation or difference."""
    two = statistic in {"correlation", "mean_difference", "median_difference"}
    if two != (second is not None):
        word = "is required by" if two else "is not used by"
        raise InvalidInput("second", f"{word} the statistic {statistic}.")
    found = bootstrap_interval(
        *((values,) if second is None else (values, second)),
        statistic=_statistic(statistic),
        level=level,
        method=method,
        resamples=resamples,
        paired=statistic == "correlation",
        seed=ctx.seed,
    )
    return Interval(
        statistic=statistic, value=found.value, low=found.low, high=found.high, level=level, method=found.method
    )


def _statistic(name: Statistic) -> Callable[..., Any]:
    import numpy as np

    def correlation(x: NDArray[Any], y: NDArray[Any], axis: int) -> NDArray[Any]:
        x, y = x - x.mean(axis=axis, keepdims=True), y - y.mean(axis=axis, keepdims=True)
        return (x * y).sum(axis=axis) / np.sqrt((x * x).sum(axis=axis) * (y * y).sum(axis=axis))

    def spread(x: NDArray[Any], axis: int) -> NDArray[Any]:
        return x.std(axis=axis, ddof=1)

    def gap(middle: Callable[..., Any]) -> Callable[..., Any]:
        return lambda x, y, axis: middle(x, axis=axis) - middle(y, axis=axis)

    table: dict[Statistic, Callable[..., Any]] = {
        "mean": np.mean,
        "median": np.median,
        "std": spread,
        "correlation": correlation,
        "mean_difference": gap(np.mean),
        "median_difference": gap(np.median),
    }
    return table[name]


@capability(example={"effect": 0.5, "target_power": 0.8}, contrast={"effect": 0.2})
def power(
    design: Annotated[
        Design,
        Field(description="two_sample and paired: a t test, effect in standard deviations; proportions: Cohen's h."),
    ] = "two_sample",
    *,
    effect: Annotated[float | None, Field(gt=0, le=100, description="The effect to find.")] = None,
    rows: Annotated[float | None, Field(ge=2, le=1e9, description="Rows in each group.")] = None,
    target_power: Annotated[float | None, Field(gt=0, lt=1, description="The chance to find it.")] = None,
    alpha: Alpha = 0.05,
) -> PowerPlan:
    """Find the one of effect, rows and power that is left out."""
    found = solve_power(design, effect=effect, rows=rows, power=target_power, alpha=alpha)
    return PowerPlan(
        design=design, effect=found.effect, rows_per_group=found.rows, alpha=found.alpha, power=found.power
    )


def known_answer(ctx: Context) -> Iterator[Check]:
    """Student's sleep data, Benjamini and Hochberg's (1995) fifteen p-values, Efron's law schools, Cohen's table."""
    related = validate(a=SLEEP[0], b=SLEEP[1], paired=True, test="t")
    yield Check("sleep, paired t", related.statistic, -4.0621, 0.0001)
    yield Check("sleep, paired p", related.p, 0.002833, 0.000001)
    apart = validate(a=SLEEP[0], b=SLEEP[1], test="t")
    yield Check("sleep, Welch t", apart.statistic, -1.8608, 0.0001)
    yield Check("sleep, Welch degrees of freedom", apart.degrees, 17.776, 0.001)
    yield Check("Benjamini-Hochberg on the fifteen p-values", correct(p_values=FIFTEEN).rejections, 4)
    yield Check("Bonferroni on the same", correct(p_values=FIFTEEN, method="bonferroni").rejections, 3)
    law = bootstrap_ci.function(ctx, LAW[0], LAW[1], "correlation")
    yield Check("law schools, correlation", law.value, 0.776, 0.001)
    yield Check("law schools, BCa low", law.low, 0.31, 0.03)
    yield Check("law schools, BCa high", law.high, 0.94, 0.02)
    yield Check("rows for d = .5 at power .8", power(effect=0.5, target_power=0.8).rows_per_group, 63.77, 0.01)
    same, wide = [1.0, 2.0, 3.0, 4.0], [1.5, 2.5, 3.5, 4.5]
    yield Check("half a unit is within a margin of 3", equivalence(a=same, b=wide, margin=3).equivalent, expected=True)
    yield Check("and not shown to be within one of 1", equivalence(a=same, b=wide, margin=1).equivalent, expected=False)
