"""One score out of a hundred with the parts that make it: for a table, a model's probabilities, or a prompt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

from pydantic import Field

from mcp_orchestrator.component import About, Check, Context, capability
from mcp_orchestrator.errors import InvalidInput, suggestion
from mcp_orchestrator.methods.judgement import prompts, quality
from mcp_orchestrator.methods.judgement.prompts import check_prompt
from mcp_orchestrator.methods.judgement.quality import check_table
from mcp_orchestrator.methods.judgement.reliability import Reliability, reliability_of_labels
from mcp_orchestrator.methods.metrics import classes_of, evaluate
from mcp_orchestrator.methods.statistics.agreement import Weights, cohen_kappa
from mcp_orchestrator.values import Data, Estimate, Label, Value

ABOUT = About(tier=5, libraries=("sklearn", "pandas"))

Labels = Annotated[list[Label], Field(min_length=1, max_length=200_000)]
Probabilities = Annotated[
    list[Annotated[float, Field(ge=0, le=1)]] | list[list[Annotated[float, Field(ge=0, le=1)]]],
    Field(
        min_length=1,
        max_length=200_000,
        description="P(second class) for each row, or one list a row with the probability of each class in order.",
    ),
]


class Part(Value):
    """One part of a score: 0 to 1, its weight, and what it says."""

    name: str
    score: float
    weight: float
    says: str


class DataScore(Value):
    """How fit a table is for learning."""

    score: float
    parts: list[Part]
    weakest: str
    rows: int
    columns: int


class ModelScore(Value):
    """How good probabilities are: do they rank, do they mean what they say, do they beat the classes' shares."""

    score: float
    parts: list[Part]
    weakest: str
    metrics: dict[str, Estimate]
    reliability: Reliability
    classes: list[Label]


class PromptScore(Value):
    """What a prompt says and what it leaves out; a checklist, not a judgment of the task."""

    score: float
    parts: list[Part]
    weakest: str
    words: int


class Agreement(Value):
    """How far two raters agree beyond chance; the word is Landis and Koch's."""

    kappa: Estimate
    observed: float
    expected: float
    word: str
    items: int
    categories: list[Label]


def _part(finding: quality.Finding | prompts.Finding) -> Part:
    return Part(name=finding.name, score=finding.score, weight=finding.weight, says=finding.says)


def _total(parts: Sequence[Part]) -> tuple[float, str]:
    """The weighted mean in percent, and the part that costs most."""
    weight = sum(part.weight for part in parts)
    worst = max(parts, key=lambda part: (1 - part.score) * part.weight)
    return 100 * sum(part.score * part.weight for part in parts) / weight, worst.name


ROWS = [{"x": place, "group": "ab"[place % 2], "y": place % 2} for place in range(40)]


@capability(
    example={"data": ROWS, "target": "y"},
    contrast={"data": [*ROWS[:20], *({**row, "x": None} for row in ROWS[20:])]},
)
def score_data(
    ctx: Context,
    data: Data,
    target: Annotated[str | None, Field(max_length=200, description="The column to be predicted, if any.")] = None,
) -> DataScore:
    """Score how fit a table is for learning: missing, repeated, mixed and constant values, outliers, size, balance."""
    from mcp_orchestrator.methods import tables

    frame = tables.frame(ctx, data)
    names = [str(name) for name in frame.columns]
    if target is not None and target not in names:
        raise InvalidInput(
            "target", f"there is no column {target!r}.", allowed=names[:50], then=suggestion(target, names)
        )
    parts = [_part(one) for one in check_table(frame, target)]
    score, weakest = _total(parts)
    return DataScore(score=score, parts=parts, weakest=weakest, rows=len(frame), columns=len(names))


@capability(
    example={"y": [0, 0, 1, 1, 0, 1], "probabilities": [0.1, 0.4, 0.35, 0.8, 0.2, 0.9]},
    contrast={"probabilities": [0.9, 0.6, 0.65, 0.2, 0.8, 0.1]},
)
def score_model(
    ctx: Context,
    y: Annotated[Labels, Field(description="The true labels.")],
    probabilities: Probabilities,
    classes: Annotated[
        list[Label],
        Field(max_length=1000, description="The classes in the order of the probabilities; sorted when empty."),
    ] = [],  # noqa: B006 - read only; pydantic copies it
    *,
    bins: Annotated[int, Field(ge=2, le=100, description="Bins of the reliability curve.")] = 10,
) -> ModelScore:
    """Score a classifier's probabilities: ranking, calibration, and skill over the classes' shares."""
    import numpy as np

    known = list(classes) or classes_of(y)
    if len(known) < 2:
        raise InvalidInput("y", "holds one class only.", then="Name all classes in classes.")
    shares = np.asarray(_rectangular(probabilities, len(y), len(known)))
    predicted = np.array(known, dtype=object)[shares.argmax(axis=1)]
    metrics = evaluate("classification", y, predicted, shares, known, seed=ctx.seed)
    place = {label: number for number, label in enumerate(known)}
    codes = np.array([place[label] for label in y])
    curve = reliability_of_labels(codes, shares, bins=bins, seed=ctx.seed)
    frequency = np.bincount(codes, minlength=len(known)) / len(codes)
    naive = float(1 - (frequency**2).sum()) * (0.5 if len(known) == 2 else 1)
    skill = max(0.0, 1 - metrics["brier"].value / naive) if naive else 0.0
    area = metrics["roc_auc"].value
    ranks = 0.0 if np.isnan(area) else max(0.0, 2 * area - 1)
    parts = [
        Part(name="ranking", score=ranks, weight=1, says=f"Area under the ROC curve {area:.4g}; .5 is chance."),
        Part(
            name="calibration",
            score=1 - curve.calibration_error,
            weight=1,
            says=f"Probabilities are off by {curve.calibration_error:.4g} on average.",
        ),
        Part(name="skill", score=skill, weight=1, says=f"The Brier score is {skill:.1%} below that of the shares."),
    ]
    score, weakest = _total(parts)
    return ModelScore(score=score, parts=parts, weakest=weakest, metrics=metrics, reliability=curve, classes=known)


def _rectangular(given: Iterable[Any], rows: int, classes: int) -> list[list[float]]:
    """One list a row with one probability a class."""
    lists = [list(one) if isinstance(one, list | tuple) else [1 - one, one] for one in given]
    if len(lists) != rows or any(len(one) != classes for one in lists):
        raise InvalidInput("probabilities", f"must have {rows} rows (as y has) of {classes} classes.")
    return lists


@capability(
    example={"text": "Summarize the report below for managers in at most 3 bullets. Example: - Sales rose 4%."},
    contrast={"text": "stuff about the report, maybe some nice things etc"},
)
def score_prompt(
    text: Annotated[str, Field(min_length=1, max_length=100_000, description="The prompt.")],
) -> PromptScore:
    """Score a prompt by what it says: task, output, limits, context, examples, structure, clarity."""
    parts = [_part(one) for one in check_prompt(text)]
    score, weakest = _total(parts)
    return PromptScore(score=score, parts=parts, weakest=weakest, words=len(text.split()))


@capability(
    example={"a": ["yes"] * 25 + ["no"] * 25, "b": ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15},
    contrast={"b": ["yes"] * 25 + ["no"] * 25},
)
def agreement(
    ctx: Context,
    a: Annotated[Labels, Field(description="The first rater's labels.")],
    b: Annotated[Labels, Field(description="The second rater's labels of the same items.")],
    weights: Annotated[Weights, Field(description="How much a near miss counts, by the order of the labels.")] = "none",
) -> Agreement:
    """Measure how far two raters agree beyond chance (Cohen's kappa)."""
    found = cohen_kappa(a, b, weights=weights, seed=ctx.seed)
    words = ((0.0, "poor"), (0.2, "slight"), (0.4, "fair"), (0.6, "moderate"), (0.8, "substantial"))
    return Agreement(
        kappa=Estimate(value=found.value, low=found.low, high=found.high),
        observed=found.observed,
        expected=found.expected,
        word=next((word for limit, word in words if found.value <= limit), "almost perfect"),
        items=len(a),
        categories=list(found.categories),
    )


def known_answer(ctx: Context) -> Iterator[Check]:
    """Cohen's kappa of 20, 5, 10, 15 is .40; with p uniform, E|p - p^2| = 1/6 and E[p(1 - p)] = 1/6."""
    import numpy as np

    kappa = agreement.function(ctx, [1] * 25 + [0] * 25, [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15)
    yield Check("kappa of the table 20, 5, 10, 15", kappa.kappa.value, 0.4, 1e-9)
    random = np.random.default_rng(ctx.seed)
    chance = random.random(40_000)
    codes = (random.random(40_000) < chance).astype(int)
    honest = reliability_of_labels(codes, np.column_stack([1 - chance, chance]))
    yield Check("calibration error of the true probabilities", honest.calibration_error, 0.003, 0.004)
    yield Check("their Brier score", honest.brier, 1 / 6, 0.003)
    bent = reliability_of_labels(codes, np.column_stack([1 - chance**2, chance**2]))
    yield Check("calibration error of their squares", bent.calibration_error, 1 / 6, 0.005)
    model = score_model.function(ctx, [0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    yield Check("area under the ROC curve of .1, .4 | .35, .8", model.metrics["roc_auc"].value, 0.75, 1e-9)
    holes = [{"x": place if place % 4 else None, "y": place} for place in range(1, 41)]
    parts = {part.name: part.score for part in score_data.function(ctx, holes).parts}
    yield Check("completeness of a table with one cell of eight missing", parts["completeness"], 0.875, 1e-9)
    good = 'Classify the review below as positive or negative. Return only JSON, for example {"label": "positive"}.'
    bad = score_prompt(text="some stuff about reviews").score
    yield Check("a prompt that says what to do beats one that does not", score_prompt(text=good).score > 2 * bad, True)  # noqa: FBT003
