"""References that travel between steps, processes and agents instead of the data itself.

``dataset://name@digest`` is a table frozen as Parquet, ``model://name@alias`` or ``model://name@version`` a
registered model, ``model://sha256`` a trained but unregistered one, ``artifact://sha256`` any other file. The digest
is the SHA-256 of the stored bytes, so a reference always means the same thing.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

__all__ = [
    "SECRET",
    "Artifact",
    "Cell",
    "Column",
    "Data",
    "Dataset",
    "Estimate",
    "Label",
    "Lane",
    "Mark",
    "ModelRef",
    "Profile",
    "Records",
    "Span",
    "Timeline",
    "Trained",
    "Value",
    "without_secrets",
]

INLINE_ROWS = 200
SECRET = re.compile(r"(?i)pass|pwd|token|secret|key|credential|auth")
"""What stands in the name of a parameter that is not to be shown."""
USER = re.compile(r"(://[^:/@\s]*):[^@\s]*@")
QUERY = re.compile(r"([?&]([^=&\s]+)=)[^&#\s]*")
DATASET = re.compile(r"dataset://(?P<name>[\w.-]{1,80})@(?P<digest>[0-9a-f]{64})")

Records = Annotated[
    list[dict[str, Any]],
    Field(max_length=INLINE_ROWS, description=f"Rows as objects, up to {INLINE_ROWS}."),
]
Cell = Annotated[
    Any,
    WithJsonSchema({"anyOf": [{"type": kind} for kind in ("string", "number", "boolean", "null")]}),
]
Data = Annotated[
    str | list[dict[str, Any]],
    Field(
        description="A table: file path below the allowed roots, dataset:// reference, builtin:NAME, "
        f"database URL, or up to {INLINE_ROWS} inline rows.",
    ),
]
ModelRef = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        description="A model: registered name, name@alias, name@version, or model:// reference.",
    ),
]

Label = Annotated[str, Field(max_length=1000)] | Annotated[int, Field(ge=-(2**53), le=2**53)] | bool
"""What a class may be called."""


class Value(BaseModel):
    """A frozen value that survives JSON and refuses fields that it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=True, ser_json_inf_nan="strings", defer_build=True
    )


Kind = Literal["numeric", "categorical", "boolean", "date", "text", "identifier", "constant", "empty"]


class Column(Value):
    """What is known about one column."""

    name: str
    kind: Kind
    dtype: str
    missing: int = 0
    distinct: int | None = None
    sample: list[Cell] = Field(default_factory=list)
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    note: str = ""


class Profile(Value):
    """What a look at the whole table says before anything is trained."""

    rows: int
    columns: list[Column]
    duplicate_rows: int = 0
    target: str | None = None
    likely_target: str | None = None
    task: Literal["classification", "regression"] | None = None
    classes: dict[str, int] = Field(default_factory=dict)
    leakage_suspects: list[str] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)


class Dataset(Value):
    """A table frozen as Parquet under its digest."""

    uri: str
    name: str
    sha256: str
    rows: int
    columns: int
    bytes: int
    source: str
    profile: Profile


class Artifact(Value):
    """A stored file."""

    uri: str
    name: str
    sha256: str
    bytes: int
    media: str = "application/octet-stream"
    path: str = ""


class Trained(Value):
    """A fitted model stored under its digest, not yet registered."""

    uri: str
    sha256: str
    bytes: int
    estimator: str
    task: Literal["classification", "regression"]
    target: str
    features: list[str]
    classes: list[Any] = Field(default_factory=list)


class Estimate(Value):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


class Span(Value):
    """A stretch of time in seconds after the beginning of its timeline.

    ``kind`` is queued, waiting, pause (before another attempt), approval, or how an attempt ended or stands: running,
    done, failed, lost, timed_out, cancelled.
    """

    kind: str
    begin: float
    end: float


class Mark(Value):
    """A moment: retry, asked, approved, refused, skipped, held, copied, or point (something that took no time)."""

    kind: str
    at: float


class Lane(Value):
    """One step in a timeline; ``took`` and ``note`` are for people."""

    name: str
    status: str
    took: str = ""
    note: str = ""
    spans: list[Span] = Field(default_factory=list[Span])
    marks: list[Mark] = Field(default_factory=list[Mark])


class Timeline(Value):
    """When what was done in a run: ``seconds`` from its beginning to its end, or to the moment of the look."""

    title: str
    subtitle: str
    seconds: float
    ended: bool
    ticks: list[tuple[float, str]] = Field(default_factory=list[tuple[float, str]])
    lanes: list[Lane] = Field(default_factory=list[Lane])


def without_secrets(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return JSON values in which the URLs show neither passwords nor the parameters that are named like secrets."""
    if isinstance(value, str):
        return QUERY.sub(_hidden, USER.sub(r"\1:***@", value)) if "://" in value else value
    if isinstance(value, dict):
        return {name: without_secrets(part) for name, part in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [without_secrets(part) for part in cast("list[Any]", value)]
    return value


def _hidden(found: re.Match[str]) -> str:
    return f"{found[1]}hidden" if SECRET.search(found[2]) else found[0]
