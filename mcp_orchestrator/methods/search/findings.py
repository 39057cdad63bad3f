"""What a search found, in values that travel: the study with its members, and the leaderboard."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from mcp_orchestrator.component import Context
from mcp_orchestrator.methods.columns.features import FeatureSpec
from mcp_orchestrator.methods.search.candidates import Candidate, Found, Stop
from mcp_orchestrator.methods.search.starts import Start, distinct
from mcp_orchestrator.methods.search.studies import Studies
from mcp_orchestrator.methods.training.pipelines import Member
from mcp_orchestrator.values import Value

if TYPE_CHECKING:
    from mcp_orchestrator.methods.search.problem import Problem

__all__ = ["Leaderboard", "Study", "Tried", "Warmed", "leaderboard_of", "study_of"]


class Tried(Value):
    """A row of the leaderboard; ``score`` is the mean over the folds that were tried."""

    trial: int
    family: str
    params: dict[str, Any]
    score: float | None
    sd: float | None
    fold_scores: list[float | None]
    state: str
    reason: str = ""
    seconds: float


class Warmed(Value):
    """A trial whose configuration was found by another run, and whether it is a member of what was found here."""

    trial: int
    run: str
    family: str
    params: dict[str, Any]
    score: float | None
    won: bool


class Study(Value):
    """What a search found. ``members`` are what to fit, by weight; ``oof`` holds their out-of-fold predictions."""

    name: str
    task: Literal["classification", "regression"]
    target: str
    metric: str
    greater_is_better: bool
    rows: int
    rows_without_target: int
    classes: list[Any]
    features: list[FeatureSpec]
    folds: int
    members: list[Member]
    score: float | None
    sd: float | None
    fold_scores: list[float | None]
    choice: str
    ensemble: str
    leaderboard: list[Tried]
    trials: int
    stopped_by: Stop
    warm: list[Warmed] = Field(default_factory=list[Warmed])
    oof: str | None
    notes: list[str]
    seconds: float


class Leaderboard(Value):
    """The trials of a study, best first."""

    name: str
    metric: str
    greater_is_better: bool
    trials: int
    rows: list[Tried]


def study_of(
    ctx: Context, name: str, problem: Problem, found: Found, seconds: float, *, first: Sequence[Start] = ()
) -> Study:
    """Return what a search that began with ``first`` found, its out-of-fold predictions kept as a file."""
    from mcp_orchestrator.methods.training.outoffold import OutOfFold, keep

    oof = None
    if found.out_of_fold is not None:
        predictions, response, covered = found.out_of_fold
        decided = None if response is None else response[covered]
        oof = keep(ctx, OutOfFold(problem.target.rows[covered], predictions[covered], decided))
    greater = problem.metric.greater_is_better
    rows = sorted((_row(one) for one in found.candidates), key=lambda row: _rank(row, greater_is_better=greater))
    return Study(
        name=name,
        task=problem.target.task,
        target=problem.target.name,
        metric=problem.metric.name,
        greater_is_better=greater,
        rows=len(problem.target.y),
        rows_without_target=problem.target.without,
        classes=problem.target.classes,
        features=list(problem.features),
        folds=len(problem.folds),
        members=[Member(family=one.family, params=one.params, weight=weight) for one, weight in found.members],
        score=_finite(found.score),
        sd=_deviation(found.fold_scores),
        fold_scores=[_finite(one) for one in found.fold_scores],
        choice=found.choice,
        ensemble=found.ensemble,
        leaderboard=rows,
        trials=len(rows),
        stopped_by=found.stopped_by,
        warm=_warm(problem, found, first),
        oof=oof,
        notes=found.notes,
        seconds=seconds,
    )


def leaderboard_of(ctx: Context, name: str) -> Leaderboard:
    """Return the finished trials of a kept study, best first.

    Raises:
        UnknownName: there is no such study.

    """
    from mcp_orchestrator.methods.search.course import restored

    study = Studies(ctx).open(name)
    ended = [restored(one) for one in study.get_trials(deepcopy=False) if one.state.is_finished()]
    greater = study.direction.name == "MAXIMIZE"
    rows = sorted((_row(one) for one in ended), key=lambda row: _rank(row, greater_is_better=greater))
    metric = str(study.user_attrs.get("metric", "value"))
    return Leaderboard(name=name, metric=metric, greater_is_better=greater, trials=len(rows), rows=rows)


def _warm(problem: Problem, found: Found, first: Sequence[Start]) -> list[Warmed]:
    """Return the trials that were begun with: the first ones, each configuration once."""
    members = [one.number for one, _ in found.members]
    by_number = {one.number: one for one in found.candidates}
    return [
        Warmed(
            trial=number,
            run=start.run,
            family=tried.family,
            params=tried.params,
            score=_finite(tried.score),
            won=number in members,
        )
        for number, start in enumerate(distinct(first, problem.shape))
        if (tried := by_number.get(number)) is not None
    ]


def _row(one: Candidate) -> Tried:
    scores = [one.scores[fold] for fold in sorted(one.scores)]
    return Tried(
        trial=one.number,
        family=one.family,
        params=one.params,
        score=_finite(one.score),
        sd=_deviation(scores),
        fold_scores=[_finite(score) for score in scores],
        state=one.state,
        reason=one.reason,
        seconds=round(one.seconds, 3),
    )


def _rank(row: Tried, *, greater_is_better: bool) -> tuple[int, int, float, int]:
    """Order rows: whole ones first, those on more folds ahead, then by score."""
    value = math.inf if row.score is None else -row.score if greater_is_better else row.score
    return int(row.state in {"pruned", "failed"} or row.score is None), -len(row.fold_scores), value, row.trial


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _deviation(scores: list[float]) -> float | None:
    known = [score for score in scores if math.isfinite(score)]
    return statistics.stdev(known) if len(known) > 1 else None
