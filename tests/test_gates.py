from __future__ import annotations

import math

import numpy as np
import pytest
from pydantic import ValidationError

from mcp_orchestrator.errors import InvalidInput
from mcp_orchestrator.methods.judgement.gates import GateLimits, GateVerdict, decide_gates
from mcp_orchestrator.methods.metrics import baseline, evaluate
from mcp_orchestrator.values import Estimate

ONLY_BASELINE = GateLimits(fold_deviation=None, tracked=False, explained=False)


def estimate(value: float, half: float = 0.01) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half)


def only(verdicts: list[GateVerdict], name: str) -> GateVerdict:
    return next(one for one in verdicts if one.name == name)


def baseline_gate(metric: str, value: float, base: float, half: float = 0.001) -> GateVerdict:
    (verdict,) = decide_gates(metric, {metric: estimate(value, half)}, {metric: base}, limits=ONLY_BASELINE)
    return verdict


def test_a_model_that_meets_the_defaults_passes_every_gate() -> None:
    verdicts = decide_gates(
        "roc_auc",
        {"roc_auc": estimate(0.9)},
        {"roc_auc": 0.5},
        fold_scores=[0.89, 0.9, 0.91],
        experiments=12,
        tracked=12,
        explained=True,
    )
    assert [one.name for one in verdicts] == ["baseline", "stability", "tracked", "explained"]
    assert all(one.passed for one in verdicts)
    assert all(one.reason.endswith(".") for one in verdicts)


@pytest.mark.requirement("gates.explained")
def test_what_was_not_measured_does_not_pass() -> None:
    verdicts = decide_gates("roc_auc", {}, {})
    assert [one.passed for one in verdicts] == [False] * 4


@pytest.mark.requirement("gates.set")
def test_a_gate_that_is_switched_off_is_not_decided() -> None:
    off = GateLimits(improvement=None, fold_deviation=None, tracked=False, explained=False)
    assert decide_gates("roc_auc", {}, {}, limits=off) == []


@pytest.mark.requirement("gates.baseline")
@pytest.mark.parametrize(
    ("metric", "value", "base", "passed"),
    [
        ("rmse", 8.9, 10.0, True),
        ("rmse", 9.1, 10.0, False),
        ("rmse", 11.0, 10.0, False),
        ("accuracy", 0.956, 0.95, True),
        ("accuracy", 0.954, 0.95, False),
        ("accuracy", 0.56, 0.5, True),
        ("r2", 0.11, -0.01, True),
        ("mcc", 0.05, 0.0, False),
        ("log_loss", 0.6, 0.69, True),
    ],
)
def test_ten_percent_better_is_a_tenth_of_the_way_to_perfect(
    metric: str, value: float, base: float, *, passed: bool
) -> None:
    verdict = baseline_gate(metric, value, base)
    assert verdict.passed is passed
    assert verdict.measured == pytest.approx(
        (value - base) / ((1 if metric in {"accuracy", "r2", "mcc"} else 0) - base)
    )


@pytest.mark.parametrize(("metric", "value", "base"), [("roc_auc", 0.6, 0.5), ("rmse", 8.0, 10.0)])
def test_an_interval_that_holds_the_baseline_is_no_better_than_it(metric: str, value: float, base: float) -> None:
    verdict = baseline_gate(metric, value, base, half=3)
    assert not verdict.passed
    assert "No better than the baseline" in verdict.reason


@pytest.mark.parametrize("value", [math.nan, 1.0])
def test_an_undefined_score_or_a_perfect_baseline_passes_nothing(value: float) -> None:
    assert not baseline_gate("accuracy", value, 1.0, half=0).passed


def test_recall_which_always_saying_yes_makes_perfect_is_judged_by_balanced_accuracy() -> None:
    scores = {"recall": estimate(0.9), "balanced_accuracy": estimate(0.8)}
    base = {"recall": 1.0, "balanced_accuracy": 0.5}
    (verdict,) = decide_gates("recall", scores, base, limits=ONLY_BASELINE)
    assert verdict.passed
    assert "balanced_accuracy" in verdict.reason


@pytest.mark.requirement("training.noise")
@pytest.mark.parametrize("metric", ["roc_auc", "f1", "accuracy", "log_loss", "recall", "balanced_accuracy", "f1_macro"])
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_a_model_of_pure_noise_is_not_promoted(metric: str, share: float) -> None:
    passed = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        y = (random.random(150) < share).astype(int)
        shares = random.random(150)
        found = evaluate("classification", y, (shares > 0.5).astype(int), shares, [0, 1], seed=seed)
        base = baseline("classification", (random.random(400) < share).astype(int), y)
        passed += only(decide_gates(metric, found, base), "baseline").passed
    assert passed <= 4  # 2.5 % by chance


@pytest.mark.requirement("training.noise")
@pytest.mark.parametrize("metric", ["rmse", "mae", "r2", "mape", "median_absolute_error"])
def test_a_regression_of_pure_noise_is_not_promoted(metric: str) -> None:
    random = np.random.default_rng(0)
    train, y = random.lognormal(size=600), random.lognormal(size=150)
    found = evaluate("regression", y, random.permutation(train)[:150])
    assert not only(decide_gates(metric, found, baseline("regression", train, y)), "baseline").passed


@pytest.mark.requirement("gates.folds")
@pytest.mark.parametrize(
    ("metric", "folds", "passed"),
    [
        ("accuracy", [0.9, 0.91, 0.89], True),
        ("accuracy", [0.7, 0.9, 0.8], False),
        ("rmse", [54.0, 56.0, 52.0], True),
        ("rmse", [40.0, 60.0, 50.0], False),
        ("accuracy", [0.9], False),
        ("accuracy", [0.9, math.nan], False),
    ],
)
def test_scores_that_scatter_over_the_folds_are_not_stable(metric: str, folds: list[float], *, passed: bool) -> None:
    verdicts = decide_gates(metric, {}, {"rmse": 77.0}, fold_scores=folds)
    assert only(verdicts, "stability").passed is passed


@pytest.mark.requirement("gates.tracked")
@pytest.mark.parametrize(("experiments", "tracked", "passed"), [(5, 5, True), (5, 4, False), (0, 0, False)])
def test_every_experiment_must_be_tracked(experiments: int, tracked: int, *, passed: bool) -> None:
    assert only(decide_gates("r2", {}, {}, experiments=experiments, tracked=tracked), "tracked").passed is passed


@pytest.mark.requirement("gates.set")
def test_limits_of_scores_are_least_or_most_by_the_metric() -> None:
    limits = ONLY_BASELINE.model_copy(update={"scores": {"auc": 0.9, "log_loss": 0.3, "mcc": 0.1}, "improvement": None})
    scores = {"roc_auc": estimate(0.9), "log_loss": estimate(0.31)}
    verdicts = decide_gates("roc_auc", scores, {}, limits=limits)
    assert {one.name: one.passed for one in verdicts} == {"roc_auc": True, "log_loss": False, "mcc": False}


def test_ceilings_hold_findings_down_and_unmeasured_ones_fail() -> None:
    limits = GateLimits(
        improvement=None,
        fold_deviation=None,
        tracked=False,
        explained=False,
        ceilings={"calibration_error": 0.05, "drifted_columns": 0, "worst_slice_gap": 0.1},
    )
    verdicts = decide_gates(
        "roc_auc", {}, {}, limits=limits, findings={"calibration_error": 0.04, "drifted_columns": 1}
    )
    assert [one.passed for one in verdicts] == [True, False, False]


@pytest.mark.parametrize(
    ("metric", "value", "half", "passed"),
    [
        ("roc_auc", -0.02, 0.05, True),
        ("roc_auc", -0.1, 0.05, False),
        ("rmse", 1.0, 0.5, False),
        ("rmse", -1, 0.5, True),
        ("rmse", math.nan, 0.5, False),
    ],
)
def test_a_model_that_is_clearly_worse_than_the_one_it_would_replace_fails(
    metric: str, value: float, half: float, *, passed: bool
) -> None:
    verdicts = decide_gates(metric, {}, {}, difference=estimate(value, half))
    assert only(verdicts, "replaces").passed is passed


def test_unknown_metrics_and_findings_are_refused() -> None:
    with pytest.raises(InvalidInput, match="no metric"):
        decide_gates("speed", {}, {})
    with pytest.raises(ValidationError):
        GateLimits.model_validate({"ceilings": {"beauty": 1}})
