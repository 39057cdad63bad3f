"""How a delimited file is written: its delimiter, its header, and where a row stands that breaks the form."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mcp_orchestrator.errors import DataRejected
from mcp_orchestrator.methods.tables.encoding import Bytes, opened

__all__ = ["Dialect", "header_names", "read_dialect", "rows"]

DELIMITERS = (",", ";", "\t", "|")
SAMPLE = 1 << 18
NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?")
FRACTION = re.compile(r"[+-]?\d*[.,]\d+")


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """The form of a delimited file; ``skip`` counts the lines up to and including the header."""

    delimiter: str
    encoding: str
    names: tuple[str, ...]
    unnamed: frozenset[str]
    skip: int
    quoted: bool
    warnings: tuple[str, ...] = ()


def read_dialect(path: Path, facts: Bytes, *, packed: bool) -> Dialect:
    """Work the form out from the beginning of the file.

    Raises:
        DataRejected: two columns share a name, there are no rows, or the first row is data and no header.

    """
    lines, whole = _beginning(path, facts, packed=packed)
    if not any(line.strip() for line in lines):
        raise DataRejected(f"{path.name} is empty.", then="Give a file with a header and rows.")
    declared = re.fullmatch(r"sep=(.)\s*", lines[0])  # what Excel writes for itself
    above = 1 if declared is not None else 0
    delimiter, read = _delimiter(lines[above:], path.name, declared[1] if declared is not None else "")
    at = _header_at(read)
    ends, head = read[at] if at < len(read) else (1, [])
    first = [row for _, row in read[at + 1 : None if whole else -1] if row]
    if facts.nul:
        _refuse_nul(path, facts, delimiter, packed=packed)
    names, unnamed = header_names(head)
    if not first:
        raise DataRejected(f"{path.name} has a header but no rows.", then="Give a file with at least one row below it.")
    _refuse_data_as_header(head, first)
    return Dialect(
        delimiter=delimiter,
        encoding=facts.encoding,
        names=names,
        unnamed=unnamed,
        skip=above + ends,
        quoted=facts.quotes > 0,
        warnings=_doubts(names, [row for _, row in read[:at] if row]),
    )


def header_names(head: Sequence[object]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the column names, with ``column_3`` and so on for those without, and the set of these.

    Raises:
        DataRejected: two columns share a name.

    """
    given = [" ".join(str(name).split()) if name is not None else "" for name in head]
    names = [name or f"column_{position}" for position, name in enumerate(given, start=1)]
    for name, times in Counter(names).items():
        if times > 1:
            places = " and ".join(str(place) for place, one in enumerate(names, start=1) if one == name)
            raise DataRejected(
                f"{times} columns have this name (columns {places}).",
                column=name,
                then="Rename or remove one of them; if the first row is data, put a row with column names above it.",
            )
    return tuple(names), frozenset(name for name, had in zip(names, given, strict=True) if not had)


def rows(path: Path, dialect: Dialect, *, packed: bool) -> Iterator[tuple[int, list[str]]]:
    """Go through the data rows one by one, numbered from 1: slow, for finding the place of an error.

    Raises:
        DataRejected: the file ends inside a quoted value; it names the row where the quote was opened.

    """
    with opened(path, packed=packed) as file, io.TextIOWrapper(file, dialect.encoding, newline="") as text:
        for _ in range(dialect.skip):
            text.readline()
        begun: list[str] = []

        def lines() -> Iterator[str]:
            for line in text:
                begun.append(line)
                yield line

        with _long_fields():
            reader = csv.reader(lines(), delimiter=dialect.delimiter, strict=True)
            number = 0
            while True:
                begun.clear()
                try:
                    row = next(reader, None)
                except csv.Error as error:
                    number += 1
                    if "unexpected end" not in str(error):
                        continue  # a quote in the middle of a value is bad form, but ends
                    begin = begun[0].strip()
                    shown = begin[:77] + "..." if len(begin) > 80 else begin
                    raise DataRejected(
                        f"a quote is opened here and never closed: {shown!r}.",
                        row=number,
                        then="Close the quote, or double it where it belongs to the value.",
                    ) from error
                if row is None:
                    return
                if row:
                    number += 1
                    yield number, row


def _beginning(path: Path, facts: Bytes, *, packed: bool) -> tuple[list[str], bool]:
    """Return the first lines, and whether they are all."""
    encoding = "utf-8-sig" if facts.encoding == "utf-8" else facts.encoding
    with opened(path, packed=packed) as file, io.TextIOWrapper(file, encoding, newline="", errors="replace") as text:
        sample = text.read(SAMPLE)
        while sample.count("\n") + sample.count("\r") < 4 and (more := text.read(len(sample))):
            sample += more
        whole = not text.read(1)
    return list(io.StringIO(sample, newline="")), whole


def _delimiter(lines: list[str], name: str, declared: str) -> tuple[str, list[tuple[int, list[str]]]]:
    """Choose the delimiter that splits the rows into as many fields as the header, and into most.

    Returns the delimiter and the rows, each with the number of lines up to its end.
    """
    best: tuple[float, int] = (0.0, 0)
    chosen = declared or ("\t" if name.lower().removesuffix(".gz").endswith((".tsv", ".tab")) else ",")
    for delimiter in () if declared else DELIMITERS:
        rows = _parsed(lines, delimiter)
        widths = [len(row) for _, row in rows[_header_at(rows) :] if row]
        if widths and widths[0] > 1:
            score = round(widths.count(widths[0]) / len(widths), 1), widths[0]
            if score > best:
                best, chosen = score, delimiter
    return chosen, _parsed(lines, chosen)


def _parsed(lines: list[str], delimiter: str) -> list[tuple[int, list[str]]]:
    with _long_fields():
        reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
        return [(reader.line_num, row) for row in reader]


def _header_at(rows: list[tuple[int, list[str]]]) -> int:
    """Return the place of the header: the first row that is neither blank nor a title or a comment above the table."""
    widths = Counter(len(row) for _, row in rows if row)
    usual = widths.most_common(1)[0][0] if widths else 0
    for at, (_, row) in enumerate(rows):
        blank = not any(cell.strip() for cell in row)
        below = rows[at + 1][1] if at + 1 < len(rows) else ["x"]
        if blank or (len(row) != usual and (row[0].lstrip().startswith("#") or not below)):
            continue
        return at
    return len(rows)


def _doubts(names: Sequence[str], titles: list[list[str]]) -> tuple[str, ...]:
    found: list[str] = []
    if titles:
        shown = "; ".join(" ".join(row).strip() for row in titles)
        found.append(f"The lines above the header were taken as titles: {shown[:200]}.")
    if all(NUMBER.fullmatch(name) for name in names):
        found.append(f"All column names are numbers ({', '.join(names[:5])}): if these are data, put names above them.")
    return tuple(found)


def _refuse_nul(path: Path, facts: Bytes, delimiter: str, *, packed: bool) -> None:
    plain = Dialect(delimiter=delimiter, encoding=facts.encoding, names=(), unnamed=frozenset(), skip=0, quoted=True)
    for number, row in rows(path, plain, packed=packed):
        for position, value in enumerate(row, start=1):
            if "\0" in value:
                raise DataRejected(
                    f"field {position} holds a NUL byte, so {path.name} is not a text file, or a damaged one.",
                    row=number - 1 or None,
                    then="Export it again as UTF-8.",
                )


def _refuse_data_as_header(head: list[str], first: list[list[str]]) -> None:
    """Refuse a file without a header, whose first row would silently become the column names.

    A cell that is a number above numbers speaks against a header, a word above numbers for one, and so does a number
    that could be a name (a year, a position); a word that comes again below it speaks against.
    """
    numbers = words = repeated = fractions = 0
    for at, name in enumerate(head):
        column = [row[at].strip() for row in first if len(row) > at and row[at].strip()]
        numeric = bool(column) and sum(NUMBER.fullmatch(value) is not None for value in column) > 0.9 * len(column)
        if NUMBER.fullmatch(name.strip()) is not None:
            numbers += numeric
            fractions += numeric and FRACTION.fullmatch(name.strip()) is not None
        elif name.strip():
            words += numeric
            repeated += name.strip() in column
    if numbers and not words and (fractions or repeated):
        shown = ", ".join(head[:5]) + (", ..." if len(head) > 5 else "")
        raise DataRejected(
            f"The first row looks like data ({shown}), not like column names.",
            then="Put a row with the names of the columns above it.",
        )


@contextmanager
def _long_fields() -> Generator[None]:
    before = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(before)
