"""How what was found is ordered: one statement that scores every memory that has one of the terms.

The score is the product of its parts:

- ``text``: the sum over the words of the questions of what the word weighs times its BM25, as FTS5 computes it
  (k1 = 1.2, b = .75; Robertson & Zaragoza, "The probabilistic relevance framework", 2009); it counts three times in the
  title, and twice in the labels. A memory that has only other words for it is scored by those, which weigh less. BM25
  of several terms is the sum of theirs, so that each can be looked for by itself and have a weight of its own.
- ``breadth``: the square root of how many of these words it has.
- ``recency``: .5 + .5 exp(-age / 30 days), from when it was last written; 1 for what is pinned.
- ``importance``: .5 + importance.
- ``feedback``: .5 + (helpful + 1) / (helpful + harmful + 2), so 1 where nobody said anything (Laplace's rule).
- ``trust``: .8 for what a tool or an import says, 1 for what an agent says, 1.1 for what is proved, a run's or a
  person's.
- ``pinned``: 1.25, or 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator_memory.terms import begins, quoted
from orchestrator_memory.values import Memory

__all__ = ["BITS", "PARTS", "Term", "matched", "ranked", "weighed", "why"]

PARTS = ("text", "breadth", "fused", "recency", "importance", "feedback", "trust", "pinned")
BITS = 62
"""Terms at most: which ones a memory has is one integer of SQLite."""
DAY = 86_400_000_000
HIGH = 0.6
"""Importance above this is worth saying."""
NAMED = 6
"""Words that are named at most."""
# Plain SQL: Core knows neither MATCH nor bm25. The inner LIMIT keeps SQLite from merging the two selections; bm25 can
# only be asked where the index itself is read.
FOUND = """
WITH term AS MATERIALIZED (
    SELECT value ->> 0 AS match, value ->> 1 AS weight, 1 << key AS bit FROM json_each(:terms)
), found AS (
    SELECT id, sum(score) AS text, sqrt(count(*)) AS breadth, sum(bit) AS terms
    FROM (
        SELECT memory_words.rowid AS id, -bm25(memory_words, 3.0, 1.0, 2.0) * weight AS score, bit
        FROM term CROSS JOIN memory_words
        WHERE memory_words MATCH term.match
        LIMIT -1 OFFSET 0
    )
    GROUP BY id
)
"""
LISTED = "WITH found AS (SELECT value AS id, 0 AS terms, 1.0 AS text, 1.0 AS breadth FROM json_each(:listed))"
WEIGHTS = {
    "recency": "iif(m.pinned, 1.0, 0.5 + 0.5 * exp(-max(0, :now - m.updated_at) / 2592000000000.0))",
    "importance": "0.5 + m.importance",
    "feedback": "0.5 + (m.helpful + 1.0) / (m.helpful + m.harmful + 2.0)",
    "trust": "CASE m.trust WHEN 0 THEN 0.8 WHEN 1 THEN 1.0 ELSE 1.1 END",
    "pinned": "iif(m.pinned, 1.25, 1.0)",
}
# What is known of each that has a term is one number; the parts of it are told of the best alone.
BEST = f"""
, best AS MATERIALIZED (
    SELECT m.id, found.terms, found.text, found.breadth,
           found.text * found.breadth * {" * ".join(f"({one})" for one in WEIGHTS.values())} AS score
    FROM found CROSS JOIN memory AS m ON m.id = found.id
    WHERE m.project_id = :project
      AND (m.expires_at IS NULL OR m.expires_at > :now)
      AND m.valid_from <= :now
      AND {{conditions}}
    ORDER BY score DESC, m.id DESC
    LIMIT :most
)
SELECT best.*, {", ".join(f"{one} AS {name}" for name, one in WEIGHTS.items())}
FROM best CROSS JOIN memory AS m ON m.id = best.id
ORDER BY score DESC, best.id DESC
"""  # noqa: S608 - of constants
VALID = {False: "m.valid_to IS NULL", True: "(m.valid_to IS NULL OR m.superseded_by IS NOT NULL)"}
FILTERS = {
    "kinds": "m.kind IN (SELECT value FROM json_each(:kinds))",
    "agent": "m.agent_id = :agent",
    "area": "m.area = :area",
    "since": "m.created_at >= :since",
    "trust": "m.trust >= :trust",
    "tags": """NOT EXISTS (
        SELECT 1 FROM json_each(:tags) AS wanted WHERE wanted.value NOT IN (SELECT value FROM json_each(m.tags))
    )""",
}


def ranked(given: Mapping[str, Any]) -> str:
    """Return the statement for the best of what has the ``terms``, narrowed to what is ``given``."""
    return FOUND + _best(given)


def weighed(given: Mapping[str, Any]) -> str:
    """Return the statement for what the memories that are ``listed`` count, whatever they say; narrowed likewise."""
    return LISTED + _best(given)


def _best(given: Mapping[str, Any]) -> str:
    wanted = [text for name, text in FILTERS.items() if given[name] is not None]
    return BEST.format(conditions=" AND ".join([VALID[given["superseded"]], *wanted]))


@dataclass(frozen=True)
class Term:
    """A word of the questions, or the ``others`` that mean the same, of which a memory has some but not the word.

    A word that no memory has is looked for by its ``beginning``.
    """

    word: str
    weight: float
    others: tuple[str, ...] = ()
    beginning: bool = False

    @property
    def match(self) -> str:
        """Return what FTS5 looks for."""
        if self.others:
            return f"({' OR '.join(map(quoted, self.others))}) NOT {quoted(self.word)}"
        return f"{quoted(begins(self.word))} *" if self.beginning else quoted(self.word)


def matched(terms: Sequence[Term], bits: int) -> list[Term]:
    """Return the terms that a memory has, those that count most first."""
    return sorted((one for place, one in enumerate(terms) if bits >> place & 1), key=lambda one: -one.weight)


def why(found: Sequence[Term], memory: Memory, now: int) -> str:
    """Return in words why a memory was found, and what made its score."""
    heading, text = memory.title.lower(), memory.body.lower()
    words = [begins(one.word) if one.beginning else one.word for one in found if not one.others]
    titled = [one for one in words if one in heading]
    said = [
        _listed("matched", titled, " in the title"),
        _listed("matched", [one for one in words if one not in titled]),
    ]
    for term in filter(lambda one: one.others, found):
        named = [one for one in term.others if one in heading or one in text]
        said.append(f"has other words for '{term.word}'{_listed(':', named)}")
    days = max(0, now - memory.updated) // DAY
    said.insert(0, "" if found else "near in meaning")
    said.append("of today" if days < 1 else f"{days} day{'s' if days > 1 else ''} old")
    said.append(f"helped {_times(memory.helpful)}" if memory.helpful else "")
    said.append(f"misled {_times(memory.harmful)}" if memory.harmful else "")
    said.append("important" if memory.importance > HIGH else "")
    said.append("pinned" if memory.pinned else "")
    return "; ".join(filter(None, said))


def _listed(verb: str, words: Sequence[str], where: str = "") -> str:
    return f"{verb} {', '.join(repr(one) for one in words[:NAMED])}{where}" if words else ""


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
