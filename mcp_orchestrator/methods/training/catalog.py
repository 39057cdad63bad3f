"""The families of estimators as values that travel."""

from __future__ import annotations

from typing import Literal

from mcp_orchestrator.methods.training.families import FAMILIES
from mcp_orchestrator.values import Value

__all__ = ["Estimator", "Estimators", "catalog"]


class Estimator(Value):
    """A family: what it is for, and the parameters that a search tunes, by task."""

    name: str
    summary: str
    aliases: list[str]
    installed: bool
    most_rows: int | None
    parameters: dict[str, list[str]]


class Estimators(Value):
    """The families of estimators, in the order in which a search tries them."""

    families: list[Estimator]


def catalog(task: Literal["auto", "classification", "regression"]) -> Estimators:
    """Return the families that fit a task; all of them when it is left open."""
    return Estimators(
        families=[
            Estimator(
                name=one.name,
                summary=one.summary,
                aliases=list(one.aliases),
                installed=one.installed,
                most_rows=one.most_rows,
                parameters={kind: list(space) for kind, (space, _) in one.tasks.items() if task in {"auto", kind}},
            )
            for one in FAMILIES.values()
            if task == "auto" or task in one.tasks
        ],
    )
