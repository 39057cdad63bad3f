"""The target of a table: what kind of problem it makes, its classes, and the rows that can be learned from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mcp_orchestrator.errors import DataRejected, InvalidInput, suggestion
from mcp_orchestrator.methods.training.estimators import Task

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["Target", "read_target", "task_of"]

MOST_CLASSES = 200
FEW_VALUES = 20


@dataclass(frozen=True, eq=False)
class Target:
    """The target in numbers: ``y`` holds class codes or values, for the rows of the table that ``rows`` names."""

    name: str
    task: Task
    y: np.ndarray
    classes: list[Any]
    rows: np.ndarray
    without: int

    @property
    def smallest(self) -> int:
        """The number of rows of the rarest class; of all rows in a regression."""
        import numpy as np

        return int(np.bincount(self.y).min()) if self.classes else len(self.y)


def task_of(values: pd.Series) -> Task:
    """Say what kind of problem a target makes: numbers with many values, or with fractions, are regressed."""
    from pandas.api import types

    present = values.dropna()
    if types.is_bool_dtype(present.dtype) or not types.is_numeric_dtype(present.dtype):
        return "classification"
    distinct = int(present.nunique())
    fractions = bool((present % 1 != 0).any())
    return "regression" if distinct > (2 if fractions else FEW_VALUES) else "classification"


def read_target(frame: pd.DataFrame, name: str, task: Literal["auto"] | Task = "auto") -> Target:
    """Return the target of a table; rows without one are left out.

    Raises:
        InvalidInput: there is no such column, or it does not suit the task.
        DataRejected: there is nothing to learn: too few rows, one class, or a class with one row.

    """
    import numpy as np

    names = [str(column) for column in frame.columns]
    if name not in names:
        raise InvalidInput("target", f"there is no column {name!r}.", allowed=names[:50], then=suggestion(name, names))
    values = frame[name]
    known = values.notna().to_numpy()
    rows = np.flatnonzero(known)
    present = values.iloc[rows]
    if len(rows) < 2:
        raise DataRejected(f"{len(rows)} row(s) have a target, and at least 2 are needed.", column=name)
    kind = task_of(present) if task == "auto" else task
    without = len(values) - len(rows)
    if kind == "regression":
        return Target(name, kind, _numbers(present, name), [], rows, without)
    codes, classes = _classes(present, name)
    return Target(name, kind, codes, classes, rows, without)


def _numbers(present: pd.Series, name: str) -> np.ndarray:
    import numpy as np

    from mcp_orchestrator.methods.columns.coercion import numbers

    try:
        y = numbers(present)
    except InvalidInput as error:
        raise InvalidInput("task", f"{error} A regression needs numbers.", allowed=["classification"]) from error
    if not np.isfinite(y).all():
        raise DataRejected("the value is infinite.", column=name, row=int(np.flatnonzero(~np.isfinite(y))[0]) + 1)
    if np.ptp(y) == 0:
        raise DataRejected(f"every value is {y[0]:g}; there is nothing to learn.", column=name)
    return y


def _classes(present: pd.Series, name: str) -> tuple[np.ndarray, list[Any]]:
    """Return the codes of the rows' classes and the classes in order, as plain Python values."""
    import numpy as np
    import pandas as pd

    codes, found = pd.factorize(present)
    plain = [value.item() if hasattr(value, "item") else value for value in list(found)]
    if all(isinstance(value, float) and value.is_integer() for value in plain):
        plain = [int(value) for value in plain]
    elif not all(isinstance(value, str | int) for value in plain):
        plain = [str(value) for value in plain]
    try:
        order = sorted(range(len(plain)), key=plain.__getitem__)
    except TypeError:
        order = sorted(range(len(plain)), key=lambda place: str(plain[place]))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    counts = np.bincount(codes)
    if len(plain) == 1:
        raise DataRejected(f"every row is of the class {plain[0]!r}; there is nothing to learn.", column=name)
    if len(plain) > MOST_CLASSES:
        raise DataRejected(
            f"there are {len(plain)} classes, and at most {MOST_CLASSES} can be learned.",
            column=name,
            then='If it is a quantity, ask for task "regression".',
        )
    if counts.min() < 2:
        rare = plain[int(counts.argmin())]
        raise DataRejected(
            f"the class {rare!r} has one row, and 2 are needed to learn it and to check.",
            column=name,
            row=int(np.flatnonzero(codes == counts.argmin())[0]) + 1,
            then="Leave out that row, join the class with another, or add rows.",
        )
    return place[codes], [plain[one] for one in order]
