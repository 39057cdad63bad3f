"""The work of the pipeline functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from mcp_orchestrator.core.environment import prepare
from mcp_orchestrator.errors import InvalidInput, NotReady
from mcp_orchestrator.methods.columns.features import FeatureSpec, infer_features
from mcp_orchestrator.methods.columns.targets import Target, read_target
from mcp_orchestrator.methods.metrics import baseline, default_metric, evaluate
from mcp_orchestrator.methods.training.estimators import Shape
from mcp_orchestrator.methods.training.families import family_named
from mcp_orchestrator.methods.training.pipelines import estimator, preprocessor
from mcp_orchestrator.pipeline.rows import TARGET, folds_of, framed, from_store, parts_of, truth_of
from mcp_orchestrator.pipeline.specs import CalibrationSpec, FeatureStoreSpec, MLflowSpec, ModelSpec, TuningSpec

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

__all__ = ["build_ml_pipeline", "get_workflow_summary", "run_ml_workflow"]

USUAL_ROWS = 1000
Strategy = Literal["cross_validation", "train_test", "none"]
Results = dict[str, Any]


def build_ml_pipeline(feature_specs: Sequence[FeatureSpec], model_spec: ModelSpec | None = None) -> Pipeline:
    """Return an unfitted pipeline with the steps ``preprocessor`` and ``classifier`` (or ``regressor``).

    Args:
        feature_specs: How each column of a data frame is used.
        model_spec: Which estimator, with which settings; gradient boosting when left out.

    Raises:
        UnknownName: there is no such algorithm; the message names the nearest.
        InvalidInput: the algorithm has no such setting, or is not for the task.

    """
    spec = model_spec or ModelSpec()
    return _pipeline(feature_specs, spec, Shape(rows=USUAL_ROWS, classes=2 if spec.task == "classification" else 0))


def run_ml_workflow(  # noqa: PLR0917 - the documented parameters
    feature_specs: Sequence[FeatureSpec] | None,
    model_spec: ModelSpec | None,
    X: Any,  # noqa: ANN401 - anything that makes a data frame
    y: Any,  # noqa: ANN401
    validation_strategy: Strategy = "cross_validation",
    validation_params: Mapping[str, Any] | None = None,
    test_size: float = 0.2,
    random_state: int = 42,
    X_test: Any = None,  # noqa: ANN401
    y_test: Any = None,  # noqa: ANN401
    tuning_spec: TuningSpec | None = None,
    calibration_spec: CalibrationSpec | None = None,
    mlflow_spec: MLflowSpec | None = None,
    feature_store_spec: FeatureStoreSpec | None = None,
) -> Results:
    """Tune, fit, calibrate, validate and test a pipeline, in an order that leaks nothing.

    Args:
        feature_specs: How each column is used; inferred when None.
        model_spec: Which estimator; gradient boosting when None.
        X: Rows of features: a data frame, or an array whose columns are named by ``feature_specs``.
        y: The target of each row.
        validation_strategy: ``cross_validation`` over folds of the training part, ``train_test`` on one held-out
            part of it, or ``none``.
        validation_params: ``{"cv_folds": 5}``.
        test_size: Share of rows locked away for the test, when ``X_test`` is not given.
        random_state: Makes the run repeatable.
        X_test: Rows of a test part of the caller's own.
        y_test: Their target.
        tuning_spec: Search settings on the training part.
        calibration_spec: Calibrate the probabilities of a classifier.
        mlflow_spec: Track parameters, metrics and results in MLflow.
        feature_store_spec: Take the features from a Feast repository.

    Returns:
        ``pipeline`` (fitted), ``cv_score`` and ``cv_std`` or ``val_score``, ``validation_strategy``, ``test_metrics``
        with 95 % intervals, ``test_accuracy`` (classification), ``test_predictions``, ``baseline``,
        ``tuning_summary``, ``calibration_summary``, ``mlflow_run_id``, ``mlflow_experiment_id``,
        ``feature_store_enabled``, ``steps`` and ``degraded``.

    Raises:
        InvalidInput: an argument is not acceptable.
        DataRejected: the rows cannot be learned from.

    """
    prepare()
    spec = model_spec or ModelSpec()
    if validation_strategy not in {"cross_validation", "train_test", "none"}:
        allowed = ("cross_validation", "train_test", "none")
        raise InvalidInput("validation_strategy", f"{validation_strategy!r} is not known.", allowed=allowed)
    folds = folds_of(validation_params)
    if feature_store_spec is not None and feature_store_spec.enabled:
        given, truths = from_store(feature_store_spec, X)
    else:
        given, truths = X, y
    if given is None or truths is None:
        raise InvalidInput("X", "and y are both needed where no feature store is configured.")
    frame = framed(given, truths, feature_specs)
    features = infer_features(frame, TARGET, feature_specs or ())
    train, test = parts_of(frame, X_test, y_test, feature_specs, spec, test_size, random_state)
    target = read_target(train, TARGET, spec.task)
    rows, truth = train.iloc[target.rows], truth_of(target)
    shape = Shape(rows=len(rows), classes=len(target.classes))
    work = _Work(spec, validation_strategy, random_state)
    pipeline = _pipeline(features, spec, shape)
    pipeline = work.optional("tuning", tuning_spec, lambda one: _tuned(one, pipeline, rows, truth, work), pipeline)
    pipeline.fit(rows, truth)
    pipeline = work.optional(
        "calibration", calibration_spec, lambda one: _calibrated(one, pipeline, rows, truth, work), pipeline
    )
    work.results["pipeline"] = pipeline
    _validate(work, validation_strategy, folds, test_size, random_state, pipeline, rows, truth)
    _test(work, pipeline, test, target, random_state)
    work.results["feature_store_enabled"] = bool(feature_store_spec and feature_store_spec.enabled)
    work.results["n_features"] = sum(one.kind != "drop" for one in features)
    work.optional("mlflow", mlflow_spec, lambda one: _track(one, spec, work.results), None)
    return work.results


def get_workflow_summary(results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of `run_ml_workflow`'s results that people read, as plain values."""
    kept = (
        "model_name",
        "algorithm",
        "validation_strategy",
        "cv_score",
        "cv_std",
        "cv_folds",
        "val_score",
        "test_accuracy",
    )
    summary = {name: results[name] for name in (*kept, "n_features", "degraded") if name in results}
    done = {one["name"] for one in results["steps"] if one["status"] == "done"}
    summary |= {f"{name}_enabled": name in done for name in ("tuning", "calibration", "mlflow")}
    summary["test_metrics"] = {name: one.model_dump() for name, one in results.get("test_metrics", {}).items()}
    summary["baseline"] = results.get("baseline", {})
    summary["left_out"] = {one["name"]: one["reason"] for one in results["steps"] if one["status"] != "done"}
    return summary


class _Work:
    """The results so far, and what became of each step."""

    def __init__(self, spec: ModelSpec, strategy: str, seed: int) -> None:
        self.seed = seed
        self.results: Results = {
            "model_name": spec.model_name,
            "algorithm": spec.algorithm,
            "validation_strategy": strategy,
            "steps": [],
            "degraded": False,
        }

    def note(self, name: str, status: str, reason: str = "") -> None:
        self.results["steps"].append({"name": name, "status": status, "reason": reason})

    def optional(self, name: str, spec: Any, do: Callable[[Any], Any], instead: Any) -> Any:  # noqa: ANN401
        """Do a part that was asked for; when it fails, say so and return what there was before."""
        if spec is None or not spec.enabled:
            self.note(name, "skipped", "not asked for")
            return instead
        try:
            done = do(spec)
        except (ValueError, TypeError, ArithmeticError, OSError, RuntimeError) as error:
            self.results["degraded"] = True
            self.note(name, "failed", f"{type(error).__name__}: {error}".partition("\n")[0])
            return instead
        self.note(name, "done")
        return done


def _pipeline(features: Sequence[FeatureSpec], spec: ModelSpec, shape: Shape) -> Pipeline:
    from sklearn.pipeline import Pipeline

    family = family_named(spec.algorithm)
    if shape.task not in family.tasks:
        raise InvalidInput("algorithm", f"{family.name} is not for {shape.task}.")
    last = "classifier" if shape.classes else "regressor"
    model = estimator(family, spec.hyperparameters, shape, spec.seed)
    return Pipeline([("preprocessor", preprocessor(features, family.encoding, shape, spec.seed)), (last, model)])


def _tuned(spec: TuningSpec, pipeline: Pipeline, rows: pd.DataFrame, truth: Any, work: _Work) -> Pipeline:  # noqa: ANN401
    from sklearn.model_selection import GridSearchCV, RandomizedSearchCV

    options: dict[str, Any] = {"cv": spec.cv_folds, "scoring": spec.scoring, "error_score": "raise", "refit": True}
    search: Any = (
        GridSearchCV(pipeline, spec.param_grid, **options)
        if spec.method == "grid"
        else RandomizedSearchCV(pipeline, spec.param_grid, n_iter=spec.trials, random_state=work.seed, **options)
    )
    search.fit(rows, truth)
    work.results["tuning_summary"] = {
        "best_params": search.best_params_,
        "best_score": float(search.best_score_),
        "candidates": len(search.cv_results_["params"]),
    }
    return search.best_estimator_


def _calibrated(spec: CalibrationSpec, pipeline: Pipeline, rows: pd.DataFrame, truth: Any, work: _Work) -> Any:  # noqa: ANN401
    from sklearn.base import clone
    from sklearn.calibration import CalibratedClassifierCV

    if "classifier" not in pipeline.named_steps:
        message = "only probabilities can be calibrated, and a regression has none."
        raise NotReady(message)
    made = CalibratedClassifierCV(clone(pipeline), method=spec.method, cv=spec.cv_folds, ensemble=False).fit(
        rows, truth
    )
    work.results["calibration_summary"] = {"method": spec.method, "cv_folds": spec.cv_folds}
    return made


def _validate(  # noqa: PLR0917 - one call site
    work: _Work,
    strategy: Strategy,
    folds: int,
    share: float,
    seed: int,
    pipeline: Any,  # noqa: ANN401
    rows: pd.DataFrame,
    truth: Any,  # noqa: ANN401
) -> None:
    from sklearn.base import clone
    from sklearn.model_selection import cross_val_score, train_test_split

    if strategy == "none":
        work.note("validation", "skipped", "not asked for")
        return
    if strategy == "cross_validation":
        scores = cross_val_score(clone(pipeline), rows, truth, cv=folds, error_score="raise")
        work.results |= {"cv_score": float(scores.mean()), "cv_std": float(scores.std()), "cv_folds": folds}
    else:
        first, second, known, asked = train_test_split(rows, truth, test_size=share, random_state=seed)
        work.results["val_score"] = float(clone(pipeline).fit(first, known).score(second, asked))
    work.note("validation", "done")


def _test(work: _Work, pipeline: Any, test: pd.DataFrame, target: Target, seed: int) -> None:  # noqa: ANN401
    held = read_target(test, TARGET, target.task) if target.task == "regression" else None
    rows = test[test[TARGET].notna()] if held is None else test.iloc[held.rows]
    truth = rows[TARGET].to_numpy() if held is None else held.y
    predicted = pipeline.predict(rows)
    chances = pipeline.predict_proba(rows) if target.classes and hasattr(pipeline, "predict_proba") else None
    metrics = evaluate(target.task, truth, predicted, chances, target.classes, None, seed)
    work.results |= {
        "test_predictions": predicted,
        "test_metrics": metrics,
        "baseline": baseline(target.task, truth_of(target), truth, list(metrics), target.classes),
        "metric": default_metric(target.task, target.classes or 2),
    }
    if "accuracy" in metrics:
        work.results["test_accuracy"] = metrics["accuracy"].value
    work.note("test", "done")


def _track(spec: MLflowSpec, model: ModelSpec, results: Results) -> None:
    from mcp_orchestrator.tracking.experiments import Tracker

    figures = {name: results[name] for name in ("cv_score", "cv_std", "val_score") if name in results}
    with Tracker(spec.home, spec.experiment_name) as tracker:
        run = tracker.start(model.model_name, params={"algorithm": model.algorithm, **model.hyperparameters})
        if "tuning_summary" in results:
            tracker.log(run, params=results["tuning_summary"]["best_params"])
            figures["tuning_best_score"] = results["tuning_summary"]["best_score"]
        tracker.log(run, metrics={**figures, **results["test_metrics"]})
        tracker.end(run)
        results |= {"mlflow_run_id": run, "mlflow_experiment_id": tracker.experiment}
