"""How a database comes to have the tables: numbered steps, applied once each; a released one is never changed.

The first step is what `tables` declares, written out, with the index for the search, which SQLAlchemy does not know; a
test holds the two together.

The index keeps FTS5's first format: one that has erased by ``secure-delete`` cannot be read, nor rebuilt, by an SQLite
before 3.42, and a database may be opened by another Python tomorrow. `forgetting` rebuilds it instead.
"""

from __future__ import annotations

from importlib.resources import files

__all__ = ["AREA", "STEPS"]

AREA = "memory"


def _steps() -> tuple[str, ...]:
    folder = files("orchestrator_memory") / "migrations"
    return tuple(
        one.read_text("utf-8")
        for one in sorted(folder.iterdir(), key=lambda one: one.name)
        if one.name.endswith(".sql")
    )


STEPS = _steps()
