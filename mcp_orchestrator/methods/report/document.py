"""The pictures and the card of a model that was tested."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from mcp_orchestrator.component import Context
from mcp_orchestrator.errors import WorkerLost
from mcp_orchestrator.methods.report.facts import Facts
from mcp_orchestrator.methods.search.pool import Pool
from mcp_orchestrator.values import Artifact, Value

if TYPE_CHECKING:
    import pandas as pd

    from mcp_orchestrator.methods.models import Loaded

__all__ = ["Document", "document"]

Draw = Callable[[], bytes]


class Document(Value):
    """The stored pictures (PNG) and the model card (Markdown)."""

    artifacts: list[Artifact]


def document(ctx: Context, loaded: Loaded, table: pd.DataFrame, facts: Facts | None) -> Document:
    """Draw the pictures that fit a model, of its answers for a table, and write its card.

    Raises:
        InvalidInput: the table lacks the target or a column that the model needs.

    """
    from mcp_orchestrator.methods.report.card import card

    pictures = [*_of_answers(loaded, table), *_of_search(facts)]
    drawn = _drawn([draw for _, draw in pictures], ctx.cpus)
    names = [f"plots/{name}.png" for name, _ in pictures]
    stored = [ctx.artifacts.put(one, name=name, media="image/png") for name, one in zip(names, drawn, strict=True)]
    text = card(loaded, facts, [one.name for one in stored]).encode()
    return Document(artifacts=[*stored, ctx.artifacts.put(text, name="model_card.md", media="text/markdown")])


def _drawn(draws: list[Draw], cpus: int) -> list[bytes]:
    """Draw side by side; each picture takes some 50 ms."""
    made: dict[int, bytes] = {}
    with Pool[int, int, bytes](lambda place: draws[place](), cpus) as workers:
        for place in range(len(draws)):
            workers.put(place, place)
        for place, picture in workers.results():
            if isinstance(picture, WorkerLost):
                raise picture
            made[place] = picture
    return [made[place] for place in range(len(draws))]


def _of_answers(loaded: Loaded, table: pd.DataFrame) -> Iterator[tuple[str, Draw]]:
    import numpy as np

    from mcp_orchestrator.methods import plots
    from mcp_orchestrator.methods.judgement.reliability import reliability_of_labels
    from mcp_orchestrator.methods.training.answers import answers_of

    said, classes = answers_of(loaded, table), loaded.classes
    if loaded.task == "regression":
        yield "predicted_actual", partial(plots.predicted_actual, said.y, said.predicted, loaded.target)
        yield "residuals", partial(plots.residuals, said.y, said.predicted)
        return
    place = {label: code for code, label in enumerate(classes)}
    answers = np.array([place[label] for label in said.predicted.tolist()])
    yield "confusion", partial(plots.confusion, said.codes, answers, classes)
    if said.probabilities is not None and len(np.unique(said.codes)) > 1:
        what = str(classes[1]) if len(classes) == 2 else "the predicted class"
        yield "roc", partial(plots.roc, said.codes, said.probabilities, classes)
        yield "precision_recall", partial(plots.precision_recall, said.codes, said.probabilities, classes)
        yield "calibration", partial(plots.calibration, reliability_of_labels(said.codes, said.probabilities), what)


def _of_search(facts: Facts | None) -> Iterator[tuple[str, Draw]]:
    from mcp_orchestrator.methods import plots

    if facts is None:
        return
    if found := facts.importance:
        values, spreads = [one.importance for one in found], [one.sd for one in found]
        yield "importance", partial(plots.importance, [one.name for one in found], values, spreads, metric=facts.metric)
    scores = [one["score"] for one in sorted(facts.leaderboard, key=lambda one: one["trial"])]
    if any(one is not None for one in scores):
        better = facts.greater_is_better
        yield "tuning", partial(plots.tuning, scores, metric=facts.metric, greater_is_better=better)
