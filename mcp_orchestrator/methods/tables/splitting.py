"""A table divided into a part to learn from and a part to be asked about, before anything is fitted."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.component import Context
from mcp_orchestrator.errors import DataRejected, InvalidInput
from mcp_orchestrator.methods.columns.targets import task_of
from mcp_orchestrator.methods.tables.datasets import describe, keep, reference, snapshot_of
from mcp_orchestrator.methods.tables.frames import frame
from mcp_orchestrator.methods.tables.look import opened_snapshot
from mcp_orchestrator.methods.tables.snapshot import Writer, require_column, scratch
from mcp_orchestrator.values import Data, Dataset, Value

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["Part", "Splits", "split"]

ORDERS = 32
"""Random orders of groups from which the one is taken whose parts are most alike."""


class Part(Value):
    """A part of a table, frozen like any other."""

    uri: str
    name: str
    sha256: str
    rows: int
    columns: int
    bytes: int


class Splits(Value):
    """The two parts of a table, how they were made, and how they compare."""

    train: Part
    test: Part
    sizes: dict[str, int]
    classes: dict[str, dict[str, int]]
    method: str
    digest: str
    dropped: int
    warnings: list[str]


def split(
    ctx: Context,
    data: Data,
    *,
    target: str | None = None,
    test: float = 0.2,
    stratify: bool = True,
    group: str | None = None,
    time: str | None = None,
    seed: int = 0,
) -> Splits:
    """Divide a table: whole groups, or the latest rows, or the classes in equal shares, or else at random.

    Rows without a target, a group or a time are left out and counted.

    Raises:
        InvalidInput: a column is not there, or both a group and a time are given.
        DataRejected: the rows do not allow two parts.

    """
    if group is not None and time is not None:
        raise InvalidInput("time", "cannot be given together with group.", then="Give the one that matters more.")
    whole = describe(ctx, reference(ctx, data))
    names = [column.name for column in whole.profile.columns]
    for field, column in (("target", target), ("group", group), ("time", time)):
        require_column(column, names, field=field)
    if target is not None and target in {group, time}:
        raise InvalidInput("target", f"{target!r} cannot also decide which rows are the test part.")
    wanted = [column for column in (target, group, time) if column is not None]
    few = frame(ctx, whole.uri, wanted or names[:1])
    place, method = _places(few, target=target, test=test, stratify=stratify, group=group, time=time, seed=seed)
    parts = _written(ctx, whole, place, target=target)
    classes = {name: dict(part.profile.classes) for name, part in parts.items()} if target is not None else {}
    dropped = int((place == 0).sum())
    return Splits(
        train=_part(parts["train"]),
        test=_part(parts["test"]),
        sizes={name: part.rows for name, part in parts.items()},
        classes={name: found for name, found in classes.items() if found},
        method=method,
        digest=hashlib.sha256(whole.sha256.encode() + place.tobytes()).hexdigest(),
        dropped=dropped,
        warnings=_noticed(classes, dropped, wanted),
    )


def _places(
    few: pd.DataFrame,
    *,
    target: str | None,
    test: float,
    stratify: bool,
    group: str | None,
    time: str | None,
    seed: int,
) -> tuple[np.ndarray, str]:
    """Return for each row 0 (left out), 1 (train) or 2 (test), and how that was decided."""
    import numpy as np

    wanted = [column for column in (target, group, time) if column is not None]
    known = few[wanted].notna().all(axis=1).to_numpy() if wanted else np.ones(len(few), dtype=bool)
    rows = np.flatnonzero(known)
    size = int(np.ceil(test * len(rows) - 1e-9))
    if len(rows) < 2 or not 0 < size < len(rows):
        raise DataRejected(
            f"{len(rows)} usable rows cannot be divided so that {test:.0%} are the test part.",
            then="Give more rows, or another fraction.",
        )
    classed = target is not None and task_of(few[target].iloc[rows]) == "classification"
    codes = few[target].iloc[rows].astype("category").cat.codes.to_numpy() if classed else None
    if time is not None:
        chosen, method = _latest(few[time].iloc[rows], size), f"the latest rows by {time!r}"
    elif group is not None:
        chosen = _grouped(few[group].iloc[rows], codes if stratify else None, size, seed)
        method = f"whole groups of {group!r}, seed {seed}"
    elif stratify and codes is not None:
        chosen, method = _stratified(codes, size, seed, str(target)), f"stratified by {target!r}, seed {seed}"
    else:
        chosen = np.zeros(len(rows), dtype=bool)
        chosen[np.random.default_rng(seed).permutation(len(rows))[:size]] = True
        method = f"at random, seed {seed}"
    place = np.zeros(len(few), dtype=np.int8)
    place[rows] = np.where(chosen, 2, 1)
    return place, method


def _stratified(codes: np.ndarray, size: int, seed: int, target: str) -> np.ndarray:
    import numpy as np
    from sklearn.model_selection import train_test_split

    counts = np.bincount(codes)
    if counts.min() < 2:
        raise DataRejected(
            f"{np.count_nonzero(counts < 2)} classes have one row, which cannot be in both parts.",
            column=target,
            then="Join rare classes, or split with stratify=false.",
        )
    if min(size, len(codes) - size) < len(counts):
        raise DataRejected(
            f"a part of {min(size, len(codes) - size)} rows cannot hold all {len(counts)} classes.",
            column=target,
            then="Give another fraction, or split with stratify=false.",
        )
    _, taken = train_test_split(np.arange(len(codes)), test_size=size, stratify=codes, random_state=seed)
    chosen = np.zeros(len(codes), dtype=bool)
    chosen[taken] = True
    return chosen


def _latest(times: pd.Series, size: int) -> np.ndarray:
    """Choose the latest rows; rows of one time are never divided."""
    import numpy as np
    from pandas.api import types

    name = str(times.name)
    if not (types.is_datetime64_any_dtype(times.dtype) or types.is_numeric_dtype(times.dtype)):
        raise DataRejected("holds text, and times are needed.", column=name, then="Write its dates as YYYY-MM-DD.")
    values = times.to_numpy()
    distinct = np.unique(values)
    if len(distinct) < 2:
        raise DataRejected("has one time only, so there is no later part.", column=name)
    begin = max(np.sort(values)[len(values) - size], distinct[1])
    return values >= begin


def _grouped(groups: pd.Series, codes: np.ndarray | None, size: int, seed: int) -> np.ndarray:
    """Choose whole groups: of several random choices the one nearest to the size and to the shares of the classes."""
    import numpy as np
    import pandas as pd

    of, names = pd.factorize(groups)
    if len(names) < 2:
        raise DataRejected("has one group only, which cannot be in both parts.", column=str(groups.name))
    rows = np.bincount(of)
    if codes is None:
        codes = np.zeros(len(of), dtype=np.int64)
    tally = np.zeros((len(names), int(codes.max()) + 1))
    np.add.at(tally, (of, codes), 1)
    shares = tally.sum(axis=0) / len(of)
    draw = np.random.default_rng(seed)
    best: tuple[float, Any] = (np.inf, None)
    for _ in range(ORDERS):
        order = draw.permutation(len(names))
        filled = np.cumsum(rows[order])
        count = 1 + int(np.argmin(np.abs(filled[:-1] - size)))  # at least one group stays for the other part
        taken = order[:count]
        unlike = np.abs(tally[taken].sum(axis=0) / filled[count - 1] - shares).sum()
        loss = abs(filled[count - 1] - size) / len(of) + float(unlike)
        if loss < best[0]:
            best = (loss, taken)
    return np.isin(of, best[1])


def _written(ctx: Context, whole: Dataset, place: np.ndarray, *, target: str | None) -> dict[str, Dataset]:
    """Write both parts row group by row group, so that the table is never in memory at once."""
    import pyarrow as pa

    with scratch(ctx) as folder, opened_snapshot(snapshot_of(ctx, whole.uri)) as file:
        paths = {"train": folder / "train.parquet", "test": folder / "test.parquet"}
        writers = {name: Writer(path, file.schema_arrow) for name, path in paths.items()}
        begin = 0
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, use_threads=False)
            here = place[begin : begin + len(table)]
            for code, writer in enumerate(writers.values(), start=1):
                for block in table.filter(pa.array(here == code)).to_batches():
                    writer.write(block)
            begin += len(table)
        base = whole.name[:74]
        return {
            name: keep(
                ctx, writer, paths[name], name=f"{base}-{name}", source=f"{name} part of {whole.uri}", target=target
            )
            for name, writer in writers.items()
        }


def _part(dataset: Dataset) -> Part:
    return Part(**dataset.model_dump(include=set(Part.model_fields)))


def _noticed(classes: dict[str, dict[str, int]], dropped: int, wanted: list[str]) -> list[str]:
    found: list[str] = []
    if dropped:
        found.append(f"{dropped:,} rows were left out, because {' or '.join(wanted)} is missing there.")
    train, test = classes.get("train", {}), classes.get("test", {})
    found.extend(f"The class {name!r} is only in the test part." for name in test if name not in train)
    found.extend(f"The class {name!r} is only in the training part." for name in train if name not in test)
    return found[:20]
