"""Two models on the same rows: which is better, by how much, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from mcp_orchestrator.errors import InvalidInput
from mcp_orchestrator.methods.metrics import Metric, difference, metric_named
from mcp_orchestrator.methods.statistics.hypothesis import mcnemar, two_sample
from mcp_orchestrator.methods.training.answers import Answers, answers_of
from mcp_orchestrator.values import Estimate, Value

if TYPE_CHECKING:
    from mcp_orchestrator.methods.models import Loaded

__all__ = ["Comparison", "Versus", "check_comparable", "compare_labels", "compared"]


class Versus(Value):
    """Two classifiers on the same rows: McNemar's test of the rows that exactly one gets right."""

    only_first_right: int
    only_second_right: int
    chi2: float
    p: float
    chi2_corrected: float
    p_corrected: float
    p_exact: float
    better: str


class Comparison(Value):
    """Two models on the same rows; ``difference`` is how much higher this one scores than the other."""

    against: str
    metric: str
    difference: Estimate
    test: str
    p: float
    better: Literal["this", "other", "neither"]
    only_this_right: int | None = None
    only_other_right: int | None = None
    chi2: float | None = None
    chi2_corrected: float | None = None
    says: str


def check_comparable(model: Loaded, other: Loaded) -> None:
    """Refuse a model that predicts something else.

    Raises:
        InvalidInput: target or task differ.

    """
    if (other.task, other.target) != (model.task, model.target):
        raise InvalidInput(
            "against", f"predicts {other.target!r} by {other.task}, this model {model.target!r} by {model.task}."
        )


def compared(model: Loaded, other: Loaded, said: Answers, metric: Metric, seed: int = 0) -> Comparison:
    """Compare two models on the same rows: McNemar's test for labels, a paired test of the errors for values.

    Raises:
        InvalidInput: the models predict different things.
        DataRejected: the other model cannot use the rows.

    """
    check_comparable(model, other)
    theirs = answers_of(other, said.frame)
    metric, gap = _gap(model, other, said, theirs, metric, seed=seed)
    if not model.classes:
        tested = two_sample(said.errors, theirs.errors, paired=True)
        better = (
            "neither" if tested.p >= 0.05 or not tested.difference else "this" if tested.difference < 0 else "other"
        )
        return Comparison(
            against=other.uri,
            metric=metric.name,
            difference=gap,
            test=f"{tested.test} of the absolute errors",
            p=tested.p,
            better=better,
            says=_said(metric, gap, better, tested.p),
        )
    ours, right = said.errors == 0, theirs.errors == 0
    counts = mcnemar(int((ours & ~right).sum()), int((~ours & right).sum()))
    ahead = counts.only_first - counts.only_second
    better = "neither" if counts.p_value >= 0.05 or not ahead else "this" if ahead > 0 else "other"
    return Comparison(
        against=other.uri,
        metric=metric.name,
        difference=gap,
        test="McNemar",
        p=counts.p_value,
        better=better,
        only_this_right=counts.only_first,
        only_other_right=counts.only_second,
        chi2=counts.chi2,
        chi2_corrected=counts.chi2_corrected,
        says=_said(metric, gap, better, counts.p_value),
    )


def _gap(
    model: Loaded, other: Loaded, said: Answers, theirs: Answers, metric: Metric, *, seed: int
) -> tuple[Metric, Estimate]:
    """The difference in the metric; in accuracy, where the models' classes differ or one gives no probabilities."""
    if other.classes == model.classes and (metric.needs != "probabilities" or theirs.probabilities is not None):
        first, second = (said.predicted, said.probabilities), (theirs.predicted, theirs.probabilities)
        return metric, difference(metric, said.y, first, second, model.classes, seed=seed)
    accuracy = metric_named("accuracy")
    ours, right = said.errors == 0, theirs.errors == 0
    return accuracy, difference(accuracy, [True] * len(ours), (ours, None), (right, None), [False, True], seed=seed)


def _said(metric: Metric, gap: Estimate, better: str, p: float) -> str:
    word = {"this": "This model is better", "other": "The other model is better"}.get(
        better, "Neither is clearly better"
    )
    return f"{word} (p = {p:.3g}); {metric.name} differs by {gap.value:+.4g} [{gap.low:+.4g}, {gap.high:+.4g}]."


def compare_labels(y: Sequence[Any], first: Sequence[Any], second: Sequence[Any]) -> Versus:
    """Compare the labels that two classifiers give to the same rows.

    Raises:
        InvalidInput: the lengths differ.

    """
    if not len(y) == len(first) == len(second):
        raise InvalidInput("second", "y, first and second must have the same length.")
    ours = sum(a == true != b for true, a, b in zip(y, first, second, strict=True))
    theirs = sum(b == true != a for true, a, b in zip(y, first, second, strict=True))
    found = mcnemar(ours, theirs)
    better = "neither" if found.p_value >= 0.05 else "first" if ours > theirs else "second"
    return Versus(
        only_first_right=ours,
        only_second_right=theirs,
        chi2=found.chi2,
        p=found.p,
        chi2_corrected=found.chi2_corrected,
        p_corrected=found.p_corrected,
        p_exact=found.p_exact,
        better=better,
    )
