"""What a model says of the rows of a table, beside the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.errors import DataRejected, InvalidInput

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from mcp_orchestrator.methods.models import Loaded

    Array = NDArray[Any]

__all__ = ["Answers", "answers_of", "codes_of", "numbers_of", "objects"]


@dataclass(frozen=True, eq=False)
class Answers:
    """The truth as the model's classes or numbers, and what the model says of the same rows."""

    frame: pd.DataFrame
    y: Array
    codes: Array
    predicted: Array
    probabilities: Array | None

    @property
    def errors(self) -> Array:
        """1 or 0 for a wrong or right label, else the absolute error."""
        if self.codes.size:
            return (self.y != self.predicted).astype(float)
        return abs(self.y - self.predicted).astype(float)


def answers_of(model: Loaded, frame: pd.DataFrame) -> Answers:
    """Ask the model about every row that has a target.

    Raises:
        InvalidInput: the table lacks the target or a column that the model needs.
        DataRejected: no row has a target, or one holds what the model does not know.

    """
    import numpy as np

    names = [str(name) for name in frame.columns]
    if model.target not in names:
        raise InvalidInput(
            "data", f"has no column {model.target!r}, which the model predicts.", then="An evaluation needs the truth."
        )
    known = frame[model.target].notna().to_numpy()
    if not known.any():
        raise DataRejected("no row has a target.", column=model.target)
    rows = frame.loc[known]
    values: list[Any] = rows[model.target].tolist()
    if model.task == "regression":
        y, codes = numbers_of(values, model.target), np.empty(0, dtype=int)
    else:
        codes = codes_of(values, model, np.flatnonzero(known).tolist())
        y = objects(model.classes)[codes]
    predicted = np.asarray(model.predict(rows))
    predicted = predicted.astype(float) if model.task == "regression" else objects(predicted.tolist())
    return Answers(rows, y, codes, predicted, model.predict_proba(rows))


def objects(values: Sequence[Any]) -> Array:
    """Return labels as an array of Python objects, whatever they are."""
    import numpy as np

    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def numbers_of(values: list[Any], column: str) -> Array:
    """Return values as floats.

    Raises:
        DataRejected: one is not a number.

    """
    import numpy as np

    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise DataRejected("the model predicts numbers, and here are words.", column=column) from error


def codes_of(values: list[Any], model: Loaded, places: list[int]) -> Array:
    """Return the place of each label among the model's classes; 1, 1.0 and "1" are one label.

    Raises:
        DataRejected: the model does not know a label; names the row by ``places``.

    """
    import numpy as np

    from mcp_orchestrator.methods.columns.coercion import label_text

    table = {label_text(label): place for place, label in enumerate(model.classes)}
    codes = [table.get(label_text(value), -1) for value in values]
    if -1 in codes:
        place = codes.index(-1)
        raise DataRejected(
            f"the model does not know the class {values[place]!r}.",
            column=model.target,
            row=places[place] + 1,
            then=f"It knows {', '.join(map(str, model.classes[:20]))}. Leave such rows out, or train again.",
        )
    return np.array(codes)
