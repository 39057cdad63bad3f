"""Many finished runs at once: rows like those of a run that MLflow wrote, in one transaction.

MLflow's own calls take three transactions and some 8 ms a run, a second for a hundred trials. The run that serves as
the pattern is written by MLflow, so that each column that a version of MLflow has is filled as that version does it.
"""

from __future__ import annotations

import math
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Entry", "insert_like"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A finished run: times in milliseconds UTC, names and values as MLflow takes them."""

    name: str
    status: str
    started: int
    ended: int
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]


def insert_like(database: Path, pattern: str, entries: Sequence[Entry]) -> list[str]:
    """Insert runs that are like the run ``pattern`` but for what the entries say, and return their ids.

    Raises:
        sqlite3.Error: the tables are not the known ones; nothing was inserted.

    """
    import sqlite3

    ids = [uuid.uuid4().hex for _ in entries]
    with closing(sqlite3.connect(database, isolation_level=None, timeout=20)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        try:
            like = dict(connection.execute("SELECT * FROM runs WHERE run_uuid=?", (pattern,)).fetchone())
            names = ", ".join(like)
            places = ", ".join(f":{name}" for name in like)
            connection.executemany(
                f"INSERT INTO runs({names}) VALUES({places})",
                (_run(like, pattern, run_id, entry) for run_id, entry in zip(ids, entries, strict=True)),
            )
            tied = list(zip(ids, entries, strict=True))
            for table, texts in (
                ("tags", [(run_id, {**entry.tags, "mlflow.runName": entry.name}) for run_id, entry in tied]),
                ("params", [(run_id, entry.params) for run_id, entry in tied]),
            ):
                connection.executemany(
                    f"INSERT INTO {table}(run_uuid, key, value) VALUES(?, ?, ?)",
                    ((run_id, key, value) for run_id, pairs in texts for key, value in pairs.items()),
                )
            for table in ("metrics", "latest_metrics"):
                connection.executemany(
                    f"INSERT INTO {table}(run_uuid, key, value, timestamp, step, is_nan) VALUES(?, ?, ?, ?, 0, ?)",
                    (metric for run_id, entry in tied for metric in _metrics(run_id, entry)),
                )
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    return ids


def _run(like: Mapping[str, object], pattern: str, run_id: str, entry: Entry) -> dict[str, object]:
    return {
        **like,
        "run_uuid": run_id,
        "name": entry.name,
        "status": entry.status,
        "start_time": entry.started,
        "end_time": entry.ended,
        "artifact_uri": str(like["artifact_uri"]).replace(pattern, run_id),
    }


def _metrics(run_id: str, entry: Entry) -> Iterator[tuple[str, str, float, int, bool]]:
    """Give the values as MLflow keeps them: what is not a number as 0 with a mark, infinity as the largest number."""
    most = sys.float_info.max
    for key, value in entry.metrics.items():
        kept = 0.0 if math.isnan(value) else min(max(value, -most), most)
        yield run_id, key, kept, entry.ended, math.isnan(value)
