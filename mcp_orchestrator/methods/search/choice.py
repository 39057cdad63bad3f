"""Which of the candidates wins: the best, a blend where it is clearly better, a linear model where it is as good."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from mcp_orchestrator.errors import DataRejected
from mcp_orchestrator.methods.search.candidates import Candidate, Found, Stop
from mcp_orchestrator.methods.search.ensemble import blended, clearly_better, mean_of, select, standard_error

if TYPE_CHECKING:
    import numpy as np

    from mcp_orchestrator.methods.search.problem import Problem

__all__ = ["Ensemble", "choose", "out_of_fold", "ranked"]

Ensemble = Literal["auto", "none", "greedy"]


def ranked(candidates: list[Candidate], *, greater_is_better: bool) -> list[Candidate]:
    """Return the candidates that were not given up and have a score, on the most folds and best first."""
    sign = -1 if greater_is_better else 1
    scored = [one for one in candidates if one.state not in {"failed", "pruned"} and not math.isnan(one.score)]
    return sorted(scored, key=lambda one: (-len(one.scores), sign * one.score, one.number))


def choose(
    problem: Problem, candidates: list[Candidate], ensemble: Ensemble, stopped_by: Stop, notes: list[str]
) -> Found:
    """Return the winner.

    Raises:
        DataRejected: every candidate failed.

    """
    order = ranked(candidates, greater_is_better=problem.metric.greater_is_better)
    if not order:
        return _unscored(candidates, stopped_by, notes)
    best = order[0]
    folds = sorted(best.scores)
    members, scores, said = _blend(problem, order, folds, ensemble)
    choice = f"{best.family} has the best score." if len(members) == 1 else "The blend has the best score."
    linear = next((one for one in order if one.linear and set(folds) <= set(one.scores)), None)
    if linear is not None and linear is not members[0][0] and ensemble != "greedy" and len(folds) > 1:
        error = standard_error(scores)
        behind = abs(mean_of(scores) - mean_of(linear.on(folds)))
        if behind <= error:
            members, scores = [(linear, 1.0)], linear.on(folds)
            choice = (
                f"The linear model is within one standard error ({error:.3g}) of the best; the simpler one is taken."
            )
    kept = all(set(folds) <= set(one.predictions) for one, _ in members)
    return Found(
        members=members,
        fold_scores=scores,
        candidates=candidates,
        stopped_by=stopped_by,
        choice=choice,
        ensemble=said,
        notes=notes,
        out_of_fold=out_of_fold(problem, members, folds) if kept else None,
    )


def _blend(
    problem: Problem,
    order: list[Candidate],
    folds: list[int],
    ensemble: Ensemble,
) -> tuple[list[tuple[Candidate, float]], list[float], str]:
    """Return the best blend where it is to be kept, else the best candidate, and why."""
    best = order[0]
    alone = [(best, 1.0)], best.on(folds)
    pool = [one for one in order if set(folds) <= set(one.predictions)]
    if ensemble == "none":
        return *alone, "not asked for"
    if len(pool) < 2 or len(folds) < 2:
        return *alone, "not kept: it takes two candidates on two folds"
    found = select(problem, [[one.predictions[fold] for fold in folds] for one in pool], folds)
    members = [(one, weight) for one, weight in zip(pool, found.weights, strict=True) if weight]
    if len(members) == 1:
        return *alone, f"not kept: no blend is better than {best.family} alone"
    figures = f"{mean_of(found.fold_scores):.4g} against {best.score:.4g} of {best.family} alone"
    if ensemble == "greedy" or clearly_better(problem, found.fold_scores, best.on(folds)):
        return members, found.fold_scores, f"kept: {figures}"
    return *alone, f"not kept: {figures} is not clearly better"


def out_of_fold(
    problem: Problem,
    members: list[tuple[Candidate, float]],
    folds: list[int],
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Return joint predictions for each row by models that did not see it, decision values, and the rows they cover."""
    import numpy as np

    parts = [one for one, _ in members]
    rows = len(problem.target.y)
    covered = np.zeros(rows, dtype=bool)
    predictions = np.full((rows, *parts[0].predictions[folds[0]].shape[1:]), np.nan)
    alone = parts[0] if len(parts) == 1 and set(folds) <= set(parts[0].responses) else None
    response = None if alone is None else np.full((rows, *alone.responses[folds[0]].shape[1:]), np.nan)
    for fold in folds:
        test = problem.folds[fold].test
        covered[test] = True
        predictions[test] = blended([one.predictions[fold] for one in parts], [weight for _, weight in members])
        if alone is not None and response is not None:
            response[test] = alone.responses[fold]
    return predictions, response, covered


def _unscored(candidates: list[Candidate], stopped_by: Stop, notes: list[str]) -> Found:
    """Return the first candidate where none could be scored in time; with a validation of none, nothing is."""
    failed = [one for one in candidates if one.state == "failed"]
    left = [one for one in candidates if one.state != "failed"]
    if not left:
        reason = failed[0].reason if failed else "none was tried"
        raise DataRejected(f"None of {len(failed)} candidates could be trained. The first: {reason}")
    first = min(left, key=lambda one: (not one.linear, one.number))
    return Found(
        members=[(first, 1.0)],
        fold_scores=[],
        candidates=candidates,
        stopped_by=stopped_by,
        choice=f"{first.family}, with settings that suit most tables: no candidate was scored.",
        ensemble="not kept: no candidate was scored",
        notes=notes,
    )
