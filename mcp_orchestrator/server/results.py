"""What the tools answer: typed, and small enough for a model to read."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, model_serializer

from mcp_orchestrator.errors import InvalidInput
from mcp_orchestrator.server.concise import concise, paged
from mcp_orchestrator.server.shrinking import Json, LeftOut, Part, lightened
from mcp_orchestrator.values import Cell, Dataset
from mcp_orchestrator.view import RunView, StepView

__all__ = [
    "Answer",
    "Component",
    "Components",
    "Figure",
    "Inspection",
    "Invoked",
    "Json",
    "Model",
    "Models",
    "Predictions",
    "RunAnswer",
    "RunLine",
    "Runs",
    "State",
    "compact",
    "finite",
    "moment",
    "offset",
]

PLAIN = ("metrics", "baseline", "model", "next", "spec")
"""What of a run is never shrunk."""

ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class Answer(BaseModel):
    """The answer of a tool."""

    def facts(self) -> dict[str, Any]:
        """Return the answer as JSON values without empty places and without numbers that JSON does not have."""
        return finite(self.model_dump(mode="json", exclude_none=True))


class Figure(Answer):
    """A figure with its 95 % interval; null where it is not defined."""

    value: float | None
    low: float | None
    high: float | None

    @model_serializer
    def _whole(self) -> dict[str, float | None]:  # a null is a fact here, and not left out
        return {"value": self.value, "low": self.low, "high": self.high}


class State(Answer):
    """The state of the orchestrator."""

    initialized: bool | None = None
    created: bool | None = None
    version: str
    project: str
    home: str
    roots: list[str]
    workers: int
    components: int
    models: int
    runs: dict[str, int]
    active: list[dict[str, Any]]
    resources: dict[str, Any] | None = None
    next: list[str]

    model_config = ConfigDict(extra="allow")


class Inspection(Dataset, Answer):
    """A table that was looked at, and frozen under the reference ``uri``; of a wide one, not all columns are shown."""

    columns_left_out: int | None = None
    next: list[str]


class RunAnswer(Answer):
    """A run as it stands; the parts after ``steps`` are filled when it has ended."""

    model_config = ConfigDict(extra="allow")

    run_id: str
    workflow: str
    status: str
    degraded: bool
    progress: float
    message: str | None = None
    error: str | None = None
    error_code: str | None = None
    seconds: float | None = None
    steps: list[StepView]
    metrics: dict[str, Figure] = Field(default_factory=dict[str, Figure])
    baseline: dict[str, float | None] = Field(default_factory=dict[str, float | None])
    leaderboard: list[dict[str, Any]] = Field(default_factory=list[dict[str, Any]])
    model: dict[str, Any] | None = None
    artifacts: list[dict[str, Any]] = Field(default_factory=list[dict[str, Any]])
    left_out: list[LeftOut] | None = None
    next: list[str] = Field(default_factory=list[str])
    next_cursor: str | None = None

    @classmethod
    def of(cls, run: RunView, detail: Literal["concise", "full"] = "concise", cursor: str | None = None) -> RunAnswer:
        """Return a run: the best entries and the places of its files, or all of it, with the long lists in pages.

        Raises:
            InvalidInput: the cursor is none of ours.

        """
        whole, following = run.model_dump(mode="json"), None
        if detail == "full":
            facts, following = paged(whole, offset(cursor))
        else:
            facts = concise(whole)
            if facts != whole:
                facts["next"] = [*facts["next"], f'get_run(run_id="{run.run_id}", detail="full") tells all']
        facts, left = lightened(facts, PLAIN)
        if left:
            facts["next"] = [*facts["next"], f"run://{run.run_id} has what is left out, step by step /steps/NAME"]
        cursor = None if following is None else str(following)
        said = {"message": facts["message"] or None, "left_out": left or None, "next_cursor": cursor}
        return cls.model_validate({**facts, **said})

    @classmethod
    def whole(cls, run: RunView) -> RunAnswer:
        """Return all of a run at once."""
        facts = run.model_dump(mode="json")
        return cls.model_validate({**facts, "message": facts["message"] or None})

    def facts(self) -> dict[str, Any]:
        """Return the answer as JSON values; ``model`` is there, as null, also while there is none."""
        return {**super().facts(), "model": finite(self.model)}


class RunLine(Answer):
    """A run in a list."""

    run_id: str
    workflow: str
    status: str
    progress: float
    message: str | None = None
    error: str | None = None
    created: str
    seconds: float | None = None
    about: str | None = None


class Runs(Answer):
    """Runs, the newest first."""

    runs: list[RunLine]
    next_cursor: str | None = None
    next: list[str]


class Invoked(Answer):
    """What a capability answered: all of it, what is ``left_out`` excepted; or ``parts`` of it, a page."""

    component: str
    capability: str
    result: Json = None
    left_out: list[LeftOut] | None = None
    parts: list[Part] | None = None
    next: list[str] | None = None
    next_cursor: str | None = None

    def facts(self) -> dict[str, Any]:
        """Return the answer as JSON values; ``result`` is there, as null, also where that is the answer."""
        return {**super().facts(), **({} if self.parts else {"result": finite(self.result)})}


class Component(Answer):
    """A component; what each capability takes is there when it was asked for by name."""

    name: str
    family: str
    tier: int | None = None
    summary: str
    capabilities: dict[str, str] | dict[str, Any]
    missing: str | None = None


class Components(Answer):
    """Components that were found."""

    components: list[Component]
    next: list[str]
    next_cursor: str | None = None


class Model(Answer):
    """A registered model; ``metrics`` come from its own test part."""

    name: str
    version: int
    versions: int | None = None
    aliases: list[str]
    uri: str
    task: str
    target: str
    estimator: str | None = None
    features: list[str] | None = None
    classes: list[Cell] | None = None
    metrics: dict[str, Figure]
    run: str | None = None
    created: str


class Models(Answer):
    """Models that were found: the version that each name means, or all versions of one name."""

    models: list[Model]
    left_out: list[LeftOut] | None = None
    next: list[str]
    next_cursor: str | None = None


class Predictions(Answer):
    """A prediction for each record; ``probabilities`` by class where the model is a classifier."""

    model_config = ConfigDict(extra="allow")

    model: str
    predictions: list[Cell]
    probabilities: list[dict[str, float | None]] | None = None


def compact(facts: dict[str, Any]) -> str:
    """Return JSON values as JSON without blanks."""
    return ENCODER.encode(facts)


def finite(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return JSON values with null in place of NaN and the infinities."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(part) for key, part in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [finite(part) for part in cast("list[Any]", value)]
    return value


def moment(microseconds: int) -> str:
    """Return a time of the journal as people and programs read it."""
    return datetime.fromtimestamp(microseconds / 1e6, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def offset(cursor: str | None) -> int:
    """Return where the page of a cursor begins.

    Raises:
        InvalidInput: the cursor is none of ours.

    """
    if cursor is None or cursor == "":
        return 0
    if not cursor.isdecimal():
        raise InvalidInput(
            "cursor", f"{cursor!r} is not a cursor.", then="Take next_cursor of the page before, or none."
        )
    return int(cursor)
