"""How a model does on rows with a known target, and what it says of rows without one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from mcp_orchestrator.errors import InvalidInput
from mcp_orchestrator.values import Estimate, Value

if TYPE_CHECKING:
    import pandas as pd

    from mcp_orchestrator.methods.models import Loaded

__all__ = ["Predictions", "Scores", "asked", "scored"]

MOST = 100_000


class Scores(Value):
    """How a model does, with 95 % intervals, beside one that knows only the target of the training part."""

    model: str
    task: Literal["classification", "regression"]
    rows: int
    rows_without_target: int
    metrics: dict[str, Estimate]
    baseline: dict[str, float]
    classes: list[Any]
    confusion: list[list[int]] | None = None


class Predictions(Value):
    """A prediction for each row; ``probabilities`` by class for a classifier."""

    predictions: list[Any]
    probabilities: list[dict[str, float]] | None = None


def scored(loaded: Loaded, table: pd.DataFrame, metrics: Sequence[str], seed: int) -> Scores:
    """Score a model; the confusion counts rows by true class and columns by predicted class.

    Raises:
        InvalidInput: a column is missing, or a metric does not fit.
        DataRejected: no row has a target, or a row holds a class that the model does not know.

    """
    import numpy as np

    from mcp_orchestrator.methods.metrics import baseline, evaluate
    from mcp_orchestrator.methods.training.answers import answers_of

    said = answers_of(loaded, table)
    found = evaluate(loaded.task, said.y, said.predicted, said.probabilities, loaded.classes, metrics or None, seed)
    learned = loaded.reference()
    trivial: dict[str, float] = {}
    if learned is not None:
        trivial = baseline(loaded.task, learned[loaded.target], said.y, list(found), loaded.classes)
    confusion = None
    if loaded.classes:
        size = len(loaded.classes)
        place = {label: code for code, label in enumerate(loaded.classes)}
        codes = np.array([place[label] for label in said.predicted.tolist()])
        confusion = np.bincount(said.codes * size + codes, minlength=size * size).reshape(size, size).tolist()
    return Scores(
        model=loaded.uri,
        task=loaded.task,
        rows=len(said.y),
        rows_without_target=len(table) - len(said.y),
        metrics=found,
        baseline=trivial,
        classes=loaded.classes,
        confusion=confusion,
    )


def asked(loaded: Loaded, table: pd.DataFrame) -> Predictions:
    """Return what a model says of each row, as plain values.

    Raises:
        InvalidInput: a column is missing, or there are too many rows for one answer.
        DataRejected: a row holds something that the model cannot use.

    """
    if len(table) > MOST:
        raise InvalidInput("data", f"has {len(table)} rows; one answer takes {MOST}.", then="Ask for them in parts.")
    predictions = loaded.predict(table).tolist()
    chances = loaded.predict_proba(table)
    if chances is None:
        return Predictions(predictions=predictions)
    names = [str(label) for label in loaded.classes]
    rows = [dict(zip(names, row, strict=True)) for row in chances.tolist()]
    return Predictions(predictions=predictions, probabilities=rows)
