"""What the examples of a search name: studies, a round that was proposed, trainings that are remembered."""

from __future__ import annotations

from typing import Any

from mcp_orchestrator.component import Context
from mcp_orchestrator.methods.search import rounds
from mcp_orchestrator.methods.search.question import Question
from mcp_orchestrator.methods.search.searching import searched
from mcp_orchestrator.methods.search.trainings import MEMORY

__all__ = ["LINEAR", "proposals", "results", "studies", "trainings"]

LINEAR: dict[str, Any] = {"number": 0, "family": "linear", "params": {}}


def studies(ctx: Context) -> None:
    """Make two studies of four trials."""
    for name, seed in (("example", 0), ("other", 1)):
        question = Question(target="target", families=["linear"], folds=3, seed=seed)
        searched(ctx, name, question, _iris(ctx), trials=4, seconds=None)


def proposals(ctx: Context) -> None:
    """Propose a round of one candidate in two studies."""
    question = Question(target="target", families=["linear"], method="none", folds=3)
    for name in ("told", "told-other"):
        rounds.propose(ctx, name, _iris(ctx), question, extent=rounds.Extent(trials=1), number=0)


def results(state: str) -> list[dict[str, Any]]:
    """Return what came out of a round of one candidate."""
    scores = [] if state == "failed" else [[fold, 0.9 + fold / 100] for fold in range(2 if state == "cut" else 3)]
    return [LINEAR | {"scores": scores, "state": state}]


def trainings(ctx: Context) -> None:
    """Remember two trainings by what a later one needs of them."""
    from orchestrator_memory.store import MemoryStore

    with MemoryStore.open(ctx.settings.home / MEMORY, ctx.settings.project.name) as store:
        for run, task, metric, score in (
            ("trained", "classification", "roc_auc", 0.9),
            ("other", "regression", "rmse", 2.5),
        ):
            data = {"fingerprint": {}, "task": task, "metric": metric, "score": score, "configurations": []}
            about: dict[str, Any] = {"kind": "pattern", "area": "training", "origin": "run", "run": run}
            store.memories.remember(f"The training {run}.", data=data, **about)


def _iris(ctx: Context) -> str:
    from mcp_orchestrator.methods.tables import freeze

    return freeze(ctx, "builtin:iris", target="target").uri
