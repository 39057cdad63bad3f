"""All that is known of a training run once its model was tested: what the card, the plots and the tracker tell."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from mcp_orchestrator.methods.columns.features import FeatureSpec
from mcp_orchestrator.methods.training.importance import Influence
from mcp_orchestrator.methods.training.pipelines import Member
from mcp_orchestrator.values import Estimate, Value

__all__ = ["Facts"]


class Facts(Value):
    """The facts of a run; no times, so that equal runs have equal facts."""

    run: str
    name: str
    task: Literal["classification", "regression"]
    target: str
    metric: str
    greater_is_better: bool
    classes: list[Any]
    estimator: str
    model: Annotated[str, Field(description="The model:// reference.")]
    dataset: dict[str, Any]
    split: dict[str, Any]
    features: list[FeatureSpec]
    members: list[Member]
    choice: str
    ensemble: str
    folds: int
    fold_scores: list[float | None]
    score: float | None
    sd: float | None
    trials: int
    stopped_by: str
    leaderboard: list[dict[str, Any]]
    metrics: dict[str, Estimate]
    baseline: dict[str, float]
    importance: list[Influence]
    warnings: list[str]
    steps: list[dict[str, Any]]
    spec: dict[str, Any]
    seed: int
