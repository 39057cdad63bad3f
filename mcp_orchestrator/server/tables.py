"""Which tables a person may mean, to complete what is typed: those that were looked at, those that lie there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp_orchestrator.settings import Settings

__all__ = ["columns", "tables"]

NEWEST = 20
MOST = 500
"""Entries of a folder that are looked at."""


def tables(settings: Settings) -> list[str]:
    """Return the files of the project that may hold a table, the built-in ones and the newest frozen ones.

    Files are those in the project folder and in the folders right below it; nothing is opened.
    """
    from mcp_orchestrator.methods.tables.builtin import BUILTINS
    from mcp_orchestrator.methods.tables.paths import KINDS

    endings = {one for kind, some in KINDS.items() if kind != "sqlite" for one in some if one != ".txt"}
    files = [one for one in _files(settings.project, settings.home) if one.suffix.lower() in endings]
    near = sorted(files, key=lambda one: (len(one.parts), one))
    frozen = [str(one["uri"]) for one in _frozen(settings)]
    return [*(one.as_posix() for one in near), *(f"builtin:{one}" for one in BUILTINS), *frozen]


def columns(settings: Settings, data: str) -> list[str]:
    """Return the columns of a table that was looked at before, by its reference or its source; the last ones first.

    The answer often stands in the last column.
    """
    for one in _frozen(settings):
        if data in {one["uri"], one["source"]}:
            return [str(column["name"]) for column in reversed(one["profile"]["columns"])]
    return []


def _files(project: Path, home: Path) -> Iterator[Path]:
    for folder in (project, *_entries(project)):
        if folder.is_dir() and not folder.is_symlink() and folder.resolve() != home.resolve():
            yield from (one.relative_to(project) for one in _entries(folder) if one.is_file())


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(one for one in folder.iterdir() if not one.name.startswith("."))[:MOST]
    except OSError:  # it may not be read
        return []


def _frozen(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield what is known of the newest frozen tables."""
    found = [(one.stat().st_mtime, one) for one in (settings.home / "datasets").glob("*.json")]
    for _, path in sorted(found, reverse=True)[:NEWEST]:
        try:
            yield json.loads(path.read_bytes())["dataset"]
        except (FileNotFoundError, ValueError, KeyError):  # by another version, or gone
            continue
