"""What is looked for: the words of the questions, other words for the same, and few of those that stand everywhere."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Sequence

from orchestrator_memory.ground import Ground
from orchestrator_memory.ranking import BITS, Term
from orchestrator_memory.synonyms import others
from orchestrator_memory.terms import begins, quoted, terms

__all__ = ["LEAST", "LOOK", "OTHER", "Plan"]

OTHER, BEGINNING = 0.25, 0.5
"""What other words for the same weigh, and the beginning of a word that nobody used; the word itself weighs 1, and all
of it counts once for each question that has the word."""
LOOK, LEAST = 5000, 2
"""Rows that are looked at, of all terms together: those terms are looked for that are rare for what they weigh, and at
least so many. So a recall takes the same time however many memories there are."""
KEPT = 60_000_000
"""Microseconds for which it is enough to know about how frequent a term is."""
# FTS5 knows in how many rows a term is, but by its stem; so rows are counted, up to as many as make a difference.
COUNT = """
SELECT (SELECT count(*) FROM (SELECT 1 FROM memory_words WHERE memory_words MATCH term.value LIMIT :most))
FROM json_each(:terms) AS term
"""


class Plan:
    """Makes terms of questions, knowing how frequent they are in a database."""

    def __init__(self, ground: Ground) -> None:
        """Count in a database; what was counted is kept for a while, in each thread."""
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
        return self._telling(literal, same) if literal else []

    def _telling(self, literal: dict[str, float], same: dict[str, dict[str, None]]) -> list[Term]:
        counts = self._counts(quoted(one) for one in [*literal, *(one for several in same.values() for one in several)])
        found = [Term(word, weight) for word, weight in literal.items() if counts[quoted(word)]]
        for word, several in same.items():
            there = tuple(one for one in several if one not in literal and counts[quoted(one)])
            if there:
                found.append(Term(word, OTHER * literal[word], there))
                counts[found[-1].match] = sum(counts[quoted(one)] for one in there)
        unknown = [word for word in literal if not counts[quoted(word)] and begins(word)]
        begun = [Term(word, BEGINNING * literal[word], beginning=True) for word in unknown]
        counts |= self._counts(one.match for one in begun)
        return _few([*found, *(one for one in begun if counts[one.match])], counts)

    def _counts(self, matches: Iterable[str]) -> dict[str, int]:
        """Return in how many rows something is, or was within a minute, up to as many as are looked at."""
        db, now = self._ground.door.near(), self._ground.clock()
        version = (
            id(db),
            db.execute("PRAGMA data_version").fetchone()[0],
            db.total_changes,
        )  # by others, and by this one
        kept: _Kept | None = getattr(self._counted, "kept", None)
        if kept is None or not 0 <= now - kept.since < KEPT:
            kept = self._counted.kept = _Kept(now)
        if kept.version != version:
            kept.version = version
            kept.nowhere.clear()
        asked = dict.fromkeys(matches)
        missing = [one for one in asked if one not in kept.counts and one not in kept.nowhere]
        if missing:
            rows = db.execute(COUNT, {"terms": json.dumps(missing), "most": LOOK + 1}).fetchall()
            for one, (count,) in zip(missing, rows, strict=True):
                if count:
                    kept.counts[one] = count
                else:
                    kept.nowhere.add(one)
        return {one: kept.counts.get(one, 0) for one in asked}


class _Kept:
    """What was counted: how frequent a term is, for a while; that nobody has it, until something is written."""

    def __init__(self, since: int) -> None:
        self.since = since
        self.version: tuple[int, int, int] | None = None
        self.counts: dict[str, int] = {}
        self.nowhere: set[str] = set()


def _few(found: Sequence[Term], counts: dict[str, int]) -> list[Term]:
    """Return the terms that are looked for, in the order in which they were found."""
    chosen: set[int] = set()
    rows = 0
    for place in sorted(range(len(found)), key=lambda one: counts[found[one].match] / found[one].weight):
        rows += counts[found[place].match]
        if (rows > LOOK and len(chosen) >= LEAST) or len(chosen) == BITS:
            break
        chosen.add(place)
    return [one for place, one in enumerate(found) if place in chosen]
