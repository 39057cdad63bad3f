"""What a workflow is: a name, what it takes, and the function that does it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from mcp_orchestrator.component import problem_of
from mcp_orchestrator.core.run import Run
from mcp_orchestrator.errors import reject_unknown

__all__ = ["Call", "Workflow"]

Call = Callable[[str, str, Mapping[str, Any]], Awaitable[Any]]


@dataclass(frozen=True)
class Workflow:
    """A named workflow: what it takes, the function that does it, its steps in order, and its limit in seconds.

    ``look`` makes, before a run exists, those checks of a specification that need the data and are quick. The limit
    counts the time at work, not the time in the queue or waiting for a person.
    """

    name: str
    spec: type[BaseModel]
    function: Callable[[Run, Any], Awaitable[BaseModel]]
    steps: tuple[str, ...]
    timeout: float | None = None
    look: Callable[[Any, Call], Awaitable[None]] | None = None
    summary: str = ""

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
