"""What a caller may ask of a training or an evaluation, with defaults for all but the data and the target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mcp_orchestrator.errors import InvalidInput
from mcp_orchestrator.methods.columns.features import FeatureSpec
from mcp_orchestrator.methods.judgement.gates import GateLimits
from mcp_orchestrator.methods.metrics import metric_named
from mcp_orchestrator.methods.search.starts import Warm, cold_because
from mcp_orchestrator.methods.training.families import FAMILIES
from mcp_orchestrator.values import Data, ModelRef

__all__ = ["EvaluationSpec", "FeatureStore", "Gates", "TrainingSpec", "Tuning", "Validation"]

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$"  # spelt out: as \w, which is all of Unicode here, it takes 6 MB
RunId = Annotated[str, Field(min_length=1, max_length=80)]
Seconds = Annotated[float, Field(gt=0, le=86400)]


class Part(BaseModel):
    """A frozen part of a specification that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Tuning(Part):
    """The search for the best pipeline; ``{"method": "none"}`` can be written as ``"none"``."""

    method: Annotated[
        Literal["none", "grid", "random", "bayesian"],
        Field(description="none takes each family's defaults; bayesian is TPE after a fixed portfolio."),
    ] = "bayesian"
    trials: Annotated[int, Field(ge=1, le=10_000, description="Candidates to try, the portfolio included.")] = 24
    seconds: Annotated[Seconds, Field(description="Time limit of the search; what has finished counts.")] = 120
    metric: Annotated[str | None, Field(description="What to optimise; by default what fits the task.")] = None
    pruning: Annotated[bool, Field(description="Give up hopeless candidates before their last fold.")] = True
    warm: Annotated[
        Warm, Field(description="auto: configurations that won on similar data are tried first; off: nothing known is.")
    ] = "auto"
    start_from: Annotated[
        list[RunId], Field(max_length=3, description="Start from what exactly these trainings found.")
    ] = []
    trials_as: Annotated[
        Literal["auto", "step", "steps"],
        Field(
            description="step: the whole search is one step, on one machine; steps: each trial is one, anywhere; auto: "
            "steps where the executor is elsewhere."
        ),
    ] = "auto"
    at_once: Annotated[
        int | None,
        Field(ge=1, le=1000, description="Trials at once, where they are steps; by default one for each processor."),
    ] = None


class Validation(Part):
    """How candidates are compared on the training part; ``{"method": "none"}`` can be written as ``"none"``."""

    method: Annotated[
        Literal["cross_validation", "train_test", "none"],
        Field(description="cross_validation uses folds, train_test one held-out fold."),
    ] = "cross_validation"
    folds: Annotated[int, Field(ge=2, le=20, description="Number of folds.")] = 5
    group: Annotated[str | None, Field(description="Column whose equal values stay together.")] = None
    time: Annotated[str | None, Field(description="Column of time: the latest rows are the test part.")] = None


class FeatureStore(Part):
    """Features from a Feast repository."""

    repository: Annotated[str, Field(description="Folder of the Feast repository.")]
    features: Annotated[list[str], Field(description="Feature references, view:feature.")] = []


class Gates(GateLimits):
    """What a model must reach before it is promoted."""

    champion: Annotated[bool, Field(description="It must not be clearly worse than the present champion.")] = True


class TrainingSpec(Part):
    """A whole training: from a table to a registered model."""

    data: Data
    target: Annotated[str, Field(min_length=1, description="The column to predict.")]
    query: Annotated[str | None, Field(description="SQL query, where the data is a database.")] = None
    table: Annotated[str | None, Field(description="Table, where the data is a database, or sheet of a workbook.")] = (
        None
    )
    task: Annotated[Literal["auto", "classification", "regression"], Field(description="Inferred when auto.")] = "auto"
    features: Annotated[list[FeatureSpec], Field(description="How columns are used; the rest is inferred.")] = []
    families: Annotated[list[str], Field(description="Families of estimators to try; all that fit when empty.")] = []
    tuning: Tuning = Tuning()
    validation: Validation = Validation()
    metrics: Annotated[list[str], Field(description="Metrics to report; those that fit the task when empty.")] = []
    test_fraction: Annotated[
        float, Field(gt=0, lt=0.9, description="Share of rows locked away for one final test.")
    ] = 0.2
    calibration: Annotated[
        Literal["auto", "none", "sigmoid", "isotonic", "temperature"],
        Field(description="auto: temperature from 3,000 training rows on, else none."),
    ] = "auto"
    threshold: Annotated[
        float | Literal["auto"] | None,
        Field(description="Decision threshold of a two-class model; auto tunes it out of fold for the metric."),
    ] = None
    ensemble: Annotated[
        Literal["auto", "none", "greedy"],
        Field(description="greedy blends the best candidates; auto keeps the blend only if it is clearly better."),
    ] = "auto"
    tracking: Annotated[bool, Field(description="Log the run, its trials, plots and model to MLflow.")] = True
    experiment: Annotated[
        str | None, Field(pattern=NAME, description="MLflow experiment; the model's name by default.")
    ] = None
    feature_store: Annotated[FeatureStore | None, Field(description="Join features from a feature store.")] = None
    seed: Annotated[int, Field(ge=0, le=2**32 - 1, description="Makes the run repeatable.")] = 0
    gates: Gates = Gates()
    fence: Annotated[
        int | None, Field(ge=1, description="Number of your reservation of model:NAME, where agents reserve models.")
    ] = None
    name: Annotated[
        str | None, Field(pattern=NAME, description="Name to register under; from data and target by default.")
    ] = None

    @field_validator("tuning", "validation", mode="before")
    @classmethod
    def _method(cls, value: Any) -> Any:  # noqa: ANN401 - whatever the caller sent
        return {"method": value} if isinstance(value, str) else value

    @field_validator("feature_store")
    @classmethod
    def _not_yet(cls, value: FeatureStore | None) -> FeatureStore | None:
        if value is not None:
            raise InvalidInput(
                "feature_store",
                "the training workflow does not join features from a store yet.",
                then="Give the joined table as data, or use run_ml_workflow(feature_store_spec=...) from Python.",
            )
        return value

    @field_validator("families")
    @classmethod
    def _families(cls, value: list[str]) -> list[str]:
        for name in value:
            if name not in FAMILIES:
                message = f"there is no family {name!r}. Allowed: {', '.join(sorted(FAMILIES))}"
                raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in (*self.metrics, *([self.tuning.metric] if self.tuning.metric else [])):
            metric_named(name, None if self.task == "auto" else self.task)
        if self.validation.group and self.validation.group == self.target:
            message = "validation.group is the target; name another column"
            raise ValueError(message)
        cold = cold_because(self.tuning.method, self.validation.method, self.tuning.warm)
        if self.tuning.start_from and cold:
            message = f"tuning.start_from has no use: {cold}"
            raise ValueError(message)
        if isinstance(self.threshold, float) and not 0 < self.threshold < 1:
            message = "threshold must lie between 0 and 1"
            raise ValueError(message)
        return self

    @classmethod
    def of(cls, flat: Mapping[str, Any], rest: Mapping[str, Any]) -> dict[str, Any]:
        """Join flat arguments (``metric``, ``seconds`` and ``trials`` belong to the tuning) with the rest of a spec.

        Raises:
            InvalidInput: the same thing was given in both.

        """
        return join(flat, rest, inner={"metric": "tuning", "seconds": "tuning", "trials": "tuning"})


class EvaluationSpec(Part):
    """An evaluation of a registered model on new data."""

    model: ModelRef
    data: Data
    query: Annotated[str | None, Field(description="SQL query, where the data is a database.")] = None
    table: Annotated[str | None, Field(description="Table, where the data is a database, or sheet of a workbook.")] = (
        None
    )
    against: Annotated[str | None, Field(description="Another model to compare with on the same rows.")] = None
    metrics: Annotated[list[str], Field(description="Metrics to report; those that fit the task when empty.")] = []
    gates: Annotated[GateLimits, Field(description="What the model must reach on this data.")] = GateLimits()
    slices: Annotated[list[str], Field(description="Columns to look into; all when empty.")] = []
    group: Annotated[str | None, Field(description="Column of groups that must be treated alike.")] = None
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0


def join(flat: Mapping[str, Any], rest: Mapping[str, Any], *, inner: Mapping[str, str]) -> dict[str, Any]:
    """Put flat arguments that are not None into their places in a specification.

    Raises:
        InvalidInput: an argument was given both flat and in the specification.

    """
    joined: dict[str, Any] = dict(rest)
    for name, value in flat.items():
        if value is None:
            continue
        part = inner.get(name)
        place: dict[str, Any] = joined
        if part is not None:
            held = joined.get(part, {})
            place = joined[part] = {"method": held} if isinstance(held, str) else dict(held)
        if name in place and place[name] != value:
            raise InvalidInput(name, "was given twice, once in spec.", then="Give it once.")
        place[name] = value
    return joined
