"""Fitting a model on a whole training part, and keeping it with the facts that later steps ask for."""

from __future__ import annotations

import math
import statistics
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import Field

from mcp_orchestrator.component import Context
from mcp_orchestrator.errors import DataRejected, InvalidInput, NotReady, WorkerLost
from mcp_orchestrator.methods import models
from mcp_orchestrator.methods.columns.features import FeatureSpec, used
from mcp_orchestrator.methods.search.pool import Pool
from mcp_orchestrator.methods.search.posing import MOST_ROWS, pose
from mcp_orchestrator.methods.search.problem import Problem
from mcp_orchestrator.methods.training.outoffold import OutOfFold, cross_validate, recall
from mcp_orchestrator.methods.training.outoffold import keep as keep_predictions
from mcp_orchestrator.methods.training.pipelines import Member, build, joined
from mcp_orchestrator.values import Trained, Value

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mcp_orchestrator.methods.models import Loaded

__all__ = ["ALL_ROWS", "Fitted", "fit", "fitted", "keep", "kept_again", "out_of_fold_of"]

ALL_ROWS = sys.maxsize
REFERENCE_ROWS = 2000
TRAINING = "Give the table that the model was trained on."


class Fitted(Value):
    """A fitted and stored model; the scores are those of the folds, if there were any."""

    model: Trained
    members: list[Member]
    features: list[FeatureSpec]
    rows: int
    rows_without_target: int
    metric: str
    score: float | None = None
    sd: float | None = None
    fold_scores: list[float] = Field(default_factory=list[float])
    oof: str | None = None
    warnings: list[str] = Field(default_factory=list[str])
    seconds: float


def fit(ctx: Context, problem: Problem, members: Sequence[Member]) -> Fitted:
    """Score members on the folds, if there are any, fit them on all rows and store the model.

    Raises:
        InvalidInput: a family or a parameter does not exist, or a value is not acceptable.
        DataRejected: the rows cannot be learned.

    """
    started = time.perf_counter()
    total = sum(one.weight for one in members)
    shares = [one.model_copy(update={"weight": one.weight / total}) for one in members]
    model, said = fitted(problem, shares, ctx.cpus)
    trained = keep(ctx, problem, model, shares)
    scores: list[float] = []
    oof = None
    if problem.folds:
        found, scores = cross_validate(ctx, problem, shares)
        oof = keep_predictions(ctx, found)
    known = [one for one in scores if math.isfinite(one)]
    return Fitted(
        model=trained,
        members=shares,
        features=list(problem.features),
        rows=len(problem.target.y),
        rows_without_target=problem.target.without,
        metric=problem.metric.name,
        score=statistics.fmean(known) if known else None,
        sd=statistics.stdev(known) if len(known) > 1 else None,
        fold_scores=known,
        oof=oof,
        warnings=said,
        seconds=round(time.perf_counter() - started, 3),
    )


class _Part(NamedTuple):
    """A fitted pipeline with what it had to say, or the problem."""

    pipeline: Any
    said: list[str]
    problem: str = ""
    parameter: bool = False


def fitted(problem: Problem, members: Sequence[Member], cpus: int = 1) -> tuple[Any, list[str]]:
    """Return the members fitted together on all rows of the problem, side by side, and what they had to say.

    Raises:
        InvalidInput: a family or a parameter does not exist, or a value is not acceptable.
        DataRejected: the rows cannot be learned.
        WorkerLost: the system ended a process, for want of memory perhaps.

    """
    unfitted = [build(one.family, one.params, problem.features, problem.shape, problem.seed) for one in members]
    parts: list[_Part | None] = [None] * len(members)
    with Pool[int, int, _Part](lambda place: _fitted(problem, unfitted[place]), min(cpus, len(members))) as workers:
        for place in range(len(members)):
            workers.put(place, place)
        for place, part in workers.results():
            if isinstance(part, WorkerLost):
                raise part
            if part.problem:
                family = members[place].family
                raise (
                    InvalidInput("params", part.problem)
                    if part.parameter
                    else DataRejected(f"{family}: {part.problem}")
                )
            parts[place] = part
    done = [part for part in parts if part is not None]
    model = joined([(part.pipeline, one.weight) for part, one in zip(done, members, strict=True)], problem.target.y)
    return model, list(dict.fromkeys(line for part in done for line in part.said))


def _fitted(problem: Problem, pipeline: Any) -> _Part:  # noqa: ANN401
    from sklearn.utils._param_validation import InvalidParameterError

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            pipeline.fit(problem.frame, problem.target.y)
        except InvalidParameterError as error:
            return _Part(None, [], str(error), parameter=True)
        except (ValueError, ArithmeticError) as error:
            return _Part(None, [], str(error))
    return _Part(pipeline, [str(one.message).partition("\n")[0] for one in said])


def keep(ctx: Context, problem: Problem, model: object, members: Sequence[Member]) -> Trained:
    """Store a fitted model with a sample of what it learned from.

    Raises:
        InvalidInput: it cannot be stored safely.

    """
    columns = [one.name for one in used(problem.features)]
    sample = problem.frame[[*columns, problem.target.name]]
    if len(sample) > REFERENCE_ROWS:
        sample = sample.sample(REFERENCE_ROWS, random_state=problem.seed).sort_index()
    return models.store(
        ctx,
        model,
        task=problem.target.task,
        target=problem.target.name,
        features=problem.features,
        classes=problem.target.classes,
        reference=sample.reset_index(drop=True),
        facts={
            "estimator": _named(members),
            "members": [one.model_dump(mode="json") for one in members],
            "metric": problem.metric.name,
            "rows": len(problem.target.y),
            "seed": problem.seed,
        },
    )


def kept_again(ctx: Context, loaded: Loaded, model: object, facts: Mapping[str, Any]) -> Trained:
    """Store what was made of a stored model, with further facts."""
    return models.store(
        ctx,
        model,
        task=loaded.task,
        target=loaded.target,
        features=loaded.features,
        classes=loaded.classes,
        reference=loaded.reference(),
        facts={**loaded.facts, **facts},
    )


def members_of(loaded: Loaded) -> list[Member]:
    """Return what a model consists of.

    Raises:
        NotReady: it was not made here, so that it cannot be fitted again on a part of the rows.

    """
    known = loaded.facts.get("members")
    if not known:
        raise NotReady(
            "The model does not say what it consists of. Give the out-of-fold predictions of its study (oof)."
        )
    return [Member.model_validate(one) for one in known]


def problem_of(loaded: Loaded, frame: pd.DataFrame, *, compare: bool, folds: int = 5) -> Problem:
    """Return the problem that a stored model solves, on the table that it was trained on.

    With ``compare`` it has folds, and a random part of a long table; otherwise all rows.

    Raises:
        InvalidInput: it is another table.

    """
    problem = pose(
        frame,
        loaded.target,
        task=loaded.task,
        metric=loaded.facts.get("metric"),
        features=[one for one in loaded.features if one.name in frame.columns],
        validation="cross_validation" if compare else "none",
        folds=folds,
        seed=int(loaded.facts.get("seed", 0)),
        most=MOST_ROWS if compare else ALL_ROWS,
    )
    if problem.target.classes != loaded.classes:
        raise InvalidInput("data", f"has other classes than the model, which knows {loaded.classes}.", then=TRAINING)
    return problem


def out_of_fold_of(ctx: Context, loaded: Loaded, frame: pd.DataFrame, oof: str | None) -> tuple[OutOfFold, np.ndarray]:
    """Return predictions for training rows by models that did not see them, and the truth; made here without ``oof``.

    Raises:
        InvalidInput: ``oof`` belongs to another table, or the table is not the one of the training.
        NotReady: nothing is known of how the model was made.

    """
    import numpy as np

    if oof is None:
        problem = problem_of(loaded, frame, compare=True)
        found, _ = cross_validate(ctx, problem, members_of(loaded))
    else:
        problem = problem_of(loaded, frame, compare=False)
        found = recall(ctx, oof, len(frame))
    truth = np.full(len(frame), -1, dtype=problem.target.y.dtype)
    truth[problem.target.rows] = problem.target.y
    y = truth[found.rows]
    if found.predictions.shape[1:] != (len(loaded.classes),) or int(y.min()) < 0:
        raise InvalidInput("oof", "does not belong to this model and table.", then=TRAINING)
    return found, y


def _named(members: Sequence[Member]) -> str:
    return (
        members[0].family
        if len(members) == 1
        else f"blend of {', '.join(dict.fromkeys(one.family for one in members))}"
    )
