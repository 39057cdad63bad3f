"""What several checkers look at."""

from __future__ import annotations

from collections.abc import Iterable

from mcp_orchestrator.tracking.versions import Version

from ..task import GOOD, Project

__all__ = ["fact", "trained"]


def trained(project: Project, name: str, target: str, *, better_than: float | None = None) -> Iterable[str]:
    """Say what is wrong with a model that a finished training should have registered.

    ``better_than`` is what its balanced accuracy on the test part must reach.
    """
    versions = project.models(name)
    if not versions:
        yield f"No model is called {name}."
    for version in versions:
        run = project.training(version)
        if version.target != target:
            yield f"{name} {version.version} predicts {version.target}, not {target}."
        elif run is None or run.workflow not in {"train", "custom"} or run.status not in GOOD:
            yield f"{name} {version.version} does not come from a run that ended well."
        elif better_than is not None and _score(version) < better_than:
            yield f"{name} {version.version} is hardly better than chance, or nobody has tested it."


def _score(version: Version) -> float:
    found = version.metrics.get("balanced_accuracy")
    return found.value if found else 0.0


def fact(project: Project, name: str, expected: str) -> Iterable[str]:
    """Say what is wrong with a file that should hold one fact."""
    found = project.text(name)
    if found is None:
        yield f"There is no {name}."
    elif found.strip(" .`'\"") != expected:
        yield f"{name} says {found[:80]!r}, not {expected!r}."
