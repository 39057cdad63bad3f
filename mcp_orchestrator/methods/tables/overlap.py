"""What a test part shares with the part that was learned from, so that its score says less than it seems to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mcp_orchestrator.component import Context
from mcp_orchestrator.errors import InvalidInput
from mcp_orchestrator.methods.columns.targets import task_of
from mcp_orchestrator.methods.tables.frames import frame
from mcp_orchestrator.methods.tables.kinds import kind_of
from mcp_orchestrator.methods.tables.profile import row_hashes
from mcp_orchestrator.methods.tables.snapshot import require_column
from mcp_orchestrator.methods.tables.suspects import suspects
from mcp_orchestrator.values import Data, Value

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["Leak", "Leaks", "leakage"]

SHOWN = 10


class Leak(Value):
    """One way in which the answer got out."""

    kind: Literal[
        "duplicate_rows", "same_features", "identifier_overlap", "group_overlap", "time_overlap", "giveaway_column"
    ]
    count: int
    columns: list[str]
    rows: list[int]
    detail: str


class Leaks(Value):
    """What two parts share; ``rows`` of a leak are the first rows of the test part, counted from 1."""

    clean: bool
    leaks: list[Leak]
    train_rows: int
    test_rows: int
    warnings: list[str]


def leakage(
    ctx: Context,
    train: Data,
    test: Data,
    target: str,
    *,
    group: str | None = None,
    time: str | None = None,
) -> Leaks:
    """Compare two parts and name every leak between them.

    Raises:
        InvalidInput: a column is not in both parts.

    """
    ours, theirs = frame(ctx, train), frame(ctx, test)
    for field, name in (("target", target), ("group", group), ("time", time)):
        require_column(name, list(ours.columns), field=field)
        require_column(name, list(theirs.columns), field=field)
    shared = [name for name in ours.columns if name in set(theirs.columns)]
    names = _identifiers(ours, theirs, [name for name in shared if name not in {target, group, time}])
    hashes = {name: _hashed(ours[name], theirs[name]) for name in shared}
    leaks = [
        *_rows(hashes, len(ours), target, names),
        *(_values(hashes[name], len(ours), name, "identifier_overlap") for name in names),
        *([_values(hashes[group], len(ours), group, "group_overlap")] if group is not None else []),
        *([_times(ours[time], theirs[time])] if time is not None else []),
        *_giveaways(ours, theirs, shared, target),
    ]
    found = [leak for leak in leaks if leak.count]
    only = [str(name) for name in [*ours.columns, *theirs.columns] if name not in shared]
    return Leaks(
        clean=not found,
        leaks=found,
        train_rows=len(ours),
        test_rows=len(theirs),
        warnings=[f"These columns are in one part only and were not compared: {', '.join(only[:SHOWN])}."]
        if only
        else [],
    )


def _hashed(ours: pd.Series, theirs: pd.Series) -> np.ndarray:
    """Hash the values of both parts alike, whatever types the two files gave them."""
    import numpy as np
    from pandas.api import types
    from pandas.util import hash_array

    def plain(values: pd.Series, *, numeric: bool) -> np.ndarray:
        if numeric:
            return values.to_numpy(dtype=np.float64, na_value=np.nan)
        return values.astype(object).where(values.notna(), None).to_numpy()

    numeric = types.is_numeric_dtype(ours.dtype) and types.is_numeric_dtype(theirs.dtype)
    return hash_array(np.concatenate([plain(ours, numeric=numeric), plain(theirs, numeric=numeric)]))


def _rows(hashes: dict[str, np.ndarray], begin: int, target: str, names: list[str]) -> list[Leak]:
    import numpy as np

    def twins(columns: list[str]) -> np.ndarray:
        whole = row_hashes({name: hashes[name] for name in columns})
        return np.isin(whole[begin:], whole[:begin])

    every = twins(list(hashes))
    features = [name for name in hashes if name != target and name not in names]
    alike = twins(features) & ~every if features else np.zeros_like(every)
    return [
        Leak(
            kind="duplicate_rows",
            count=int(every.sum()),
            columns=[],
            rows=_first(every),
            detail=f"{int(every.sum()):,} of {len(every):,} test rows stand in the training part as well.",
        ),
        Leak(
            kind="same_features",
            count=int(alike.sum()),
            columns=[target, *names],
            rows=_first(alike),
            detail=f"{int(alike.sum()):,} of {len(every):,} test rows equal a training row but for the target.",
        ),
    ]


def _values(
    hashes: np.ndarray,
    begin: int,
    name: str,
    kind: Literal["identifier_overlap", "group_overlap"],
) -> Leak:
    import numpy as np

    both = np.isin(hashes[begin:], hashes[:begin])
    return Leak(
        kind=kind,
        count=int(both.sum()),
        columns=[name],
        rows=_first(both),
        detail=f"{int(both.sum()):,} test rows have a value of {name!r} that the training part has as well.",
    )


def _times(ours: pd.Series, theirs: pd.Series) -> Leak:
    name = str(ours.name)
    try:
        late = (ours >= theirs.min()).to_numpy(dtype=bool, na_value=False)
    except TypeError as error:
        raise InvalidInput(
            "time", f"{name!r} cannot be compared between the parts.", then="Write YYYY-MM-DD."
        ) from error
    return Leak(
        kind="time_overlap",
        count=int(late.sum()),
        columns=[name],
        rows=[],
        detail=f"{int(late.sum()):,} training rows are not earlier than the first test row ({theirs.min()}).",
    )


def _giveaways(ours: pd.DataFrame, theirs: pd.DataFrame, shared: list[str], target: str) -> list[Leak]:
    """Name the columns that tell the answer, in the larger part."""
    part = ours if len(ours) >= len(theirs) else theirs
    if not part[target].notna().any():
        return []
    return [
        Leak(kind="giveaway_column", count=1, columns=[name], rows=[], detail=f"Column {name!r}: {reason}.")
        for name, reason in suspects(part[shared], target, task_of(part[target])).items()
    ]


def _identifiers(ours: pd.DataFrame, theirs: pd.DataFrame, names: list[str]) -> list[str]:
    """Return the columns that only tell rows apart in both parts."""

    def is_name(values: pd.Series) -> bool:
        present = values.dropna()
        return kind_of(values, present, int(present.nunique()))[0] == "identifier"

    return [name for name in names if is_name(ours[name]) and (len(theirs) < SHOWN or is_name(theirs[name]))]


def _first(mask: np.ndarray) -> list[int]:
    return [int(place) + 1 for place in mask.nonzero()[0][:SHOWN]]
