"""Search over whole pipelines: a fixed portfolio, then TPE, on the folds of a training part, within a time limit."""

from __future__ import annotations

import math
import time as clock
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from mcp_orchestrator.component import About, Check, Context, capability
from mcp_orchestrator.errors import NotReady
from mcp_orchestrator.methods.columns.features import FeatureSpec
from mcp_orchestrator.methods.search.callbacks import Callbacks, TrialEnded
from mcp_orchestrator.methods.search.candidates import Candidate, Found
from mcp_orchestrator.methods.search.choice import Ensemble
from mcp_orchestrator.methods.search.findings import Leaderboard, Study, Tried, leaderboard_of, study_of
from mcp_orchestrator.methods.search.posing import Validation
from mcp_orchestrator.methods.search.proposals import Method
from mcp_orchestrator.methods.search.studies import NAME, Studies, in_memory
from mcp_orchestrator.values import Data, Value

if TYPE_CHECKING:
    from optuna.study import Study as Journal

    from mcp_orchestrator.methods.search.problem import Problem
    from mcp_orchestrator.methods.search.search import Limits

ABOUT = About(tier=2, libraries=("sklearn", "optuna"), aliases=("automl",))

Name = Annotated[str, Field(pattern=NAME, description="The study.")]
Task = Literal["auto", "classification", "regression"]


class Stopping(Value):
    """Whether a search was running and will end."""

    name: str
    running: bool
    trials: int


def _example(ctx: Context) -> None:
    """Make the studies that the examples name."""
    for name, seed in (("example", 0), ("other", 1)):
        asked = {"data": "builtin:iris", "target": "target", "families": ["linear"], "trials": 4, "folds": 3}
        start.call(ctx, {**asked, "name": name, "seed": seed})


@capability(
    example={"data": "builtin:wine", "target": "target", "families": ["linear", "boosting"], "trials": 3, "folds": 3},
    contrast={"families": ["linear"]},
    at_home="name",
)
def start(
    ctx: Context,
    data: Data,
    target: Annotated[str, Field(min_length=1, max_length=500, description="The column to predict.")],
    *,
    task: Annotated[Task, Field(description="Inferred when auto.")] = "auto",
    metric: Annotated[str | None, Field(description="What to optimize; by default what fits the task.")] = None,
    features: Annotated[list[FeatureSpec], Field(description="How columns are used; the rest is inferred.")] = [],  # noqa: B006
    families: Annotated[list[str], Field(description="Families to try; all that fit when empty.")] = [],  # noqa: B006
    method: Annotated[Method, Field(description="none tries the defaults of each family.")] = "bayesian",
    trials: Annotated[int, Field(ge=1, le=10_000, description="Candidates to try, the portfolio included.")] = 24,
    seconds: Annotated[
        float | None, Field(gt=0, le=86_400, description="Time limit; what has finished counts.")
    ] = None,
    validation: Annotated[
        Validation, Field(description="Folds, one held-out part, or no comparison.")
    ] = "cross_validation",
    folds: Annotated[int, Field(ge=2, le=20, description="Number of folds.")] = 5,
    group: Annotated[str | None, Field(description="Column whose equal values stay together.")] = None,
    time: Annotated[str | None, Field(description="Column of time: no fold is predicted from its future.")] = None,
    patience: Annotated[int | None, Field(ge=1, le=10_000, description="Trials without gain before it stops.")] = 12,
    pruning: Annotated[bool, Field(description="Give up hopeless candidates after two folds.")] = True,
    ensemble: Annotated[Ensemble, Field(description="auto keeps a blend only where it is clearly better.")] = "auto",
    name: Annotated[
        str | None, Field(pattern=NAME, description="Keeps the study under this name; it can be resumed.")
    ] = None,
    seed: Annotated[int | None, Field(ge=0, le=2**32 - 1, description="Makes the search repeatable.")] = None,
) -> Study:
    """Search for the best pipeline, or blend of pipelines, for a table.

    The result does not depend on the number of processors, unless the time limit cut the search; ``stopped_by`` says.

    Raises:
        InvalidInput: a column, a family or the metric does not exist or does not fit.
        DataRejected: there is nothing to learn from, or no candidate can be trained.
        NotReady: the study is being searched already.

    """
    from mcp_orchestrator.methods.tables import freeze

    frozen = data if isinstance(data, str) and data.startswith("dataset://") else freeze(ctx, data, target=target).uri
    asked: dict[str, Any] = {
        "data": frozen,
        "target": target,
        "task": task,
        "metric": metric,
        "features": [one.model_dump(mode="json") for one in features],
        "families": families,
        "method": method,
        "validation": validation,
        "folds": folds,
        "group": group,
        "time": time,
        "patience": patience,
        "pruning": pruning,
        "ensemble": ensemble,
        "seed": ctx.seed if seed is None else seed,
    }
    return _searched(ctx, name or ctx.run, asked, trials, seconds)


@capability(example={"name": "example", "trials": 6}, contrast={"trials": 7}, before=_example, at_home=True)
def resume(
    ctx: Context,
    name: Name,
    trials: Annotated[int, Field(ge=1, le=10_000, description="Go on up to so many trials in all.")],
    seconds: Annotated[float | None, Field(gt=0, le=86_400, description="Time limit of this continuation.")] = None,
) -> Study:
    """Continue a kept study, also one that was cut off by a crash: its finished trials count.

    Raises:
        UnknownName: there is no such study.
        NotReady: it is being searched already.

    """
    studies = Studies(ctx)
    return _searched(ctx, name, studies.asked(studies.open(name)), trials, seconds)


@capability(example={"name": "example"}, contrast={"name": "other"}, before=_example, at_home=True)
def best(ctx: Context, name: Name) -> Tried:
    """Return the best trial of a kept study so far, also while it runs.

    Raises:
        UnknownName: there is no such study.
        NotReady: no trial has a score yet.

    """
    rows = leaderboard_of(ctx, name).rows
    if not rows or rows[0].score is None:
        raise NotReady(f"No trial of the study {name!r} has a score yet. Wait, or resume it.")
    return rows[0]


@capability(example={"name": "example"}, contrast={"top": 1}, before=_example, at_home=True)
def leaderboard(
    ctx: Context,
    name: Name,
    top: Annotated[int, Field(ge=1, le=10_000, description="Rows to return.")] = 100,
) -> Leaderboard:
    """Return the trials of a kept study, best first, also while it runs.

    Raises:
        UnknownName: there is no such study.

    """
    board = leaderboard_of(ctx, name)
    return board.model_copy(update={"rows": board.rows[:top]})


@capability(example={"name": "example"}, contrast={"name": "other"}, before=_example, at_home=True)
def stop(ctx: Context, name: Name) -> Stopping:
    """Ask a running search to end after the trials under way; what it has found is returned by the search itself.

    Raises:
        UnknownName: there is no such study.

    """
    return Stopping(name=name, running=Studies(ctx).stop(name), trials=leaderboard_of(ctx, name).trials)


def _searched(ctx: Context, name: str, asked: dict[str, Any], trials: int, seconds: float | None) -> Study:
    """Search, or go on searching, and say what was found."""
    from mcp_orchestrator.methods.search.posing import pose
    from mcp_orchestrator.methods.search.search import Limits
    from mcp_orchestrator.methods.tables import frame

    began = clock.monotonic()
    problem = pose(
        frame(ctx, asked["data"]),
        asked["target"],
        task=asked["task"],
        metric=asked["metric"],
        features=[FeatureSpec.model_validate(one) for one in asked["features"]],
        validation=asked["validation"],
        folds=asked["folds"],
        group=asked["group"],
        time=asked["time"],
        seed=asked["seed"],
        screening=True,
    )
    limits = Limits(
        method=asked["method"],
        trials=trials,
        seconds=None if seconds is None else max(0.01, seconds - (clock.monotonic() - began)),
        patience=asked["patience"],
        pruning=asked["pruning"],
        ensemble=asked["ensemble"],
        cpus=ctx.cpus,
        seed=asked["seed"],
    )
    greater = problem.metric.greater_is_better
    if not name:
        journal = in_memory(greater_is_better=greater)
        found = _run(ctx, problem, journal, families=asked["families"], limits=limits)
    else:
        studies = Studies(ctx)
        with studies.searching(name), Callbacks(ctx, name, greater_is_better=greater) as callbacks:
            journal = studies.create(name, asked, greater_is_better=greater)
            journal.set_user_attr("metric", problem.metric.name)
            found = _run(ctx, problem, journal, families=asked["families"], limits=limits, callbacks=callbacks)
    return study_of(ctx, name, problem, found, round(clock.monotonic() - began, 3))


def _run(
    ctx: Context,
    problem: Problem,
    journal: Journal,
    *,
    families: list[str],
    limits: Limits,
    callbacks: Callbacks | None = None,
) -> Found:
    from mcp_orchestrator.methods.search.search import Search
    from mcp_orchestrator.methods.training.families import chosen

    studies = Studies(ctx)
    name = journal.study_name

    def watch(one: Candidate) -> str:
        if callbacks is None:
            return ""
        state = "pruned" if one.state == "pruned" else "failed" if one.state == "failed" else "complete"
        value = None if math.isnan(one.score) else one.score
        params = {"family": one.family, **one.params}
        return callbacks.ended(
            TrialEnded(study=name, number=one.number, state=state, value=value, params=params, reason=one.reason)
        )

    search = Search(
        problem,
        chosen(families, problem.shape),
        journal,
        limits,
        watch=watch,
        report=ctx.report,
        stop=lambda: callbacks is not None and studies.stop_asked(name),
    )
    if callbacks is not None:
        callbacks.known([one.score for one in search.candidates if not math.isnan(one.score)])
    return search.run()


def known_answer(ctx: Context) -> Iterator[Check]:
    """Branin's function by TPE (its least value is .397887), and a search that is continued: 4 and then 8 trials."""
    methods: tuple[Method, ...] = ("bayesian", "random")
    gaps = {method: sorted(_branin_gap(method, seed) for seed in range(5)) for method in methods}
    yield Check("TPE on Branin, 100 trials, 5 seeds: median gap", gaps["bayesian"][2], 0.019, 0.011)
    yield Check("TPE on Branin, 100 trials, 5 seeds: worst gap", gaps["bayesian"][-1], 0.02, 0.015)
    yield Check("and its median is below that of chance", gaps["bayesian"][2] < gaps["random"][2], expected=True)
    _example(ctx)
    yield Check("4 trials are kept", leaderboard.call(ctx, {"name": "other"}).trials >= 4, expected=True)
    more = resume.call(ctx, {"name": "other", "trials": 8})
    yield Check("and 8 are there after it is resumed", more.trials, 8)


def _branin_gap(method: Method, seed: int, trials: int = 100) -> float:
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
