"""One candidate by itself, anywhere: tried on the folds, its predictions stored; and the winner among all of them."""

from __future__ import annotations

import math
import time
from io import BytesIO
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field

from mcp_orchestrator.component import Context
from mcp_orchestrator.methods.search.candidates import Candidate, State, Stop
from mcp_orchestrator.methods.search.question import Question
from mcp_orchestrator.values import Data, Value

if TYPE_CHECKING:
    from mcp_orchestrator.methods.search.findings import Study

__all__ = ["Left", "Proposed", "Scored", "conclude", "score"]

Number = Annotated[int, Field(ge=0, le=1_000_000)]


class Proposed(Value):
    """A candidate that is to be tried."""

    number: Number
    family: str
    params: dict[str, Any]

    def candidate(self) -> Candidate:
        """Return it, not tried yet."""
        return Candidate(number=self.number, family=self.family, params=self.params)


class Left(Proposed):
    """A candidate that is to be tried on one more fold."""

    fold: int

    @classmethod
    def of(cls, one: Candidate, fold: int) -> Self:
        """Say that a candidate is to be tried on a fold."""
        return cls(number=one.number, family=one.family, params=one.params, fold=fold)


class Scored(Proposed):
    """What came out: scores by fold, and the reference of the predictions on these folds."""

    scores: list[tuple[int, float | None]] = Field(default_factory=list[tuple[int, float | None]])
    seconds: float = 0.0
    state: State
    reason: str = ""
    predictions: str = ""

    @classmethod
    def of(cls, one: Candidate) -> Self:
        """Return what is known of a candidate."""
        return cls(
            number=one.number,
            family=one.family,
            params=one.params,
            scores=[(fold, None if math.isnan(score) else score) for fold, score in sorted(one.scores.items())],
            seconds=round(one.seconds, 3),
            state=one.state,
            reason=one.reason,
            predictions=one.stored,
        )

    def candidate(self) -> Candidate:
        """Return the candidate, its predictions where they are stored."""
        return Candidate(
            number=self.number,
            family=self.family,
            params=self.params,
            scores={fold: math.nan if score is None else score for fold, score in self.scores},
            seconds=self.seconds,
            state=self.state,
            reason=self.reason,
            stored=self.predictions,
        )


def score(
    ctx: Context,
    data: Data,
    question: Question,
    proposed: Proposed,
    *,
    incumbent: Scored | None,
    fold: int | None,
    seconds: float | None,
) -> Scored:
    """Try a candidate on one ``fold``, or as the search tries it: on all folds unless it is far behind."""
    from mcp_orchestrator.methods.search.course import screens
    from mcp_orchestrator.methods.search.pool import Pool
    from mcp_orchestrator.methods.search.trying import Trying, Workers
    from mcp_orchestrator.methods.tables import frame

    deadline = None if seconds is None else time.monotonic() + seconds
    problem = question.pose(frame(ctx, data))
    one = proposed.candidate()
    trying = Trying(
        folds=len(problem.folds),
        screening=screens(problem.shape, len(problem.folds)),
        incumbent=None if incumbent is None else incumbent.candidate(),
        greater=problem.metric.greater_is_better,
    )

    def say(ended: Candidate) -> None:
        ctx.report(None, f"{ended.family} {ended.score:.4g} {ended.state}")

    workers: Workers
    with Pool(problem.attempt, ctx.cpus, deadline=deadline) as workers:
        trying.run(workers, [one], say, only=fold)
    if one.predictions and one.state in {"complete", "screened", "cut"}:
        one.stored = _store(ctx, one)
    return Scored.of(one)


def conclude(
    ctx: Context,
    name: str,
    data: Data,
    question: Question,
    *,
    tried: list[Scored],
    finals: list[Scored],
    stopped_by: Stop,
    notes: list[str],
    seconds: float,
) -> Study:
    """Return what a search found: ``finals`` are the folds that the best were tried on in the end."""
    from mcp_orchestrator.methods.search.choice import choose, ranked
    from mcp_orchestrator.methods.search.course import finalists, screens
    from mcp_orchestrator.methods.search.findings import study_of
    from mcp_orchestrator.methods.search.search import even
    from mcp_orchestrator.methods.tables import frame

    began = time.monotonic()
    problem = question.pose(frame(ctx, data))
    candidates = [one.candidate() for one in tried]
    order = ranked(candidates, greater_is_better=problem.metric.greater_is_better)
    ahead = finalists(order, screening=screens(problem.shape, len(problem.folds)))
    for one in ahead:
        _recall(ctx, one, one.stored)
    by_number = {one.number: one for one in candidates}
    for final in finals:
        one = by_number[final.number]
        one.seconds += final.seconds
        if final.state == "failed":
            one.state, one.reason = "failed", final.reason
        known = final.candidate()
        one.scores |= known.scores
        _recall(ctx, one, known.stored)
    if screens(problem.shape, len(problem.folds)):
        even(ahead, len(problem.folds))
    found = choose(problem, candidates, question.ensemble, stopped_by, notes)
    return study_of(ctx, name, problem, found, round(seconds + time.monotonic() - began, 3), first=question.first)


def _store(ctx: Context, one: Candidate) -> str:
    """Store the predictions of a candidate and return their reference."""
    import numpy as np

    buffer = BytesIO()
    parts = {f"predictions {fold}": rows for fold, rows in one.predictions.items()}
    parts |= {f"response {fold}": rows for fold, rows in one.responses.items()}
    np.savez(buffer, allow_pickle=False, **parts)
    return ctx.artifacts.put(buffer.getvalue(), name=f"trial_{one.number}.npz", media="application/zip").uri


def _recall(ctx: Context, one: Candidate, uri: str) -> None:
    """Give a candidate the predictions that were stored."""
    import numpy as np

    if not uri:
        return
    with np.load(ctx.artifacts.path(uri.removeprefix("artifact://")), allow_pickle=False) as file:
        for name in file.files:
            kind, _, fold = name.partition(" ")
            (one.predictions if kind == "predictions" else one.responses)[int(fold)] = file[name]
    one.stored = ""
