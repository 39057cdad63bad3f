"""The pipeline functions for scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mcp_orchestrator import build_ml_pipeline, get_workflow_summary, run_ml_workflow
from mcp_orchestrator.errors import InvalidInput, MissingLibrary, UnknownName
from mcp_orchestrator.pipeline import (
    CalibrationSpec,
    FeatureSpec,
    FeatureStoreSpec,
    MLflowSpec,
    ModelSpec,
    TuningSpec,
)

LINEAR = ModelSpec(algorithm="linear", model_name="cancer")


@pytest.fixture(scope="module")
def cancer() -> tuple[pd.DataFrame, pd.Series]:
    rows, truth = load_breast_cancer(return_X_y=True, as_frame=True)
    return rows, truth


@pytest.mark.requirement("pipeline.build", "pipeline.predicts")
def test_the_pipeline_is_unfitted_and_has_the_documented_steps() -> None:
    pipeline = build_ml_pipeline([FeatureSpec(name="x", kind="numeric")], LINEAR)
    assert list(pipeline.named_steps) == ["preprocessor", "classifier"]
    assert not hasattr(pipeline.named_steps["classifier"], "coef_")
    rows = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0] * 5})
    assert pipeline.fit(rows, [0, 0, 1, 1] * 5).predict(rows).tolist() == [0, 0, 1, 1] * 5
    regressor = build_ml_pipeline(
        [FeatureSpec(name="x", kind="numeric")], ModelSpec(algorithm="linear", task="regression")
    )
    assert "regressor" in regressor.named_steps


@pytest.mark.requirement("validation.folds", "workflow.stateless")
def test_the_scores_are_those_of_a_hand_written_script(cancer: tuple[pd.DataFrame, pd.Series]) -> None:
    rows, truth = cancer
    results = run_ml_workflow(None, LINEAR, rows, truth)
    train, test, known, asked = train_test_split(rows, truth, test_size=0.2, random_state=42, stratify=truth)
    plain = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    assert results["cv_score"] == pytest.approx(cross_val_score(plain, train, known, cv=5).mean(), abs=0.005)
    assert results["test_accuracy"] == pytest.approx(plain.fit(train, known).score(test, asked), abs=0.02)
    assert results["test_metrics"]["accuracy"].low > results["baseline"]["accuracy"]
    assert len(results["test_predictions"]) == len(test)
    assert [one["status"] for one in results["steps"]] == ["skipped", "skipped", "done", "done", "skipped"]


@pytest.mark.requirement("validation.split", "tuning.grid", "workflow.parameters", "workflow.results", "summary.fields")
def test_everything_at_once_is_tuned_calibrated_and_tracked(
    cancer: tuple[pd.DataFrame, pd.Series], tmp_path: Path
) -> None:
    rows, truth = cancer
    results = run_ml_workflow(
        None,
        LINEAR,
        rows,
        truth,
        "train_test",
        tuning_spec=TuningSpec(param_grid={"classifier__C": [0.001, 0.1]}, cv_folds=3),
        calibration_spec=CalibrationSpec(method="sigmoid", cv_folds=3),
        mlflow_spec=MLflowSpec(home=tmp_path),
    )
    assert results["tuning_summary"]["best_params"] == {"classifier__C": 0.1}
    assert results["calibration_summary"] == {"method": "sigmoid", "cv_folds": 3}
    assert 0.9 < results["val_score"] <= 1
    assert not results["degraded"]
    summary = get_workflow_summary(results)
    assert summary["model_name"] == "cancer"
    assert (summary["tuning_enabled"], summary["calibration_enabled"], summary["mlflow_enabled"]) == (True, True, True)
    from mcp_orchestrator.tracking.experiments import Tracker

    with Tracker(tmp_path) as tracker:
        run = tracker.client.get_run(results["mlflow_run_id"])
    assert run.data.metrics["val_score"] == pytest.approx(results["val_score"])
    assert run.data.params["classifier__C"] == "0.1"


@pytest.mark.requirement("tuning.fails", "validation.none")
def test_an_optional_part_that_fails_leaves_the_rest_standing_and_is_named(
    cancer: tuple[pd.DataFrame, pd.Series],
) -> None:
    rows, truth = cancer
    tuning = TuningSpec(param_grid={"classifier__no_such_setting": [1]})
    results = run_ml_workflow(None, LINEAR, rows, truth, "none", tuning_spec=tuning)
    assert results["degraded"]
    assert results["test_accuracy"] > 0.9
    assert "no_such_setting" in get_workflow_summary(results)["left_out"]["tuning"]
    assert not get_workflow_summary(results)["tuning_enabled"]


@pytest.mark.requirement("workflow.test_set")
def test_a_test_part_of_the_caller_is_used_as_it_is(cancer: tuple[pd.DataFrame, pd.Series]) -> None:
    rows, truth = cancer
    results = run_ml_workflow(None, LINEAR, rows[:400], truth[:400], "none", X_test=rows[400:], y_test=truth[400:])
    assert len(results["test_predictions"]) == len(rows) - 400


def test_an_array_is_named_by_the_feature_specs_and_a_regression_reports_errors() -> None:
    rows, truth = load_diabetes(return_X_y=True)
    specs = [FeatureSpec(name=f"f{number}", kind="numeric") for number in range(rows.shape[1])]
    results = run_ml_workflow(specs, ModelSpec(algorithm="linear", task="regression"), rows, truth)
    assert results["test_metrics"]["rmse"].high < results["baseline"]["rmse"]
    assert results["n_features"] == 10


@pytest.mark.requirement("workflow.no_data", "pipeline.checked")
@pytest.mark.parametrize(
    ("changed", "kind", "says"),
    [
        ({"validation_strategy": "bootstrap"}, InvalidInput, "cross_validation"),
        ({"validation_params": {"folds": 3}}, InvalidInput, "cv_folds"),
        ({"test_size": 2}, InvalidInput, "test_size"),
        ({"y": [1, 2]}, InvalidInput, "one for each row"),
        ({"X": None}, InvalidInput, "X"),
        ({"X": np.zeros(3)}, InvalidInput, "1 dimension"),
        ({"model_spec": ModelSpec(algorithm="lineer")}, UnknownName, "'linear'"),
        ({"model_spec": ModelSpec(algorithm="linear", hyperparameters={"c": 1})}, InvalidInput, "c"),
        (
            {"feature_store_spec": FeatureStoreSpec(repo_path=Path("x"), features=["v:f"], target="t")},
            MissingLibrary,
            "pip install",
        ),
    ],
)
def test_what_is_not_acceptable_is_refused_by_name(
    cancer: tuple[pd.DataFrame, pd.Series],
    changed: dict[str, Any],
    kind: type[Exception],
    says: str,
) -> None:
    given: dict[str, Any] = {"feature_specs": None, "model_spec": LINEAR, "X": cancer[0], "y": cancer[1], **changed}
    with pytest.raises(kind, match=says):
        run_ml_workflow(**given)
