"""What is looked for: the words of the questions, other words for the same, and not those that stand everywhere."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Sequence

from orchestrator_memory.ground import Ground
from orchestrator_memory.ranking import BITS, Term
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.synonyms import others
from orchestrator_memory.terms import begins, quoted, terms

__all__ = ["COMMON", "COMMON_OTHER", "FEW", "OTHER", "Plan"]

OTHER, BEGINNING = 0.25, 0.5
"""What other words for the same weigh, and the beginning of a word that nobody used; the word itself weighs 1, and all
of it counts once for each question that has the word."""
FEW = 500
"""Memories up to which no word is left out for being frequent."""
COMMON, COMMON_OTHER = 0.2, 0.05
"""The share of the memories that have a word, or another one for it, from which on it is left out."""
# FTS5 knows in how many rows a term is, but by its stem; so rows are counted, up to as many as make a difference.
COUNT = """
SELECT (SELECT count(*) FROM (SELECT 1 FROM memory_words WHERE memory_words MATCH term.value LIMIT :most))
FROM json_each(:terms) AS term
"""
LAST = "SELECT coalesce(max(id), 0) FROM memory"


class Plan:
    """Makes terms of questions, knowing how frequent they are in a database."""

    def __init__(self, ground: Ground) -> None:
        """Count in a database; what was counted is kept, in each thread, until something is written."""
        self._ground = ground
        self._counted = threading.local()

    def __call__(self, queries: Sequence[str]) -> list[Term]:
        """Return what answers to the queries have to be looked for by; nothing where they have no word."""
        literal: dict[str, float] = {}
        same: dict[str, dict[str, None]] = {}
        for query in queries:
            words = terms(query)
            for word in words:
                literal[word] = literal.get(word, 0.0) + 1.0
            for other, said in others(query).items():
                word = next((one for one in said if one in words), None)
                if word is not None:
                    same.setdefault(word, {})[other] = None
        return self._telling(literal, same)[:BITS] if literal else []

    def _telling(self, literal: dict[str, float], same: dict[str, dict[str, None]]) -> list[Term]:
        db = self._ground.read()
        rows = db.execute(LAST).fetchone()[0]
        most, most_other = (COMMON * rows, COMMON_OTHER * rows) if rows > FEW else (rows + 1, rows + 1)
        counts = self._counts(
            db, rows, [quoted(one) for one in {*literal, *(one for word in same for one in same[word])}]
        )
        found = [Term(word, weight) for word, weight in literal.items() if 0 < counts[quoted(word)] < most]
        found = found or [Term(word, weight) for word, weight in literal.items() if counts[quoted(word)]]
        for word, several in same.items():
            telling = tuple(one for one in several if one not in literal and 0 < counts[quoted(one)] < most_other)
            if telling:
                found.append(Term(word, OTHER * literal[word], telling))
        unknown = [
            Term(word, BEGINNING * weight, beginning=True)
            for word, weight in literal.items()
            if not counts[quoted(word)] and begins(word)
        ]
        counts = self._counts(db, rows, [one.match for one in unknown])
        return [*found, *(one for one in unknown if 0 < counts[one.match] < most_other)]

    def _counts(self, db: sqlite3.Connection, rows: int, matches: Iterable[str]) -> dict[str, int]:
        version = db.execute("PRAGMA data_version").fetchone()[0]
        if getattr(self._counted, "version", None) != version:
            self._counted.version, self._counted.counts = version, {}
        counts: dict[str, int] = self._counted.counts
        missing = [one for one in matches if one not in counts]
        if missing:
            asked = {"terms": json.dumps(missing), "most": int(COMMON * rows) + FEW}
            counts.update(zip(missing, (row[0] for row in db.execute(COUNT, asked)), strict=True))
        return counts
