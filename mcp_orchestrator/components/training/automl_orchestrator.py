"""Search over whole pipelines: what worked elsewhere, a portfolio, then TPE, on folds, within a time limit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from mcp_orchestrator.component import About, Check, Context, capability
from mcp_orchestrator.errors import NotReady
from mcp_orchestrator.methods.columns.features import FeatureSpec
from mcp_orchestrator.methods.search import candidates, examples, recalling, rounds, trainings, tries
from mcp_orchestrator.methods.search.branin import branin_gap
from mcp_orchestrator.methods.search.choice import Ensemble
from mcp_orchestrator.methods.search.findings import Leaderboard, Study, Tried, leaderboard_of
from mcp_orchestrator.methods.search.posing import Validation
from mcp_orchestrator.methods.search.proposals import Method
from mcp_orchestrator.methods.search.question import MOST_EARLIER, MOST_STARTS, Question, Task
from mcp_orchestrator.methods.search.searching import searched
from mcp_orchestrator.methods.search.starts import Earlier, Start, Warm
from mcp_orchestrator.methods.search.studies import NAME, Studies
from mcp_orchestrator.values import Data, Value

ABOUT = About(tier=2, libraries=("sklearn", "optuna"), aliases=("automl",))

Name = Annotated[str, Field(pattern=NAME, description="The study.")]
Asked = Annotated[Question, Field(description="What is tried, and how it is compared.")]
Reach = Annotated[rounds.Extent, Field(description="How far the search goes.")]
TABLE = {"data": "builtin:iris", "question": {"target": "target"}}
Run = Annotated[str, Field(min_length=1, max_length=80)]
First = Annotated[list[Start], Field(max_length=MOST_STARTS, description="Configurations that are tried first.")]
Known = Annotated[list[Earlier], Field(max_length=MOST_EARLIER, description="Trials on related data to learn from.")]
Place = Annotated[int, Field(ge=0, le=1_000_000, description="The round, from 0.")]


class Stopping(Value):
    """Whether a search was running and will end."""

    name: str
    running: bool
    trials: int


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
    first: First = [],  # noqa: B006
    earlier: Known = [],  # noqa: B006
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
        first=first,
        earlier=earlier,
    )
    return searched(ctx, name or ctx.run, question, _frozen(ctx, data, target), trials=trials, seconds=seconds)


@capability(example=TABLE, contrast={"data": "builtin:wine"}, at_home=True)
def related(
    ctx: Context,
    data: Data,
    question: Asked,
    *,
    warm: Annotated[Warm, Field(description="off: the fingerprint alone.")] = "auto",
    runs: Annotated[list[Run], Field(max_length=3, description="Start from exactly these trainings.")] = [],  # noqa: B006
    extent: Reach = rounds.Extent(),  # noqa: B008 - frozen
) -> recalling.Recalled:
    """Recall what worked on similar data: configurations for a search to start from, and the runs they come from.

    Raises:
        InvalidInput: a column does not exist or does not fit, or runs are named and the search could not use them.
        UnknownName, StateUnavailable: the memory has nothing of a run that is named, or cannot be read.

    """
    from mcp_orchestrator.methods.tables import frame

    uri = _frozen(ctx, data, question.target)
    return recalling.recalled(ctx, frame(ctx, uri), uri, question, warm=warm, runs=runs, extent=extent)


@capability(example={"runs": ["trained"]}, contrast={"runs": ["other"]}, before=examples.trainings, at_home=True)
def remembered(
    ctx: Context,
    runs: Annotated[list[Run], Field(min_length=1, max_length=100, description="Runs of trainings.")],
) -> trainings.Remembered:
    """Return what the memory has of trainings that a search could start from.

    Raises:
        UnknownName, StateUnavailable: it has nothing of one of them, or cannot be read.

    """
    return trainings.remembered(ctx, runs)


@capability(example={"name": "example", "trials": 6}, contrast={"trials": 7}, before=examples.studies, at_home=True)
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


@capability(example={"name": "example"}, contrast={"name": "other"}, before=examples.studies, at_home=True)
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


@capability(example={"name": "example"}, contrast={"top": 1}, before=examples.studies, at_home=True)
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


@capability(example={"name": "example"}, contrast={"name": "other"}, before=examples.studies, at_home=True)
def stop(ctx: Context, name: Name) -> Stopping:
    """Ask a running search to end after the trials under way; what it has found is returned by the search itself.

    Raises:
        UnknownName: there is no such study.

    """
    return Stopping(name=name, running=Studies(ctx).stop(name), trials=leaderboard_of(ctx, name).trials)


@capability(
    example={"name": "rounds", "data": "builtin:iris", "question": {"target": "target"}, "extent": {"trials": 9}},
    contrast={"name": "rounds-of-linear", "question": {"target": "target", "families": ["linear"]}},
    at_home=True,
)
def propose(
    ctx: Context,
    name: Name,
    data: Data,
    question: Asked,
    *,
    extent: Reach,
    number: Place = 0,
) -> rounds.Round:
    """Propose the candidates of a round: asked again for the same round, they are the same.

    Raises:
        InvalidInput: what is asked does not fit the table, has no folds, or the study was begun with another question.

    """
    return rounds.propose(ctx, name, _frozen(ctx, data, question.target), question, extent=extent, number=number)


@capability(
    example={"data": "builtin:iris", "question": {"target": "target", "folds": 3}, "candidate": examples.LINEAR},
    contrast={"candidate": examples.LINEAR | {"family": "neighbors"}},
)
def score(
    ctx: Context,
    data: Data,
    question: Asked,
    candidate: Annotated[tries.Proposed, Field(description="What to try.")],
    *,
    incumbent: Annotated[tries.Scored | None, Field(description="Given up when clearly worse than this one.")] = None,
    fold: Annotated[int | None, Field(ge=0, le=19, description="This fold alone.")] = None,
    seconds: Annotated[float | None, Field(gt=0, le=86_400, description="Time limit; finished folds count.")] = None,
) -> tries.Scored:
    """Try one candidate on the folds; what it predicts for the rows that it did not see is stored.

    A candidate that cannot be trained is an answer, with the reason. Needs no study.
    """
    return tries.score(ctx, data, question, candidate, incumbent=incumbent, fold=fold, seconds=seconds)


@capability(
    example={"name": "told", "results": examples.results("complete"), "extent": {"trials": 1}},
    contrast={"name": "told-other", "results": examples.results("failed")},
    before=examples.proposals,
    at_home=True,
)
def tell(
    ctx: Context,
    name: Name,
    results: Annotated[list[tries.Scored], Field(description="What came out, in the order of the proposals.")],
    extent: Reach,
    number: Place = 0,
) -> rounds.Told:
    """Tell a study what came out of a round; the answer says whether it was the last one, and who is ahead.

    Raises:
        UnknownName: there is no such study.
        InvalidInput: there is no such round, or the results are not those of its candidates.

    """
    return rounds.tell(ctx, name, extent=extent, number=number, results=results)


@capability(
    example=TABLE | {"name": "one", "tried": examples.results("complete")},
    contrast={"tried": examples.results("cut")},
)
def conclude(
    ctx: Context,
    name: Name,
    data: Data,
    question: Asked,
    tried: Annotated[list[tries.Scored], Field(description="All candidates, as the study has them at its end.")],
    *,
    finals: Annotated[list[tries.Scored], Field(description="The best ones on further folds.")] = [],  # noqa: B006
    stopped_by: Annotated[candidates.Stop, Field(description="Why the search ended.")] = "trials",
    notes: Annotated[list[str], Field(description="What is to be said with the result.")] = [],  # noqa: B006
    seconds: Annotated[float, Field(ge=0, le=1e9, description="What the search has taken.")] = 0.0,
) -> Study:
    """Choose the best pipeline, or blend of pipelines, among candidates that were tried one by one.

    Raises:
        DataRejected: none of them could be trained.

    """
    return tries.conclude(
        ctx, name, data, question, tried=tried, finals=finals, stopped_by=stopped_by, notes=notes, seconds=seconds
    )


def _frozen(ctx: Context, data: Data, target: str) -> str:
    from mcp_orchestrator.methods.tables import freeze

    return data if isinstance(data, str) and data.startswith("dataset://") else freeze(ctx, data, target=target).uri


def known_answer(ctx: Context) -> Iterator[Check]:
    """Branin's function by TPE (its least value is .397887), and a search that is continued: 4 and then 8 trials."""
    methods: tuple[Method, ...] = ("bayesian", "random")
    gaps = {method: sorted(branin_gap(method, seed) for seed in range(5)) for method in methods}
    yield Check("TPE on Branin, 100 trials, 5 seeds: median gap", gaps["bayesian"][2], 0.019, 0.011)
    yield Check("TPE on Branin, 100 trials, 5 seeds: worst gap", gaps["bayesian"][-1], 0.02, 0.015)
    yield Check("and its median is below that of chance", gaps["bayesian"][2] < gaps["random"][2], expected=True)
    examples.studies(ctx)
    yield Check("4 trials are kept", leaderboard.call(ctx, {"name": "other"}).trials >= 4, expected=True)
    more = resume.call(ctx, {"name": "other", "trials": 8})
    yield Check("and 8 are there after it is resumed", more.trials, 8)
