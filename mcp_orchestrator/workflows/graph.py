"""A workflow as data: steps that name components, other workflows or questions, and say what they need.

An agent writes it as JSON; `mcp_orchestrator.workflows.custom` runs it. What the parts mean is in docs/workflows.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from mcp_orchestrator.core.policy import Policy
from mcp_orchestrator.errors import InvalidInput, nearest

__all__ = ["MOST_STEPS", "Graph", "Input", "Problem", "Step", "read", "refuse"]

MOST_STEPS = 200
NAME = r"^[A-Za-z][A-Za-z0-9_-]{0,59}$"
Name = Annotated[str, Field(pattern=NAME)]
Kind = Literal["string", "integer", "number", "boolean", "array", "object", "null"]
ONLY = {
    "params": "capability",
    "each": "capability",
    "at_once": "capability",
    "attempts": "capability",
    "retry": "capability",
    "backoff": "capability",
    "timeout": "capability",
    "grace": "capability",
    "cpus": "capability",
    "memory_mb": "capability",
    "gpus": "capability",
    "slots": "capability",
    "on_crash": "capability",
    "spec": "workflow",
    "details": "approval",
}


class Problem(BaseModel):
    """Something that is wrong with a graph, and where."""

    place: str
    text: str

    def __str__(self) -> str:
        """Return both on one line."""
        return f"{self.place}: {self.text}"


class Part(BaseModel):
    """A frozen part of a graph that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_serializer(mode="wrap")
    def _as_written(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:  # defaults may change one day
        return {name: value for name, value in whole(self).items() if name in self.model_fields_set}


class Input(Part):
    """What a graph asks of its caller; one without a default must be given."""

    type: Annotated[Kind | list[Kind] | None, Field(description="JSON type, or several; any when left out.")] = None
    description: str = ""
    default: Any = None
    enum: Annotated[list[Any] | None, Field(description="The allowed values.")] = None
    minimum: float | None = None
    maximum: float | None = None

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return "default" not in self.model_fields_set

    def schema_of(self) -> dict[str, Any]:
        """Return the JSON schema of its values."""
        wanted = {"type": self.type, "enum": self.enum, "minimum": self.minimum, "maximum": self.maximum}
        return {name: value for name, value in wanted.items() if value is not None}


class Step(Part):
    """One step: a capability of a component, another workflow, or a question to a person."""

    name: Name
    component: Annotated[str | None, Field(description="Component to call, with capability and params.")] = None
    capability: str | None = None
    params: Annotated[
        dict[str, Any],
        Field(
            description='Values or references: {"$from": "step.field[0]"}, {"$input": "name"}, {"$item": ""}; '
            '"else" beside it is the value when the step was not done.'
        ),
    ] = {}
    each: Annotated[
        Any, Field(description="A list, or a reference to one: the step is done for each $item, named name[0]...")
    ] = None
    at_once: Annotated[int, Field(ge=1, le=1000, description="Items at once.")] = 16
    workflow: Annotated[str | None, Field(description="Workflow to run as a run of its own, with spec.")] = None
    spec: dict[str, Any] = {}
    approval: Annotated[
        str | None,
        Field(min_length=1, max_length=1000, description="Question; the run waits until a person decides."),
    ] = None
    details: Annotated[dict[str, Any], Field(description="What the person is shown.")] = {}
    after: Annotated[list[str], Field(description="Steps to wait for, beside those that are referred to.")] = []
    when: Annotated[
        dict[str, Any] | None,
        Field(description='Else skipped: {"left": ..., "op": ">=", "right": ...}, and, or, not.'),
    ] = None
    optional: Annotated[bool, Field(description="Its failure degrades the run and does not end it.")] = False
    attempts: Annotated[int, Field(ge=1, le=100)] = 2
    retry: Annotated[Literal["lost", "failed"], Field(description="Try again what was lost, or any failure.")] = "lost"
    backoff: Annotated[float, Field(ge=0, le=3600, description="Seconds before the second attempt.")] = 0.2
    timeout: Annotated[float | None, Field(gt=0, le=30 * 86400, description="Seconds.")] = None
    grace: Annotated[float, Field(ge=0, le=600)] = 0.0
    cpus: Annotated[int, Field(ge=0, le=4096)] = 1
    memory_mb: Annotated[int, Field(ge=0)] = 0
    gpus: Annotated[int, Field(ge=0, le=64)] = 0
    slots: dict[str, int] = {}
    on_crash: Annotated[Literal["rerun", "hold"], Field(description="hold: a person decides on a repetition.")] = (
        "rerun"
    )

    @property
    def kind(self) -> str:
        """``capability``, ``workflow``, ``approval``, or empty when it is none or several of them."""
        asked = {
            "capability": self.component is not None or self.capability is not None,
            "workflow": self.workflow is not None,
            "approval": self.approval is not None,
        }
        chosen = [name for name, given in asked.items() if given]
        return chosen[0] if len(chosen) == 1 else ""

    @property
    def values(self) -> dict[str, Any]:
        """The part of the step in which references may stand, by the name of its field."""
        chosen: dict[str, Any] = {
            "params": self.params,
            "spec": self.spec,
            "details": self.details,
            "each": self.each,
            "when": self.when,
        }
        return {name: value for name, value in chosen.items() if value not in (None, {})}

    def policy(self, timeout: float | None) -> Policy:
        """Return how the step is to be treated; ``timeout`` is the limit of one that sets none."""
        return Policy(
            attempts=self.attempts,
            backoff=self.backoff,
            retry=self.retry,
            timeout=self.timeout or timeout,
            grace=self.grace,
            cpus=self.cpus,
            memory_mb=self.memory_mb,
            gpus=self.gpus,
            slots=self.slots,
            on_crash=self.on_crash,
        )


class Graph(Part):
    """A workflow of one's own: inputs, steps in any order, outputs."""

    name: Name = "custom"
    description: Annotated[str, Field(max_length=2000)] = ""
    inputs: Annotated[dict[Name, Input], Field(description="What the caller gives.")] = {}
    steps: Annotated[list[Step], Field(min_length=1, max_length=MOST_STEPS)]
    outputs: Annotated[dict[str, Any], Field(description="References by name; all answers when empty.")] = {}


def read(value: object) -> Graph:
    """Return a graph whose form is right; what it means is another question (`checking`).

    Raises:
        InvalidInput: fields are unknown, missing or of another type; all of them are listed.

    """
    if isinstance(value, Graph):
        return value
    try:
        return Graph.model_validate(value)
    except ValidationError as error:
        refuse([_problem(one) for one in error.errors(include_url=False)])
        raise


def refuse(problems: Iterable[Problem]) -> None:
    """Raise `InvalidInput` with all problems, each with its place; do nothing when there is none."""
    found = list(problems)
    if len(found) == 1:
        raise InvalidInput(found[0].place, found[0].text)
    if found:
        text = "\n".join(f"- {one}" for one in found)
        raise InvalidInput("graph", f"{len(found)} problems:\n{text}")


def _problem(error: Mapping[str, Any]) -> Problem:
    place = ""
    for part in error["loc"]:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else str(part)
    text = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "missing":
        text = "is required."
    elif error["type"] == "extra_forbidden":
        owner = Step if place.startswith("steps[") else Input if place.startswith("inputs.") else Graph
        text = f"is unknown. {nearest(str(error['loc'][-1]), owner.model_fields)}"
    else:
        text = f"{text} (given: {str(error.get('input'))[:80]!r})."
    return Problem(place=place or "graph", text=text)
