"""What goes into a fitted estimator and what comes out: its columns in its order, its classes as they were called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.errors import InvalidInput, suggestion

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["check_classes", "coded", "inputs", "known", "labels_of"]


def inputs(estimator: Any, features: Sequence[Mapping[str, Any]], frame: pd.DataFrame) -> Any:  # noqa: ANN401
    """Return the columns that the estimator was fitted with, in its order; a dropped column may be absent.

    Raises:
        InvalidInput: a column is missing, or there is no row.

    """
    if not len(frame):
        raise InvalidInput("records", "there is no row to predict.")
    dropped = {feature["name"] for feature in features if feature.get("kind") == "drop"}
    named = getattr(estimator, "feature_names_in_", None)
    names = (
        [feature["name"] for feature in features if feature["name"] not in dropped] if named is None else list(named)
    )
    missing = [name for name in names if name not in frame.columns and name not in dropped]
    if missing:
        raise InvalidInput(
            "records",
            f"{_listed(missing)} missing.",
            then=suggestion(missing[0], [str(column) for column in frame.columns if column not in names])
            or f"The model needs: {', '.join(str(name) for name in names if name not in dropped)}.",
        )
    chosen = frame.reindex(columns=names) if dropped else frame[names]
    return chosen.to_numpy() if named is None else chosen


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:10]) + (", ..." if len(names) > 10 else "")
    return f"the column {shown} is" if len(names) == 1 else f"the columns {shown} are"


def known(estimator: Any) -> list[Any]:  # noqa: ANN401
    """Return the classes that the estimator itself speaks of."""
    return [label.item() if hasattr(label, "item") else label for label in getattr(estimator, "classes_", ())]


def coded(estimator: Any, classes: list[Any]) -> bool:  # noqa: ANN401
    """Whether the estimator speaks in codes 0, 1, 2... that stand for ``classes``; True is not the code 1."""
    return {(type(label), label) for label in known(estimator)} != {(type(label), label) for label in classes}


def labels_of(classes: list[Any]) -> np.ndarray:
    """Return the class values as an array that a code is an index of."""
    import numpy as np

    alike = len({type(label) for label in classes}) == 1 and not isinstance(classes[0], str)
    return np.asarray(classes, dtype=None if alike else object)


def check_classes(estimator: Any, task: str, classes: list[Any]) -> None:  # noqa: ANN401
    """Make sure that the estimator speaks of ``classes``, or of their codes.

    Raises:
        InvalidInput: it speaks of something else.

    """
    if task == "regression":
        if classes:
            raise InvalidInput("classes", "a regression model has none.")
        return
    spoken = known(estimator)
    if coded(estimator, classes) and spoken != list(range(len(classes))):
        raise InvalidInput("classes", f"the estimator knows {spoken}, which are neither {classes} nor their codes.")
