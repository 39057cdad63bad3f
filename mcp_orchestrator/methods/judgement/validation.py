"""A fitted model on new data: everything that can be said about it, and what could not be said, with the reason."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import Field

from mcp_orchestrator.errors import InvalidInput, NotReady, OrchestratorError, suggestion
from mcp_orchestrator.methods.judgement.comparison import Comparison, check_comparable, compared
from mcp_orchestrator.methods.judgement.conformal import Conformal, conformal_of_labels, conformal_of_values
from mcp_orchestrator.methods.judgement.fairness import Fairness, fairness
from mcp_orchestrator.methods.judgement.gates import GateLimits, GateVerdict, decide_gates
from mcp_orchestrator.methods.judgement.reliability import Reliability, reliability_of_labels
from mcp_orchestrator.methods.judgement.slices import Slice, worst_slices
from mcp_orchestrator.methods.metrics import (
    Metric,
    baseline,
    default_metric,
    evaluate,
    metric_named,
    names_for,
)
from mcp_orchestrator.methods.statistics.drift import Drift, compare
from mcp_orchestrator.methods.training.answers import Answers, answers_of, codes_of, numbers_of, objects
from mcp_orchestrator.values import Estimate, Value

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from mcp_orchestrator.methods.models import Loaded

    Array = NDArray[Any]

__all__ = ["Question", "StepReport", "Validation", "examine"]

T = TypeVar("T")


class StepReport(Value):
    """Whether a part was done, and why not."""

    name: str
    status: Literal["done", "skipped", "failed"]
    reason: str = ""


class Validation(Value):
    """What became of a model on new data."""

    model: str
    task: Literal["classification", "regression"]
    target: str
    rows: int
    rows_without_target: int
    metric: str
    metrics: dict[str, Estimate]
    baseline: dict[str, float]
    reliability: Reliability | None = None
    slices: list[Slice] = Field(default_factory=list)
    comparison: Comparison | None = None
    drift: Drift | None = None
    fairness: Fairness | None = None
    conformal: Conformal | None = None
    gates: list[GateVerdict]
    passed: bool
    steps: list[StepReport]
    degraded: bool
    says: str


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of a model on new data."""

    metrics: Sequence[str] = ()
    metric: str | None = None
    limits: GateLimits | None = None
    slices: Sequence[str] = ()
    group: str | None = None
    positive: Any = None
    coverage: float = 0.9
    seed: int = 0


def examine(model: Loaded, frame: pd.DataFrame, question: Question, other: Loaded | None = None) -> Validation:
    """Measure a model on new rows, compare it with another one on the same rows, and decide the gates.

    Raises:
        InvalidInput: the target is missing, a metric or a column does not exist, or the two models do not fit together.
        DataRejected: no row has a target, or a row holds a class that the model does not know.

    """
    _check(model, frame, question, other)
    said = answers_of(model, frame)
    classes = len(model.classes)
    given = said.probabilities is not None
    chosen = _metric(model, question.metric, probabilities=given)
    named = [
        metric_named(name, model.task, classes, probabilities=given).name
        for name in question.metrics or names_for(model.task, classes, probabilities=given)
    ]
    names = list(dict.fromkeys([*named, chosen.name]))
    scores = evaluate(model.task, said.y, said.predicted, said.probabilities, model.classes, names, seed=question.seed)
    steps: list[StepReport] = [StepReport(name="metrics", status="done")]
    reference = model.reference()
    trivial = _trivial(model, reference, said, names)
    curve = _step(steps, "reliability", lambda: _reliability(model, said, question))
    parts = _step(steps, "slices", lambda: _slices(model, said, question))
    moved = _step(steps, "drift", lambda: _drift(model, reference, said, question))
    groups = _step(steps, "fairness", lambda: _fairness(model, said, question))
    sets = _step(steps, "conformal", lambda: _conformal(model, said, question))
    versus = _step(steps, "comparison", lambda: _comparison(model, other, said, chosen, question.seed))
    limits = (question.limits or GateLimits()).model_copy(
        update={"fold_deviation": None, "tracked": False, "explained": False}
    )
    gates = decide_gates(
        chosen.name,
        scores,
        trivial,
        limits=limits,
        findings=_findings(curve, groups, moved, parts),
        difference=None if versus is None or versus.metric != chosen.name else versus.difference,
    )
    passed = all(gate.passed for gate in gates)
    return Validation(
        model=model.uri,
        task=model.task,
        target=model.target,
        rows=len(said.y),
        rows_without_target=len(frame) - len(said.y),
        metric=chosen.name,
        metrics={name: scores[name] for name in names},
        baseline=trivial,
        reliability=curve,
        slices=parts or [],
        comparison=versus,
        drift=moved,
        fairness=groups,
        conformal=sets,
        gates=gates,
        passed=passed,
        steps=steps,
        degraded=any(step.status == "failed" for step in steps),
        says=_sentence(chosen, scores[chosen.name], gates, moved, versus, passed=passed),
    )


def _check(model: Loaded, frame: pd.DataFrame, question: Question, other: Loaded | None) -> None:
    """Refuse what cannot be answered before any work is done."""
    names = [str(name) for name in frame.columns]
    for field, columns in (("slices", question.slices), ("group", [question.group] if question.group else [])):
        for name in columns:
            if name not in names:
                raise InvalidInput(
                    field, f"there is no column {name!r}.", allowed=names[:50], then=suggestion(name, names)
                )
    if question.group is not None and model.classes:
        _positive(model, question.positive)
    if other is not None:
        check_comparable(model, other)


def _positive(model: Loaded, asked: Any) -> Any:  # noqa: ANN401 - a label
    """The class that means being selected: the one asked for, or the second."""
    from mcp_orchestrator.methods.columns.coercion import label_text

    known = {label_text(label): label for label in model.classes}
    chosen = label_text(model.classes[1] if asked is None else asked)
    if chosen not in known:
        raise InvalidInput("positive", f"{asked!r} is not a class of the model.", allowed=model.classes[:20])
    return known[chosen]


def _step(steps: list[StepReport], name: str, work: Callable[[], T]) -> T | None:
    """Do a part that the others can do without, and report what became of it."""
    try:
        found = work()
    except NotReady as error:
        steps.append(StepReport(name=name, status="skipped", reason=str(error)))
        return None
    except OrchestratorError as error:
        steps.append(StepReport(name=name, status="failed", reason=str(error)))
        return None
    steps.append(StepReport(name=name, status="done"))
    return found


def _metric(model: Loaded, asked: str | None, *, probabilities: bool) -> Metric:
    """The metric to judge by: the one asked for, that of the training, or what fits the task."""
    classes = len(model.classes)
    fitting = names_for(model.task, classes, probabilities=probabilities)
    if asked is None:
        trained = str(model.facts.get("metric", ""))
        usual = default_metric(model.task, classes)
        asked = trained if trained in fitting else usual if usual in fitting else "balanced_accuracy"
    return metric_named(asked, model.task, classes, probabilities=probabilities)


def _trivial(model: Loaded, reference: pd.DataFrame | None, said: Answers, names: list[str]) -> dict[str, float]:
    """The baseline that knows the training part's target, or this data's own where that was not kept."""
    train: Any = said.y
    if reference is not None and model.target in reference.columns:
        kept: Any = reference[model.target].dropna().tolist()
        train = numbers_of(kept, model.target) if model.task == "regression" else _known(kept, model)
    return baseline(model.task, train if len(train) else said.y, said.y, names, model.classes)


def _known(labels: list[Any], model: Loaded) -> Array:
    return objects(model.classes)[codes_of(labels, model, list(range(len(labels))))]


def _reliability(model: Loaded, said: Answers, question: Question) -> Reliability:
    if said.probabilities is None:
        raise NotReady("A regression has no probabilities." if not model.classes else "The model gives none.")
    return reliability_of_labels(said.codes, said.probabilities, seed=question.seed)


def _slices(model: Loaded, said: Answers, question: Question) -> list[Slice]:
    used = [feature.name for feature in model.features if feature.kind not in {"drop", "text"}]
    columns = question.slices or [name for name in used if name in said.frame.columns]
    return worst_slices(said.frame, said.errors, columns=columns)


def _drift(model: Loaded, reference: pd.DataFrame | None, said: Answers, question: Question) -> Drift:
    if reference is None or not len(reference):
        raise NotReady("There is nothing to compare with: no sample of the training data was stored.")
    kinds: dict[str, str] = {feature.name: feature.kind for feature in model.features}
    if model.classes:
        kinds[model.target] = "categorical"
    return compare(reference, said.frame, kinds=kinds, seed=question.seed)


def _fairness(model: Loaded, said: Answers, question: Question) -> Fairness:
    if question.group is None:
        raise NotReady("No column of groups was named.")
    if not model.classes:
        raise NotReady("Selection rates are for classifiers; see the slices.")
    groups: Any = said.frame[question.group].tolist()
    positive = _positive(model, question.positive)
    return fairness(groups, said.y.tolist(), said.predicted.tolist(), positive, column=question.group)


def _conformal(model: Loaded, said: Answers, question: Question) -> Conformal:
    if len(said.y) < 20:
        raise NotReady(f"{len(said.y)} rows are too few; 20 are needed.")
    if not model.classes:
        return conformal_of_values(said.y, said.predicted, level=question.coverage, seed=question.seed)
    if said.probabilities is None:
        raise NotReady("The model gives no probabilities.")
    return conformal_of_labels(said.codes, said.probabilities, level=question.coverage, seed=question.seed)


def _comparison(model: Loaded, other: Loaded | None, said: Answers, metric: Metric, seed: int) -> Comparison:
    if other is None:
        raise NotReady("No other model was named.")
    return compared(model, other, said, metric, seed)


def _findings(
    curve: Reliability | None, groups: Fairness | None, moved: Drift | None, parts: list[Slice] | None
) -> dict[str, float]:
    found: dict[str, float | None] = {
        "calibration_error": curve.calibration_error if curve else None,
        "drifted_columns": float(len(moved.drifted)) if moved else None,
        "worst_slice_gap": None if parts is None else max((part.gap for part in parts if part.worse), default=0.0),
        "selection_difference": groups.selection_difference if groups else None,
        "found_difference": groups.found_difference if groups else None,
        "false_alarm_difference": groups.false_alarm_difference if groups else None,
    }
    return {name: value for name, value in found.items() if value is not None and not math.isnan(value)}


def _sentence(
    metric: Metric,
    score: Estimate,
    gates: list[GateVerdict],
    moved: Drift | None,
    versus: Comparison | None,
    *,
    passed: bool,
) -> str:
    failed = [gate.reason for gate in gates if not gate.passed]
    said = [
        f"{metric.name} {score.value:.4g} [{score.low:.4g}, {score.high:.4g}].",
        "All gates passed." if passed else f"{len(failed)} gate(s) failed: {' '.join(failed)}",
    ]
    if versus is not None:
        said.append(versus.says)
    if moved is not None and moved.drifted:
        said.append(f"Drifted: {', '.join(moved.drifted[:10])}.")
    return " ".join(said)
