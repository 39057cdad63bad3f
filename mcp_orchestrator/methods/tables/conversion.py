"""A block of text turned into values, once it is decided what its column is."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.errors import DataRejected
from mcp_orchestrator.methods.tables.inference import Reading
from mcp_orchestrator.methods.tables.shapes import UNIT, present

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["converted", "type_of"]

MONTHS = "janfebmaraprmayjunjulaugsepoctnovdec"
CLOCK = r"(?:[ T]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?(?: ?([ap])m)?)?"
ZONE = r"(?: ?(z|utc|[+-]\d{2}:?\d{2}))?"
YEAR_FIRST = re.compile(rf"(\d{{4}})[-/](\d{{1,2}})[-/](\d{{1,2}}){CLOCK}{ZONE}", re.IGNORECASE)
YEAR_LAST = re.compile(rf"(\d{{1,2}})[-/.](\d{{1,2}})[-/.](\d{{4}}){CLOCK}{ZONE}", re.IGNORECASE)
DAY_NAMED = re.compile(rf"(\d{{1,2}})[ -]([a-z]+)[ ,-]+(\d{{4}}){CLOCK}{ZONE}", re.IGNORECASE)
NAMED_DAY = re.compile(rf"([a-z]+)\.? (\d{{1,2}}),? (\d{{4}}){CLOCK}{ZONE}", re.IGNORECASE)


def type_of(reading: Reading) -> pa.DataType:
    """Return the type that a column read this way has."""
    import pyarrow as pa

    types = {"int": pa.int64(), "bool": pa.bool_(), "date": pa.timestamp("us"), "text": pa.string()}
    return types.get(reading.kind, pa.float64())


def converted(values: pa.Array, reading: Reading, *, column: str, start: int) -> pa.Array:
    """Turn a block of text that begins after row ``start`` into values.

    Raises:
        DataRejected: a date of the block does not exist, such as 31/02/2024; it names column and row.

    """
    import pyarrow as pa
    from pyarrow import compute

    if reading.kind == "empty":
        return pa.nulls(len(values), pa.float64())
    trimmed, gone = present(values)
    text = compute.if_else(gone, pa.scalar(None, pa.string()), trimmed)
    if reading.kind == "text":
        return text
    if reading.kind == "bool":
        return compute.if_else(gone, pa.scalar(None, pa.bool_()), compute.equal(compute.utf8_lower(text), "true"))
    if reading.kind == "date":
        return _dates(text, reading, column=column, start=start)
    if reading.unit:
        text = compute.utf8_trim_whitespace(compute.replace_substring_regex(text, UNIT, r"\1\2"))
    if reading.remove:
        text = compute.replace_substring_regex(text, reading.remove, "")
    if reading.comma:
        text = compute.replace_substring(text, ",", ".")
    return compute.utf8_ltrim(text, characters="+").cast(type_of(reading))


def _dates(text: pa.Array, reading: Reading, *, column: str, start: int) -> pa.Array:
    import pyarrow as pa
    from pyarrow import compute

    wanted = pa.timestamp("us")
    if reading.order in {"iso", "zoned"}:
        try:
            return text.cast(pa.timestamp("us", tz="UTC") if reading.order == "zoned" else wanted).cast(wanted)
        except pa.ArrowInvalid:
            pass  # written in a way that only the slower road reads, or no date at all
    encoded = text.dictionary_encode()
    days: list[datetime] = []
    for word in encoded.dictionary.to_pylist():
        day = _date(word, month_first=reading.order == "mdy")
        if day is None:
            row = start + compute.index(text, word).as_py() + 1
            raise DataRejected(
                f"{word!r} is not a date that exists.", column=column, row=row, then="Mend or empty the cell."
            )
        days.append(day)
    return pa.array(days, wanted).take(encoded.indices)


def _date(text: str, *, month_first: bool) -> datetime | None:
    if found := YEAR_FIRST.fullmatch(text):
        year, month, day, *clock = found.groups()
    elif found := YEAR_LAST.fullmatch(text):
        first, second, year, *clock = found.groups()
        day, month = (second, first) if month_first else (first, second)
    elif found := DAY_NAMED.fullmatch(text):
        day, month, year, *clock = found.groups()
    elif found := NAMED_DAY.fullmatch(text):
        month, day, year, *clock = found.groups()
    else:
        return None
    number = int(month) if month.isdigit() else MONTHS.index(month[:3].lower()) // 3 + 1
    try:
        return datetime(int(year), number, int(day)) + _time(clock)  # noqa: DTZ001 - UTC, stored without a zone
    except (ValueError, OverflowError):
        return None


def _time(clock: list[Any]) -> timedelta:
    """Return the time of the day in UTC.

    Raises:
        ValueError: there is no such time.

    """
    hour, minute, second, fraction, half, zone = clock
    if hour is None:
        return timedelta()
    hours, minutes, seconds = int(hour), int(minute), int(second or 0)
    if half is not None:
        if not 1 <= hours <= 12:
            raise ValueError(hour)
        hours = hours % 12 + (12 if half.lower() == "p" else 0)
    if hours > 23 or minutes > 59 or seconds > 59:
        raise ValueError(hour)
    offset = timedelta()
    if zone is not None and zone[0] in "+-":
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:])) * (1 if zone[0] == "+" else -1)
    micro = int((fraction or "0")[:6].ljust(6, "0"))
    return timedelta(hours=hours, minutes=minutes, seconds=seconds, microseconds=micro) - offset
