"""How much a model's score falls when one column is shuffled among the rows (permutation importance)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.component import Context
from mcp_orchestrator.errors import WorkerLost
from mcp_orchestrator.methods.metrics import Metric, score
from mcp_orchestrator.methods.search.pool import Pool
from mcp_orchestrator.values import Value

if TYPE_CHECKING:
    import pandas as pd

    from mcp_orchestrator.methods.models import Loaded
    from mcp_orchestrator.methods.training.answers import Answers

__all__ = ["Importance", "Influence", "explained"]


class Influence(Value):
    """What one column does for the score: the mean fall over the repeats, and its deviation."""

    name: str
    importance: float
    sd: float


class Importance(Value):
    """What each column does for the score, the strongest first."""

    model: str
    metric: str
    score: float
    rows: int
    repeats: int
    features: list[Influence]


def explained(
    ctx: Context,
    loaded: Loaded,
    table: pd.DataFrame,
    *,
    metric: str | None,
    repeats: int,
    rows: int,
) -> Importance:
    """Shuffle one column after the other, on at most so many rows, and see what that does to the score.

    Raises:
        InvalidInput: a column is missing, or the metric does not fit.
        DataRejected: no row has a target, or a row holds a class that the model does not know.

    """
    from mcp_orchestrator.methods.columns.features import used
    from mcp_orchestrator.methods.metrics import default_metric, metric_named
    from mcp_orchestrator.methods.training.answers import answers_of

    some = table if len(table) <= rows else table.sample(rows, random_state=ctx.seed)
    said = answers_of(loaded, some)
    classes = len(loaded.classes)
    name = metric or loaded.facts.get("metric") or default_metric(loaded.task, classes or 2)
    chosen = metric_named(name, loaded.task, classes or None, probabilities=said.probabilities is not None)
    whole = _scores(loaded, chosen, said.y, said.predicted, said.probabilities, repeats=1)[0]
    columns = [one.name for one in used(loaded.features)]
    return Importance(
        model=loaded.uri,
        metric=chosen.name,
        score=whole,
        rows=len(said.y),
        repeats=repeats,
        features=_influences(ctx, loaded, said, chosen, columns, whole=whole, repeats=repeats),
    )


def _influences(
    ctx: Context,
    model: Loaded,
    said: Answers,
    metric: Metric,
    columns: Sequence[str],
    *,
    whole: float,
    repeats: int,
) -> list[Influence]:
    """Evaluate the columns side by side; each repeat of a column is one copy of the rows in a single table."""
    import numpy as np
    import pandas as pd

    rows = len(said.frame)
    sign = 1 if metric.greater_is_better else -1
    stacked = pd.concat([said.frame] * repeats, ignore_index=True)
    truth = np.tile(said.y, repeats)

    def shuffled(place: int) -> list[float]:
        generator = np.random.default_rng((ctx.seed, place))
        taken = np.concatenate([generator.permutation(rows) for _ in range(repeats)])
        changed = stacked.assign(**{columns[place]: stacked[columns[place]].iloc[taken].array})
        chances = model.predict_proba(changed) if metric.needs == "probabilities" else None
        labels = model.predict(changed) if chances is None else None
        return _scores(model, metric, truth, labels, chances, repeats=repeats)

    found: list[Influence] = []
    with Pool[int, int, list[float]](shuffled, ctx.cpus) as workers:
        for place in range(len(columns)):
            workers.put(place, place)
        for place, scores in workers.results():
            if isinstance(scores, WorkerLost):
                raise scores
            falls = sign * (whole - np.array(scores))
            deviation = float(falls.std(ddof=1)) if repeats > 1 else 0.0
            found.append(Influence(name=columns[place], importance=float(falls.mean()), sd=deviation))
            ctx.report(len(found) / len(columns), f"importance of {columns[place]}")
    return sorted(found, key=lambda one: (-one.importance, one.name))


def _scores(
    model: Loaded,
    metric: Metric,
    truth: Any,  # noqa: ANN401 - arrays of labels or values
    predicted: Any,  # noqa: ANN401
    probabilities: Any,  # noqa: ANN401
    *,
    repeats: int,
) -> list[float]:
    """Return the score of each of several stacked copies of the rows."""
    rows = len(truth) // repeats
    parts = [slice(one * rows, (one + 1) * rows) for one in range(repeats)]
    labels = [None if predicted is None else predicted[part] for part in parts]
    chances = [None if probabilities is None else probabilities[part] for part in parts]
    return [
        score(metric, truth[part], label, chance, model.classes)
        for part, label, chance in zip(parts, labels, chances, strict=True)
    ]
