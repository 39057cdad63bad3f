"""A search in rounds: candidates are proposed at home, tried anywhere, and what came out is told to the study at home.

What was proposed in a round, and what was said at its end, is kept in the study: asked again, after a crash, it is the
same. Only the study's home opens it; a candidate travels as JSON, its predictions as a reference.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from mcp_orchestrator.component import Context
from mcp_orchestrator.errors import InvalidInput
from mcp_orchestrator.methods.search.callbacks import Callbacks
from mcp_orchestrator.methods.search.candidates import Stop
from mcp_orchestrator.methods.search.course import ALL, BATCH, Course
from mcp_orchestrator.methods.search.question import Question
from mcp_orchestrator.methods.search.studies import Studies
from mcp_orchestrator.methods.search.tries import Left, Proposed, Scored
from mcp_orchestrator.values import Value

if TYPE_CHECKING:
    from optuna.study import Study as Journal

__all__ = ["Extent", "Round", "Told", "propose", "tell"]

POSED, SPENT = "posed", "spent"
SPARE = 1.0
"""Seconds that a candidate may take beside its fits: for the table, and the way there."""
LITTLE = 1e-6


class Extent(Value):
    """How far a search in rounds goes, and how many candidates a round has at least (as many as can run at once)."""

    trials: Annotated[int, Field(ge=1, le=10_000)] = 24
    seconds: Annotated[float | None, Field(gt=0, le=86_400)] = None
    at_once: Annotated[int, Field(ge=1, le=10_000)] = 1


class Round(Value):
    """The candidates of a round, whom they must not be far behind, and how many seconds there are for all of them."""

    candidates: list[Proposed]
    incumbent: Scored | None
    seconds: float | None


class Told(Value):
    """Where a search stands after a round.

    At its end ``stopped_by`` says why, ``tried`` has all candidates, and ``missing`` the folds on which the best are
    still to be tried. ``seconds`` is what the search has taken, ``left`` what there is for the rest.
    """

    trials: int
    best: Scored | None
    stopped_by: Stop | None
    tried: list[Scored] = Field(default_factory=list[Scored])
    missing: list[Left] = Field(default_factory=list[Left])
    notes: list[str] = Field(default_factory=list[str])
    seconds: float
    left: float | None


def propose(ctx: Context, name: str, data: str, question: Question, *, extent: Extent, number: int) -> Round:
    """Return the candidates of a round; the first one opens the study, or goes on with it."""
    studies = Studies(ctx)
    with studies.searching(name):
        study = _opened(ctx, studies, name, data, question)
        known = study.user_attrs.get(f"round {number}")
        if known is None:
            known = _proposed(study, question, extent)
            study.set_user_attr(f"round {number}", known)
        return Round.model_validate(known["answer"])


def tell(ctx: Context, name: str, *, extent: Extent, number: int, results: list[Scored]) -> Told:
    """Take in what came out of a round, and say whether it was the last one."""
    studies = Studies(ctx)
    study = studies.open(name)
    round_ = study.user_attrs.get(f"round {number}")
    if round_ is None:
        raise InvalidInput("round", f"the study {name!r} has no round {number}.", then="Propose it first.")
    asked = [one["number"] for one in round_["answer"]["candidates"]]
    if [one.number for one in results] != asked:
        raise InvalidInput("results", f"round {number} is of the candidates {asked}, in this order.")
    with studies.searching(name):
        known = study.user_attrs.get(f"told {number}")
        if known is None:
            with Callbacks(ctx, name, greater_is_better=study.direction.name == "MAXIMIZE") as callbacks:
                known = _told(study, extent, number, results, callbacks)
            study.set_user_attr(f"told {number}", known)
        return Told.model_validate(known)


def _opened(ctx: Context, studies: Studies, name: str, data: str, question: Question) -> Journal:
    """Return the study, with what the proposals need to know of the table."""
    from mcp_orchestrator.methods.tables import frame

    asked = question.asked(data)
    study = studies.open(name) if name in studies.names() else None
    if study is None or studies.asked(study) != asked or POSED not in study.user_attrs:
        problem = question.pose(frame(ctx, data))
        if not problem.folds:
            raise InvalidInput("validation", "without folds there is nothing to compare.", then="Use start.")
        study = studies.create(name, asked, greater_is_better=problem.metric.greater_is_better)
        study.set_user_attr("metric", problem.metric.name)
        shape = problem.shape
        posed = {"rows": shape.rows, "classes": shape.classes, "balance": shape.balance, "folds": len(problem.folds)}
        study.set_user_attr(POSED, posed)
    return study


def _course(study: Journal, question: Question, extent: Extent) -> Course:
    from mcp_orchestrator.methods.training.estimators import Shape
    from mcp_orchestrator.methods.training.families import chosen

    posed = dict(study.user_attrs[POSED])
    folds = posed.pop("folds")
    shape = Shape(**posed)
    limits = question.limits(trials=extent.trials, seconds=extent.seconds, cpus=extent.at_once)
    batch = max(BATCH, extent.at_once)
    return Course(study, chosen(question.families, shape), shape, limits, folds=folds, batch=batch, kept=True)


def _proposed(study: Journal, question: Question, extent: Extent) -> dict[str, Any]:
    course = _course(study, question, extent)
    exploring = course.exploring()
    batch = course.next(course.proposals.unfinished())
    incumbent = course.incumbent(batch[0].trial.number) if batch else None
    answer = Round(
        candidates=[Proposed(number=one.trial.number, family=one.family, params=one.params) for one in batch],
        incumbent=None if incumbent is None else Scored.of(incumbent),
        seconds=None if exploring is None else max(LITTLE, exploring - study.user_attrs.get(SPENT, 0.0)),
    )
    return {"answer": answer.model_dump(mode="json"), "at": time.time()}


def _told(study: Journal, extent: Extent, number: int, results: list[Scored], callbacks: Callbacks) -> dict[str, Any]:
    from mcp_orchestrator.methods.search.search import SCREENING, stopped_by_a_callback

    course = _course(study, Question.of(study.user_attrs["asked"]), extent)
    callbacks.known([one.score for one in course.candidates if not math.isnan(one.score)])
    ended = _answered(study, course, results, callbacks)
    begun = study.user_attrs[f"round {number}"]
    spent = study.user_attrs.get(SPENT, 0.0) + _took(time.time() - begun["at"], results)
    study.set_user_attr(SPENT, spent)
    exploring = course.exploring()
    late = any(one.state == "cut" for one in results) or (exploring is not None and spent >= exploring)
    stopped: Stop | None = course.why_stop(len(course.candidates), expired=late, stop=False)
    notes = [SCREENING] if course.screening else []
    if any(ended):
        stopped, notes = "callback", [stopped_by_a_callback(ended), *notes]
    best = next(iter(course.ranked(course.candidates)), None)
    over = stopped is not None
    return Told(
        trials=len(course.candidates),
        best=None if best is None else Scored.of(best),
        stopped_by=stopped,
        tried=[Scored.of(one) for one in course.candidates] if over else [],
        missing=[Left.of(one, fold) for one, fold in course.missing()] if over else [],
        notes=notes if over else [],
        seconds=round(spent, 3),
        left=None if extent.seconds is None else max(LITTLE, ALL * extent.seconds - spent),
    ).model_dump(mode="json")


def _answered(study: Journal, course: Course, results: list[Scored], callbacks: Callbacks) -> list[str]:
    """Answer the trials that are open, and return what the callbacks said."""
    from optuna.trial import Trial

    said: list[str] = []
    for one in results:
        trial = study.get_trials(deepcopy=False)[one.number]
        if trial.state.is_finished():
            continue  # answered before a crash
        candidate = one.candidate()
        course.answer(Trial(study, trial._trial_id), candidate)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        said.append("" if candidate.state == "cut" else callbacks.seen(candidate))
    return said


def _took(clock: float, results: list[Scored]) -> float:
    """Return the seconds of a round: by the clock, but a pause, a crash or a queue is not the search's time."""
    return max(0.0, min(clock, sum(one.seconds + SPARE for one in results)))
