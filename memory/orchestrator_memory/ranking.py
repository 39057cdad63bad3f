"""How what was found is ordered: one statement that scores every memory that has one of the terms.

The score is the product of its parts:

- ``text``: the sum over the words of the questions of what the word, or the best of the others that mean the same,
  weighs times its BM25 as FTS5 computes it (k1 = 1.2, b = .75; Robertson & Zaragoza, "The probabilistic relevance
  framework", 2009); a word counts three times in the title, and twice in the labels. BM25 of several terms is the sum
  of theirs, so that each can be looked for by itself and have a weight of its own.
- ``breadth``: the square root of how many of these words it has.
- ``recency``: .5 + .5 exp(-age / 30 days), from when it was last written; 1 for what is pinned.
- ``importance``: .5 + importance.
- ``feedback``: .5 + (helpful + 1) / (helpful + harmful + 2), so 1 where nobody said anything (Laplace's rule).
- ``trust``: .8 for what a tool or an import says, 1 for what an agent says, 1.1 for what is proved, a run's or a
  person's.
- ``pinned``: 1.25, or 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.terms import quoted

__all__ = ["BITS", "PARTS", "RANKED", "Term", "matched", "why"]

PARTS = ("text", "breadth", "recency", "importance", "feedback", "trust", "pinned")
BITS = 62
"""Terms at most: which ones a memory has is one integer of SQLite."""
DAY = 86_400_000_000
HIGH = 1.1
"""A part of importance above this is worth saying."""
# Plain SQL: Core knows neither MATCH nor bm25. The inner LIMIT keeps SQLite from merging the two selections; bm25 can
# only be asked where the index itself is read.
RANKED = """
WITH term AS MATERIALIZED (
    SELECT value ->> 0 AS match, value ->> 1 AS weight, value ->> 2 AS word, 1 << key AS bit FROM json_each(:terms)
), found AS (
    SELECT id, sum(best) AS text, sqrt(count(*)) AS breadth, sum(bits) AS terms
    FROM (
        SELECT id, max(weight * score) AS best, sum(bit) AS bits
        FROM (
            SELECT memory_words.rowid AS id, -bm25(memory_words, 3.0, 1.0, 2.0) AS score, weight, word, bit
            FROM term CROSS JOIN memory_words
            WHERE memory_words MATCH term.match
            LIMIT -1 OFFSET 0
        )
        GROUP BY id, word
    )
    GROUP BY id
), scored AS (
    SELECT m.id, found.terms, found.text, found.breadth,
           iif(m.pinned, 1.0, 0.5 + 0.5 * exp(-max(0, :now - m.updated_at) / 2592000000000.0)) AS recency,
           0.5 + m.importance AS importance,
           0.5 + (m.helpful + 1.0) / (m.helpful + m.harmful + 2.0) AS feedback,
           CASE m.trust WHEN 0 THEN 0.8 WHEN 1 THEN 1.0 ELSE 1.1 END AS trust,
           iif(m.pinned, 1.25, 1.0) AS pinned
    FROM found CROSS JOIN memory AS m ON m.id = found.id
    WHERE m.project_id = :project
      AND (m.valid_to IS NULL OR (:superseded AND m.superseded_by IS NOT NULL))
      AND (m.expires_at IS NULL OR m.expires_at > :now)
      AND m.valid_from <= :now
      AND m.trust >= :trust
      AND (:kinds IS NULL OR m.kind IN (SELECT value FROM json_each(:kinds)))
      AND (:agent IS NULL OR m.agent_id = :agent)
      AND (:area IS NULL OR m.area = :area)
      AND (:since IS NULL OR m.created_at >= :since)
      AND (:tags IS NULL OR NOT EXISTS (
          SELECT 1 FROM json_each(:tags) AS wanted WHERE wanted.value NOT IN (SELECT value FROM json_each(m.tags))
      ))
)
SELECT *, text * breadth * recency * importance * feedback * trust * pinned AS score
FROM scored
ORDER BY score DESC, id DESC
LIMIT :most
"""


@dataclass(frozen=True)
class Term:
    """Something that is looked for: a word, or words that must stand together, and what it counts.

    ``label`` is the word of the question that it stands for; it differs from ``words`` where another word means it.
    """

    words: str
    weight: float
    label: str

    @property
    def match(self) -> str:
        """Return what FTS5 looks for."""
        return quoted(self.words)


def matched(terms: Sequence[Term], bits: int) -> list[Term]:
    """Return the terms that a memory has, those that count most first."""
    return sorted((one for place, one in enumerate(terms) if bits >> place & 1), key=lambda one: -one.weight)


def why(row: sqlite3.Row, found: Iterable[Term], *, title: str, helpful: int, harmful: int, age: int) -> str:
    """Return in words why a memory was found, and what made its score."""
    words = list(dict.fromkeys(one.words if one.words == one.label else f"{one.words} ({one.label})" for one in found))
    heading = title.casefold()
    inside = [one for one in words if one.split(" (")[0] in heading]
    said = ["matched " + ", ".join(f"'{one}'" for one in words[:6])]
    if inside:
        said[0] += " (in the title: " + ", ".join(inside[:4]) + ")" if len(inside) < len(words) else " in the title"
    said.append(_old(age))
    if helpful:
        said.append(f"helped {_times(helpful)}")
    if harmful:
        said.append(f"misled {_times(harmful)}")
    if row["importance"] > HIGH:
        said.append("important")
    if row["pinned"] > 1:
        said.append("pinned")
    return "; ".join(said)


def _old(age: int) -> str:
    days = age // DAY
    return "of today" if days < 1 else f"{days} day{'s' if days > 1 else ''} old"


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
