"""The log of a run, read: by step, by level, in pages, and as it grows."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from mcp_orchestrator.core.output import OLDER, log_of
from mcp_orchestrator.errors import InvalidInput

__all__ = ["LEVELS", "Line", "Page", "read", "remove"]

LEVELS = ("debug", "info", "warning", "error", "critical")
RAW = "output"
RECORD = b'{"time": "'
PARTS = {"time", "level", "logger", "message"}
EVENT = b'"event": "'


class Line(BaseModel):
    """One line of a run's log.

    What native code wrote has the logger ``output``, the time of the line before it, and the step that was being done;
    ``guessed`` says that several steps were being done at once, and that this is the one that began last.
    """

    model_config = ConfigDict(extra="ignore")

    time: str = ""
    level: str = "INFO"
    run: str = ""
    step: str = ""
    attempt: int = 1
    logger: str = RAW
    message: str = ""
    event: str = ""
    guessed: bool = False


class Page(BaseModel):
    """Some lines of a log; ``cursor`` is where reading goes on, ``more`` whether there is more by now."""

    lines: list[Line]
    cursor: str
    more: bool


def read(home: Path, run: str, *, step: str = "", level: str = "", cursor: str = "", most: int = 200) -> Page:
    """Return lines of a run's log from ``cursor`` on, those of one ``step`` and from one ``level`` up.

    The name of a map means all its items. A log that was turned over meanwhile is read from the oldest line that is
    left. The last line is left for the next page while it has no end.

    Raises:
        InvalidInput: the level is none, or the cursor is none of ours.

    """
    if level and level.lower() not in LEVELS:
        raise InvalidInput("level", f"{level!r} is no level.", allowed=LEVELS)
    ranks = logging.getLevelNamesMapping()
    least = ranks[level.upper()] if level else 0
    mark, offset = _place(cursor)
    files = _files(home, run)
    places = [inode for _, inode in files]
    found: list[Line] = []
    for path, inode in files[places.index(mark) if mark in places else 0 :]:
        for line, end in _lines(path, run, offset if inode == mark else 0):
            if len(found) >= most:
                return Page(lines=found, cursor=cursor, more=True)
            cursor = f"{inode}:{end}"
            if (not step or step in {line.step, line.step.partition("[")[0]}) and ranks.get(line.level, 0) >= least:
                found.append(line)
    return Page(lines=found, cursor=cursor, more=False)


def _files(home: Path, run: str) -> list[tuple[Path, int]]:
    """Return the halves of a log that there are, the older first, each with what it is known by when it is renamed."""
    path = log_of(home, run)
    halves = (path.with_name(path.name + OLDER), path)
    return [(one, one.stat().st_ino) for one in halves if one.is_file()]


def _place(cursor: str) -> tuple[int, int]:
    inode, _, offset = cursor.partition(":")
    if cursor and not (inode.isdecimal() and offset.isdecimal()):
        raise InvalidInput(
            "cursor", f"{cursor!r} is not a cursor.", then="Take the cursor of the page before, or none."
        )
    return (int(inode), int(offset)) if cursor else (-1, 0)


def _lines(path: Path, run: str, begin: int) -> Iterator[tuple[Line, int]]:
    """Yield the lines of a file that end after ``begin``, with the offset of their end."""
    working: dict[str, int] = {}
    before, passed = Line(run=run), b""
    end = 0
    with path.open("rb") as file:
        for whole in file:
            if not whole.endswith(b"\n"):
                return
            if end + len(whole) < begin and EVENT not in whole:
                end += len(whole)
                passed = whole if whole.startswith(RECORD) else passed
                continue
            before, passed = (_record(passed) or before) if passed else before, b""
            for raw in _parts(whole):
                end += len(raw)
                line = _record(raw) or _foreign(raw, before, working)
                if line.event:
                    working.pop(line.step, None)
                if line.event == "begin":
                    working[line.step] = line.attempt
                before = line
                if end > begin:
                    yield line, end


def _parts(whole: bytes) -> tuple[bytes, ...]:
    """Return a line, or, where a record follows a line that native code did not end, both."""
    at = whole.find(RECORD, 1)
    return (whole[:at], whole[at:]) if at > 0 and _record(whole) is None and _record(whole[at:]) else (whole,)


def _foreign(raw: bytes, before: Line, working: dict[str, int]) -> Line:
    """Return a line that native code or a child process wrote, under the step that began last of those at work."""
    step = next(reversed(working), before.step)
    return Line(
        time=before.time,
        run=before.run,
        step=step,
        attempt=working.get(step, before.attempt),
        message=raw.decode("utf-8", "replace").rstrip("\r\n"),
        guessed=len(working) > 1,
    )


def _record(raw: bytes) -> Line | None:
    """Return a line that a recorder wrote, and None for any other."""
    if not raw.startswith(RECORD):
        return None
    try:
        found = json.loads(raw)
        return Line.model_validate(found) if found.keys() >= PARTS else None
    except (ValueError, ValidationError):
        return None


def remove(home: Path, run: str) -> int:
    """Remove the log of a run and return how many bytes that freed."""
    freed = 0
    for path, _ in _files(home, run):
        freed += path.stat().st_size
        path.unlink()
    return freed
