"""Any source frozen as one Parquet file with a fixed form, so that the same table always has the same digest."""

from __future__ import annotations

import errno
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.component import Context
from mcp_orchestrator.errors import DataRejected, InvalidInput, StateUnavailable, suggestion
from mcp_orchestrator.methods.tables.conversion import converted, type_of
from mcp_orchestrator.methods.tables.inference import Reading, decide
from mcp_orchestrator.methods.tables.shapes import Evidence
from mcp_orchestrator.methods.tables.spool import Spool
from mcp_orchestrator.methods.tables.stream import Source, Stream

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Writer", "Written", "require_column", "scratch", "write"]

GROUP = 1 << 15
"""Rows of a row group; always the same, since it is part of the bytes that the digest is of."""
STALE = 24 * 3600


@dataclass(frozen=True, kw_only=True)
class Written:
    """A snapshot on the disk and what was noticed on the way."""

    path: Path
    rows: int
    notes: dict[str, str]
    warnings: list[str]


class Writer:
    """Writes blocks as row groups of a fixed size; infinite values become missing, blank rows are left out."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        """Begin a file of this schema."""
        from pyarrow import parquet

        self.schema = schema
        self.rows = 0
        self.infinite: Counter[str] = Counter()
        self.blank = 0
        self._file: Any = parquet.ParquetWriter(path, schema, compression="zstd", write_statistics=True)
        self._held: list[pa.Table] = []
        self._count = 0

    def write(self, block: pa.RecordBatch) -> None:
        """Add a block."""
        import pyarrow as pa

        table = pa.Table.from_batches([self._finite(block)], self.schema)
        table = self._filled(table)
        self._held.append(table)
        self._count += len(table)
        self.rows += len(table)
        while self._count >= GROUP:
            whole = pa.concat_tables(self._held)
            self._file.write_table(whole.slice(0, GROUP).combine_chunks(), row_group_size=GROUP)
            self._held = [whole.slice(GROUP)]
            self._count -= GROUP

    def close(self) -> None:
        """Write what is left and end the file."""
        import pyarrow as pa

        if self._count:
            self._file.write_table(pa.concat_tables(self._held).combine_chunks(), row_group_size=GROUP)
        self._held, self._count = [], 0
        self._file.close()

    def _finite(self, block: pa.RecordBatch) -> pa.RecordBatch:
        import pyarrow as pa
        from pyarrow import compute

        for at, field in enumerate(self.schema):
            if pa.types.is_floating(field.type):
                values = block.column(at)
                sound = compute.is_finite(values)
                if not compute.all(sound).as_py():  # nulls are skipped here
                    self.infinite[field.name] += compute.sum(compute.is_inf(values)).as_py() or 0
                    mended = compute.if_else(
                        compute.fill_null(sound, fill_value=False), values, pa.scalar(None, field.type)
                    )
                    block = block.set_column(at, field, mended)
        return block

    def _filled(self, table: pa.Table) -> pa.Table:
        from functools import reduce

        from pyarrow import compute

        if table.num_columns < 2 or any(column.null_count == 0 for column in table.columns):
            return table
        filled = reduce(compute.or_, (compute.is_valid(column) for column in table.columns))
        kept = table.filter(filled)
        self.blank += len(table) - len(kept)
        return kept


def write(ctx: Context, source: Source, folder: Path, *, target: str | None) -> Written:
    """Read a source whole and write it as a snapshot into ``folder``.

    Raises:
        DataRejected: something in the table cannot be read; it names the column and the row.
        InvalidInput: the table has no column ``target``, or more rows than allowed.

    """
    stream = source.open(lambda done: ctx.report(done / 2, f"reading {source.name}"))
    path = folder / "snapshot.parquet"
    written = (
        _typed(ctx, stream, path, target=target) if stream.typed else _text(ctx, stream, folder, path, target=target)
    )
    if not written.rows:
        raise DataRejected(f"{source.name} has no rows.", then="Give a table with at least one row.")
    return written


def _typed(ctx: Context, stream: Stream, path: Path, *, target: str | None) -> Written:
    writer: Writer | None = None
    for block in stream.blocks:
        if writer is None:
            require_column(target, block.schema.names)
            writer = Writer(path, block.schema.remove_metadata())
        writer.write(block)
        _bound(ctx, writer.rows)
    if writer is None:
        return Written(path=path, rows=0, notes={}, warnings=[])
    writer.close()
    return Written(path=path, rows=writer.rows, notes={}, warnings=stream.warnings + _noticed(writer))


def _text(ctx: Context, stream: Stream, folder: Path, path: Path, *, target: str | None) -> Written:
    spool = Spool(folder)
    columns: dict[str, Evidence] = {}
    for block in stream.blocks:
        start = spool.rows
        for name, values in zip(block.schema.names, block.columns, strict=True):
            columns.setdefault(name, Evidence()).see(values, start)
        spool.add(block)
        _bound(ctx, spool.rows)
    readings = decide(columns)
    for name in stream.unnamed:
        if name in readings and readings[name].kind == "empty":
            del readings[name]
    require_column(target, list(readings))
    if not readings:
        return Written(path=path, rows=0, notes={}, warnings=[])
    writer = _convert(ctx, spool, readings, path)
    unnamed = [name for name in readings if name in stream.unnamed]
    warnings = [
        *stream.warnings,
        *(reading.warning for reading in readings.values() if reading.warning),
        *([f"Columns without a name were called {', '.join(unnamed)}."] if unnamed else []),
        *_noticed(writer),
    ]
    notes = {name: reading.note for name, reading in readings.items() if reading.note}
    return Written(path=path, rows=writer.rows, notes=notes, warnings=warnings)


def _convert(ctx: Context, spool: Spool, readings: dict[str, Reading], path: Path) -> Writer:
    import pyarrow as pa

    writer = Writer(path, pa.schema([(name, type_of(reading)) for name, reading in readings.items()]))
    start = 0
    for block in spool:
        own = dict(zip(block.schema.names, block.columns, strict=True))
        columns = [converted(own[name], reading, column=name, start=start) for name, reading in readings.items()]
        writer.write(pa.RecordBatch.from_arrays(columns, schema=writer.schema))
        start += len(block)
        ctx.report(0.5 + start / spool.rows / 2, "writing the snapshot")
    writer.close()
    return writer


def _noticed(writer: Writer) -> list[str]:
    found = [
        f"Column {name!r}: {count:,} infinite value(s) became missing."
        for name, count in writer.infinite.items()
        if count
    ]
    if writer.blank:
        found.append(f"{writer.blank:,} row(s) without any value were left out.")
    return found


def _bound(ctx: Context, rows: int) -> None:
    if rows > ctx.settings.max_rows:
        raise InvalidInput(
            "data",
            f"has more than the {ctx.settings.max_rows:,} rows that are allowed.",
            then="Raise the setting max_rows, or take a part of the table.",
        )


def require_column(name: str | None, names: list[str], *, field: str = "target") -> None:
    """Refuse the name of a column that a table does not have.

    Raises:
        InvalidInput: it names the near misses, or all columns.

    """
    if name is not None and name not in names:
        near = suggestion(name, names)
        listed = f"Columns: {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}."
        raise InvalidInput(field, f"the table has no column {name!r}.", then=near or listed)


@contextmanager
def scratch(ctx: Context) -> Generator[Path]:
    """Give a folder in the state home that is gone afterwards, as are those that a killed process left a day ago.

    Raises:
        StateUnavailable: the disk is full, or the state home cannot be written.

    """
    base = ctx.settings.home / "scratch"
    try:
        base.mkdir(parents=True, exist_ok=True, mode=0o700)
        for old in base.iterdir():
            if old.stat().st_mtime < time.time() - STALE:
                shutil.rmtree(old, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=base, prefix="table-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES}:
            message = f"{base} cannot be written: {error.strerror}. Make room there, or set MCP_ORCHESTRATOR_HOME."
            raise StateUnavailable(message) from error
        raise
