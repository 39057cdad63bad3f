"""What is written about artifacts: which run and step made which file, once the file is on the disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

from orchestrator_memory.door import now
from orchestrator_memory.sqlite import sqlite3

__all__ = ["record"]

MARK = "artifact://"


def record(db: sqlite3.Connection, run: str, step: str, result: str | None) -> None:
    """Write down the artifacts that a step's result (JSON) names."""
    if result is None or MARK not in result:
        return
    at = now()
    db.executemany(
        "INSERT INTO artifact(sha256, uri, name, media, bytes, run, step, at) VALUES(?,?,?,?,?,?,?,?) "
        "ON CONFLICT DO NOTHING",
        [
            (one["sha256"], one["uri"], one["name"], one.get("media", ""), one.get("bytes", 0), run, step, at)
            for one in _artifacts(json.loads(result))
        ],
    )


def _artifacts(value: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        held = cast("dict[str, Any]", value)
        if str(held.get("uri", "")).startswith(MARK) and "sha256" in held and "name" in held:
            yield held
        for one in held.values():
            yield from _artifacts(one)
    elif isinstance(value, list):
        for one in cast("list[Any]", value):
            yield from _artifacts(one)
