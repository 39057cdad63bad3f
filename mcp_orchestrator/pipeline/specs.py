"""What the pipeline functions take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from mcp_orchestrator.methods.columns.features import FeatureSpec
from mcp_orchestrator.values import Value

__all__ = ["CalibrationSpec", "FeatureSpec", "FeatureStoreSpec", "MLflowSpec", "ModelSpec", "TuningSpec"]


class ModelSpec(Value):
    """Which estimator, with which settings."""

    algorithm: Annotated[str, Field(description="A family: linear, boosting, random_forest, ...")] = "boosting"
    hyperparameters: Annotated[dict[str, Any], Field(description="Settings of the estimator.")] = Field(
        default_factory=dict[str, Any],
    )
    model_name: Annotated[str, Field(min_length=1, description="What the model is called.")] = "model"
    task: Annotated[Literal["classification", "regression"], Field(description="What is predicted.")] = "classification"
    seed: Annotated[int, Field(ge=0, description="Makes the estimator repeatable.")] = 42


class TuningSpec(Value):
    """A search over settings, named as scikit-learn names them: ``classifier__max_iter``."""

    param_grid: Annotated[dict[str, list[Any]], Field(min_length=1, description="Values to try, by setting.")]
    method: Literal["grid", "random"] = "grid"
    trials: Annotated[int, Field(ge=1, description="Combinations to draw, where the method is random.")] = 20
    cv_folds: Annotated[int, Field(ge=2, le=50)] = 5
    scoring: Annotated[str | None, Field(description="A scorer of scikit-learn; the estimator's own by default.")] = (
        None
    )
    enabled: bool = True


class CalibrationSpec(Value):
    """Calibration of probabilities by predictions for rows that were not in the fit."""

    method: Literal["sigmoid", "isotonic", "temperature"] = "sigmoid"
    cv_folds: Annotated[int, Field(ge=2, le=50)] = 5
    enabled: bool = True


class MLflowSpec(Value):
    """Tracking in the MLflow database of a folder."""

    home: Annotated[Path, Field(description="Folder of the database.")] = Path(".mcp-orchestrator")
    experiment_name: Annotated[str, Field(min_length=1)] = "mcp-orchestrator"
    enabled: bool = True


class FeatureStoreSpec(Value):
    """Features from a Feast repository, joined by entity and time; needs a data frame of entities as ``X``."""

    repo_path: Annotated[Path, Field(description="Folder of the Feast repository.")]
    features: Annotated[list[str], Field(min_length=1, description="Feature references, view:feature.")]
    target: Annotated[str, Field(description="Column of the entities, or feature, that is predicted.")]
    enabled: bool = True
