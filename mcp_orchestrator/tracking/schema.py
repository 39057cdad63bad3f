"""The tables of the model registry, as numbered migrations: append to them, never change one."""

from __future__ import annotations

__all__ = ["SCHEMA"]

SCHEMA = (
    """
    CREATE TABLE model_version(
      name TEXT NOT NULL, number INTEGER NOT NULL, sha256 TEXT NOT NULL, run TEXT NOT NULL, trained TEXT NOT NULL,
      metrics TEXT NOT NULL, mlflow TEXT NOT NULL DEFAULT '{}', created INTEGER NOT NULL,
      PRIMARY KEY(name, number), UNIQUE(name, sha256, run)
    ) STRICT;
    CREATE INDEX model_version_sha256 ON model_version(sha256);
    CREATE TABLE model_alias(
      name TEXT NOT NULL, alias TEXT NOT NULL, number INTEGER, generation INTEGER NOT NULL,
      PRIMARY KEY(name, alias), FOREIGN KEY(name, number) REFERENCES model_version(name, number)
    ) STRICT;
    CREATE TABLE model_alias_change(
      seq INTEGER PRIMARY KEY, name TEXT NOT NULL, alias TEXT NOT NULL, action TEXT NOT NULL, previous INTEGER,
      number INTEGER, generation INTEGER NOT NULL, by TEXT NOT NULL, why TEXT NOT NULL, at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX model_alias_change_alias ON model_alias_change(name, alias, seq)
    """,
    """
    CREATE TABLE consent(
      id TEXT PRIMARY KEY, tool TEXT NOT NULL, call TEXT NOT NULL, models TEXT NOT NULL, change TEXT NOT NULL,
      generations TEXT NOT NULL, how TEXT NOT NULL, status TEXT NOT NULL, subject TEXT NOT NULL, session TEXT NOT NULL,
      client TEXT NOT NULL, request TEXT NOT NULL, by TEXT NOT NULL, note TEXT NOT NULL, asked INTEGER NOT NULL,
      expires INTEGER NOT NULL, decided INTEGER
    ) STRICT;
    CREATE INDEX consent_asked ON consent(expires) WHERE status='asked'
    """,
    """
    CREATE TABLE model_version_deleted(
      name TEXT NOT NULL, number INTEGER NOT NULL, sha256 TEXT NOT NULL, run TEXT NOT NULL, trained TEXT NOT NULL,
      metrics TEXT NOT NULL, mlflow TEXT NOT NULL, created INTEGER NOT NULL, summary TEXT NOT NULL, card TEXT NOT NULL,
      by TEXT NOT NULL, why TEXT NOT NULL, at INTEGER NOT NULL, files TEXT NOT NULL, finished INTEGER,
      kept TEXT NOT NULL DEFAULT '', PRIMARY KEY(name, number)
    ) STRICT;
    CREATE INDEX model_version_deleted_sha256 ON model_version_deleted(sha256);
    CREATE INDEX model_version_deleted_open ON model_version_deleted(at) WHERE finished IS NULL
    """,
)
