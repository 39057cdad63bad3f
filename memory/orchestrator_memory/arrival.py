"""Lines of a file as they come into the memory: checked, cleaned, and each once however often the file is read.

What is known by its uid is left alone, unless the line has a later version. Of another project's file, memories and
their links alone are taken, as what they are then: imported, and trusted by nobody.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from itertools import islice
from typing import Any, cast

from pydantic import Field

from orchestrator_memory.context import KEY
from orchestrator_memory.errors import MemoryFailure, Refused
from orchestrator_memory.ground import Ground
from orchestrator_memory.intake import taken, values
from orchestrator_memory.lines import FORMAT, LARGEST, NAME, SHAPES, TEXTS, columns, digest
from orchestrator_memory.names import agent_name
from orchestrator_memory.settling import Differs, Settling
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.values import Value

__all__ = ["SLICE", "Imported", "Undo", "arrive", "shown"]

SLICE = 500
"""Lines of one transaction: others write in between."""
SHOWN = 100
"""Problems of a kind that are told, at most."""
MOST = {
    "body": 65_536,
    "words": 16_384,
    "description": 8_192,
    "source": 1000,
    "note": 4096,
    "reason": 4096,
    "role": 500,
}
SHORT = 500
"""Bytes of any text for which `MOST` says nothing."""
UID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
INSIDE = frozenset({"delegations", "deliveries"})
FROM_OTHERS = frozenset({"memory", "link"})
FLAGGED = frozenset({"title", "subject", "body"})
COUNTS = ("added", "newer", "same", "older", "left")


class Imported(Value):
    """What came of a file, in lines by kind; with ``dry``, what would.

    ``added`` were not there, ``newer`` took the place of what was, ``same`` and ``older`` changed nothing, ``left`` are
    of another project and were not taken. ``conflicts`` and ``refused`` say which lines, and why.
    """

    added: dict[str, int] = Field(default_factory=dict)
    newer: dict[str, int] = Field(default_factory=dict)
    same: dict[str, int] = Field(default_factory=dict)
    older: dict[str, int] = Field(default_factory=dict)
    left: dict[str, int] = Field(default_factory=dict)
    conflicts: list[str] = Field(default_factory=list)
    refused: list[str] = Field(default_factory=list)
    dry: bool = False


class Undo(Exception):
    """What was tried is not to stay."""


def arrive(ground: Ground, stream: Iterable[str], *, own: bool | None = None, dry: bool = False) -> Imported:
    """Read a file of lines that `transfer.export` wrote, in slices; reading it again changes nothing.

    ``own`` says whether the file is of this project (which was called otherwise, say); without it, the project that the
    file names decides. With ``dry``, nothing is changed.

    Raises:
        ReadOnly: a newer version of the program wrote the database.
        Refused: it is no such file, or of a later format.

    """
    rest = iter(stream)
    project = _project(next(rest, ""))
    arrival = _Arrival(ground, project, own=project == ground.slug if own is None else own)
    numbered = ((number, text) for number, text in enumerate(rest, start=2) if text.strip())
    with suppress(Undo), ground.together() if dry else nullcontext():
        while part := list(islice(numbered, SLICE)):
            with ground.write() as db:
                arrival.take(db, part)
        with ground.write() as db:
            arrival.settling.finish(db)
        if dry:
            raise Undo
    return arrival.told(dry=dry)


def _project(text: str) -> str:
    """Return the project of a file by its first line."""
    try:
        first = json.loads(text)
    except (ValueError, RecursionError):
        first = None
    match first:
        case {"line": "orchestrator-memory", "format": int(number), "project": str(project)} if number <= FORMAT:
            return project
        case {"line": "orchestrator-memory", "format": number}:
            raise Refused("file", f"is of format {number}, this version reads {FORMAT}.", then="Use the newer version.")
        case _:
            then = "Give a file that `memory export` wrote, or the memory.jsonl of a knowledge-graph server."
            raise Refused("file", f"does not begin with a line of {NAME!r}.", then=then)


def _uid(kind: str, uid: str) -> str:
    """Return the uid of a line, which is written as things of its kind are."""
    match kind:
        case "agent" if agent_name(uid) == uid:
            return uid
        case "context" if KEY.fullmatch(uid):
            return uid
        case "memory" | "task" | "message" if UID.fullmatch(uid):
            return uid
        case "link" | "collaboration":
            return uid
        case _:
            raise Refused("uid", f"{uid[:80]!r} is not written as that of a {kind} is.")


def _text(field: str, value: object) -> object:
    return taken(field, value, MOST.get(field, SHORT), empty=True).text if isinstance(value, str) else value


def shown(told: list[str], number: int, why: str) -> None:
    """Add a problem of a line to those that are told, if there are not too many."""
    if len(told) < SHOWN:
        told.append(f"line {number}: {why}")
    elif len(told) == SHOWN:
        told.append("... and further ones")


class _Arrival:
    """One reading of one file."""

    def __init__(self, ground: Ground, project: str, *, own: bool) -> None:
        """Look at what there is already."""
        self.project, self.own = project, own
        self.settling = Settling(ground)
        self.counts: dict[str, Counter[str]] = {name: Counter() for name in COUNTS}
        self.problems: dict[str, list[str]] = {"conflicts": [], "refused": []}

    def take(self, db: sqlite3.Connection, numbered: Iterable[tuple[int, str]]) -> None:
        """Take some lines; one with which something is wrong changes nothing, and the others are taken."""
        for number, text in numbered:
            db.execute("SAVEPOINT line")
            try:
                line = self._checked(text)
                kept = self.own or line["line"] in FROM_OTHERS
                became = self.settling.place(db, self._cleaned(line)) if kept else "left"
                self.counts[became][line["line"]] += 1
            except Differs as problem:
                self._undone(db, "conflicts", number, str(problem))
            except KeyError as problem:
                self._undone(db, "refused", number, f"it has no {problem}.")
            except (MemoryFailure, sqlite3.IntegrityError, TypeError, AttributeError, OverflowError) as problem:
                self._undone(db, "refused", number, str(problem))
            db.execute("RELEASE line")

    def told(self, *, dry: bool) -> Imported:
        """Return what came of it."""
        told: dict[str, Any] = {name: dict(one) for name, one in self.counts.items()}
        told.update(self.problems)
        return Imported(**told, dry=dry)

    def _undone(self, db: sqlite3.Connection, kind: str, number: int, why: str) -> None:
        db.execute("ROLLBACK TO line")
        shown(self.problems[kind], number, why)

    def _checked(self, text: str) -> dict[str, Any]:
        """Return a line whose hash is right."""
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            raise Refused("line", "is no JSON.") from None
        if not isinstance(line, dict):
            raise Refused("line", "is no object.")
        fields = cast("dict[str, Any]", line)
        if fields.get("line") not in SHAPES:
            raise Refused("line", "is of no kind that this version knows.")
        if fields.get("hash") != digest(fields):
            raise Refused("hash", "is not that of the line: it was changed, or cut.")
        return {name: value for name, value in fields.items() if name != "hash"}

    def _cleaned(self, line: dict[str, Any]) -> dict[str, Any]:
        """Return a line as it would have been taken in here."""
        shape = SHAPES[line["line"]]
        flags = set[str]()
        kept = line | {"uid": _uid(line["line"], line["uid"])}
        for column in columns(shape):
            if column in shape.json:
                kept[column] = json.loads(values(column, line[column], LARGEST)[0])
            elif column in TEXTS or isinstance(line[column], str):
                text = taken(column, line[column], MOST.get(column, SHORT), empty=column != "body")
                kept[column] = text.text
                flags |= {*text.flags} if column in FLAGGED else set()
        for name in INSIDE & line.keys():
            kept[name] = [{key: _text(key, value) for key, value in one.items()} for one in line[name]]
        if "flags" in kept:
            kept["flags"] = sorted({*kept["flags"], *flags})
        if line["line"] == "memory" and not self.own:
            told = {"source": kept["source"] or f"project {self.project}", "pinned": 0, "run": None}
            kept |= told | {"trust": 0, "origin": "import", "helpful": 0, "harmful": 0}
        return kept
