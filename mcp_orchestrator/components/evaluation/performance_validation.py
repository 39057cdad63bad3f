"""The release gate of a model: its scores on new data, how sure they are, where it fails, and whether it may go out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from mcp_orchestrator.component import About, Check, Context, capability
from mcp_orchestrator.errors import InvalidInput
from mcp_orchestrator.methods.judgement.comparison import Versus, compare_labels
from mcp_orchestrator.methods.judgement.conformal import Conformal, conformal_of_values, expected_coverage, threshold
from mcp_orchestrator.methods.judgement.fairness import Fairness
from mcp_orchestrator.methods.judgement.fairness import fairness as compare_groups
from mcp_orchestrator.methods.judgement.gates import GateLimits, GateVerdict, decide_gates
from mcp_orchestrator.methods.judgement.reliability import Reliability, reliability
from mcp_orchestrator.methods.judgement.slices import Slice, worst_slices
from mcp_orchestrator.methods.judgement.validation import Question, Validation, examine
from mcp_orchestrator.methods.metrics import score
from mcp_orchestrator.values import Data, Estimate, Label, ModelRef, Value

if TYPE_CHECKING:
    import pandas as pd

ABOUT = About(tier=5, libraries=("sklearn", "scipy", "pandas"))

EXAMPLE = "performance_validation_example"
Labels = Annotated[list[Label], Field(min_length=1, max_length=200_000)]
Numbers = Annotated[list[float], Field(min_length=1, max_length=200_000)]
MetricName = Annotated[str, Field(min_length=1, max_length=60)]
DEFAULTS = GateLimits()
Coverage = Annotated[float, Field(gt=0, lt=1, description="How often prediction sets should hold the truth.")]
Limits = Annotated[
    GateLimits,
    Field(description="What is asked of the model; the defaults are 10 % better than the baseline, stable, tracked."),
]


class Gates(Value):
    """The verdict of every gate, and of all together."""

    passed: bool
    gates: list[GateVerdict]
    says: str


class Slices(Value):
    """Where the error is largest, those slices first that are worse by more than chance."""

    rows: int
    error: float
    slices: list[Slice]


@capability(
    example={
        "metric": "roc_auc",
        "metrics": {"roc_auc": {"value": 0.91, "low": 0.88, "high": 0.94}},
        "baseline": {"roc_auc": 0.5},
        "fold_scores": [0.9, 0.92, 0.91],
        "experiments": 20,
        "tracked": 20,
        "explained": True,
    },
    contrast={"metrics": {"roc_auc": {"value": 0.52, "low": 0.46, "high": 0.58}}},
)
def gate(
    metric: Annotated[MetricName, Field(description="The metric that the model is chosen by.")],
    metrics: Annotated[
        dict[str, Estimate],
        Field(max_length=50, description="Scores on unseen rows, each with the ends of its 95 % interval."),
    ],
    baseline: Annotated[
        dict[str, float], Field(max_length=50, description="Scores of a model that knows nothing of the columns.")
    ],
    limits: Limits = DEFAULTS,
    *,
    fold_scores: Annotated[
        list[float], Field(max_length=1000, description="The metric on each fold of the validation.")
    ] = [],  # noqa: B006 - read only; pydantic copies it
    experiments: Annotated[int | None, Field(ge=0, le=10_000_000, description="How many trials were run.")] = None,
    tracked: Annotated[int | None, Field(ge=0, le=10_000_000, description="How many of them are tracked.")] = None,
    explained: Annotated[bool | None, Field(description="Whether there is an explanation.")] = None,
    findings: Annotated[
        dict[str, float], Field(max_length=20, description="What else was measured, for the ceilings in limits.")
    ] = {},  # noqa: B006 - read only; pydantic copies it
    difference: Annotated[
        Estimate | None,
        Field(description="How much higher it scores than the model it would replace, on the same rows."),
    ] = None,
) -> Gates:
    """Decide from figures alone whether a model may be released."""
    verdicts = decide_gates(
        metric,
        metrics,
        baseline,
        limits=limits,
        fold_scores=fold_scores,
        experiments=experiments,
        tracked=tracked,
        explained=explained,
        findings=findings,
        difference=difference,
    )
    failed = [one for one in verdicts if not one.passed]
    says = " ".join(one.reason for one in failed) if failed else f"All {len(verdicts)} gates passed."
    return Gates(passed=not failed, gates=verdicts, says=says)


def _example_model(ctx: Context) -> None:
    from mcp_orchestrator.methods.models.examples import example_model
    from mcp_orchestrator.tracking.versions import Versions

    with Versions(ctx.settings.home) as versions:
        versions.register(EXAMPLE, example_model(ctx)[0])


@capability(
    example={"model": EXAMPLE, "data": "builtin:iris", "metric": "accuracy"},
    contrast={"coverage": 0.5, "metric": "log_loss"},
    before=_example_model,
)
def validate(
    ctx: Context,
    model: ModelRef,
    data: Data,
    limits: Annotated[
        GateLimits,
        Field(description="What is asked of the model; folds, tracking and explanation are not asked on new data."),
    ] = DEFAULTS,
    *,
    against: Annotated[ModelRef | None, Field(description="Another model, to compare on the same rows.")] = None,
    metric: Annotated[
        MetricName | None, Field(description="The metric to judge by; that of the training when left out.")
    ] = None,
    metrics: Annotated[
        list[MetricName], Field(max_length=30, description="Metrics to report; all that fit when empty.")
    ] = [],  # noqa: B006 - read only; pydantic copies it
    slices: Annotated[
        list[str], Field(max_length=200, description="Columns to look into; the model's features when empty.")
    ] = [],  # noqa: B006 - read only; pydantic copies it
    group: Annotated[str | None, Field(max_length=200, description="Column of groups to treat alike.")] = None,
    positive: Annotated[
        Label | None, Field(description="The class that means being selected; the second when left out.")
    ] = None,
    coverage: Coverage = 0.9,
) -> Validation:
    """Measure a model on new data: intervals, calibration, slices, drift, groups, another model, and the gates.

    Raises:
        InvalidInput: the target is missing, or a metric, a column or the other model does not fit.
        DataRejected: no row has a target, or one holds a class that the model does not know.

    """
    from mcp_orchestrator.methods import models, tables

    question = Question(
        metrics=metrics,
        metric=metric,
        limits=limits,
        slices=slices,
        group=group,
        positive=positive,
        coverage=coverage,
        seed=ctx.seed,
    )
    other = None if against is None else models.load(ctx, against)
    return examine(models.load(ctx, model), tables.frame(ctx, data), question, other)


@capability(
    example={"happened": [0, 0, 0, 1, 0, 1, 1, 1], "said": [0.1, 0.2, 0.1, 0.2, 0.8, 0.9, 0.8, 0.9], "bins": 5},
    contrast={"said": [0.9, 0.8, 0.9, 0.8, 0.2, 0.1, 0.2, 0.1]},
)
def calibration(
    ctx: Context,
    happened: Annotated[
        list[Annotated[int, Field(ge=0, le=1)]],
        Field(min_length=1, max_length=200_000, description="Whether it happened: 1 or 0 for each row."),
    ],
    said: Annotated[
        list[Annotated[float, Field(ge=0, le=1)]],
        Field(min_length=1, max_length=200_000, description="The probability that was given to it."),
    ],
    bins: Annotated[int, Field(ge=2, le=100, description="Bins of equal width.")] = 10,
) -> Reliability:
    """Compare probabilities with how often it happened, and say what recalibration would bring."""
    return reliability(happened, said, bins=bins, seed=ctx.seed)


ROWS = [{"group": "ab"[place % 2], "x": place, "wrong": int(place % 2 and place % 5 > 0)} for place in range(120)]


@capability(example={"data": ROWS, "error": "wrong"}, contrast={"columns": ["x"]})
def slices(
    ctx: Context,
    data: Data,
    error: Annotated[
        str, Field(min_length=1, max_length=200, description="The column that holds the error: 1 or 0, or its size.")
    ],
    columns: Annotated[
        list[str], Field(max_length=200, description="Columns to look into; all others when empty.")
    ] = [],  # noqa: B006 - read only; pydantic copies it
    *,
    least_rows: Annotated[int, Field(ge=5, le=1_000_000, description="The least rows of a slice.")] = 20,
    most: Annotated[int, Field(ge=1, le=200, description="How many slices to return.")] = 10,
) -> Slices:
    """Find the parts of a table on which the error is larger than elsewhere."""
    from mcp_orchestrator.methods import tables

    frame = tables.frame(ctx, data)
    if error not in frame.columns:
        names = [str(name) for name in frame.columns]
        raise InvalidInput("error", f"there is no column {error!r}.", allowed=names[:50])
    errors = _errors(frame[error], error)
    found = worst_slices(frame.drop(columns=error), errors, columns=columns or None, least_rows=least_rows, most=most)
    return Slices(rows=len(frame), error=sum(errors) / len(errors), slices=found)


def _errors(values: pd.Series, column: str) -> list[float]:
    from pandas.api import types

    if not types.is_numeric_dtype(values.dtype) or bool(values.isna().any()):
        raise InvalidInput("error", f"the column {column!r} must hold a number in every row.")
    return [float(value) for value in values.tolist()]


@capability(
    example={"groups": ["a"] * 40 + ["b"] * 40, "predicted": [1] * 20 + [0] * 20 + [1] * 10 + [0] * 30,
             "y": [1, 0] * 40, "positive": 1},
    contrast={"predicted": [1, 0] * 40},
)  # fmt: skip
def fairness(
    groups: Annotated[Labels, Field(description="The group of each row.")],
    predicted: Annotated[Labels, Field(description="The predicted label of each row.")],
    positive: Annotated[Label, Field(description="The label that means being selected.")],
    y: Annotated[Labels | None, Field(description="The true labels; without them only selection is compared.")] = None,
    *,
    least_rows: Annotated[int, Field(ge=1, le=1_000_000, description="Smaller groups are left out, by name.")] = 20,
) -> Fairness:
    """Compare, between groups, how often rows are selected, and how often rightly and wrongly so."""
    return compare_groups(groups, y, predicted, positive, least_rows=least_rows)


@capability(
    example={"y": list(range(60)), "predicted": [place + (place * 7 % 11 - 5) / 5 for place in range(60)]},
    contrast={"coverage": 0.5},
)
def conformal(
    ctx: Context,
    y: Annotated[Numbers, Field(description="The true values.")],
    predicted: Annotated[Numbers, Field(description="The predicted values.")],
    coverage: Coverage = 0.9,
) -> Conformal:
    """Make prediction intervals from one half of the rows, and check on the other that they hold what they promise."""
    if len(y) != len(predicted):
        raise InvalidInput("predicted", f"has {len(predicted)} value(s), and y has {len(y)}.")
    return conformal_of_values(y, predicted, level=coverage, seed=ctx.seed)


@capability(
    example={"y": [1] * 12, "first": [1] * 10 + [0] * 2, "second": [0] * 8 + [1] * 4},
    contrast={"second": [1] * 12},
)
def compare(
    y: Annotated[Labels, Field(description="The true labels.")],
    first: Annotated[Labels, Field(description="The first model's labels of the same rows.")],
    second: Annotated[Labels, Field(description="The second model's labels of the same rows.")],
) -> Versus:
    """Compare two classifiers on the same rows by McNemar's test."""
    return compare_labels(y, first, second)


def known_answer(ctx: Context) -> Iterator[Check]:
    """Textbook figures, and simulations whose truth follows by arithmetic.

    With scores uniform on 0 to 1, the threshold of split conformal prediction is its own coverage, whose mean over
    calibration sets of 10 rows is 10/11. With p uniform and p squared said, the Brier score is 1/30 + 1/6 = .2, and
    recalibration brings back 1/6.
    """
    import numpy as np

    area = score("roc_auc", [0, 0, 1, 1], None, [0.1, 0.4, 0.35, 0.8], [0, 1])
    yield Check("area under the ROC curve of .1, .4 | .35, .8", area, 0.75, 1e-12)
    versus = compare_labels([1] * 180, [1] * 121 + [0] * 59, [0] * 121 + [1] * 59)
    yield Check("McNemar 121 against 59", versus.chi2, 21.36, 0.01)
    yield Check("the same, corrected", versus.chi2_corrected, 20.67, 0.01)
    random = np.random.default_rng(ctx.seed)
    limits = [threshold(scores, 0.9) for scores in random.random((4000, 10))]
    yield Check("coverage for .9 from 10 rows, expected", expected_coverage(10, 0.9), 10 / 11, 1e-12)
    yield Check("the same, simulated", float(np.mean(limits)), 10 / 11, 0.006)
    chance = random.random(20_000)
    curve = reliability(random.random(20_000) < chance, chance**2, seed=ctx.seed)
    yield Check("Brier score of squared probabilities", curve.brier, 0.2, 0.006)
    yield Check("after isotonic recalibration", curve.recalibrated, 1 / 6, 0.006)
    noise = gate.function(
        "roc_auc", {"roc_auc": Estimate(value=0.55, low=0.46, high=0.64)}, {"roc_auc": 0.5}, fold_scores=[0.5, 0.6, 0.4]
    )
    yield Check("a model of noise passes", noise.passed, expected=False)
