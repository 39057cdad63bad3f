"""What the steps of a graph may name, and what the schemas of these say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_type_hints

from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema

from mcp_orchestrator.core.engine import Workflow
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.core.rows import Decision
from mcp_orchestrator.errors import UnknownName
from mcp_orchestrator.workflows.graph import Step
from mcp_orchestrator.workflows.schemas import ANY, Schema

__all__ = ["Catalog"]


@dataclass(frozen=True)
class Catalog:
    """What the steps of a graph may name."""

    registry: Registry
    workflows: Mapping[str, Workflow]
    _schemas: dict[object, Schema] = field(default_factory=dict[object, Schema], repr=False)

    def answer(self, step: Step) -> Schema:
        """Return the JSON schema of a step's answer; `ANY` where it is not known."""
        if step.kind == "approval":
            return self._kept(Decision, "serialization")
        if step.kind == "workflow":
            function = self.workflows[cast("str", step.workflow)].function
            return self._kept(get_type_hints(function)["return"], "serialization")
        capability = self.registry.get(cast("str", step.component)).capability(cast("str", step.capability))
        schema = self._kept(capability.returns, "serialization")
        return schema if step.each is None else {"type": "array", "items": schema, "$defs": schema.get("$defs", {})}

    def takes(self, step: Step) -> type[BaseModel]:
        """Return the model of what a step takes.

        Raises:
            UnknownName: there is no such component, capability or workflow.
            MissingLibrary: the component needs a library that is not installed.

        """
        if step.kind == "workflow":
            name = cast("str", step.workflow)
            if name not in self.workflows:
                raise UnknownName("workflow", name, self.workflows)
            return self.workflows[name].spec
        return self.registry.get(step.component or "").capability(step.capability or "").parameters

    def wanted(self, model: type[BaseModel]) -> Schema:
        """Return the JSON schema of what a step takes."""
        return self._kept(model, "validation")

    def _kept(self, kind: Any, mode: Literal["serialization", "validation"]) -> Schema:  # noqa: ANN401 - any type
        """Return the schema of a type or of an adapter, made once."""
        key = (kind, mode)
        if key not in self._schemas:
            adapter = cast("TypeAdapter[Any]", kind if isinstance(kind, TypeAdapter) else TypeAdapter(kind))
            try:
                self._schemas[key] = adapter.json_schema(mode=mode)
            except PydanticInvalidForJsonSchema:
                self._schemas[key] = ANY
        return self._schemas[key]
