"""The gates that a model must pass before it is promoted: pure numbers in, one verdict a gate out.

A gate that is asked for and cannot be measured fails: what was not measured is not a reason to promote. A limit of None
switches its gate off.

*Better than the baseline* is measured as skill: the share of the way from the baseline's score to a perfect one. For
an error or a loss that is the relative reduction; for a score that is to be large it is the share of the possible
improvement, which means something near 1 too, where a relative gain of 10 % cannot exist (from an accuracy of .95 on,
.955 is asked for). Besides, the 95 % interval must exclude the baseline, or the model is no better than it. A metric
on which knowing nothing is already perfect (recall, by always saying yes) is judged by balanced accuracy instead.

*Stable* is the standard deviation of the fold scores; that of a loss or an error as a share of the baseline's, since
its units are the target's.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from mcp_orchestrator.methods.metrics import Metric, metric_named
from mcp_orchestrator.values import Estimate, Value

__all__ = ["GateLimits", "GateVerdict", "decide_gates"]

STAND_IN = "balanced_accuracy"

Finding = Literal[
    "calibration_error",
    "selection_difference",
    "found_difference",
    "false_alarm_difference",
    "drifted_columns",
    "worst_slice_gap",
]


class GateLimits(Value):
    """What is asked of a model; None switches a gate off."""

    improvement: Annotated[
        float | None,
        Field(gt=0, lt=1, description="Least share of the way from the baseline to a perfect score."),
    ] = 0.10
    fold_deviation: Annotated[
        float | None,
        Field(gt=0, description="The standard deviation of the fold scores stays below this."),
    ] = 0.05
    tracked: Annotated[bool, Field(description="Every experiment must be tracked.")] = True
    explained: Annotated[bool, Field(description="There must be an explanation.")] = True
    scores: Annotated[
        dict[str, float],
        Field(max_length=20, description="Least score by metric, or most for an error or a loss."),
    ] = Field(default_factory=dict)
    ceilings: Annotated[
        dict[Finding, float],
        Field(description="Most of a finding: calibration_error, selection_difference, drifted_columns and others."),
    ] = Field(default_factory=dict)


class GateVerdict(Value):
    """One gate: what was measured, what was asked for, and the reason in a sentence."""

    name: str
    passed: bool
    measured: float | None = None
    limit: float | None = None
    reason: str


def decide_gates(
    metric: str,
    metrics: Mapping[str, Estimate],
    baseline: Mapping[str, float],
    *,
    limits: GateLimits | None = None,
    fold_scores: Sequence[float] = (),
    experiments: int | None = None,
    tracked: int | None = None,
    explained: bool | None = None,
    findings: Mapping[str, float] | None = None,
    difference: Estimate | None = None,
) -> list[GateVerdict]:
    """Decide every gate that is switched on.

    Args:
        metric: The metric that the model is chosen by.
        metrics: Scores with their intervals on rows that the model has not seen.
        baseline: The scores of a model that knows nothing of the columns, on the same rows.
        limits: What is asked for; the mission's defaults when left out.
        fold_scores: The metric on each fold of the validation.
        experiments: How many trials were run.
        tracked: How many of them the tracker holds.
        explained: Whether there is an explanation.
        findings: What else was measured, for the ceilings.
        difference: How much higher the model scores than the one it would replace, on the same rows; asked for, it adds
            the gate "replaces", which fails when the model is clearly worse.

    Raises:
        InvalidInput: there is no such metric.

    """
    asked = limits or GateLimits()
    chosen = metric_named(metric)
    return [
        *_baseline(chosen, metrics, baseline, asked.improvement),
        *_stability(chosen, fold_scores, baseline, asked.fold_deviation),
        *_scores(metrics, asked.scores),
        *_tracked(experiments, tracked, wanted=asked.tracked),
        *_explained(explained, wanted=asked.explained),
        *_ceilings(findings or {}, asked.ceilings),
        *_replaces(chosen, difference),
    ]


def _baseline(
    metric: Metric,
    metrics: Mapping[str, Estimate],
    baseline: Mapping[str, float],
    limit: float | None,
) -> Iterator[GateVerdict]:
    if limit is None:
        return
    note = ""
    if baseline.get(metric.name) == metric.best and STAND_IN in metrics and STAND_IN in baseline:
        note = f" ({metric.name} is perfect without looking at the row, so {STAND_IN} is judged)"
        metric = metric_named(STAND_IN)
    score, least = metrics.get(metric.name), baseline.get(metric.name, math.nan)
    if score is None or math.isnan(score.value) or math.isnan(least):
        yield GateVerdict(
            name="baseline",
            passed=False,
            limit=limit,
            reason=f"{metric.name} was not measured for both the model and the baseline.",
        )
        return
    skill = metric.skill(score.value, least)
    edge = score.low if metric.greater_is_better else score.high
    clear = metric.better(edge, least)
    compared = f"{metric.name} {score.value:.4g} [{score.low:.4g}, {score.high:.4g}] against {least:.4g}{note}"
    if math.isnan(skill):
        reason = f"The baseline is already perfect: {compared}; nothing is left to learn."
    elif not clear:
        reason = f"No better than the baseline: {compared}; the interval does not exclude the baseline."
    elif skill < limit:
        reason = f"Too little better than the baseline: {compared}; {skill:.1%} of the way, {limit:.1%} asked for."
    else:
        reason = f"Better than the baseline: {compared}; {skill:.1%} of the way to perfect."
    yield GateVerdict(
        name="baseline",
        passed=clear and skill >= limit,
        measured=None if math.isnan(skill) else skill,
        limit=limit,
        reason=reason,
    )


def _stability(
    metric: Metric,
    folds: Sequence[float],
    baseline: Mapping[str, float],
    limit: float | None,
) -> Iterator[GateVerdict]:
    if limit is None:
        return
    if len(folds) < 2 or not all(math.isfinite(score) for score in folds):
        yield GateVerdict(
            name="stability",
            passed=False,
            limit=limit,
            reason="Not measured: there are no scores of two folds or more. Validate across folds, or switch it off.",
        )
        return
    spread, of = statistics.stdev(folds), ""
    if not metric.greater_is_better:
        scale = abs(baseline.get(metric.name, math.nan))
        scale, of = (scale, "the baseline's score") if scale > 0 else (abs(statistics.fmean(folds)), "the mean score")
        spread, of = (spread / scale if scale else 0.0), f", as a share of {of}"
    yield GateVerdict(
        name="stability",
        passed=spread < limit,
        measured=spread,
        limit=limit,
        reason=f"The standard deviation of {metric.name} over {len(folds)} folds is {spread:.4g}{of}; "
        f"below {limit:.4g} is asked for.",
    )


def _scores(metrics: Mapping[str, Estimate], limits: Mapping[str, float]) -> Iterator[GateVerdict]:
    for name, limit in limits.items():
        metric = metric_named(name)
        score = metrics.get(metric.name)
        word = "at least" if metric.greater_is_better else "at most"
        if score is None or math.isnan(score.value):
            yield GateVerdict(
                name=metric.name,
                passed=False,
                limit=limit,
                reason=f"{metric.name} was not measured; {word} {limit:.4g} is asked for.",
            )
            continue
        yield GateVerdict(
            name=metric.name,
            passed=not metric.better(limit, score.value),
            measured=score.value,
            limit=limit,
            reason=f"{metric.name} is {score.value:.4g} [{score.low:.4g}, {score.high:.4g}]; {word} {limit:.4g} is "
            "asked for.",
        )


def _tracked(experiments: int | None, tracked: int | None, *, wanted: bool) -> Iterator[GateVerdict]:
    if not wanted:
        return
    if experiments is None or tracked is None:
        yield GateVerdict(name="tracked", passed=False, limit=1.0, reason="Not measured: tracking was not reported.")
        return
    yield GateVerdict(
        name="tracked",
        passed=0 < experiments <= tracked,
        measured=min(tracked / experiments, 1.0) if experiments else None,
        limit=1.0,
        reason=f"{tracked} of {experiments} experiments are tracked.",
    )


def _explained(explained: bool | None, *, wanted: bool) -> Iterator[GateVerdict]:  # noqa: FBT001 - three-valued
    if wanted:
        yield GateVerdict(
            name="explained",
            passed=bool(explained),
            reason="There is an explanation of the model." if explained else "There is no explanation of the model.",
        )


def _ceilings(findings: Mapping[str, float], limits: Mapping[Finding, float]) -> Iterator[GateVerdict]:
    for name, limit in limits.items():
        found = findings.get(name, math.nan)
        yield GateVerdict(
            name=name,
            passed=found <= limit,  # NaN is not
            measured=None if math.isnan(found) else found,
            limit=limit,
            reason=f"{name} was not measured."
            if math.isnan(found)
            else f"{name} is {found:.4g}; at most {limit:.4g} is asked for.",
        )


def _replaces(metric: Metric, difference: Estimate | None) -> Iterator[GateVerdict]:
    if difference is None:
        return
    most = difference.high if metric.greater_is_better else -difference.low
    yield GateVerdict(
        name="replaces",
        passed=most >= 0,  # NaN is not
        measured=None if math.isnan(difference.value) else difference.value,
        limit=0.0,
        reason=f"{metric.name} differs by {difference.value:+.4g} [{difference.low:+.4g}, {difference.high:+.4g}] from "
        f"that of the model it would replace; it must not be clearly worse.",
    )
