"""The tables of the journal, step by step; a step that was released is never changed."""

from __future__ import annotations

__all__ = ["SCHEMA"]

SCHEMA = (
    """
    CREATE TABLE run(
      id TEXT PRIMARY KEY, workflow TEXT NOT NULL, spec TEXT NOT NULL, status TEXT NOT NULL, owner TEXT,
      wish TEXT, key TEXT UNIQUE, result TEXT, error TEXT, error_code TEXT, cut INTEGER NOT NULL DEFAULT 0,
      progress REAL NOT NULL DEFAULT 0, message TEXT NOT NULL DEFAULT '',
      created INTEGER NOT NULL, started INTEGER, ended INTEGER
    ) STRICT;
    CREATE INDEX run_created ON run(created);
    CREATE TABLE step(
      run TEXT NOT NULL REFERENCES run(id), name TEXT NOT NULL, position INTEGER NOT NULL,
      component TEXT NOT NULL, capability TEXT NOT NULL, inputs TEXT NOT NULL, status TEXT NOT NULL,
      reason TEXT NOT NULL DEFAULT '', result TEXT, attempt INTEGER NOT NULL DEFAULT 1,
      started INTEGER NOT NULL, ended INTEGER, PRIMARY KEY(run, name)
    ) STRICT;
    CREATE TABLE event(
      seq INTEGER PRIMARY KEY, run TEXT NOT NULL, step TEXT NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL,
      at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX event_run ON event(run, seq);
    """,
    """
    ALTER TABLE run ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE run ADD COLUMN fair TEXT NOT NULL DEFAULT '';
    ALTER TABLE run ADD COLUMN deadline INTEGER;
    ALTER TABLE run ADD COLUMN parent TEXT;
    ALTER TABLE run ADD COLUMN forked_from TEXT;
    ALTER TABLE run ADD COLUMN fork_step TEXT;
    ALTER TABLE run ADD COLUMN origin TEXT;
    ALTER TABLE run ADD COLUMN created_by TEXT NOT NULL DEFAULT '';
    ALTER TABLE run ADD COLUMN fence INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE run ADD COLUMN finished INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX run_status ON run(status);
    CREATE INDEX run_parent ON run(parent) WHERE parent IS NOT NULL;
    CREATE TABLE step_of_run(
      run TEXT NOT NULL REFERENCES run(id), name TEXT NOT NULL, position INTEGER NOT NULL,
      component TEXT NOT NULL, capability TEXT NOT NULL, inputs TEXT NOT NULL, status TEXT NOT NULL,
      reason TEXT NOT NULL DEFAULT '', result TEXT, attempt INTEGER NOT NULL DEFAULT 1,
      started INTEGER NOT NULL, ended INTEGER, params TEXT NOT NULL DEFAULT '{}', PRIMARY KEY(run, name)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO step_of_run(run, name, position, component, capability, inputs, status, reason, result, attempt,
      started, ended) SELECT run, name, position, component, capability, inputs, status, reason, result, attempt,
      started, ended FROM step;
    DROP TABLE step;
    ALTER TABLE step_of_run RENAME TO step;
    CREATE TABLE attempt(
      run TEXT NOT NULL REFERENCES run(id), step TEXT NOT NULL, number INTEGER NOT NULL, status TEXT NOT NULL,
      executor TEXT NOT NULL DEFAULT '', worker TEXT NOT NULL DEFAULT '{}', error TEXT NOT NULL DEFAULT '',
      cpu_seconds REAL NOT NULL DEFAULT 0, memory_mb REAL NOT NULL DEFAULT 0,
      asked INTEGER NOT NULL, started INTEGER, ended INTEGER, PRIMARY KEY(run, step, number)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE approval(
      run TEXT NOT NULL REFERENCES run(id), name TEXT NOT NULL, question TEXT NOT NULL, details TEXT NOT NULL,
      status TEXT NOT NULL DEFAULT 'asked', decided_by TEXT NOT NULL DEFAULT '', note TEXT NOT NULL DEFAULT '',
      asked INTEGER NOT NULL, decided INTEGER, PRIMARY KEY(run, name)
    ) STRICT;
    CREATE TABLE artifact(
      sha256 TEXT NOT NULL, uri TEXT NOT NULL, name TEXT NOT NULL, media TEXT NOT NULL, bytes INTEGER NOT NULL,
      run TEXT NOT NULL, step TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY(sha256, run, step)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX artifact_run ON artifact(run);
    CREATE TABLE schedule(
      name TEXT PRIMARY KEY, workflow TEXT NOT NULL, spec TEXT NOT NULL, cron TEXT NOT NULL, zone TEXT NOT NULL,
      next_at INTEGER NOT NULL, overlap TEXT NOT NULL, catch_up TEXT NOT NULL, enabled INTEGER NOT NULL,
      last_run TEXT, created INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE host(
      epoch INTEGER PRIMARY KEY, pid INTEGER NOT NULL, boot TEXT NOT NULL, version TEXT NOT NULL, kind TEXT NOT NULL,
      socket TEXT NOT NULL, started INTEGER NOT NULL, ended INTEGER
    ) STRICT;
    """,
    "ALTER TABLE run ADD COLUMN subject TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE run ADD COLUMN approved TEXT NOT NULL DEFAULT ''",
)
