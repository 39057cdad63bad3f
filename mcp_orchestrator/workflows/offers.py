"""What there is to run: the workflows, and their templates; found by words and described by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp_orchestrator.component import without_titles
from mcp_orchestrator.core.workflow import Workflow
from mcp_orchestrator.errors import UnknownName
from mcp_orchestrator.workflows.custom import NAME
from mcp_orchestrator.workflows.templates import PREFIX, templates

__all__ = ["EXAMPLE", "Offer", "find", "offer", "offers"]

EXAMPLE: dict[str, Any] = {
    "inputs": {"data": {"type": "string"}, "target": {"type": "string"}},
    "steps": [
        {
            "name": "load",
            "component": "training_data_loader",
            "capability": "load",
            "params": {"source": {"$input": "data"}, "target": {"$input": "target"}},
        },
        {
            "name": "train",
            "component": "ml_integration",
            "capability": "train",
            "each": ["linear", "neighbors"],
            "params": {
                "data": {"$from": "load.uri"},
                "target": {"$input": "target"},
                "estimator": {"$item": ""},
                "cv": 5,
            },
        },
        {
            "name": "keep",
            "component": "production_registry",
            "capability": "register",
            "when": {"left": {"$from": "train[0].score"}, "op": "!=", "right": None},
            "params": {"model": {"$from": "train[0].model.uri"}, "name": "first"},
        },
    ],
    "outputs": {"scores": [{"$from": "train[0].score"}, {"$from": "train[1].score"}], "kept": {"$done": "keep"}},
}
"""A graph that shows most of what graphs can do."""


@dataclass(frozen=True)
class Offer:
    """A workflow, with the JSON schema of its ``spec``, or a template, with its ``graph``."""

    name: str
    kind: str
    summary: str
    steps: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict[str, Any])


def offers(workflows: Mapping[str, Workflow]) -> list[Offer]:
    """Return all workflows and templates, without their details."""
    ours = [Offer(one.name, "workflow", one.summary, one.steps) for one in workflows.values()]
    graphs = [
        Offer(name, "template", graph.description, tuple(step.name for step in graph.steps))
        for name, graph in templates().items()
    ]
    return [*ours, *graphs]


def find(workflows: Mapping[str, Workflow], query: str = "") -> list[Offer]:
    """Return those in whose name, kind, summary or steps all words stand."""
    words = query.lower().split()

    def about(one: Offer) -> bool:
        text = f"{one.name} {one.kind} {one.summary} {' '.join(one.steps)}".lower()
        return all(word in text for word in words)

    return [one for one in offers(workflows) if about(one)]


def offer(workflows: Mapping[str, Workflow], name: str) -> Offer:
    """Return a workflow with its schema, or a template with its graph.

    Raises:
        UnknownName: there is neither.

    """
    known = {one.name: one for one in offers(workflows)}
    if name not in known:
        raise UnknownName("workflow", name, known)
    found = known[name]
    if found.kind == "template":
        details: dict[str, Any] = {"graph": templates()[name].model_dump(mode="json")}
    else:
        details = {"spec": without_titles(workflows[name].spec.model_json_schema())}
        if name == NAME:
            details["example"] = EXAMPLE
        elif PREFIX + name in known:
            details["template"] = f"{PREFIX}{name} is a graph of the same steps, to be changed"
    return Offer(found.name, found.kind, found.summary, found.steps, details)
