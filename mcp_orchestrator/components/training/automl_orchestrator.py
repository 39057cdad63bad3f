"""Search over whole pipelines: a fixed portfolio, then TPE, on the folds of a training part, within a time limit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field

from mcp_orchestrator.component import About, Check, Context, capability
from mcp_orchestrator.errors import NotReady
from mcp_orchestrator.methods.columns.features import FeatureSpec
from mcp_orchestrator.methods.search.choice import Ensemble
from mcp_orchestrator.methods.search.findings import Leaderboard, Study, Tried, leaderboard_of
from mcp_orchestrator.methods.search.posing import Validation
from mcp_orchestrator.methods.search.proposals import Method
from mcp_orchestrator.methods.search.question import Question, Task
from mcp_orchestrator.methods.search.searching import searched
from mcp_orchestrator.methods.search.studies import NAME, Studies, in_memory
from mcp_orchestrator.values import Data, Value

ABOUT = About(tier=2, libraries=("sklearn", "optuna"), aliases=("automl",))

Name = Annotated[str, Field(pattern=NAME, description="The study.")]


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
    question = Question(
        target=target,
        task=task,
        metric=metric,
        features=features,
        families=families,
        method=method,
        validation=validation,
        folds=folds,
        group=group,
        time=time,
        patience=patience,
        pruning=pruning,
        ensemble=ensemble,
        seed=ctx.seed if seed is None else seed,
    )
    return searched(ctx, name or ctx.run, question, frozen, trials=trials, seconds=seconds)


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
    asked = studies.asked(studies.open(name))
    return searched(ctx, name, Question.of(asked), asked["data"], trials=trials, seconds=seconds)


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
