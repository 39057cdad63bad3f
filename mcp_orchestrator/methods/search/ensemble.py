"""Greedy selection of an ensemble over out-of-fold predictions (Caruana and others, 2004), with replacement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from mcp_orchestrator.methods.search.problem import Problem

__all__ = ["Blend", "blended", "clearly_better", "mean_of", "select", "standard_error"]

STEPS = 20
PATIENCE = 5
MOST = 6


@dataclass(frozen=True)
class Blend:
    """Weights of the candidates (summing up to 1) and the score on each fold."""

    weights: list[float]
    fold_scores: list[float]


def select(problem: Problem, predictions: Sequence[Sequence[np.ndarray]], folds: Sequence[int]) -> Blend:
    """Add candidates one by one, each time the one that helps most; return the best stage on the way.

    ``predictions`` holds, for each candidate, those for the test rows of each of the ``folds``; the best comes first.
    """
    counts = [0] * len(predictions)
    sums: list[np.ndarray] = []
    stages: list[tuple[float, list[int], list[float]]] = []
    for step in range(1, STEPS + 1):
        tried: list[tuple[float, int, list[float]]] = []
        for one, parts in enumerate(predictions):
            if not counts[one] and sum(map(bool, counts)) >= MOST:
                continue
            means = [(total + part) / step for total, part in zip(sums, parts, strict=True)] if sums else list(parts)
            scores = [problem.score(fold, mean) for fold, mean in zip(folds, means, strict=True)]
            tried.append((_sign(problem) * mean_of(scores), -one, scores))
        value, place, scores = max(tried, key=lambda found: found[:2])
        chosen = predictions[-place]
        counts[-place] += 1
        sums = [total + part for total, part in zip(sums, chosen, strict=True)] if sums else list(chosen)
        stages.append((value, counts.copy(), scores))
        best = max(range(len(stages)), key=lambda at: (stages[at][0], -at))
        if len(stages) - 1 - best >= PATIENCE:
            break
    _, counts, scores = max(stages, key=lambda stage: stage[0])
    return Blend([count / sum(counts) for count in counts], scores)


def blended(parts: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """Return the weighted mean of predictions."""
    return sum((part * weight for part, weight in zip(parts, weights, strict=True) if weight), start=0 * parts[0])


def mean_of(scores: Sequence[float]) -> float:
    """Return the mean of the scores that are defined."""
    known = [score for score in scores if not math.isnan(score)]
    return sum(known) / len(known) if known else math.nan


def standard_error(scores: Sequence[float]) -> float:
    """Return the standard error of the mean of fold scores; 0 where there is one fold only."""
    known = [score for score in scores if not math.isnan(score)]
    if len(known) < 2:
        return 0.0
    mean = sum(known) / len(known)
    return math.sqrt(sum((score - mean) ** 2 for score in known) / (len(known) - 1) / len(known))


def clearly_better(problem: Problem, one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether ``one`` beats ``other`` by more than half a standard error, both of their differences and of ``other``.

    The second is the rule by which a simpler model is preferred: a blend was chosen on these very folds, so a steady
    gain that is small beside the uncertainty of the score itself is not worth several models in the place of one.
    """
    gains = [_sign(problem) * (a - b) for a, b in zip(one, other, strict=True)]
    doubt = 0.5 * max(standard_error(gains), standard_error(other))
    return len(gains) > 1 and mean_of(gains) > max(doubt, 0)


def _sign(problem: Problem) -> int:
    return 1 if problem.metric.greater_is_better else -1
