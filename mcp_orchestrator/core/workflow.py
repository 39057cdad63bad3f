"""What a workflow is: a name, what it takes, and the function that does it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from mcp_orchestrator.component import problem_of
from mcp_orchestrator.core.rows import RunRow
from mcp_orchestrator.core.run import Run
from mcp_orchestrator.errors import reject_unknown

__all__ = ["Call", "Lesson", "Workflow"]

Call = Callable[[str, str, Mapping[str, Any]], Awaitable[Any]]


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What a run is remembered for: a memory of its own, and ``insights``, a sentence each.

    ``data`` is for programs (what a later run starts from), ``evidence`` names the runs, models and metrics behind it.
    """

    title: str
    body: str
    kind: Literal["pattern", "baseline", "fact", "lesson"] = "pattern"
    area: str
    tags: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    evidence: Mapping[str, Any] = field(default_factory=dict[str, Any])
    impact: Literal["low", "medium", "high", "critical"] | None = None
    confidence: float | None = None
    insights: tuple[str, ...] = ()


@dataclass(frozen=True)
class Workflow:
    """A named workflow: what it takes, the function that does it, its steps in order, and its limit in seconds.

    ``look`` makes, before a run exists, those checks of a specification that need the data and are quick. The limit
    counts the time at work, not the time in the queue or waiting for a person. ``lesson`` tells what a run that has
    succeeded, maybe degraded, is remembered for.
    """

    name: str
    spec: type[BaseModel]
    function: Callable[[Run, Any], Awaitable[BaseModel]]
    steps: tuple[str, ...]
    timeout: float | None = None
    look: Callable[[Any, Call], Awaitable[None]] | None = None
    summary: str = ""
    lesson: Callable[[RunRow], Lesson | None] | None = None

    def checked(self, spec: Mapping[str, Any]) -> BaseModel:
        """Return the specification, checked and completed with the defaults.

        Raises:
            InvalidInput: a field is unknown, missing or not acceptable.

        """
        reject_unknown(spec, self.spec.model_fields, what=f"The {self.name} workflow")
        try:
            return self.spec.model_validate(dict(spec))
        except ValidationError as error:
            raise problem_of(error, what=f"the {self.name} workflow") from error
