"""Rows as objects: inline records, JSON lines, JSON arrays, and the rows of workbooks and databases.

All of them become blocks of text, so that one set of rules decides what a column is, whichever way it came.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.errors import DataRejected, InvalidInput
from mcp_orchestrator.methods.tables.encoding import opened, scan
from mcp_orchestrator.methods.tables.stream import Stream, Tell
from mcp_orchestrator.values import INLINE_ROWS

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["blocks_of", "inline", "open_json", "text_of"]

WRITTEN: dict[type, Callable[[Any], str]] = {
    bool: lambda value: "true" if value else "false",
    float: lambda value: repr(float(value)),
    date: date.isoformat,
    timedelta: lambda value: repr(value.total_seconds()),
}
CELLS = 500_000
LONGEST = 1 << 26
MOST_COLUMNS = 20_000


def inline(records: Sequence[object]) -> list[dict[str, Any]]:
    """Return the records given with a call, flattened.

    Raises:
        InvalidInput: there are none, too many, or one is no object with names as keys.

    """
    if not records:
        raise InvalidInput("data", "has no rows.", then="Give at least one.")
    if len(records) > INLINE_ROWS:
        raise InvalidInput(
            "data",
            f"has {len(records)} inline rows, more than {INLINE_ROWS}.",
            then="Write them to a file below the project folder and give its path.",
        )
    for number, record in enumerate(records, start=1):
        if not isinstance(record, dict) or not all(isinstance(name, str) and name.strip() for name in record):
            raise InvalidInput("data", f"row {number} is not an object of names and values.")
    return [flat(record, row=number) for number, record in enumerate(records, start=1) if isinstance(record, dict)]


def open_json(path: Path, *, packed: bool, most: int, tell: Tell) -> Stream:
    """Open a file of JSON lines or of one JSON array of objects.

    Raises:
        DataRejected: the file is empty; while the blocks are read, for a row that is no JSON object.

    """
    facts = scan(path, packed=packed, most=most)
    encoding = "utf-8-sig" if facts.encoding == "utf-8" else facts.encoding

    def objects() -> Iterator[dict[str, Any]]:
        with opened(path, packed=packed) as file, io.TextIOWrapper(file, encoding) as text:
            head = text.read(1)
            while head.isspace():
                head = text.read(1)
            found = _array(text) if head == "[" else _lines(head, text)
            for number, item in enumerate(_shallow(found), start=1):
                if not isinstance(item, dict):
                    raise DataRejected(f"is not an object: {json.dumps(item)[:60]}.", row=number, then=FORM)
                if number % 1000 == 0:
                    tell(min(1.0, file.tell() / facts.size))
                yield flat(item, row=number)

    return Stream(blocks=blocks_of(objects()), warnings=[facts.warning] if facts.warning else [])


FORM = (
    'Write one object a row, as JSON lines or as an array: {"a": 1, "b": "x"}. With pandas: to_json(orient="records").'
)


def flat(record: Mapping[str, Any], *, row: int, prefix: str = "") -> dict[str, Any]:
    """Return the object with nested objects as ``outer.inner``.

    Raises:
        DataRejected: two values end up under one name.

    """
    if not any(isinstance(value, dict) for value in record.values()) and not prefix:
        return dict(record)
    found: dict[str, Any] = {}
    for name, value in record.items():
        inner = (
            flat(value, row=row, prefix=f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
        )
        for key, one in inner.items():
            if key in found:
                raise DataRejected("has two values in this row.", column=key, row=row, then="Rename one of them.")
            found[key] = one
    return found


def blocks_of(records: Iterable[Mapping[str, Any]], names: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
    """Collect records into blocks of text; a name that comes later begins a column that is missing before."""
    columns: dict[str, list[str | None]] = {name: [] for name in names}
    held = 0
    for row, record in enumerate(records, start=1):
        for name, value in record.items():
            column = columns.get(name)
            if column is None:
                column = columns[name] = [None] * held
                if len(columns) > MOST_COLUMNS:
                    raise DataRejected(f"There are more than {MOST_COLUMNS:,} names of columns.", row=row, then=FORM)
            column.append(value if type(value) is str else text_of(value, column=name, row=row))
        held += 1
        if len(record) < len(columns):
            for column in columns.values():
                if len(column) < held:
                    column.append(None)
        if held * len(columns) >= CELLS:
            yield _block(columns)
            columns = {name: [] for name in columns}
            held = 0
    if held:
        yield _block(columns)


def text_of(value: object, *, column: str, row: int) -> str | None:
    """Return a value as the text that reads back as the same value.

    Raises:
        DataRejected: the value is a list, bytes or another thing that no column can hold.

    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, datetime):
        return (value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value).isoformat(" ")
    for kind, written in WRITTEN.items():
        if isinstance(value, kind):
            return written(value)
    if isinstance(value, bytes | bytearray | memoryview | list | tuple | set | Mapping):
        raise DataRejected(
            f"holds {'bytes' if isinstance(value, bytes | bytearray | memoryview) else f'a {type(value).__name__}'}.",
            column=column,
            row=row,
            then="Give one number, text, date or truth value in each cell, or leave the column out.",
        )
    item: Callable[[], object] | None = getattr(value, "item", None)  # a scalar of numpy
    return text_of(item(), column=column, row=row) if item is not None else str(value)


def _block(columns: Mapping[str, list[str | None]]) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.RecordBatch.from_arrays(
        [pa.array(values, pa.string()) for values in columns.values()], names=list(columns)
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DataRejected("stands twice in one object.", column=twice, then="Rename one of them.")
    return found


PIECE = 1 << 16
SPACE = re.compile(r"\s*")
DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def _shallow(found: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from found
    except RecursionError as error:
        raise DataRejected("An object is nested too deeply.", then=FORM) from error


def _lines(head: str, text: io.TextIOBase) -> Iterator[Any]:
    number = 0
    line = head + text.readline(LONGEST)
    while line:
        if line.strip():
            number += 1
            if len(line) >= LONGEST:
                raise DataRejected(f"is longer than {LONGEST:,} characters.", row=number, then=FORM)
            try:
                yield DECODER.decode(line)
            except json.JSONDecodeError as error:
                raise DataRejected(
                    f"is not valid JSON ({error.msg}): {line.strip()[:60]!r}.", row=number, then=FORM
                ) from error
        line = text.readline(LONGEST)


def _array(text: io.TextIOBase) -> Iterator[Any]:
    """Decode the items of an array one by one, so that the array is never in memory at once."""
    number = at = stop = 0
    buffer, wanted, item = "", PIECE, None
    while True:
        at = _space(buffer, at)
        if buffer.startswith("]", at):
            return
        try:
            item, stop = DECODER.raw_decode(buffer, at)
            stop = _space(buffer, stop)
            problem = "more is needed" if stop == len(buffer) else ""
        except json.JSONDecodeError as error:
            problem = error.msg
        if problem:  # the item may be cut by the end of the piece
            more = text.read(wanted) if wanted <= LONGEST else ""
            if not more:
                raise DataRejected(
                    f"is not valid JSON ({problem}): {buffer[at : at + 60]!r}.", row=number + 1, then=FORM
                )
            buffer, at, wanted = buffer[at:] + more, 0, wanted * 2
            continue
        number += 1
        wanted = PIECE
        if buffer[stop] not in ",]":
            raise DataRejected(
                f"is followed by {buffer[stop : stop + 20]!r} in place of a comma.", row=number, then=FORM
            )
        at = stop + (buffer[stop] == ",")
        yield item


def _space(text: str, start: int) -> int:
    found = SPACE.match(text, start)
    return found.end() if found else start
