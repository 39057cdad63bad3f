"""The tables that come with scikit-learn, as they are: for trying things out, and for known answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcp_orchestrator.errors import UnknownName

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["BUILTINS", "builtin"]

BUILTINS = ("iris", "wine", "breast_cancer", "digits", "diabetes")
LABELLED = frozenset({"iris", "wine", "breast_cancer"})


def builtin(name: str) -> pa.Table:
    """Return a table of scikit-learn with its answer in the column ``target``.

    Raises:
        UnknownName: there is no such table.

    """
    if name not in BUILTINS:
        raise UnknownName("builtin table", name, BUILTINS)
    import numpy as np
    import pyarrow as pa
    from sklearn import datasets

    bunch: Any = getattr(datasets, f"load_{name}")()
    features = np.asarray(bunch.data)
    target = np.asarray(bunch.target)
    answer = [str(bunch.target_names[code]) for code in target] if name in LABELLED else target
    columns = {str(feature): features[:, at] for at, feature in enumerate(bunch.feature_names)}
    return pa.table({**columns, "target": answer})
