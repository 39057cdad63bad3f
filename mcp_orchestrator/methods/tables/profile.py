"""The profile of a snapshot: what its columns are, and what a person should know before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mcp_orchestrator.methods.columns.targets import task_of
from mcp_orchestrator.methods.tables.kinds import kind_of, likely_target
from mcp_orchestrator.methods.tables.look import Figures, Look, counts_of, look
from mcp_orchestrator.methods.tables.snapshot import require_column
from mcp_orchestrator.methods.tables.suspects import suspects
from mcp_orchestrator.values import Column, Profile

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["profiled", "row_hashes"]

FEW_ROWS = 50
RARE = 0.2
"""The share of an equal part below which a class is rare; with two classes, a tenth of the rows."""
GAPS = 0.5


def profiled(
    path: Path,
    *,
    target: str | None = None,
    notes: Mapping[str, str] | None = None,
    warnings: Sequence[str] = (),
) -> Profile:
    """Profile a snapshot; ``notes`` (by column) and ``warnings`` are what was noticed when the source was read.

    Without a ``target``, task, classes and leakage suspects are those of the likely target, if there is one.

    Raises:
        InvalidInput: the table has no column ``target``.

    """
    seen = look(path)
    require_column(target, list(seen.columns))
    hashes = _hashes(seen.frame)
    columns = [_column(seen, name, (notes or {}).get(name, "")) for name in seen.columns]
    likely = likely_target(columns)
    chosen = target or likely
    task, classes = _task(path, seen, chosen)
    leaks = suspects(seen.frame, chosen, task) if chosen is not None and task is not None else {}
    duplicates = _duplicates(hashes)
    return Profile(
        rows=seen.rows,
        columns=columns,
        duplicate_rows=duplicates,
        target=target,
        likely_target=likely,
        task=task,
        classes=classes,
        leakage_suspects=list(leaks),
        warnings=[
            *warnings,
            *_about_columns(seen, columns, hashes),
            *_about_rows(seen, duplicates),
            *_about_target(seen, chosen, task, classes),
            *(
                f"Column {name!r} gives {chosen!r} away: {reason}. Leave it out if it comes after the answer."
                for name, reason in leaks.items()
            ),
        ],
    )


def row_hashes(hashes: Mapping[str, np.ndarray]) -> np.ndarray:
    """Combine the hashes of columns into one for each row."""
    import numpy as np

    whole = np.zeros(len(next(iter(hashes.values()), ())), dtype=np.uint64)
    for values in hashes.values():
        whole = whole * np.uint64(1_000_003) ^ values
    return whole


def _hashes(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    from pandas.util import hash_pandas_object

    return {str(name): hash_pandas_object(frame[name], index=False).to_numpy() for name in frame.columns}


def _duplicates(hashes: Mapping[str, np.ndarray]) -> int:
    import numpy as np

    rows = row_hashes(hashes)
    return len(rows) - len(np.unique(rows))


def _column(seen: Look, name: str, note: str) -> Column:
    figures = seen.columns[name]
    values = seen.frame[name]
    present = values.dropna()
    distinct = int(present.nunique())
    kind, word = kind_of(values, present, distinct)
    dated = kind == "date" and figures.minimum is not None
    span = f"from {figures.minimum:%Y-%m-%d} to {figures.maximum:%Y-%m-%d}" if dated else ""
    low, high = (figures.minimum, figures.maximum) if figures.present else (None, None)
    return Column(
        name=name,
        kind=kind,
        dtype=figures.dtype,
        missing=figures.missing,
        distinct=distinct,
        sample=_sample(present),
        minimum=None if low is None else float(low),
        maximum=None if high is None else float(high),
        mean=figures.total / figures.present if figures.present else None,
        note="; ".join(part for part in (span, word, note) if part),
    )


def _sample(present: pd.Series) -> list[Any]:
    found: list[Any] = []
    for value in present.head(50).unique().tolist():
        plain = value.isoformat(" ") if hasattr(value, "isoformat") else value
        found.append(plain[:77] + "..." if isinstance(plain, str) and len(plain) > 80 else plain)
        if len(found) == 3:
            break
    return found


def _task(
    path: Path,
    seen: Look,
    target: str | None,
) -> tuple[Literal["classification", "regression"] | None, dict[str, int]]:
    """Say what kind of problem the target makes, and count its classes in all rows."""
    if target is None or not len(seen.frame[target].dropna()) or seen.columns[target].dtype.startswith("timestamp"):
        return None, {}
    task = task_of(seen.frame[target])
    counts = counts_of(path, target) if task == "classification" else None
    return task, {_label(value): count for value, count in sorted(counts.items(), key=_order)} if counts else {}


def _order(pair: tuple[Any, int]) -> tuple[str, Any]:
    return type(pair[0]).__name__, pair[0]


def _label(value: Any) -> str:  # noqa: ANN401 - a class
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _about_columns(seen: Look, columns: Sequence[Column], hashes: Mapping[str, np.ndarray]) -> list[str]:
    found: list[str] = []
    for kind, sentence in (
        ("empty", "have no value at all"),
        ("constant", "have the same value in each row"),
        ("identifier", "only tell rows apart (identifiers)"),
    ):
        names = [column.name for column in columns if column.kind == kind]
        if names:
            found.append(f"These columns {sentence}, and will not help: {_listed(names)}.")
    gaps = [f"{column.name} ({column.missing / seen.rows:.0%})" for column in columns if _gappy(column, seen.rows)]
    if gaps:
        found.append(f"More than half of the values are missing in: {_listed(gaps)}.")
    same: dict[bytes, list[str]] = {}
    for column in columns:
        if column.kind not in {"empty", "constant"}:
            same.setdefault(hashes[column.name].tobytes(), []).append(column.name)
    found.extend(f"These columns hold the same values: {_listed(names)}." for names in same.values() if len(names) > 1)
    return found


def _gappy(column: Column, rows: int) -> bool:
    return column.kind != "empty" and column.missing > GAPS * rows


def _about_rows(seen: Look, duplicates: int) -> list[str]:
    found: list[str] = []
    if seen.rows < FEW_ROWS:
        found.append(f"There are only {seen.rows} rows; every figure will be uncertain.")
    if duplicates:
        found.append(
            f"{duplicates:,} of {len(seen.frame):,} rows are copies of earlier ones and may end up in both parts."
        )
    if not seen.whole:
        found.append(
            f"Kinds, distinct values, copies and leaks were judged from {len(seen.frame):,} of {seen.rows:,} rows.",
        )
    return found


def _about_target(seen: Look, target: str | None, task: str | None, classes: Mapping[str, int]) -> list[str]:
    if target is None:
        return []
    figures: Figures = seen.columns[target]
    found: list[str] = []
    if figures.missing:
        found.append(f"The target {target!r} is missing in {figures.missing:,} of {seen.rows:,} rows.")
    if task == "classification" and classes:
        rare, count = min(classes.items(), key=lambda pair: pair[1])
        total = sum(classes.values())
        if count < RARE * total / len(classes):
            found.append(
                f"The class {rare!r} has only {count:,} of {total:,} rows; accuracy alone would hide how it does."
            )
    return found


def _listed(names: Sequence[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
