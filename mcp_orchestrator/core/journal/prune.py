"""What is forgotten: ended runs of long ago, with their steps, attempts, events and questions."""

from __future__ import annotations

from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.core.rows import FINAL, RunRow, of_row
from mcp_orchestrator.core.runlog import remove
from orchestrator_memory.sqlite import sqlite3

__all__ = ["old", "prune"]

BATCH = 200
ENDED = ", ".join(f"'{one}'" for one in sorted(FINAL))
OLD = (
    f"SELECT * FROM run WHERE status IN ({ENDED}) AND ended<? AND NOT EXISTS("  # noqa: S608 - our own names
    f"SELECT 1 FROM run AS whole WHERE whole.id=run.parent AND whole.status NOT IN ({ENDED})) ORDER BY ended"
)


def old(journal: Journal, before: int) -> list[RunRow]:
    """Return the runs that ended before a moment (microseconds UTC); those that a living run began are not among them.

    They are what `prune` takes.
    """
    return [RunRow(**of_row(row)) for row in journal.door.read().execute(OLD, (before,))]


def prune(journal: Journal, runs: list[str]) -> int:
    """Forget ended runs and remove their logs; return how many there were.

    What they made stays: artifacts, models and what MLflow knows of them, and the rows that say which run made which
    file. A run that is at work is never taken, whatever is asked.
    """
    gone = 0
    for first in range(0, len(runs), BATCH):
        batch = runs[first : first + BATCH]
        taken = journal.at_once(_forget, batch[0], batch[1:])
        for run in taken:
            remove(journal.home, run)
        gone += len(taken)
    return gone


def _forget(db: sqlite3.Connection, first: str, others: list[str]) -> list[str]:
    text = f"SELECT 1 FROM run WHERE id=? AND status IN ({ENDED})"  # noqa: S608 - our own names
    ended = [run for run in (first, *others) if db.execute(text, (run,)).fetchone()]
    for run in ended:
        for table in ("approval", "attempt", "step"):
            db.execute(f"DELETE FROM {table} WHERE run=?", (run,))  # noqa: S608 - our own names
        # The newest event stays, so that no number is given twice and no subscriber goes past an event unseen.
        db.execute("DELETE FROM event WHERE run=? AND seq<(SELECT max(seq) FROM event)", (run,))
        db.execute("DELETE FROM run WHERE id=?", (run,))
    return ended
