"""Branin's function, whose least value is known: how well a method of proposing finds it."""

from __future__ import annotations

import math
from typing import Any

from mcp_orchestrator.methods.search.proposals import Method
from mcp_orchestrator.methods.search.studies import in_memory

__all__ = ["branin_gap"]


def branin_gap(method: Method, seed: int, trials: int = 100) -> float:
    """Return how far above its least value a method leaves Branin's function."""
    from mcp_orchestrator.methods.search.proposals import sampler

    study = in_memory(greater_is_better=False)
    study.sampler = sampler(method, seed)

    def branin(trial: Any) -> float:  # noqa: ANN401 - optuna's
        x, y = trial.suggest_float("x", -5, 10), trial.suggest_float("y", 0, 15)
        bowl = (y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6) ** 2
        return bowl + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10

    study.optimize(branin, n_trials=trials)
    return study.best_value - 0.39788736
