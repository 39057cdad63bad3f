"""Scores with their parts, agreement of raters, and rules for stopping."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from mcp_orchestrator.component import Context
from mcp_orchestrator.components.language import enhanced_scorer
from mcp_orchestrator.components.training import early_stopping
from mcp_orchestrator.errors import DataRejected, InvalidInput
from mcp_orchestrator.methods.search.stopping import PRUNERS, PrunerName, hyperband, make_pruner
from mcp_orchestrator.methods.statistics.agreement import Weights, cohen_kappa

RISING = [0.9, 0.8, 0.7, 0.72, 0.75, 0.9]


def stop(ctx: Context, curve: list[float], rule: str, **params: Any) -> early_stopping.Decision:
    return early_stopping.should_stop.call(ctx, {"curve": curve, "rule": rule, **params})


def parts(
    score: enhanced_scorer.DataScore | enhanced_scorer.PromptScore | enhanced_scorer.ModelScore,
) -> dict[str, float]:
    return {part.name: part.score for part in score.parts}


def data_score(ctx: Context, rows: list[dict[str, Any]], target: str | None = None) -> enhanced_scorer.DataScore:
    return enhanced_scorer.score_data.call(ctx, {"data": rows, "target": target})


@pytest.mark.parametrize("component", [enhanced_scorer, early_stopping])
def test_a_component_gives_its_known_answer(ctx: Context, component: Any) -> None:
    found = list(component.known_answer(ctx))
    assert len(found) > 5
    assert [check for check in found if not check.passed] == []


def test_a_table_is_scored_by_what_is_wrong_with_it(ctx: Context) -> None:
    clean = [{"x": place, "z": place * 7 % 50, "y": place % 2} for place in range(100)]
    assert data_score(ctx, clean, "y").score == pytest.approx(100)
    assert parts(data_score(ctx, clean + clean[:50], "y"))["uniqueness"] == pytest.approx(100 / 150)
    assert parts(data_score(ctx, [{**row, "flat": 1} for row in clean]))["information"] == 0.75
    assert parts(data_score(ctx, clean[:10]))["size"] == pytest.approx(1 / 3)
    wild = [{**row, "x": 10**6 if row["x"] < 10 else row["x"]} for row in clean]
    assert parts(data_score(ctx, wild))["plausibility"] == pytest.approx(1 - 10 / 300)
    skewed = [{**row, "y": int(row["x"] < 10)} for row in clean]
    entropy = -(0.1 * math.log2(0.1) + 0.9 * math.log2(0.9))
    assert parts(data_score(ctx, skewed, "y"))["target"] == pytest.approx(entropy)
    assert data_score(ctx, skewed, "y").weakest == "target"


def test_a_table_of_one_class_or_of_nothing_is_scored_low_or_refused(ctx: Context) -> None:
    assert parts(data_score(ctx, [{"x": 1, "y": 1}] * 5, "y"))["target"] == 0
    with pytest.raises(InvalidInput, match="no column 'z'"):
        data_score(ctx, [{"x": 1}], "z")
    with pytest.raises((InvalidInput, DataRejected)):
        data_score(ctx, [])


def test_probabilities_are_scored_from_perfect_to_chance(ctx: Context) -> None:
    def score(probabilities: Any, y: Any) -> enhanced_scorer.ModelScore:
        return enhanced_scorer.score_model.call(ctx, {"y": y, "probabilities": probabilities})

    y = [0, 1] * 50
    assert score([float(one) for one in y], y).score == pytest.approx(100)
    chance = score([0.5] * 100, y)
    assert parts(chance) == pytest.approx({"ranking": 0, "calibration": 1, "skill": 0}, abs=1e-9)
    wrong = score([1.0 - one for one in y], y)
    assert parts(wrong) == pytest.approx({"ranking": 0, "calibration": 0, "skill": 0}, abs=1e-9)
    three = score(np.eye(3)[[0, 1, 2] * 10].tolist(), ["a", "b", "c"] * 10)
    assert three.score == pytest.approx(100)
    assert three.classes == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"y": [1, 1], "probabilities": [0.5, 0.6]}, "y"),
        ({"y": [0, 1], "probabilities": [0.5]}, "probabilities"),
        ({"y": [0, 1, 2], "probabilities": [0.5, 0.5, 0.5]}, "probabilities"),
    ],
)
def test_probabilities_that_do_not_fit_are_refused(ctx: Context, params: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        enhanced_scorer.score_model.call(ctx, params)
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("text", "part", "expected"),
    [
        ("Summarize the article.", "task", 1),
        ("The article?", "task", 0.6),
        ("The article.", "task", 0),
        ("Context first.\n1. Extract the names", "task", 1),
        ("Return only JSON.", "output", 1),
        ("in at most 50 words", "output", 1),
        ("You are an editor; the audience is children.", "context", 1),
        ("For example: 2 becomes two.", "examples", 1),
        ("word " * 200, "structure", 0),
        ("# A\n\n" + "word " * 100 + "\n\n- one\n- two\n- three", "structure", 1),
        ("Fix TODO here.", "clarity", 0),
        ("Sort the rows by date.", "clarity", 1),
    ],
)
def test_a_prompt_is_scored_by_what_it_says(ctx: Context, text: str, part: str, expected: float) -> None:
    assert parts(enhanced_scorer.score_prompt.call(ctx, {"text": text}))[part] == expected


def test_a_vague_prompt_is_told_which_words_to_leave_out(ctx: Context) -> None:
    found = enhanced_scorer.score_prompt.call(ctx, {"text": "Make some nice things."})
    says = next(part.says for part in found.parts if part.name == "clarity")
    assert "nice, some, things" in says


@pytest.mark.parametrize("weights", ["none", "linear", "quadratic"])
def test_kappa_is_the_one_of_scikit_learn(weights: Weights) -> None:
    random = np.random.default_rng(0)
    a = random.integers(1, 5, 200)
    b = np.where(random.random(200) < 0.6, a, random.integers(1, 5, 200))
    found = cohen_kappa(a.tolist(), b.tolist(), weights=weights)
    assert found.value == pytest.approx(cohen_kappa_score(a, b, weights=None if weights == "none" else weights))
    assert found.low < found.value < found.high


def test_raters_who_use_one_label_only_leave_kappa_undefined(ctx: Context) -> None:
    found = cohen_kappa(["a", "a"], ["a", "a"])
    assert math.isnan(found.value)
    assert found.observed == found.expected == 1
    with pytest.raises(InvalidInput):
        enhanced_scorer.agreement.call(ctx, {"a": ["x"], "b": ["x", "y"]})


@pytest.mark.parametrize(
    ("rule", "params", "step"),
    [
        ("patience", {"patience": 2}, 5),
        ("patience", {"patience": 4}, None),
        ("patience", {"patience": 3, "min_delta": 0.15}, 6),
        ("patience", {"patience": 3, "min_delta": 0.25}, 4),
        ("gl", {"alpha": 2}, 4),
        ("gl", {"alpha": 30}, None),
        ("up", {"strip": 1, "patience": 2}, 5),
        ("up", {"strip": 2, "patience": 1}, 6),
        ("up", {"strip": 2, "patience": 2}, None),
        ("median", {"others": [[0.5] * 6, [0.6] * 6, [0.7] * 6]}, 1),
        ("median", {"others": [[0.5] * 6, [0.6] * 6, [0.7] * 6], "warmup": 3}, 4),
        ("median", {"others": [[1.0] * 6]}, None),
        ("median", {"others": [[0.5] * 2], "warmup": 2}, None),
    ],
)
def test_a_rule_stops_at_its_step(ctx: Context, rule: str, params: dict[str, Any], step: int | None) -> None:
    found = stop(ctx, RISING, rule, **params)
    assert (found.stop, found.step) == (step is not None, step)
    assert (found.best, found.best_step) == (0.7, 3)


def test_the_progress_quotient_is_prechelts_formula(ctx: Context) -> None:
    training = [0.5, 0.4, 0.3, 0.3, 0.2, 0.1]
    found = stop(ctx, RISING, "pq", training=training, strip=3, alpha=0.02)
    progress = 1000 * ((0.3 + 0.2 + 0.1) / (3 * 0.1) - 1)
    assert found.criterion[5] == pytest.approx(100 * (0.9 / 0.7 - 1) / progress)
    assert found.criterion[:2] == [0, 0]
    assert found.step == 6


def test_scores_stop_as_their_errors_do(ctx: Context) -> None:
    scores = [1 - error for error in RISING]
    for rule in ("patience", "gl", "up"):
        errors_stop = stop(ctx, RISING, rule, patience=2, strip=1)
        assert stop(ctx, scores, rule, patience=2, strip=1, direction="maximize").step == errors_stop.step


def test_a_constant_curve_and_a_single_step(ctx: Context) -> None:
    assert stop(ctx, [1.0] * 6, "patience", patience=5).step == 6
    assert stop(ctx, [0.0, 0.0, 0.1], "gl").step == 3
    assert not stop(ctx, [1.0], "patience").stop


@pytest.mark.parametrize(
    ("curve", "rule", "params", "field"),
    [
        ([], "patience", {}, "curve"),
        ([1.0, float("nan")], "patience", {}, "curve"),
        ([1.0, -1.0], "gl", {}, "curve"),
        ([1.0, 1.5], "gl", {"direction": "maximize"}, "curve"),
        (RISING, "pq", {"training": [1.0]}, "training"),
        (RISING, "pq", {}, "training"),
        (RISING, "median", {}, "others"),
        (RISING, "hope", {}, "rule"),
    ],
)
def test_a_curve_that_a_rule_cannot_judge_is_refused(
    ctx: Context, curve: list[float], rule: str, params: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        stop(ctx, curve, rule, **params)
    assert refusal.value.field == field


@pytest.mark.parametrize(("most", "eta"), [(1, 3), (10, 3), (81, 3), (100, 2)])
def test_no_bracket_gives_more_than_the_most_and_the_last_is_one_round(most: int, eta: int) -> None:
    brackets = hyperband(most, eta)
    assert all(bracket[-1][1] == most for bracket in brackets)
    assert all(count >= 1 and 1 <= resource <= most for bracket in brackets for count, resource in bracket)
    assert len(brackets[-1]) == 1


@pytest.mark.parametrize("name", list(PRUNERS))
def test_every_pruner_is_made_with_all_its_settings(name: PrunerName) -> None:
    made, settings = make_pruner(name)
    assert type(made).__name__ == PRUNERS[name].optuna
    assert set(settings) == set(PRUNERS[name].defaults)


@pytest.mark.parametrize(
    ("given", "says"),
    [({"n_startup_trails": 3}, "n_startup_trials"), ({"interval_steps": 0}, "refuses")],
)
def test_settings_that_a_pruner_does_not_take_are_refused(ctx: Context, given: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        early_stopping.pruner.call(ctx, {"name": "median", "settings": given})


def test_a_replay_saves_steps_and_says_when_it_lost_the_best(ctx: Context) -> None:
    late = [[1.0, 1.0, 1.0, 0.0], *([0.5, 0.5, 0.5, 0.5] for _ in range(3))]
    found = early_stopping.replay.call(
        ctx, {"curves": late[::-1], "name": "median", "settings": {"n_startup_trials": 1}}
    )
    assert found.last_steps == [4, 4, 4, 1]
    assert (found.steps_used, found.steps_total, found.best_kept) == (13, 16, False)
    whole = early_stopping.replay.call(ctx, {"curves": late, "name": "none"})
    assert (whole.steps_used, whole.best_curve, whole.best_kept) == (16, 0, True)
    upwards = early_stopping.replay.call(ctx, {"curves": late, "name": "none", "direction": "maximize"})
    assert upwards.best_value == 0.5
