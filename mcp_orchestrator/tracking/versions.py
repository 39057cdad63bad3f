"""The truth about registered models: versions that never change, and aliases that move from one to the next.

Both live in one database and change in one transaction, so no reader ever sees a move half made. MLflow's registry
shows a projection of this (`mcp_orchestrator.tracking.experiments`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from pydantic import Field

from mcp_orchestrator.errors import NotReady, UnknownName
from mcp_orchestrator.tracking.aliases import Change, holder, holders, move
from mcp_orchestrator.tracking.deletions import METRICS, Deletion, bury, deletions, exists, highest, known, refuse
from mcp_orchestrator.tracking.names import DIGEST, check_alias, check_name, parse
from mcp_orchestrator.tracking.schema import SCHEMA
from mcp_orchestrator.values import Estimate, Trained
from orchestrator_memory.door import Door, now
from orchestrator_memory.sqlite import sqlite3

__all__ = ["CHAMPION", "DATABASE", "Change", "Version", "Versions"]

DATABASE = "orchestrator.db"
CHAMPION, CHALLENGER, PRODUCTION = "champion", "challenger", "production"


class Version(Trained):
    """A trained model under a name and a number; of a version only ``aliases`` and ``mlflow`` may change."""

    name: str
    version: int
    aliases: list[str] = Field(default_factory=list)
    metrics: dict[str, Estimate] = Field(default_factory=dict)
    run: str = ""
    created: int
    mlflow: dict[str, str] = Field(default_factory=dict)


class Versions:
    """The registered models of a state home."""

    def __init__(self, home: Path) -> None:
        """Open, or make, the registry in ``home``."""
        self.door = Door(home / DATABASE)
        self.door.migrate("versions", SCHEMA)

    def __enter__(self) -> Self:
        """Use the registry for the length of a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the database."""
        self.door.close()

    def register(
        self,
        name: str,
        trained: Trained,
        *,
        metrics: Mapping[str, Estimate] | None = None,
        run: str = "",
    ) -> Version:
        """Make ``trained`` the next version of ``name``; the same model of the same run stays the version it is.

        Raises:
            InvalidInput: the name cannot be used.

        """
        check_name(name)
        recorded = METRICS.dump_json(dict(metrics or {})).decode()
        with self.door.write() as db:
            db.execute(
                "INSERT INTO model_version(name, number, sha256, run, trained, metrics, created) "
                "SELECT ?, max(coalesce(max(number), 0), ?) + 1, ?, ?, ?, ?, ? FROM model_version WHERE name=? "
                "ON CONFLICT(name, sha256, run) DO NOTHING",
                (
                    name,
                    highest(db, name),
                    trained.sha256,
                    run,
                    trained.model_dump_json(include=set(Trained.model_fields)),
                    recorded,
                    now(),
                    name,
                ),
            )
            row = db.execute(
                "SELECT number FROM model_version WHERE name=? AND sha256=? AND run=?",
                (name, trained.sha256, run),
            ).fetchone()
            return _version(db, name, int(row["number"]))

    def get(self, ref: str) -> Version:
        """Return the version that ``name``, ``name@alias``, ``name@3``, ``name@latest`` or ``model://digest`` means.

        A name alone means its champion, or the newest version while it has none.

        Raises:
            UnknownName: there is no such model, version or alias; the message names the nearest.
            Deleted: there was; the message says when it was deleted, by whom, why, and which ones there are.

        """
        db = self.door.read()
        name, which = parse(ref)
        if DIGEST.fullmatch(name) and which is None:
            row = db.execute(
                "SELECT name, number FROM model_version WHERE sha256=? ORDER BY created", (name,)
            ).fetchone()
            if row is not None:
                return _version(db, row["name"], int(row["number"]))
            if gone := deletions(db, sha256=name):
                refuse(db, gone[-1])
        return _version(db, name, self._number(db, name, which))

    def names(self) -> list[str]:
        """Return the names of all models of which there is a version."""
        rows = self.door.read().execute("SELECT DISTINCT name FROM model_version ORDER BY name").fetchall()
        return [row["name"] for row in rows]

    def list(self, name: str | None = None) -> list[Version]:
        """Return all versions, of one model or of all, the newest first.

        Raises:
            UnknownName: there is, and was, no model of that name.

        """
        db = self.door.read()
        if name is not None:
            known(db, name)
        rows = db.execute(
            "SELECT name, number FROM model_version WHERE :name IS NULL OR name=:name "
            "ORDER BY created DESC, number DESC",
            {"name": name},
        ).fetchall()
        return [_version(db, row["name"], int(row["number"])) for row in rows]

    def generation(self, name: str, alias: str) -> int:
        """Return how often the alias has moved: what a later `set_alias` may expect."""
        return holder(self.door.read(), name, alias)[1]

    def set_alias(
        self, name: str, alias: str, version: int, *, expected: int | None = None, by: str = "", why: str = ""
    ) -> Change:
        """Point an alias at a version, if nobody moved it since generation ``expected`` (None: whatever it is).

        Raises:
            InvalidInput: the alias cannot be used.
            UnknownName: there is no such model or version.
            NotReady: somebody else moved the alias in the meantime; nothing was changed.

        """
        check_alias(alias)
        with self.door.write() as db:
            exists(db, name, version)
            return move(db, name, alias, action="set", to=version, expected=expected, by=by, why=why)

    def remove_alias(
        self, name: str, alias: str, *, expected: int | None = None, by: str = "", why: str = ""
    ) -> Change:
        """Take an alias away; its history stays.

        Raises:
            UnknownName: the model has no such alias.
            NotReady: somebody else moved the alias in the meantime; nothing was changed.

        """
        with self.door.write() as db:
            self._number(db, name, alias)
            return move(db, name, alias, action="remove", to=None, expected=expected, by=by, why=why)

    def promote(self, name: str, version: int, *, expected: int | None = None, by: str = "", why: str = "") -> Change:
        """Make a version the champion; where it was the challenger, it stops being one in the same transaction.

        Raises:
            UnknownName: there is no such model or version.
            NotReady: somebody else moved the champion in the meantime; nothing was changed.

        """
        with self.door.write() as db:
            exists(db, name, version)
            change = move(db, name, CHAMPION, action="promote", to=version, expected=expected, by=by, why=why)
            if holder(db, name, CHALLENGER)[0] == version:
                done = f"version {version} became the champion"
                move(db, name, CHALLENGER, action="remove", to=None, expected=None, by=by, why=done)
            return change

    def rollback(
        self, name: str, alias: str = CHAMPION, *, expected: int | None = None, by: str = "", why: str = ""
    ) -> Change:
        """Give an alias back to the version that held it before; called again, to the one before that.

        Raises:
            UnknownName: there is no such model.
            NotReady: nothing held the alias before, or somebody else moved it in the meantime; nothing was changed.

        """
        with self.door.write() as db:
            known(db, name)
            past = holders(db, name, alias)
            if len(past) < 2:
                raise NotReady(
                    f"No version of {name!r} was {alias!r} before the present one; there is nothing to go back to."
                )
            return move(db, name, alias, action="rollback", to=past[-2], expected=expected, by=by, why=why)

    def history(self, name: str, alias: str | None = None) -> list[Change]:
        """Return all moves of the aliases of a model, the oldest first.

        Raises:
            UnknownName: there is no model of that name.

        """
        db = self.door.read()
        known(db, name)
        rows = db.execute(
            "SELECT name, alias, action, previous, number AS version, generation, by, why, at FROM model_alias_change "
            "WHERE name=:name AND (:alias IS NULL OR alias=:alias) ORDER BY seq",
            {"name": name, "alias": alias},
        ).fetchall()
        return [Change.model_validate(dict(row)) for row in rows]

    def delete(self, name: str, version: int, *, by: str = "", why: str = "", files: Sequence[str] = ()) -> Deletion:
        """Take a version away for good: its number is never used again, and the history keeps what it was.

        Its bytes are not removed by this: `mcp_orchestrator.methods.models.deleting` does both. ``files`` are their
        digests, which are kept with the deletion so that it can be finished after a crash.

        Raises:
            UnknownName: there is no such model or version.
            Deleted: it was deleted before.
            NotReady: an alias points to it; nothing was changed.

        """
        with self.door.write() as db:
            return bury(db, name, version, by=by, why=why, files=files)

    def deletions(self, name: str | None = None, *, unfinished: bool = False) -> Sequence[Deletion]:
        """Return what was deleted, of one model or of all, the oldest first; or only what is not finished yet."""
        return deletions(self.door.read(), name, unfinished=unfinished)

    def record(self, name: str, version: int, mlflow: Mapping[str, str]) -> None:
        """Keep where MLflow shows a version.

        Raises:
            UnknownName: there is no such model or version.

        """
        with self.door.write() as db:
            exists(db, name, version)
            db.execute(
                "UPDATE model_version SET mlflow=json_patch(mlflow, ?) WHERE name=? AND number=?",
                (json.dumps(dict(mlflow)), name, version),
            )

    @staticmethod
    def _number(db: sqlite3.Connection, name: str, which: str | None) -> int:
        numbers = known(db, name)
        if which in {None, "latest"} and not numbers:
            refuse(db, deletions(db, name)[-1])
        if which is None:
            return holder(db, name, CHAMPION)[0] or max(numbers)
        if which == "latest":
            return max(numbers)
        if which.removeprefix("v").isdecimal():
            return exists(db, name, int(which.removeprefix("v")))
        number = holder(db, name, which)[0]
        if number is None:
            rows = db.execute("SELECT alias FROM model_alias WHERE name=? AND number IS NOT NULL", (name,)).fetchall()
            raise UnknownName(f"alias of model {name!r}", which, (row["alias"] for row in rows))
        return number


def _version(db: sqlite3.Connection, name: str, number: int) -> Version:
    row = db.execute("SELECT * FROM model_version WHERE name=? AND number=?", (name, number)).fetchone()
    aliases = db.execute("SELECT alias FROM model_alias WHERE name=? AND number=? ORDER BY alias", (name, number))
    return Version(
        **json.loads(row["trained"]),
        name=name,
        version=number,
        aliases=[alias["alias"] for alias in aliases],
        metrics=METRICS.validate_json(row["metrics"]),
        run=row["run"],
        created=row["created"],
        mlflow=json.loads(row["mlflow"]),
    )
