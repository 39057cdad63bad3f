"""The file of the knowledge-graph memory server (``memory.jsonl``), read as memories.

An entity becomes a note, what was observed of it and how it stands to another become facts about it, linked to the
notes. All of it is imported, so trusted by nobody, and has a uid made of what it says: reading the file again adds only
what is new in it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import nullcontext, suppress
from itertools import islice
from typing import Any

from orchestrator_memory.arrival import SLICE, Imported, Undo, shown
from orchestrator_memory.compiled import of
from orchestrator_memory.errors import Refused
from orchestrator_memory.ground import Ground
from orchestrator_memory.intake import taken
from orchestrator_memory.lines import SHAPES, columns
from orchestrator_memory.settling import Settling
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.tables import Memory
from orchestrator_memory.writing import BODY, LABEL, TITLE

__all__ = ["read_graph"]

SOURCE = "knowledge graph"


def read_graph(ground: Ground, stream: Iterable[str], *, dry: bool = False) -> Imported:
    """Read a file of the knowledge-graph server in slices; with ``dry``, nothing is changed.

    Raises:
        ReadOnly: a newer version of the program wrote the database.

    """
    reading = _Reading(ground)
    numbered = ((number, text) for number, text in enumerate(stream, start=1) if text.strip())
    with suppress(Undo), ground.together() if dry else nullcontext():
        while part := list(islice(numbered, SLICE)):
            with ground.write() as db:
                reading.take(db, part)
        if dry:
            raise Undo
    return Imported(added=dict(reading.added), same=dict(reading.same), refused=reading.refused, dry=dry)


class _Reading:
    """One reading of one file."""

    def __init__(self, ground: Ground) -> None:
        """Look at what there is already."""
        self._ground, self._settling = ground, Settling(ground)
        self.added, self.same = Counter[str](), Counter[str]()
        self.refused: list[str] = []

    def take(self, db: sqlite3.Connection, numbered: Iterable[tuple[int, str]]) -> None:
        """Take some lines; one that is none is told, and the others are taken."""
        for number, text in numbered:
            try:
                made = list(self._lines(json.loads(text)))
                became = [(line["line"], self._placed(db, line)) for line in made]
            except Refused as problem:
                shown(self.refused, number, str(problem))
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                shown(self.refused, number, "it is neither an entity nor a relation.")
            else:
                for kind, how in became:
                    (self.added if how == "added" else self.same)[kind] += 1

    def _placed(self, db: sqlite3.Connection, line: dict[str, Any]) -> str:
        return "same" if self._settling.has(line["line"], line["uid"]) else self._settling.place(db, line)

    def _lines(self, said: dict[str, Any]) -> Iterator[dict[str, Any]]:
        match said:
            case {"type": "entity", "name": str(name), "entityType": str(kind), "observations": [*observations]}:
                yield self._entity(name, kind)
                for one in observations:
                    yield from self._fact(str(one), name, kind, about=[name])
            case {"type": "relation", "from": str(one), "to": str(other), "relationType": str(relation)}:
                yield self._entity(one, "")
                yield self._entity(other, "")
                yield from self._fact(f"{one} {relation} {other}", one, relation, about=[one, other])
            case _:
                raise Refused("line", "is neither an entity nor a relation.")

    def _entity(self, name: str, kind: str) -> dict[str, Any]:
        return self._memory("note", self._uid("entity", name), name, f"{name}: {kind}" if kind else name, [kind])

    def _fact(self, text: str, title: str, tag: str, *, about: list[str]) -> Iterator[dict[str, Any]]:
        fact = self._memory("fact", self._uid("fact", title, text), title, text, [tag])
        yield fact
        for name in about:
            target = self._uid("entity", name)
            ends = {"source": fact["uid"], "relation": "about", "target": target, "created_at": self._ground.clock()}
            yield {"line": "link", "uid": f"{fact['uid']}|about|{target}", **ends}

    def _memory(self, kind: str, uid: str, title: str, body: str, tags: list[str]) -> dict[str, Any]:
        at, shape = self._ground.clock(), SHAPES["memory"]
        text, headline = taken("observation", body, BODY), taken("name", title, TITLE)
        labels = sorted({taken("entityType", one, LABEL).text.casefold() for one in tags if one})
        blank: dict[str, Any] = {one.name: getattr(one.default, "arg", None) for one in of(Memory).columns}
        line = {name: json.loads(blank[name]) if name in shape.json else blank[name] for name in columns(shape)}
        about = {"line": "memory", "uid": uid, "kind": kind, "title": headline.text, "body": text.text, "tags": labels}
        times = {"created_at": at, "updated_at": at, "valid_from": at, "words": "\n".join(labels)}
        origin = {"origin": "import", "trust": 0, "source": SOURCE, "agent": None, "superseded_by": None}
        return line | about | times | origin | {"flags": sorted({*text.flags, *headline.flags})}

    def _uid(self, *said: str) -> str:
        """Return a UUID of version 8 (RFC 9562): the hash of the project and what is said."""
        text = "\0".join((SOURCE, self._ground.slug, *said))
        value = int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest(), "big")
        value = value & ~(0xF << 76) | 0x8 << 76
        value = value & ~(0x3 << 62) | 0x2 << 62
        one = f"{value:032x}"
        return f"{one[:8]}-{one[8:12]}-{one[12:16]}-{one[16:20]}-{one[20:]}"
