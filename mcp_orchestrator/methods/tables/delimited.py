"""Delimited files (CSV, TSV and their kin), streamed as blocks of text so that no file is ever in memory at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mcp_orchestrator.errors import DataRejected
from mcp_orchestrator.methods.tables.dialect import Dialect, read_dialect, rows
from mcp_orchestrator.methods.tables.encoding import opened, scan
from mcp_orchestrator.methods.tables.stream import Stream, Tell, told

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import csv

__all__ = ["open_delimited"]

BLOCK = 1 << 20
LONGEST = 1 << 26
"""Rows up to this many bytes are read, in blocks as large; others never end."""


def open_delimited(path: Path, *, packed: bool, most: int, tell: Tell) -> Stream:
    """Open a delimited file as blocks of text.

    Raises:
        DataRejected: the file is empty, has no rows, holds NUL bytes or a column name twice; while the blocks are read,
            for a row with too few or too many fields and for a quote that is never closed.

    """
    facts = scan(path, packed=packed, most=most)
    dialect = read_dialect(path, facts, packed=packed)
    if facts.quotes % 2:
        _refuse_open_quote(rows(path, dialect, packed=packed))
    stream = Stream(
        blocks=_blocks(path, dialect, packed=packed, size=facts.size, tell=tell),
        warnings=[*([facts.warning] if facts.warning else []), *dialect.warnings],
        unnamed=set(dialect.unnamed),
    )
    if len(dialect.names) == 1:
        stream.warnings.append(
            f"Only one column was found ({dialect.names[0]!r}); fields are separated by comma, semicolon, tab or |.",
        )
    return stream


def _blocks(path: Path, dialect: Dialect, *, packed: bool, size: int, tell: Tell) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    seen = 0
    wide = min(LONGEST // 2, BLOCK * max(1, len(dialect.names) // 500))  # so that a block holds many rows of any table
    for block_size in (wide, LONGEST):
        broken: list[csv.InvalidRow] = []
        ahead = seen  # rows that were already given when a row longer than a block ended the first reading
        try:
            with opened(path, packed=packed) as file:
                for block in _reader(file, dialect, block_size, broken):
                    given = block.slice(ahead) if ahead < len(block) else None
                    ahead = max(0, ahead - len(block))
                    if given is not None:
                        seen += len(given)
                        yield given
                        tell(min(1.0, file.tell() / size))
        except pa.ArrowInvalid as error:
            if broken:
                raise _ragged(broken[0], dialect) from error
            if "straddl" not in str(error):
                raise DataRejected(f"{path.name} cannot be read: {told(error)}.") from error
            if block_size == LONGEST:
                _refuse_open_quote(rows(path, dialect, packed=packed))
                message = f"{path.name} has a row of more than {LONGEST:,} bytes after row {seen}."
                raise DataRejected(message, then="Check its quotes.") from error
        else:
            return


def _reader(file: BinaryIO, dialect: Dialect, block: int, broken: list[csv.InvalidRow]) -> csv.CSVStreamingReader:
    import pyarrow as pa
    from pyarrow import csv

    def note(row: csv.InvalidRow) -> str:
        broken.append(row)
        return "error"

    return csv.open_csv(
        file,
        read_options=csv.ReadOptions(
            use_threads=False,  # as fast here, and it numbers the rows that it refuses
            block_size=block,
            column_names=list(dialect.names),
            skip_rows=dialect.skip,
            encoding=dialect.encoding,
        ),
        parse_options=csv.ParseOptions(
            delimiter=dialect.delimiter,
            quote_char='"' if dialect.quoted else False,
            newlines_in_values=dialect.quoted,
            invalid_row_handler=note,
        ),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(dialect.names, pa.string()),
            strings_can_be_null=False,
            null_values=[],
        ),
    )


def _ragged(row: csv.InvalidRow, dialect: Dialect) -> DataRejected:
    text = str(row.text).strip().replace("\n", "\\n")
    shown = text if len(text) <= 80 else text[:77] + "..."
    return DataRejected(
        f"has {row.actual_columns} fields where the header has {row.expected_columns}: {shown!r}.",
        row=row.number - dialect.skip,
        then="Quote values that hold the delimiter, close every quote, and give each row all of its fields.",
    )


def _refuse_open_quote(numbered: Iterator[tuple[int, list[str]]]) -> None:
    for _ in numbered:
        pass
