"""Tables that carry their types: Parquet, Feather and Arrow files, and frames in memory, brought to five types.

Whole numbers become int64, others float64, truth values bool, dates UTC timestamps in microseconds without a zone, and
everything else text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.errors import DataRejected
from mcp_orchestrator.methods.tables.dialect import header_names
from mcp_orchestrator.methods.tables.stream import Stream, Tell, told

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["open_arrow", "open_frame", "open_parquet", "open_table", "tidy"]

ROWS = 1 << 14
FIRST, LAST = -62_135_596_800_000_000, 253_402_300_800_000_000
"""The years 1 and 10000 in microseconds since 1970."""


def open_parquet(path: Path, *, tell: Tell) -> Stream:
    """Open a Parquet file as typed blocks.

    Raises:
        DataRejected: the file is not readable as Parquet, or a column has a name twice or a type that no table holds.

    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise DataRejected(f"{path.name} is not a readable Parquet file: {told(error)}.") from error
    names = _checked(file.schema_arrow)
    rows = max(1, file.metadata.num_rows)

    def blocks() -> Iterator[pa.RecordBatch]:
        done = 0
        try:
            with file:
                for block in file.iter_batches(batch_size=ROWS, use_threads=False):
                    yield tidy(block, names)
                    done += len(block)
                    tell(done / rows)
        except (pa.ArrowException, OSError) as error:
            raise DataRejected(f"{path.name} is damaged: {told(error)}.", then="Write it again.") from error

    return Stream(blocks=blocks(), typed=True)


def open_arrow(path: Path, *, tell: Tell) -> Stream:
    """Open a Feather file, or an Arrow file or stream, as typed blocks.

    Raises:
        DataRejected: the file is not readable, or a column has a name twice or a type that no table holds.

    """
    import pyarrow as pa

    def blocks(reader: Any, source: Any) -> Iterator[pa.RecordBatch]:  # noqa: ANN401 - a file's or a stream's reader
        try:
            with source, reader:
                found = (
                    iter(reader)
                    if hasattr(reader, "read_next_batch")
                    else map(reader.get_batch, range(reader.num_record_batches))
                )
                for number, block in enumerate(found, start=1):
                    for begin in range(0, len(block), ROWS):
                        yield tidy(block.slice(begin, ROWS), names)
                    tell(number / getattr(reader, "num_record_batches", number + 1))
        except (pa.ArrowException, OSError) as error:
            raise DataRejected(f"{path.name} is damaged: {told(error)}.", then="Write it again.") from error

    for opener in (pa.ipc.open_file, pa.ipc.open_stream):
        source = pa.OSFile(str(path))
        try:
            reader = opener(source)
        except (pa.ArrowException, OSError) as error:
            source.close()
            problem = error
        else:
            names = _checked(reader.schema)
            return Stream(blocks=blocks(reader, source), typed=True)
    raise DataRejected(
        f"{path.name} is not a readable Feather or Arrow file: {told(problem)}.", then="Write it again, as version 2."
    )


def open_table(table: pa.Table) -> Stream:
    """Give a table in memory as typed blocks."""
    names = _checked(table.schema)
    return Stream(blocks=(tidy(block, names) for block in table.to_batches(max_chunksize=ROWS)), typed=True)


def open_frame(frame: pd.DataFrame) -> Stream:
    """Give a pandas frame as typed blocks; its index is left out.

    Raises:
        DataRejected: a column has a name twice, or holds values of several types.

    """
    import pyarrow as pa

    columns: list[Any] = []
    names, _ = header_names(list(frame.columns))
    for position, name in enumerate(names):
        try:
            columns.append(pa.Array.from_pandas(frame.iloc[:, position]))
        except (pa.ArrowException, TypeError, OverflowError) as error:
            raise DataRejected(
                f"holds values of several types: {told(error)}.", column=name, then="Give it one type."
            ) from error
    return open_table(pa.table(columns, names=list(names)))


def tidy(block: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    """Bring a block to the five types."""
    import pyarrow as pa

    block.validate(full=True)
    columns = [_column(block.column(at), name) for at, name in enumerate(names)]
    return pa.RecordBatch.from_arrays(columns, names=list(names))


def _checked(schema: pa.Schema) -> tuple[str, ...]:
    """Return the column names, after refusing what no block could be brought to."""
    names, _ = header_names(schema.names)
    if not names:
        raise DataRejected("The table has no columns.")
    for name, field in zip(names, schema, strict=True):
        _column(field.type, name)
    return names


def _column(values: Any, name: str) -> Any:  # noqa: ANN401 - an array becomes an array, a type only is checked
    """Cast an array to one of the five types, or check that its type has one."""
    import pyarrow as pa
    from pyarrow import types

    kind: Any = values if isinstance(values, pa.DataType) else values.type
    if types.is_dictionary(kind):
        return _column(kind.value_type if values is kind else values.dictionary_decode(), name)
    if isinstance(kind, pa.BaseExtensionType):
        return _column(kind.storage_type if values is kind else values.storage, name)
    wanted = _wanted(kind, name)
    if values is kind:
        return values
    found = values if kind == wanted else _cast(values, wanted, name)
    if types.is_timestamp(wanted):
        _refuse_far(found, name)
    return found


def _wanted(kind: Any, name: str) -> Any:  # noqa: ANN401 - pyarrow types
    import pyarrow as pa
    from pyarrow import types

    for wanted, those in (
        (pa.int64(), (types.is_integer,)),
        (pa.float64(), (types.is_floating, types.is_decimal, types.is_null, types.is_duration)),
        (pa.bool_(), (types.is_boolean,)),
        (pa.timestamp("us"), (types.is_timestamp, types.is_date)),
        (pa.string(), (types.is_string, types.is_large_string, types.is_string_view, types.is_time)),
    ):
        if any(one(kind) for one in those):
            return wanted
    raise DataRejected(
        f"holds {kind}, which no feature can be made of.",
        column=name,
        then="Give one number, text, date or truth value in each cell, or leave the column out.",
    )


def _refuse_far(values: pa.Array, name: str) -> None:
    """Refuse times that no calendar of this program can show."""
    import pyarrow as pa
    from pyarrow import compute

    bounds = compute.min_max(values.cast(pa.int64())).as_py()
    if bounds["min"] is not None and (bounds["min"] < FIRST or bounds["max"] >= LAST):
        raise DataRejected(
            "holds a time before the year 1 or after the year 9999.", column=name, then="Leave it empty."
        )


def _cast(values: Any, wanted: Any, name: str) -> Any:  # noqa: ANN401 - pyarrow arrays
    import pyarrow as pa
    from pyarrow import compute, types

    if types.is_duration(values.type):
        return compute.divide(values.cast(pa.duration("us")).cast(pa.int64()).cast(pa.float64()), 1e6)
    try:
        return values.cast(wanted, safe=not types.is_temporal(values.type))
    except pa.ArrowInvalid as error:
        raise DataRejected(
            f"does not fit into {wanted}: {told(error)}.", column=name, then="Store it as text."
        ) from error
