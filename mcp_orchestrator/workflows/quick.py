"""Looking at the data before a run exists, so that what cannot be used is refused at once and leaves no trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mcp_orchestrator.core.engine import Call
from mcp_orchestrator.methods.tables.server import SERVERS
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
    if isinstance(data, str) and _slow(settings.project, data):
        return None
    params = {"source": data, "target": target, "query": query, "table": table}
    return Dataset.model_validate(await call("training_data_loader", "load", params))


def _slow(project: Path, text: str) -> bool:
    scheme, found, rest = text.partition("://")
    engine = scheme.partition("+")[0].lower()
    if found and engine in SERVERS:
        return True
    path = project / (rest[1:] if found and engine == "sqlite" else text)
    return path.is_file() and path.stat().st_size > QUICK_BYTES
