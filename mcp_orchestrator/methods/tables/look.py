"""One look at a snapshot, row group by row group: exact figures of all rows, and a sample for what needs more."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.errors import DataRejected
from mcp_orchestrator.methods.tables.stream import told

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["Figures", "Look", "counts_of", "look", "opened_snapshot", "to_frame"]

ROWS = 50_000
CELLS = 2_000_000
"""A sample has at most as many rows, and at most as many cells."""


@dataclass
class Figures:
    """Exact figures of one column."""

    dtype: str
    missing: int = 0
    minimum: Any = None
    maximum: Any = None
    total: float = 0.0
    present: int = 0


@dataclass(kw_only=True)
class Look:
    """What one look at a snapshot gave; ``whole`` says that the sample is the table."""

    rows: int
    frame: pd.DataFrame
    whole: bool
    columns: dict[str, Figures] = field(default_factory=dict[str, Figures])


def look(path: Path) -> Look:
    """Look at a snapshot; the sample is drawn evenly from all row groups, the same one each time."""
    import numpy as np
    import pyarrow as pa

    with opened_snapshot(path) as file:
        rows = int(file.metadata.num_rows)
        schema = file.schema_arrow
        columns = {one.name: Figures(dtype=str(one.type)) for one in schema}
        most = min(ROWS, max(1000, CELLS // max(1, len(schema))))
        draw = np.random.default_rng(0)
        kept: list[pa.Table] = []
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, use_threads=False)
            for name, figures in columns.items():
                _add(figures, table.column(name))
            share = len(table) if rows <= most else round(len(table) * most / rows)
            kept.append(table if share >= len(table) else table.take(np.sort(draw.permutation(len(table))[:share])))
    sample = pa.concat_tables(kept) if kept else schema.empty_table()
    return Look(rows=rows, frame=to_frame(sample), whole=len(sample) == rows, columns=columns)


def counts_of(path: Path, name: str, most: int = 1000) -> Counter[Any] | None:
    """Count the values of one column over all rows, or return None where there are more than ``most``."""
    from pyarrow import compute

    found: Counter[Any] = Counter()
    with opened_snapshot(path) as file:
        for group in range(file.num_row_groups):
            values = file.read_row_group(group, columns=[name], use_threads=False).column(0).drop_null()
            for pair in compute.value_counts(values).to_pylist():
                found[pair["values"]] += pair["counts"]
            if len(found) > most:
                return None
    return found


def opened_snapshot(path: Path) -> Any:  # noqa: ANN401 - pyarrow's ParquetFile
    """Open the Parquet file of a snapshot.

    Raises:
        DataRejected: it is none.

    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(path, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise DataRejected(f"{path} is not a readable snapshot: {told(error)}.") from error


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Return a table as a pandas frame; truth values with gaps get pandas' own type for them."""
    import pandas as pd
    import pyarrow as pa

    frame = table.to_pandas()
    for at, one in enumerate(table.schema):
        if pa.types.is_boolean(one.type) and table.column(at).null_count:
            frame[one.name] = pd.array(table.column(at).to_pylist(), dtype="boolean")
    return frame


def _add(figures: Figures, values: pa.ChunkedArray) -> None:
    import pyarrow as pa
    from pyarrow import compute

    figures.missing += values.null_count
    present = len(values) - values.null_count
    if not present or pa.types.is_string(values.type):
        return
    bounds = compute.min_max(values).as_py()
    figures.minimum = bounds["min"] if figures.minimum is None else min(figures.minimum, bounds["min"])
    figures.maximum = bounds["max"] if figures.maximum is None else max(figures.maximum, bounds["max"])
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        figures.total += compute.sum(values.cast(pa.float64(), safe=False)).as_py()
        figures.present += present
