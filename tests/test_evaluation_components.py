"""Models on new data: what is measured, refused, skipped, and whether they may be released."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from mcp_orchestrator.component import Check, Context
from mcp_orchestrator.components.evaluation import advanced_statistical_validator, performance_validation
from mcp_orchestrator.errors import DataRejected, InvalidInput, UnknownName
from mcp_orchestrator.methods import models
from mcp_orchestrator.methods.columns.features import FeatureSpec
from mcp_orchestrator.methods.judgement.conformal import conformal_of_labels, expected_coverage, threshold
from mcp_orchestrator.methods.judgement.fairness import fairness
from mcp_orchestrator.methods.judgement.reliability import reliability, reliability_of_labels
from mcp_orchestrator.methods.judgement.slices import worst_slices
from mcp_orchestrator.methods.judgement.validation import Validation
from mcp_orchestrator.methods.tables import freeze_frame
from mcp_orchestrator.values import Estimate

FEATURES = ["x", "z"]


def people(rows: int, seed: int, noise: float = 0.7, *, flip: str = "") -> pd.DataFrame:
    """A table whose label follows from x; in the city ``flip`` it follows from nothing."""
    random = np.random.default_rng(seed)
    x, z = random.normal(size=rows), random.normal(size=rows)
    city = random.choice(["Rome", "Oslo", "Lima"], rows)
    signal = np.where(city == flip, 0, x) + noise * random.normal(size=rows)
    label = np.where(signal > 0, "yes", "no")
    return pd.DataFrame({"x": x, "z": z, "city": city, "amount": 3 * x + noise * z, "bought": label})


def stored(ctx: Context, estimator: Any, table: pd.DataFrame, target: str, **facts: Any) -> str:
    """Fit on x and z, and store with the table as the reference."""
    fitted = estimator.fit(table[FEATURES], table[target])
    trained = models.store(
        ctx,
        fitted,
        task="classification" if hasattr(fitted, "classes_") else "regression",
        target=target,
        features=[FeatureSpec(name=name, kind="numeric") for name in FEATURES],
        classes=list(getattr(fitted, "classes_", [])),
        reference=table,
        facts=facts,
    )
    return trained.uri


@pytest.fixture
def classifier(ctx: Context) -> str:
    estimator = make_pipeline(StandardScaler(), LogisticRegression())
    return stored(ctx, estimator, people(400, 0), "bought")


def validate(ctx: Context, model: str, table: pd.DataFrame, **params: Any) -> Validation:
    data = freeze_frame(ctx, table).uri
    return performance_validation.validate.call(ctx, {"model": model, "data": data, **params})


def statuses(found: Validation) -> dict[str, str]:
    return {step.name: step.status for step in found.steps}


@pytest.mark.parametrize("component", [advanced_statistical_validator, performance_validation])
def test_a_component_of_evaluation_gives_its_known_answer(ctx: Context, component: Any) -> None:
    found: list[Check] = list(component.known_answer(ctx))
    assert len(found) > 5
    assert [check for check in found if not check.passed] == []


@pytest.mark.requirement("metrics.requested")
def test_a_good_model_on_new_data_is_measured_whole_and_passes(ctx: Context, classifier: str) -> None:
    found = validate(ctx, classifier, people(500, 1))
    assert found.passed
    assert not found.degraded
    assert found.metric == "roc_auc"
    assert found.metrics["roc_auc"].low > 0.8
    assert found.baseline["roc_auc"] == 0.5
    assert found.reliability is not None
    assert found.reliability.calibration_error < 0.1
    assert found.drift is not None
    assert found.drift.drifted == []
    assert found.conformal is not None
    assert found.conformal.coverage.low <= 0.9 <= found.conformal.coverage.high
    assert statuses(found) == {
        "metrics": "done",
        "reliability": "done",
        "slices": "done",
        "drift": "done",
        "fairness": "skipped",
        "conformal": "done",
        "comparison": "skipped",
    }
    assert all(step.reason for step in found.steps if step.status != "done")
    assert Validation.model_validate_json(found.model_dump_json()) == found


def test_a_model_of_noise_is_no_better_than_the_baseline_and_fails(ctx: Context) -> None:
    noise = people(300, 2, noise=1e6)
    model = stored(ctx, DecisionTreeClassifier(random_state=0), noise, "bought")
    found = validate(ctx, model, people(300, 3, noise=1e6))
    assert not found.passed
    assert "No better than the baseline" in found.says


def test_the_slice_where_the_model_fails_is_found_first(ctx: Context, classifier: str) -> None:
    found = validate(ctx, classifier, people(900, 4, flip="Lima"), slices=["city", "x"])
    assert (found.slices[0].column, found.slices[0].value, found.slices[0].worse) == ("city", "Lima", True)
    assert found.slices[0].error.value == pytest.approx(0.5, abs=0.1)


def test_drift_is_seen_against_the_training_data_and_can_be_a_gate(ctx: Context, classifier: str) -> None:
    moved = people(400, 5).assign(z=lambda table: table["z"] + 1)
    found = validate(ctx, classifier, moved, limits={"ceilings": {"drifted_columns": 0}})
    assert found.drift is not None
    assert found.drift.drifted[0] == "z"
    assert {gate.name: gate.passed for gate in found.gates} == {"baseline": True, "drifted_columns": False}
    assert "Drifted: z" in found.says


@pytest.mark.requirement("workflow.compare")
def test_a_better_model_wins_on_the_same_rows(ctx: Context, classifier: str) -> None:
    worse = stored(ctx, DecisionTreeClassifier(max_depth=12, random_state=0), people(60, 6, noise=3), "bought")
    found = validate(ctx, worse, people(600, 7), against=classifier)
    assert found.comparison is not None
    assert found.comparison.better == "other"
    assert found.comparison.difference.high < 0
    assert {gate.name: gate.passed for gate in found.gates}["replaces"] is False
    turned = validate(ctx, classifier, people(600, 7), against=worse).comparison
    assert turned is not None
    assert turned.better == "this"
    assert (turned.only_this_right, turned.chi2) == (found.comparison.only_other_right, found.comparison.chi2)


def test_a_model_is_not_better_than_itself(ctx: Context, classifier: str) -> None:
    found = validate(ctx, classifier, people(200, 8), against=classifier)
    assert found.comparison is not None
    assert (found.comparison.better, found.comparison.p, found.comparison.difference.value) == ("neither", 1, 0)
    assert found.passed


def test_regressions_are_compared_by_their_errors(ctx: Context) -> None:
    train = people(300, 9)
    good = stored(ctx, LinearRegression(), train, "amount")
    poor = stored(ctx, Ridge(alpha=300), train, "amount")
    found = validate(ctx, good, people(300, 10), against=poor)
    assert found.passed
    assert found.metric == "rmse"
    assert (found.reliability, found.fairness) == (None, None)
    assert found.comparison is not None
    assert found.comparison.better == "this"
    assert found.comparison.difference.high < 0
    assert found.conformal is not None
    assert found.conformal.measure == "width of the interval"


def test_groups_are_compared_when_a_column_of_groups_is_named(ctx: Context, classifier: str) -> None:
    table = people(600, 11)
    table.loc[table["city"] == "Oslo", "x"] += 1.5
    limits = {"ceilings": {"selection_difference": 0.1}}
    found = validate(ctx, classifier, table, group="city", positive="yes", limits=limits)
    assert found.fairness is not None
    rates = {group.value: group.selected.value for group in found.fairness.groups}
    assert max(rates, key=rates.__getitem__) == "Oslo"
    assert found.fairness.selection_difference == pytest.approx(max(rates.values()) - min(rates.values()))
    assert not found.passed


def test_rows_without_a_target_are_left_out_and_counted(ctx: Context, classifier: str) -> None:
    table = people(200, 12)
    table.loc[:49, "bought"] = None
    found = validate(ctx, classifier, table)
    assert (found.rows, found.rows_without_target) == (150, 50)


def test_the_metric_of_the_training_is_the_one_to_judge_by(ctx: Context) -> None:
    model = stored(ctx, LogisticRegression(), people(300, 13), "bought", metric="f1")
    assert validate(ctx, model, people(100, 14)).metric == "f1"
    assert validate(ctx, model, people(100, 14), metric="auc").metric == "roc_auc"


def test_one_class_of_new_data_leaves_the_area_undefined_and_does_not_pass(ctx: Context, classifier: str) -> None:
    table = people(200, 15)
    found = validate(ctx, classifier, table[table["bought"] == "yes"].reset_index(drop=True))
    assert np.isnan(found.metrics["roc_auc"].value)
    assert not found.passed
    assert found.metrics["accuracy"].value > 0.5


def test_a_model_without_probabilities_or_reference_skips_what_needs_them(ctx: Context) -> None:
    from sklearn.svm import LinearSVC

    table = people(200, 16)
    fitted = LinearSVC().fit(table[FEATURES], table["bought"])
    trained = models.store(
        ctx,
        fitted,
        task="classification",
        target="bought",
        features=[FeatureSpec(name=name, kind="numeric") for name in FEATURES],
        classes=["no", "yes"],
    )
    found = validate(ctx, trained.uri, people(200, 17))
    assert found.metric == "balanced_accuracy"
    assert {name for name, status in statuses(found).items() if status == "skipped"} >= {
        "reliability",
        "drift",
        "conformal",
    }
    with pytest.raises(InvalidInput, match="needs probabilities"):
        validate(ctx, trained.uri, people(200, 17), metric="roc_auc")


def test_labels_written_otherwise_are_the_same_labels(ctx: Context) -> None:
    table = people(300, 18).assign(bought=lambda one: (one["bought"] == "yes").astype(int))
    model = stored(ctx, LogisticRegression(), table, "bought")
    words = people(100, 19).assign(bought=lambda one: (one["bought"] == "yes").astype(int).astype(str))
    assert validate(ctx, model, words).metrics["accuracy"].value > 0.6


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"slices": ["town"]}, "slices"),
        ({"group": "town"}, "group"),
        ({"group": "city", "positive": "perhaps"}, "positive"),
        ({"metric": "rmse"}, "metric"),
        ({"metrics": ["speed"]}, "metric"),
        ({"limits": {"scores": {"rmse": 1, "speed": 2}}}, "metric"),
        ({"coverage": 1.5}, "coverage"),
        ({"limits": {"improvement": 2}}, "limits.improvement"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused_by_its_field(
    ctx: Context, classifier: str, params: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        validate(ctx, classifier, people(60, 20), **params)
    assert refusal.value.field == field


def test_data_that_cannot_be_judged_is_refused_by_its_place(ctx: Context, classifier: str) -> None:
    table = people(60, 21)
    with pytest.raises(InvalidInput, match="no column 'bought'"):
        validate(ctx, classifier, table.drop(columns="bought"))
    with pytest.raises(InvalidInput, match="missing"):
        validate(ctx, classifier, table.drop(columns="x"))
    table.loc[6, "bought"] = "perhaps"
    with pytest.raises(DataRejected, match="'perhaps'") as refusal:
        validate(ctx, classifier, table)
    assert (refusal.value.column, refusal.value.row) == ("bought", 7)
    with pytest.raises(DataRejected, match="no row has a target"):
        validate(ctx, classifier, table.assign(bought=pd.Series([None] * 60, dtype=object)))
    with pytest.raises(UnknownName, match="no model"):
        validate(ctx, "nobody", table)


def test_a_model_that_predicts_something_else_is_not_compared(ctx: Context, classifier: str) -> None:
    other = stored(ctx, LinearRegression(), people(60, 22), "amount")
    with pytest.raises(InvalidInput) as refusal:
        validate(ctx, classifier, people(60, 23), against=other)
    assert refusal.value.field == "against"


def test_the_gate_in_figures_says_why_it_fails(ctx: Context) -> None:
    found = performance_validation.gate.call(
        ctx,
        {
            "metric": "rmse",
            "metrics": {"rmse": {"value": 9.5, "low": 9.0, "high": 9.9}},
            "baseline": {"rmse": 10.0},
            "fold_scores": [9.4, 9.6],
            "experiments": 3,
            "tracked": 2,
            "explained": True,
        },
    )
    assert {gate.name: gate.passed for gate in found.gates} == {
        "baseline": False,
        "stability": True,
        "tracked": False,
        "explained": True,
    }
    assert "5.0%" in found.says
    assert "2 of 3" in found.says


def test_probabilities_that_mean_what_they_say_have_no_gap_to_close() -> None:
    random = np.random.default_rng(0)
    chance = random.random(20_000)
    honest = reliability(random.random(20_000) < chance, chance)
    assert honest.calibration_error < 0.015
    assert honest.brier == pytest.approx(honest.unreliability - honest.resolution + honest.uncertainty, abs=0.005)
    assert honest.recalibrated == pytest.approx(honest.brier, abs=0.002)
    assert sum(one.rows for one in honest.bins) == 20_000


@pytest.mark.parametrize(("happened", "said"), [([], []), ([1, 0], [0.5]), ([1], [1.5]), ([1], [float("nan")])])
def test_probabilities_that_are_none_are_refused(happened: list[int], said: list[float]) -> None:
    with pytest.raises(InvalidInput) as refusal:
        reliability(happened, said)
    assert refusal.value.field == "probabilities"


def test_a_constant_probability_falls_into_one_bin() -> None:
    found = reliability([1, 1, 0, 0], [1.0, 1.0, 1.0, 1.0])
    assert (len(found.bins), found.calibration_error, found.recalibrated) == (1, 0.5, None)


def test_of_several_classes_the_likeliest_is_judged() -> None:
    found = reliability_of_labels([0, 1, 2, 2], np.eye(3)[[0, 1, 2, 1]])
    assert found.calibration_error == 0.25


def test_conformal_sets_hold_what_they_promise_on_average() -> None:
    random = np.random.default_rng(0)
    held: list[float] = []
    for seed in range(60):
        shares = random.dirichlet(np.ones(3), 200)
        codes = np.array([random.choice(3, p=share) for share in shares])
        held.append(conformal_of_labels(codes, shares, level=0.8, seed=seed).coverage.value)
    assert np.mean(held) == pytest.approx(expected_coverage(100, 0.8), abs=0.02)


def test_too_few_rows_for_a_promise_make_it_without_limit() -> None:
    assert threshold([0.1, 0.2, 0.3], 0.9) == float("inf")
    assert expected_coverage(3, 0.9) == 1
    with pytest.raises(InvalidInput):
        threshold([], 0.9)
    with pytest.raises(InvalidInput, match="at least 20"):
        conformal_of_labels([0, 1], np.eye(2))


def test_slices_of_pure_chance_are_not_called_worse() -> None:
    random = np.random.default_rng(1)
    alarms = 0
    for _ in range(20):
        table = pd.DataFrame(random.normal(size=(400, 4))).rename(columns=str)
        table["city"] = random.choice(list("abcdef"), 400)
        alarms += any(one.worse for one in worst_slices(table, random.random(400) < 0.3))
    assert alarms <= 3


def test_missing_values_booleans_and_dates_make_slices_and_small_ones_are_left_out() -> None:
    table = pd.DataFrame(
        {
            "x": [None] * 30 + list(range(70)),
            "day": pd.to_datetime(["2023-01-01"] * 30 + ["2024-01-01"] * 70),
            "paid": [True] * 30 + [False] * 70,
            "rare": ["odd"] * 3 + ["usual"] * 97,
        }
    )
    found = worst_slices(table, [1] * 30 + [0] * 70)
    assert {(one.column, one.value) for one in found if one.worse} == {
        ("x", "missing"),
        ("day", "2023"),
        ("paid", "True"),
    }
    assert "rare" not in {one.column for one in found}


def test_fairness_needs_two_groups_and_names_the_ones_it_leaves_out() -> None:
    found = fairness(["a"] * 30 + ["b"] * 30 + ["c"], None, [1] * 15 + [0] * 15 + [1] * 30 + [0], 1)
    assert (found.selection_difference, found.ratio, found.left_out) == (0.5, 0.5, ["c"])
    assert found.found_difference is None
    with pytest.raises(InvalidInput, match="fewer than two groups"):
        fairness(["a"] * 30, None, [1] * 30, 1)


def test_figures_of_a_gate_survive_json() -> None:
    estimate = Estimate(value=1, low=float("-inf"), high=float("nan"))
    assert Estimate.model_validate_json(estimate.model_dump_json()).low == float("-inf")
