"""Excel workbooks, row by row."""

from __future__ import annotations

import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from mcp_orchestrator.errors import DataRejected, InvalidInput, suggestion
from mcp_orchestrator.methods.tables.dialect import header_names
from mcp_orchestrator.methods.tables.records import blocks_of
from mcp_orchestrator.methods.tables.stream import Stream, Tell, told

__all__ = ["open_workbook"]

BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    ParseError,
    OSError,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    NotImplementedError,
)
"""What openpyxl lets through when the parts of a workbook are damaged."""
TITLES = 20
"""Rows in which a header is looked for below titles."""


def open_workbook(path: Path, *, sheet: str | None, most: int, tell: Tell) -> Stream:
    """Open a sheet (the first that has rows, unless one is named) as blocks of text.

    Raises:
        DataRejected: the file is no workbook, is empty, or has a column name twice.
        InvalidInput: there is no such sheet.

    """
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    _refuse_bomb(path, most)
    file = path.open("rb")  # ours to close: the workbook does not close what a half-read sheet still holds
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and extensions, which a table does not have
            book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
    except (*BROKEN, InvalidFileException) as error:
        file.close()
        raise DataRejected(
            f"{path.name} is not a readable workbook: {told(error)}.", then="Save it again as .xlsx."
        ) from error
    stream = Stream(blocks=iter(()))
    try:
        rows = _opened_sheet(path, book, sheet, stream)
        head, rows = _below_titles(next(rows), rows, stream)
        names, unnamed = header_names(head)
    except BaseException:
        file.close()
        raise
    stream.unnamed.update(unnamed)

    def records() -> Iterator[dict[str, Any]]:
        try:
            for number, row in enumerate(rows, start=1):
                if len(row) > len(names):
                    raise DataRejected(
                        f"has {len(row)} cells where the header has {len(names)}: {row[-1]!r} has no column.",
                        row=number,
                        then="Give each column a name, and keep notes out of the table.",
                    )
                if number % 5000 == 0:
                    tell(0.5)  # how many rows there are is not known before the end
                yield dict(zip(names, row, strict=False))
        finally:
            file.close()

    stream.blocks = blocks_of(records(), names)
    return stream


def _opened_sheet(path: Path, book: Any, name: str | None, stream: Stream) -> Iterator[list[Any]]:  # noqa: ANN401 - a workbook
    """Return the rows of the sheet called ``name``, or of the first that has any."""
    titles = [one.title for one in book.worksheets]
    if name is not None and name not in titles:
        raise InvalidInput("table", f"there is no sheet {name!r}.", allowed=titles, then=suggestion(name, titles))
    for title in titles if name is None else [name]:
        rows = _rows(book[title])
        first = next(rows, None)
        if first is None:
            continue
        others = [repr(other) for other in titles if other != title]
        if name is None and others:
            stream.warnings.append(
                f"The workbook has {len(titles)} sheets; {title!r} was read. "
                f"Give another one's name as table: {', '.join(others)}.",
            )
        return chain([first], rows)
    raise DataRejected(f"{path.name} is empty.", then="Give a sheet with a header and rows.")


def _rows(sheet: Any) -> Iterator[list[Any]]:  # noqa: ANN401 - openpyxl's read-only sheet
    """Give the rows that hold something, each without the empty cells behind its last value."""
    sheet.reset_dimensions()  # what is declared is wrong in files of several writers
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cells = sheet.iter_rows(values_only=True)
        while True:
            try:
                row = list(next(cells))
            except StopIteration:
                return
            except BROKEN as error:
                raise DataRejected(f"The sheet is damaged: {told(error)}.", then="Save the workbook again.") from error
            while row and (row[-1] is None or row[-1] == ""):
                row.pop()
            if row:
                yield row


def _below_titles(
    head: list[Any], rows: Iterator[list[Any]], stream: Stream
) -> tuple[Sequence[Any], Iterator[list[Any]]]:
    """Return the header and the rows below it: the first row, or the first wider one below titles of one cell."""
    held = [head]
    while _filled(held[-1]) == 1 and len(held) <= TITLES:
        following = next(rows, None)
        if following is None:
            break
        held.append(following)
    names = sum(isinstance(value, str) and value != "" for value in held[-1])
    if len(held[-1]) <= max((len(row) for row in held[:-1]), default=len(held[-1])) or 2 * names < _filled(held[-1]):
        return head, chain(held[1:], rows)
    titles = "; ".join(str(value) for row in held[:-1] for value in row if value is not None and value != "")
    stream.warnings.append(f"The rows above the header were taken as titles: {titles}.")
    return held[-1], rows


def _filled(row: list[Any]) -> int:
    return sum(value is not None and value != "" for value in row)


def _refuse_bomb(path: Path, most: int) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(item.file_size for item in archive.infolist())
    except BROKEN as error:
        raise DataRejected(f"{path.name} is not a workbook: {told(error)}.", then="Save it again as .xlsx.") from error
    if size > most:
        raise DataRejected(
            f"{path.name} unpacks to {size:,} bytes, more than {most:,}.", then="Raise the setting max_bytes."
        )
