"""What a search is asked, in one value that travels and is kept with the study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field

from mcp_orchestrator.methods.columns.features import FeatureSpec
from mcp_orchestrator.methods.search.choice import Ensemble
from mcp_orchestrator.methods.search.posing import Validation
from mcp_orchestrator.methods.search.proposals import Method
from mcp_orchestrator.methods.search.starts import Earlier, Start
from mcp_orchestrator.values import Value

if TYPE_CHECKING:
    import pandas as pd

    from mcp_orchestrator.methods.search.course import Limits
    from mcp_orchestrator.methods.search.problem import Problem

__all__ = ["Question", "Task"]

Task = Literal["auto", "classification", "regression"]
MOST_STARTS, MOST_EARLIER = 20, 3


class Question(Value):
    """All that decides what is tried and how it is compared, but for the table and how far the search goes."""

    target: Annotated[str, Field(min_length=1, max_length=500, description="The column to predict.")]
    task: Task = "auto"
    metric: str | None = None
    features: list[FeatureSpec] = Field(default_factory=list[FeatureSpec])
    families: list[str] = Field(default_factory=list[str])
    method: Method = "bayesian"
    validation: Validation = "cross_validation"
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    group: str | None = None
    time: str | None = None
    patience: Annotated[int | None, Field(ge=1, le=10_000)] = 12
    pruning: bool = True
    ensemble: Ensemble = "auto"
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    first: Annotated[list[Start], Field(max_length=MOST_STARTS)] = Field(default_factory=list[Start])
    earlier: Annotated[list[Earlier], Field(max_length=MOST_EARLIER)] = Field(default_factory=list[Earlier])

    def asked(self, data: str) -> dict[str, Any]:
        """Return what a study is begun with: the question about a frozen table, as JSON values."""
        new = {"first": self.first, "earlier": self.earlier}  # without them as studies were begun before they came
        without = {name for name, given in new.items() if not given}
        return {"data": data, **self.model_dump(mode="json", exclude=without)}

    @classmethod
    def of(cls, asked: dict[str, Any]) -> Self:
        """Return the question that a study was begun with."""
        return cls.model_validate({name: value for name, value in asked.items() if name != "data"})

    def pose(self, frame: pd.DataFrame) -> Problem:
        """Return the problem that the question makes of a table.

        Raises:
            InvalidInput: a column or the metric does not exist or does not fit.
            DataRejected: there is nothing to learn from, or not enough.

        """
        from mcp_orchestrator.methods.search.posing import pose

        return pose(
            frame,
            self.target,
            task=self.task,
            metric=self.metric,
            features=self.features,
            validation=self.validation,
            folds=self.folds,
            group=self.group,
            time=self.time,
            seed=self.seed,
            screening=True,
        )

    def limits(self, *, trials: int, seconds: float | None, cpus: int) -> Limits:
        """Return how far a search for the answer goes."""
        from mcp_orchestrator.methods.search.course import Limits

        return Limits(
            method=self.method,
            trials=trials,
            seconds=seconds,
            patience=self.patience,
            pruning=self.pruning,
            ensemble=self.ensemble,
            cpus=cpus,
            seed=self.seed,
            first=tuple(self.first),
            earlier=tuple(self.earlier),
        )
