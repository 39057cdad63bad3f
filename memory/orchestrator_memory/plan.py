"""What is looked for: the words of the questions, other words for the same, and not those that stand everywhere."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Sequence

from orchestrator_memory.ground import Ground
from orchestrator_memory.ranking import BITS, Term
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.synonyms import others
from orchestrator_memory.terms import terms

__all__ = ["COMMON", "FEW", "OTHER", "Plan"]

OTHER = 0.5
"""What another word for the same weighs; the word itself weighs 1 for each question that has it."""
FEW = 500
"""Memories up to which no word is left out for being frequent."""
COMMON, COMMON_OTHER = 0.2, 0.05
"""The share of the memories that have a word, or another one for it, from which on it is left out."""
BEGINNING = 5
"""Letters at least of a word that nobody used, by whose beginning it is looked for instead."""
# FTS5 knows in how many rows a term is, but by its stem; so rows are counted, up to as many as make a difference.
COUNT = """
SELECT (SELECT count(*) FROM (SELECT 1 FROM memory_words WHERE memory_words MATCH term.value LIMIT :most))
FROM json_each(:terms) AS term
"""
LAST = "SELECT max(id) FROM memory"


class Plan:
    """Makes terms of questions, knowing how frequent they are in a database."""

    def __init__(self, ground: Ground) -> None:
        """Count in a database; what was counted is kept, in each thread, until something is written."""
        self._ground = ground
        self._counted = threading.local()

    def __call__(self, queries: Sequence[str]) -> list[Term]:
        """Return what answers to the queries have to be looked for by; nothing where they have no word."""
        literal: dict[str, int] = {}
        same: dict[str, tuple[int, str]] = {}
        for query in queries:
            words = terms(query)
            for word in words:
                literal[word] = literal.get(word, 0) + 1
            for other, said in others(query).items():
                word = next((one for one in said if one in words), other)
                same[other] = (same.get(other, (0, ""))[0] + 1, word)
        found = [Term(word, float(often), word) for word, often in literal.items()]
        found += [Term(one, OTHER * often, word) for one, (often, word) in same.items() if one not in literal]
        return self._telling(found)

    def _telling(self, found: list[Term]) -> list[Term]:
        db = self._ground.read()
        rows = db.execute(LAST).fetchone()[0] or 0
        if rows <= FEW:
            return found[:BITS]
        counts = self._counts(db, rows, found)
        literal = [one for one in found if one.words == one.label]
        rare = [one for one in literal if 0 < counts[one.match] < COMMON * rows]
        others = [one for one in found if one.words != one.label and 0 < counts[one.match] < COMMON_OTHER * rows]
        return [*(rare or literal), *others][:BITS]

    def _counts(self, db: sqlite3.Connection, rows: int, found: Iterable[Term]) -> dict[str, int]:
        version = db.execute("PRAGMA data_version").fetchone()[0]
        if getattr(self._counted, "version", None) != version:
            self._counted.version, self._counted.counts = version, {}
        counts: dict[str, int] = self._counted.counts
        missing = [one.match for one in found if one.match not in counts]
        if missing:
            asked = {"terms": json.dumps(missing), "most": int(COMMON * rows) + 1}
            counts.update(zip(missing, (row[0] for row in db.execute(COUNT, asked)), strict=True))
        return counts
