from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics as sk

from mcp_orchestrator.errors import DataRejected, InvalidInput
from mcp_orchestrator.methods.metrics import (
    ALIASES,
    METRICS,
    Task,
    baseline,
    default_metric,
    difference,
    evaluate,
    metric_named,
    names_for,
    score,
)

Array = NDArray[Any]


def noisy(classes: int, rows: int = 400, seed: int = 0) -> tuple[Array, Array, Array]:
    """Labels with probabilities that lean towards them, many of them tied."""
    random = np.random.default_rng(seed)
    y = random.integers(0, classes, rows)
    shares = random.dirichlet(np.ones(classes), rows)
    shares[np.arange(rows), y] += 0.3
    shares = (shares / shares.sum(axis=1, keepdims=True)).round(2) + 1e-3
    shares /= shares.sum(axis=1, keepdims=True)
    return y, shares.argmax(axis=1), shares


def reference(y: Array, p: Array, shares: Array) -> dict[str, float]:
    """What scikit-learn makes of the same answers."""
    two = shares.shape[1] == 2
    average, positive = ("binary", shares[:, 1]) if two else ("macro", shares)
    scores: dict[str, Any] = {
        "accuracy": sk.accuracy_score(y, p),
        "balanced_accuracy": sk.balanced_accuracy_score(y, p),
        "f1": sk.f1_score(y, p, average=average),
        "f1_macro": sk.f1_score(y, p, average="macro"),
        "precision": sk.precision_score(y, p, average=average),
        "recall": sk.recall_score(y, p, average=average),
        "mcc": sk.matthews_corrcoef(y, p),
        "roc_auc": sk.roc_auc_score(y, positive, multi_class="ovr"),
        "log_loss": sk.log_loss(y, shares),
        "brier": sk.brier_score_loss(y, positive),
    }
    return scores | ({"average_precision": sk.average_precision_score(y, positive)} if two else {})


@pytest.mark.requirement("metrics.requested")
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_every_metric_of_classification_agrees_with_scikit_learn(classes: int) -> None:
    y, p, shares = noisy(classes)
    found = evaluate("classification", y, p, shares, list(range(classes)))
    assert {name: one.value for name, one in found.items()} == pytest.approx(reference(y, p, shares), abs=1e-12)


@pytest.mark.requirement("metrics.requested")
@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=3, max_size=40))
def test_every_metric_of_regression_agrees_with_scikit_learn(rows: list[tuple[float, float]]) -> None:
    y, p = np.array(rows).T
    expected = {
        "rmse": sk.root_mean_squared_error(y, p),
        "mae": sk.mean_absolute_error(y, p),
        "median_absolute_error": sk.median_absolute_error(y, p),
        "mape": sk.mean_absolute_percentage_error(y, p),
    }
    if np.ptp(y) > 1e-3:
        expected |= {"r2": sk.r2_score(y, p), "explained_variance": sk.explained_variance_score(y, p)}
    assert {name: score(name, y, p) for name in expected} == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", [name for name in METRICS if METRICS[name].needs != "values"])
def test_a_resample_scores_as_if_its_rows_were_repeated(name: str) -> None:
    from mcp_orchestrator.methods.metrics.sample import Sample, case_of

    y, p, shares = noisy(2, 60)
    draws = np.random.default_rng(1).integers(0, 60, (4, 60))
    weights = np.stack([np.bincount(draw, minlength=60) for draw in draws]).astype(float)
    got = METRICS[name].function(Sample(case_of("classification", y, p, shares, [0, 1]), weights))
    repeated = [score(name, y[draw], p[draw], shares[draw], [0, 1]) for draw in draws]
    assert got == pytest.approx(repeated)


def test_resamples_of_several_classes_spread_as_if_each_was_sorted() -> None:
    from mcp_orchestrator.methods.metrics.sample import Sample, case_of

    y, p, shares = noisy(4, 300)
    draws = np.random.default_rng(1).integers(0, 300, (200, 300))
    weights = np.stack([np.bincount(draw, minlength=300) for draw in draws]).astype(float)
    got = METRICS["roc_auc"].function(Sample(case_of("classification", y, p, shares, list(range(4))), weights))
    exact = np.array([score("roc_auc", y[draw], p[draw], shares[draw], list(range(4))) for draw in draws])
    assert got.std() == pytest.approx(exact.std(), rel=0.05)
    assert np.corrcoef(got, exact)[0, 1] > 0.99


def test_labels_may_be_words_and_the_second_in_order_is_the_positive_one() -> None:
    y = np.array(["no", "yes", "yes", "no", "no"])
    p = np.array(["no", "yes", "no", "no", "no"])
    assert score("recall", y, p) == 0.5
    assert score("precision", y, p) == 1.0
    assert score("roc_auc", y, p, [0.1, 0.9, 0.4, 0.3, 0.2], ["no", "yes"]) == 1.0


@pytest.mark.requirement("metrics.unfit")
@pytest.mark.parametrize(
    ("name", "task", "allowed"),
    [
        ("rmse", "classification", "roc_auc"),
        ("accuracy", "regression", "rmse"),
        ("acuracy", "classification", "accuracy"),
    ],
)
def test_a_metric_that_does_not_fit_is_refused_with_the_ones_that_do(name: str, task: Task, allowed: str) -> None:
    with pytest.raises(InvalidInput, match=allowed) as refusal:
        metric_named(name, task)
    assert refusal.value.field == "metric"


def test_a_metric_for_two_classes_is_refused_for_three() -> None:
    with pytest.raises(InvalidInput, match="two classes") as refusal:
        metric_named("average_precision", "classification", 3)
    assert "average_precision" not in str(refusal.value).partition("Allowed")[2]


def test_a_metric_on_probabilities_is_refused_for_a_model_without_them() -> None:
    with pytest.raises(InvalidInput, match="needs probabilities"):
        evaluate("classification", [0, 1], [0, 1], None, [0, 1], ["log_loss"])


def test_every_alias_names_a_metric_of_the_table() -> None:
    assert {metric_named(alias).name for alias in ALIASES} <= set(METRICS)
    assert not set(ALIASES) & set(METRICS)


@pytest.mark.parametrize(
    ("task", "classes", "expected"),
    [
        ("classification", 2, "roc_auc"),
        ("classification", ["a", "b", "c"], "log_loss"),
        ("regression", 0, "rmse"),
    ],
)
def test_the_default_metric_depends_on_the_task(task: Task, classes: list[str] | int, expected: str) -> None:
    assert default_metric(task, classes) == expected
    assert expected in names_for(task)


def test_accuracy_has_wilsons_interval() -> None:
    found = evaluate("classification", [1] * 8 + [0] * 2, [1] * 10, None, [0, 1], ["accuracy"])["accuracy"]
    assert (found.value, found.low, found.high) == pytest.approx((0.8, 0.4902, 0.9433), abs=1e-4)


@pytest.mark.requirement("metrics.requested")
@pytest.mark.parametrize("name", ["roc_auc", "f1", "brier", "balanced_accuracy"])
def test_an_interval_holds_the_truth_about_as_often_as_it_says(name: str) -> None:
    y, p, shares = noisy(2, 20_000, seed=9)
    truth = score(name, y, p, shares, [0, 1])
    held = 0
    for start in range(0, 20_000, 200):
        part = slice(start, start + 200)
        one = evaluate("classification", y[part], p[part], shares[part], [0, 1], [name])[name]
        held += one.low <= truth <= one.high
    assert 88 <= held <= 100


def test_the_interval_of_a_large_table_has_the_width_that_all_its_rows_give() -> None:
    random = np.random.default_rng(0)
    y = random.normal(size=40_000)
    found = evaluate("regression", y, np.zeros(40_000), names=["mae"])["mae"]
    spread = 2 * 1.96 * abs(y).std() / math.sqrt(40_000)
    assert found.high - found.low == pytest.approx(spread, rel=0.15)


def test_a_perfect_score_on_few_rows_is_not_said_to_be_certain() -> None:
    y, shares = [0] * 20 + [1] * 5, [0.1] * 20 + [0.9] * 5
    found = evaluate("classification", y, y, shares, [0, 1], ["roc_auc", "f1", "accuracy"])
    assert all(one.value == one.high == 1 for one in found.values())
    assert found["roc_auc"].low == found["f1"].low == pytest.approx(0.5655, abs=1e-3)


def test_the_same_seed_gives_the_same_interval_and_another_one_another() -> None:
    y, p, shares = noisy(3)
    first, again, other = (evaluate("classification", y, p, shares, [0, 1, 2], ["mcc"], seed=s) for s in (1, 1, 2))
    assert first == again != other


def test_one_class_only_leaves_the_area_undefined_and_the_rest_standing() -> None:
    found = evaluate(
        "classification", [1, 1, 1], [1, 1, 0], [0.9, 0.8, 0.4], [0, 1], ["roc_auc", "accuracy", "log_loss"]
    )
    assert math.isnan(found["roc_auc"].value)
    assert math.isnan(found["roc_auc"].low)
    assert found["accuracy"].value == pytest.approx(2 / 3)
    assert math.isfinite(found["log_loss"].value)


def test_constant_predictions_have_no_correlation_with_the_truth() -> None:
    assert score("mcc", [0, 1, 0, 1], [1, 1, 1, 1]) == 0
    assert score("roc_auc", [0, 1, 0, 1], None, [0.5] * 4, [0, 1]) == 0.5
    assert score("r2", [1.0, 2, 3], [2.0, 2, 2]) == 0


@pytest.mark.parametrize(
    ("task", "y", "predicted", "row"),
    [
        ("regression", [1.0, float("nan")], [1, 1], 2),
        ("regression", [1.0, 2, 3], [1, 2, float("inf")], 3),
        ("classification", ["a", None, "b"], ["a", "a", "b"], 2),
        ("classification", ["a", "z"], ["a", "b"], 2),
    ],
)
def test_a_missing_or_unknown_target_is_refused_by_its_row(
    task: Task, y: ArrayLike, predicted: ArrayLike, row: int
) -> None:
    with pytest.raises(DataRejected) as refusal:
        evaluate(task, y, predicted, None, ["a", "b"] if task == "classification" else [])
    assert refusal.value.row == row


@pytest.mark.parametrize(
    ("y", "predicted", "probabilities", "field"),
    [
        ([], [], None, "y"),
        ([0, 1], [0], None, "predicted"),
        ([0, 1], [0, 1], [[0.5, 0.5, 0.0]] * 2, "probabilities"),
    ],
)
def test_empty_and_unequal_input_is_refused_by_its_field(
    y: ArrayLike, predicted: ArrayLike, probabilities: ArrayLike | None, field: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        evaluate("classification", y, predicted, probabilities, [0, 1])
    assert refusal.value.field == field


def test_probabilities_outside_nought_and_one_are_refused() -> None:
    with pytest.raises(DataRejected, match="between 0 and 1"):
        score("brier", [0, 1], None, [0.5, 1.5], [0, 1])


def test_the_baseline_is_the_dummy_that_answers_by_the_classes_shares() -> None:
    from sklearn.dummy import DummyClassifier

    y = np.array([0] * 30 + [1] * 70)
    dummy = DummyClassifier(strategy="prior").fit(np.zeros((100, 1)), y)
    shares = dummy.predict_proba(np.zeros((100, 1)))
    found = baseline("classification", y, y)
    assert found["accuracy"] == 0.7
    assert found["log_loss"] == pytest.approx(sk.log_loss(y, shares))
    assert found["brier"] == pytest.approx(0.21)
    assert (found["roc_auc"], found["balanced_accuracy"], found["average_precision"]) == pytest.approx((0.5, 0.5, 0.7))
    assert found["mcc"] == pytest.approx(0)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("name", ["f1", "f1_macro", "accuracy", "recall", "precision", "mcc"])
def test_no_guess_that_ignores_the_columns_beats_the_baseline(name: str, share: float) -> None:
    random = np.random.default_rng(3)
    y = (random.random(20_000) < share).astype(int)
    best = baseline("classification", y, y, [name])[name]
    for rate in (0.0, 0.2, 0.5, share, 0.9, 1.0):
        guess = (random.random(20_000) < rate).astype(int)
        assert score(name, y, guess, classes=[0, 1]) <= best + 0.02


def test_the_baseline_of_a_skewed_regression_is_the_best_constant_for_each_metric() -> None:
    y = np.random.default_rng(0).lognormal(size=5001)
    found = baseline("regression", y, y)
    grid = np.quantile(y, np.linspace(0, 1, 400))
    for name in ("mae", "mape", "rmse"):
        least = min(score(name, y, np.full(5001, constant)) for constant in grid)
        assert found[name] == pytest.approx(least, rel=0.01)
    assert found["r2"] == pytest.approx(0)


def test_skill_is_the_share_of_the_way_to_a_perfect_model() -> None:
    assert METRICS["accuracy"].skill(0.955, 0.95) == pytest.approx(0.1)
    assert METRICS["rmse"].skill(9, 10) == pytest.approx(0.1)
    assert math.isnan(METRICS["recall"].skill(1, 1))


def test_the_difference_of_two_models_on_the_same_rows_is_surer_than_each_of_their_scores() -> None:
    y, p, shares = noisy(2)
    better = (shares + np.eye(2)[y] * 0.1) / 1.1
    gap = difference(METRICS["roc_auc"], y, (p, better), (p, shares), [0, 1])
    alone = evaluate("classification", y, p, shares, [0, 1], ["roc_auc"])["roc_auc"]
    assert gap.value == pytest.approx(
        score("roc_auc", y, p, better, [0, 1]) - score("roc_auc", y, p, shares, [0, 1]), abs=1e-12
    )
    assert 0 < gap.low <= gap.value <= gap.high
    assert gap.high - gap.low < alone.high - alone.low


def test_a_model_does_not_differ_from_itself() -> None:
    y, p, shares = noisy(3)
    gap = difference(METRICS["log_loss"], y, (p, shares), (p, shares), [0, 1, 2])
    assert (gap.low, gap.value, gap.high) == (0, 0, 0)
