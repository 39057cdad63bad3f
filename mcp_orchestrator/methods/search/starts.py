"""Configurations to start a search from: what others have found to work, as far as it can be tried here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from mcp_orchestrator.errors import InvalidInput
from mcp_orchestrator.methods.training.estimators import Shape
from mcp_orchestrator.methods.training.families import FAMILIES, Choice, Family, Params, Range
from mcp_orchestrator.values import Value

__all__ = [
    "MOST_TRIALS",
    "Earlier",
    "Past",
    "Start",
    "Warm",
    "begun",
    "checked",
    "cold_because",
    "completed",
    "distinct",
    "why_not",
]

Warm = Literal["auto", "off"]
WEIGHT = "class_weight"
MOST_TRIALS = 64


class Start(Value):
    """A configuration, and the run that found it."""

    family: Annotated[str, Field(min_length=1, max_length=80, description="Family of estimators.")]
    params: dict[str, Any] = Field(default_factory=dict[str, Any], description="A value for each tuned parameter.")
    run: Annotated[str, Field(max_length=80, description="The run that it comes from.")] = ""


class Past(Value):
    """A trial of an earlier training, with its score there."""

    family: Annotated[str, Field(min_length=1, max_length=80, description="Family of estimators.")]
    params: dict[str, Any] = Field(default_factory=dict[str, Any], description="A value for each tuned parameter.")
    score: Annotated[float, Field(allow_inf_nan=False, description="What it came to there.")]


class Earlier(Value):
    """Trials of an earlier training on related data: which configurations did well there, and which did not."""

    run: Annotated[str, Field(max_length=80, description="The training.")] = ""
    greater_is_better: Annotated[bool, Field(description="Of its scores: 1 is perfect, else 0 is.")]
    trials: Annotated[list[Past], Field(max_length=MOST_TRIALS)] = Field(default_factory=list[Past])


def begun(starts: Sequence[Start], families: Sequence[Family], shape: Shape) -> list[tuple[str, Params]]:
    """Return what is tried first, each configuration once.

    Raises:
        InvalidInput: one of them cannot be tried: the family is not among those of the search, or a value is out of
            its bounds.

    """
    for place, one in enumerate(starts):
        problem = why_not(one, families, shape)
        if problem:
            raise InvalidInput(f"first[{place}]", problem, then="Leave it out, or change it.")
    return [(one.family, one.params) for one in distinct(starts, shape)]


def checked(earlier: Sequence[Earlier], families: Sequence[Family], shape: Shape) -> list[Earlier]:
    """Return what was tried earlier, as far as it can be tried here, its parameters complete."""
    return [
        one.model_copy(
            update={
                "trials": [
                    past.model_copy(update={"params": completed(past, FAMILIES[past.family], shape)})
                    for past in one.trials
                    if not why_not(past, families, shape)
                ]
            }
        )
        for one in earlier
    ]


def distinct(starts: Sequence[Start], shape: Shape) -> list[Start]:
    """Return configurations that can be tried, complete, each one once."""
    whole = [one.model_copy(update={"params": completed(one, FAMILIES[one.family], shape)}) for one in starts]
    keys = [(one.family, one.params) for one in whole]
    return [one for place, one in enumerate(whole) if keys.index(keys[place]) == place]


def why_not(start: Start | Past, families: Sequence[Family], shape: Shape) -> str:
    """Return why a configuration cannot be tried among ``families``, or an empty text."""
    family = next((one for one in families if one.name == start.family), None)
    if family is None:
        return f"{start.family!r} is not among the families of this search ({', '.join(one.name for one in families)})"
    space, params = family.space(shape), completed(start, family, shape)
    for name in {*params} - {*space}:
        return f"{start.family!r} has no parameter {name!r}"
    for name, part in space.items():
        if name not in params:
            return f"{start.family!r} needs a value of {name!r}"
        if not _admits(part, params[name]):
            return f"{params[name]!r} is no value of {name!r} of {start.family!r}"
    return ""


def cold_because(method: str, validation: str, warm: str) -> str:
    """Return why a search starts from nothing whatever is known, or an empty text."""
    if warm == "off":
        return "tuning.warm is off"
    if method in {"none", "grid"}:
        return f"the method {method!r} tries fixed settings"
    if validation == "none":
        return "without validation, what worked elsewhere cannot be compared with anything"
    return ""


def completed(start: Start | Past, family: Family, shape: Shape) -> Params:
    """Return the parameters of a configuration, with class weights where they are tuned here, and only there."""
    space, usual = family.space(shape), family.defaults(shape)[0]
    given = {name: value for name, value in start.params.items() if name != WEIGHT or name in space}
    return {**given, WEIGHT: given.get(WEIGHT, usual[WEIGHT])} if WEIGHT in space else given


def _admits(part: Range | Choice, value: Any) -> bool:  # noqa: ANN401 - whatever was kept
    if isinstance(part, Choice):
        return any(value == one and type(value) is type(one) for one in part.options)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    whole = isinstance(part.low, int) and isinstance(part.high, int)
    return part.low <= value <= part.high and (not whole or isinstance(value, int))
