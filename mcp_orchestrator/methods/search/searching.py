"""A whole search in one process: the question is posed, the study opened, its callbacks asked, the finding written."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from mcp_orchestrator.component import Context
from mcp_orchestrator.methods.search.callbacks import Callbacks
from mcp_orchestrator.methods.search.findings import Study, study_of
from mcp_orchestrator.methods.search.question import Question
from mcp_orchestrator.methods.search.studies import Studies, in_memory

if TYPE_CHECKING:
    from optuna.study import Study as Journal

    from mcp_orchestrator.methods.search.candidates import Found
    from mcp_orchestrator.methods.search.course import Limits
    from mcp_orchestrator.methods.search.problem import Problem

__all__ = ["searched"]


def searched(ctx: Context, name: str, question: Question, data: str, *, trials: int, seconds: float | None) -> Study:
    """Search, or go on searching, and say what was found; without a ``name`` nothing of the study is kept.

    Raises:
        InvalidInput: a column, a family or the metric does not exist or does not fit.
        DataRejected: there is nothing to learn from, or no candidate can be trained.
        NotReady: the study is being searched already.

    """
    from mcp_orchestrator.methods.tables import frame

    began = time.monotonic()
    problem = question.pose(frame(ctx, data))
    left = None if seconds is None else max(0.01, seconds - (time.monotonic() - began))
    limits = question.limits(trials=trials, seconds=left, cpus=ctx.cpus)
    greater = problem.metric.greater_is_better
    if not name:
        found = _run(ctx, problem, question, in_memory(greater_is_better=greater), limits=limits)
    else:
        studies = Studies(ctx)
        with studies.searching(name), Callbacks(ctx, name, greater_is_better=greater) as callbacks:
            study = studies.create(name, question.asked(data), greater_is_better=greater)
            study.set_user_attr("metric", problem.metric.name)
            found = _run(ctx, problem, question, study, limits=limits, callbacks=callbacks)
    return study_of(ctx, name, problem, found, round(time.monotonic() - began, 3), first=question.first)


def _run(
    ctx: Context,
    problem: Problem,
    question: Question,
    study: Journal,
    *,
    limits: Limits,
    callbacks: Callbacks | None = None,
) -> Found:
    from mcp_orchestrator.methods.search.search import Search
    from mcp_orchestrator.methods.training.families import chosen

    studies, name = Studies(ctx), study.study_name
    search = Search(
        problem,
        chosen(question.families, problem.shape),
        study,
        limits,
        watch=lambda one: "" if callbacks is None else callbacks.seen(one),
        report=ctx.report,
        stop=lambda: callbacks is not None and studies.stop_asked(name),
    )
    if callbacks is not None:
        callbacks.known([one.score for one in search.candidates if not math.isnan(one.score)])
    return search.run()
