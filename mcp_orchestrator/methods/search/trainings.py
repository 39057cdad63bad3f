"""Trainings of the past, as the memory of the home has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcp_orchestrator.component import Context
from mcp_orchestrator.errors import StateUnavailable, UnknownName
from mcp_orchestrator.values import Value
from orchestrator_memory.door import Busy, NetworkPlace
from orchestrator_memory.errors import MemoryFailure
from orchestrator_memory.sqlite import sqlite3

if TYPE_CHECKING:
    from mcp_orchestrator.methods.search.fingerprint import Fingerprint
    from orchestrator_memory.related import RelatedRun

__all__ = ["MEMORY", "Remembered", "Training", "named", "remembered", "similar"]

MEMORY = "memory.db"
"""The memory of a home, by its file."""


class Training(Value):
    """A training that the memory has; ``created`` is in microseconds UTC."""

    run: str
    task: str
    metric: str
    score: float | None
    configurations: int
    created: int


class Remembered(Value):
    """Trainings that the memory has."""

    trainings: list[Training]


def remembered(ctx: Context, runs: Sequence[str]) -> Remembered:
    """Return what the memory has of some trainings.

    Raises:
        UnknownName: it has nothing of one of them.
        StateUnavailable: it cannot be read.

    """
    return Remembered(
        trainings=[
            Training(
                run=one.run,
                task=str(one.facts.get("task", "")),
                metric=one.metric,
                score=one.score,
                configurations=len(one.configurations),
                created=one.created,
            )
            for one in named(ctx, None, runs)
        ]
    )


def named(ctx: Context, mark: Fingerprint | None, runs: Sequence[str]) -> list[RelatedRun]:
    """Return what is known of some runs, in their order.

    Raises:
        UnknownName: nothing is known of one of them.
        StateUnavailable: the memory cannot be read.

    """
    found = _asked(ctx, mark, runs, len(runs))
    for run in runs:
        if run not in {one.run for one in found}:
            then = "A training is remembered when it has ended, under its whole run id."
            raise UnknownName("training in the memory of this project", run, then=then)
    return found


def similar(ctx: Context, mark: Fingerprint, most: int) -> list[RelatedRun]:
    """Return the trainings on the most similar data; none where there is no memory yet.

    Raises:
        StateUnavailable: the memory cannot be read.

    """
    return _asked(ctx, mark, None, most)


def _asked(ctx: Context, mark: Fingerprint | None, runs: Sequence[str] | None, most: int) -> list[RelatedRun]:
    path = ctx.settings.home / MEMORY
    if not path.exists():
        return []
    from orchestrator_memory.related import Fingerprint as Known
    from orchestrator_memory.related import RunQuery
    from orchestrator_memory.store import MemoryStore

    query = RunQuery(
        fingerprint=Known() if mark is None else Known(**mark.model_dump()), runs=None if runs is None else list(runs)
    )
    try:
        with MemoryStore.open(path, ctx.settings.project.name, anywhere=ctx.settings.network_home) as store:
            return store.related_runs(query, most)
    except (MemoryFailure, sqlite3.Error, OSError, Busy, NetworkPlace) as error:
        raise StateUnavailable(f"The memory in {path} cannot be read: {error}") from error
