"""Looking at the data before a run exists, so that what cannot be used is refused at once and leaves no trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mcp_orchestrator.core.engine import Call
from mcp_orchestrator.methods.tables.sources import remote
from mcp_orchestrator.settings import Settings
from mcp_orchestrator.values import Dataset

__all__ = ["load_if_quick"]

QUICK_BYTES = 64 << 20


async def load_if_quick(
    settings: Settings,
    call: Call,
    data: str | list[dict[str, Any]],
    target: str | None,
    *,
    query: str | None = None,
    table: str | None = None,
) -> Dataset | None:
    """Load a table when that takes no time worth reporting; None when the run had better do it, and be watched.

    Raises:
        InvalidInput: the source cannot be read.
        DataRejected: the table cannot be used.

    """
    if isinstance(data, str) and _slow(settings.project / data, data):
        return None
    params = {"source": data, "target": target, "query": query, "table": table}
    return Dataset.model_validate(await call("training_data_loader", "load", params))


def _slow(path: Path, text: str) -> bool:
    if "://" in text:  # a database may take its time; what is no database is refused at once
        return not (text.startswith("dataset://") or remote(text))
    return path.is_file() and path.stat().st_size > QUICK_BYTES
