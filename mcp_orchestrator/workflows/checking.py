"""Whether a graph can be run at all: everything that is wrong with it, each with its place, before anything starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from pydantic import BaseModel

from mcp_orchestrator.errors import OrchestratorError, nearest
from mcp_orchestrator.workflows import conditions, holes
from mcp_orchestrator.workflows.catalog import Catalog
from mcp_orchestrator.workflows.graph import ONLY, Graph, Problem, Step
from mcp_orchestrator.workflows.ordering import Cycle, order
from mcp_orchestrator.workflows.references import Bad, Missing, Reference, follow, found, referring, resolve
from mcp_orchestrator.workflows.schemas import ANY, NoSuchPath, Schema, at, clash

__all__ = ["check"]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
LIST: Schema = {"type": "array"}


def check(graph: Graph, catalog: Catalog, inputs: Mapping[str, Any] | None = None) -> list[Problem]:
    """Return all that is wrong with a graph; with ``inputs``, also with these and with where they come in."""
    return list(_Check(graph, catalog, inputs).problems())


@dataclass(frozen=True)
class _Check:
    graph: Graph
    catalog: Catalog
    inputs: Mapping[str, Any] | None
    _answers: dict[str, Schema] = field(default_factory=dict[str, Schema])

    @cached_property
    def steps(self) -> dict[str, Step]:
        return {step.name: step for step in self.graph.steps}

    def problems(self) -> Iterator[Problem]:
        yield from self._names()
        yield from self._given()
        for number, step in enumerate(self.graph.steps):
            yield from self._step(step, f"steps[{number}]")
        try:
            order(self.graph.steps)
        except Cycle as cycle:
            yield Problem(place="steps", text=f"these wait for each other: {cycle}.")
        for place, reference in found(self.graph.outputs, "outputs"):
            yield from self._reference(place, reference, None)
        for name, value in self.graph.outputs.items():
            if not any(True for _ in found(value)):
                yield Problem(place=f"outputs.{name}", text='refers to nothing. Write {"$from": "step.field"}.')

    # Names and inputs ------------------------------------------------------------------------------------------------

    def _names(self) -> Iterator[Problem]:
        seen: dict[str, int] = {}
        for number, step in enumerate(self.graph.steps):
            if step.name in seen:
                text = f"{step.name!r} is the name of steps[{seen[step.name]}] already. Choose another."
                yield Problem(place=f"steps[{number}].name", text=text)
            seen.setdefault(step.name, number)

    def _given(self) -> Iterator[Problem]:
        for name, one in self.graph.inputs.items():
            if not one.required:
                yield from self._fitting(one.default, one.schema_of(), f"graph.inputs.{name}.default")
        for name, value in (self.inputs or {}).items():
            if name not in self.graph.inputs:
                text = f"the graph has no such input. {nearest(name, self.graph.inputs)}"
                yield Problem(place=f"inputs.{name}", text=text)
            elif not any(True for _ in holes.holes(value)):
                yield from self._fitting(value, self.graph.inputs[name].schema_of(), f"inputs.{name}")
        if self.inputs is not None:
            for name, one in self.graph.inputs.items():
                if one.required and name not in self.inputs:
                    yield Problem(place=f"inputs.{name}", text=f"is required. {one.description}".strip())

    def _fitting(self, value: object, schema: Schema, place: str) -> Iterator[Problem]:
        if reason := clash({"const": value}, schema):
            yield Problem(place=place, text=f"{reason} Given: {str(value)[:80]!r}.")
        elif "enum" in schema and value not in schema["enum"]:
            allowed = ", ".join(map(str, schema["enum"]))
            yield Problem(place=place, text=f"{value!r} is not allowed. Allowed: {allowed}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            low, high = schema.get("minimum"), schema.get("maximum")
            if (low is not None and value < low) or (high is not None and value > high):
                bounds = f"at least {low:g}" if low is not None and value < low else f"at most {high:g}"
                yield Problem(place=place, text=f"must be {bounds}. Given: {value!r}.")

    # Steps -----------------------------------------------------------------------------------------------------------

    def _step(self, step: Step, place: str) -> Iterator[Problem]:
        if not step.kind or (step.kind == "capability" and (step.component is None or step.capability is None)):
            text = "is one of: component and capability, workflow, approval. Give exactly one of these."
            yield Problem(place=place, text=text)
            return
        yield from self._form(step, place)
        wrong = [
            problem
            for where, reference in found(step.values, place)
            for problem in self._reference(where, reference, step)
        ]
        yield from wrong
        if step.each is not None and not isinstance(step.each, list | dict):
            yield Problem(place=f"{place}.each", text="is a list, or a reference to one.")
        elif step.kind != "approval":
            yield from self._taken(step, place)

    def _form(self, step: Step, place: str) -> Iterator[Problem]:
        for name in sorted(step.model_fields_set & ONLY.keys()):
            if ONLY[name] != step.kind:
                text = f"belongs to a step with {ONLY[name]}; this one is a step with {step.kind}."
                yield Problem(place=f"{place}.{name}", text=text)
        for name in step.after:
            if name not in self.steps:
                yield Problem(place=f"{place}.after", text=f"there is no step {name!r}. {nearest(name, self.steps)}")
        if step.when is not None:
            for where, text in conditions.problems(step.when, f"{place}.when"):
                yield Problem(place=where, text=text)

    def _taken(self, step: Step, place: str) -> Iterator[Problem]:
        """Check what a step is given against what it takes."""
        try:
            model = self.catalog.takes(step)
        except OrchestratorError as error:
            yield Problem(place=place, text=str(error))
            return
        below, given = (f"{place}.params", step.params) if step.kind == "capability" else (f"{place}.spec", step.spec)
        items = self._known(step.each) if step.each is not None else holes.HOLE
        if isinstance(items, list):
            said: set[str] = set()
            for number, item in enumerate(cast("list[Any]", items)):
                for one in holes.problems(model, self._filled(given, item), below):
                    if one.place not in said:
                        said.add(one.place)
                        yield Problem(place=one.place, text=f"{one.text} (for item {number})")
        else:
            yield from holes.problems(model, self._filled(given, holes.HOLE), below)
        yield from self._types(step, model, given, below)

    def _types(self, step: Step, model: type[BaseModel], given: Mapping[str, Any], place: str) -> Iterator[Problem]:
        """Compare what references give with what is taken in their places."""
        wanted = self.catalog.wanted(model)
        if step.each is not None and not isinstance(self._known(step.each), list):
            for where, reference in found(step.each, f"{place.rpartition('.')[0]}.each"):
                if isinstance(reference, Reference) and (reason := clash(self._schema_of(reference, step), LIST)):
                    yield Problem(place=where, text=reason)
        for path in holes.holes(self._filled(given, holes.HOLE)):
            value = cast("dict[str, Any]", follow(dict(given), path, ""))
            for where, reference in found(value, f"{place}.{_joined(path)}"):
                if not isinstance(reference, Reference):
                    continue
                try:
                    reason = clash(self._schema_of(reference, step), at(wanted, path))
                except NoSuchPath:
                    continue  # an unknown parameter, and said to be one
                if reason:
                    yield Problem(place=where, text=f"{reference.kind} {reference.name!r} {reason}")

    # References ------------------------------------------------------------------------------------------------------

    def _reference(self, place: str, reference: Reference | Bad, step: Step | None) -> Iterator[Problem]:
        if isinstance(reference, Bad):
            yield Problem(place=place, text=str(reference))
            return
        name, text = reference.name, ""
        if reference.kind in {"$from", "$done"} and name not in self.steps:
            text = f"there is no step {name!r}. {nearest(name, self.steps)}"
        elif reference.kind == "$input" and name not in self.graph.inputs:
            text = f"there is no input {name!r}. {nearest(name, self.graph.inputs) or 'Declare it in inputs.'}"
        elif reference.kind == "$item" and (step is None or step.each is None or place.endswith(".each")):
            text = "there is an item only inside a step with each."
        else:
            try:
                self._schema_of(reference, step)
            except NoSuchPath as error:
                text = f"{reference.kind} {name!r}: {error}"
        if text:
            yield Problem(place=place, text=text)

    def _schema_of(self, reference: Reference, step: Step | None) -> Schema:
        """Return the schema of what a reference gives.

        Raises:
            NoSuchPath: it can give nothing.

        """
        schema: Schema = ANY
        match reference.kind:
            case "$from" if reference.name in self.steps:
                schema = at(self._answer(reference.name), reference.path)
            case "$input" if reference.name in self.graph.inputs:
                schema = at(self.graph.inputs[reference.name].schema_of(), reference.path)
            case "$item" if step is not None:
                schema = at(self._items(step), reference.path)
            case "$done":
                schema = FLAG
            case "$run":
                schema = TEXT
            case _:
                pass
        return schema

    def _items(self, step: Step) -> Schema:
        """Return the schema of the items that a step goes through."""
        each = next((one for _, one in found(step.each)), None) if isinstance(step.each, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        if not isinstance(each, Reference) or each.kind == "$item":
            return ANY
        try:
            return at(self._schema_of(each, step), (0,))
        except NoSuchPath:
            return ANY  # said where each stands

    def _answer(self, name: str) -> Schema:
        if name not in self._answers:
            try:
                self._answers[name] = self.catalog.answer(self.steps[name])
            except (OrchestratorError, LookupError):
                self._answers[name] = ANY  # the step itself is the problem, and is said to be one
        return self._answers[name]

    # Values that are known already -----------------------------------------------------------------------------------

    def _filled(self, value: Any, item: object) -> Any:  # noqa: ANN401 - any JSON value
        """Return a value with what is known in the places of its references, and holes in the other ones."""

        def look(reference: Reference) -> Any:  # noqa: ANN401 - any JSON value
            if reference.kind == "$input" and self.inputs is not None:
                one = self.graph.inputs.get(reference.name)
                if one is not None and (reference.name in self.inputs or not one.required):
                    return follow(self.inputs.get(reference.name, one.default), reference.path, reference.name)
            if reference.kind == "$item" and item is not holes.HOLE:
                return follow(item, reference.path, "the item")
            return holes.HOLE

        def fill(part: object) -> Any:  # noqa: ANN401 - any JSON value
            try:
                return resolve(part, look)
            except (Missing, Bad):
                return holes.HOLE

        if isinstance(value, dict) and not referring(cast("object", value)):
            return {key: fill(part) for key, part in cast("dict[str, Any]", value).items()}
        return fill(cast("object", value))

    def _known(self, value: object) -> Any:  # noqa: ANN401 - any JSON value
        filled = self._filled(value, holes.HOLE)
        return holes.HOLE if any(True for _ in holes.holes(filled)) else filled


def _joined(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
