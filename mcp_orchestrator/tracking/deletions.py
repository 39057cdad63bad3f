"""Versions that were deleted: that they were there, how good they were, who deleted them and why; in a transaction.

A deletion is marked first: the version's row moves here, so that nobody finds it half gone and its number is never used
again. Bytes and what MLflow shows are removed afterwards (`mcp_orchestrator.methods.models.deleting`); what was cut in
between stays unfinished here, and is done when the registry is next worked with.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn, cast

from pydantic import Field, TypeAdapter

from mcp_orchestrator.errors import Deleted, NotReady, UnknownName
from mcp_orchestrator.values import Estimate, Trained, Value
from orchestrator_memory.door import now
from orchestrator_memory.sqlite import sqlite3

__all__ = ["METRICS", "Deletion", "bury", "deletions", "exists", "finish", "free", "highest", "known", "refuse"]

CARD = "model_card.md"
SHOWN = 20
METRICS = TypeAdapter(dict[str, Estimate])


class Deletion(Value):
    """A version that was deleted, and what is kept of it; times in microseconds UTC.

    ``summary`` is the verdict of the run that made it, ``card`` its card, where it has one; ``finished`` says when its
    bytes were dealt with (None: not yet), and ``kept`` why they, or some of them, stay.
    """

    name: str
    version: int
    model: Trained
    metrics: dict[str, Estimate] = Field(default_factory=dict)
    summary: str = ""
    card: str = ""
    run: str = ""
    created: int
    by: str
    why: str
    at: int
    finished: int | None = None
    kept: str = ""
    files: list[str] = Field(default_factory=list, exclude=True)
    mlflow: dict[str, str] = Field(default_factory=dict, exclude=True)


def known(db: sqlite3.Connection, name: str) -> list[int]:
    """Return the numbers of a model's versions; of one whose versions were all deleted, none.

    Raises:
        UnknownName: there never was a model of that name.

    """
    numbers = [int(row["number"]) for row in db.execute("SELECT number FROM model_version WHERE name=?", (name,))]
    if not numbers and not highest(db, name):
        names = [row["name"] for row in db.execute("SELECT DISTINCT name FROM model_version")]
        raise UnknownName("model", name, names, then="" if names else "No model is registered yet; train one.")
    return numbers


def exists(db: sqlite3.Connection, name: str, version: int) -> int:
    """Return the number of a version that is there.

    Raises:
        UnknownName: there is no such model or version; `Deleted` where there was one.

    """
    numbers = known(db, name)
    if version not in numbers:
        if gone := deletions(db, name, version):
            refuse(db, gone[0])
        then = f"It has {_listed(numbers)}." if numbers else "All its versions were deleted."
        raise UnknownName(f"version of model {name!r}", str(version), then=then)
    return version


def refuse(db: sqlite3.Connection, gone: Deletion) -> NoReturn:
    """Say of a version that it was deleted, and which ones there are.

    Raises:
        Deleted: in any case.

    """
    left = known(db, gone.name)
    there = f"It has {_listed(left)}." if left else "No version of it is left; train one. Its history is kept."
    when = datetime.fromtimestamp(gone.at / 1e6, UTC).strftime("%Y-%m-%d %H:%M UTC")
    raise Deleted(f"Version {gone.version} of model {gone.name!r}", when, gone.by, gone.why, there)


def free(db: sqlite3.Connection, name: str, version: int) -> None:
    """Refuse to delete what an alias points to.

    Raises:
        NotReady: one does.

    """
    rows = db.execute("SELECT alias FROM model_alias WHERE name=? AND number=? ORDER BY alias", (name, version))
    if held := [repr(row["alias"]) for row in rows]:
        raise NotReady(
            f"Version {version} of {name!r} is {' and '.join(held)}; nothing was deleted. First give "
            f"{'that alias' if len(held) == 1 else 'these aliases'} to another version (promote, rollback or alias of "
            "production_registry), or take it away (alias with version null)."
        )


def bury(db: sqlite3.Connection, name: str, version: int, *, by: str, why: str, files: Sequence[str]) -> Deletion:
    """Take a version out of those that are there, and keep what is to be kept of it.

    Raises:
        UnknownName: there is no such model or version.
        NotReady: an alias points to it.

    """
    free(db, name, exists(db, name, version))
    run = str(db.execute("SELECT run FROM model_version WHERE name=? AND number=?", (name, version)).fetchone()[0])
    summary, card = _told(db, run)
    db.execute(
        "INSERT INTO model_version_deleted(name, number, sha256, run, trained, metrics, mlflow, created, summary, card,"
        " by, why, at, files) SELECT name, number, sha256, run, trained, metrics, mlflow, created, ?, ?, ?, ?, ?, ? "
        "FROM model_version WHERE name=? AND number=?",
        (summary, card, by, why, now(), json.dumps(list(files)), name, version),
    )
    db.execute("DELETE FROM model_version WHERE name=? AND number=?", (name, version))
    return deletions(db, name, version)[0]


def finish(db: sqlite3.Connection, name: str, version: int, *, kept: str, done: bool) -> Deletion:
    """Note why bytes of a deleted version stay, and, when it is ``done``, that there is nothing left to do."""
    db.execute(
        "UPDATE model_version_deleted SET kept=?, finished=CASE WHEN ? THEN coalesce(finished, ?) END "
        "WHERE name=? AND number=?",
        (kept, done, now(), name, version),
    )
    return deletions(db, name, version)[0]


def deletions(
    db: sqlite3.Connection,
    name: str | None = None,
    version: int | None = None,
    *,
    sha256: str | None = None,
    unfinished: bool = False,
) -> list[Deletion]:
    """Return what was deleted, the oldest first: of one name, number or digest, or what is not finished."""
    rows = db.execute(
        "SELECT * FROM model_version_deleted WHERE (:name IS NULL OR name=:name) "
        "AND (:number IS NULL OR number=:number) AND (:sha256 IS NULL OR sha256=:sha256) "
        "AND (NOT :unfinished OR finished IS NULL) ORDER BY at, number",
        {"name": name, "number": version, "sha256": sha256, "unfinished": unfinished},
    )
    return [_deletion(row) for row in rows.fetchall()]


def highest(db: sqlite3.Connection, name: str) -> int:
    """Return the highest number of a deleted version of a name; 0 where there is none."""
    text = "SELECT coalesce(max(number), 0) FROM model_version_deleted WHERE name=?"
    return int(db.execute(text, (name,)).fetchone()[0])


def _listed(numbers: Sequence[int]) -> str:
    """Return which versions there are; without gaps as a range, and of many the newest."""
    first, last, count = min(numbers), max(numbers), len(numbers)
    if count > 1 and last - first == count - 1:
        return f"{first} to {last}"
    shown = ", ".join(map(str, sorted(numbers)[-SHOWN:]))
    return f"{shown} and {count - SHOWN} older ones" if count > SHOWN else shown


def _told(db: sqlite3.Connection, run: str) -> tuple[str, str]:
    """Return the verdict and the card of the run that made a version, as far as the journal knows it."""
    if not run or db.execute("SELECT 1 FROM sqlite_master WHERE name='artifact'").fetchone() is None:
        return "", ""
    text = (
        "SELECT id, result FROM run WHERE id=:run OR origin=:run ORDER BY created DESC"  # it may have been gone on with
    )
    rows = db.execute(text, {"run": run}).fetchall()
    found: list[object] = [json.loads(row["result"]) for row in rows if row["result"]]
    results = [cast("dict[str, Any]", one) for one in found if isinstance(one, dict)]
    verdict = next((one["verdict"] for one in results if "verdict" in one), "")
    runs = json.dumps([run, *(row["id"] for row in rows)])
    cards = "SELECT uri FROM artifact WHERE run IN (SELECT value FROM json_each(?)) AND name=? ORDER BY at DESC"
    card = db.execute(cards, (runs, CARD)).fetchone()
    return str(verdict), "" if card is None else str(card["uri"])


def _deletion(row: sqlite3.Row) -> Deletion:
    facts = dict(zip(row.keys(), row, strict=True))
    facts["version"], facts["model"] = facts.pop("number"), json.loads(facts.pop("trained"))
    del facts["sha256"]  # stands in the model
    facts["metrics"] = METRICS.validate_json(facts["metrics"])
    return Deletion(**{**facts, "files": json.loads(facts["files"]), "mlflow": json.loads(facts["mlflow"])})
