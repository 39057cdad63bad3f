"""Frozen tables as pandas frames; the last few stay in the memory of the process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcp_orchestrator.component import Context
from mcp_orchestrator.methods.tables.datasets import reference, snapshot_of
from mcp_orchestrator.methods.tables.look import opened_snapshot, to_frame
from mcp_orchestrator.methods.tables.snapshot import require_column
from mcp_orchestrator.values import Data

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["frame"]

KEPT = 4
BYTES = 1 << 30

_frames: OrderedDict[str, tuple[int, pd.DataFrame]] = OrderedDict()
_lock = threading.Lock()


def frame(ctx: Context, data: Data, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return a table as a pandas frame, frozen first where it is not yet; the caller may change it.

    Raises:
        InvalidInput: ``data`` is no source, or the table lacks one of the ``columns``.
        DataRejected: the table is broken; the message names column and row.

    """
    path = snapshot_of(ctx, reference(ctx, data))
    with _lock:
        held = _frames.get(path.name)
        if held is not None:
            _frames.move_to_end(path.name)
    if held is not None:
        for name in columns or ():
            require_column(name, list(held[1].columns), field="columns")
        return _own(held[1] if columns is None else held[1][list(columns)])
    with opened_snapshot(path) as file:
        for name in columns or ():
            require_column(name, file.schema_arrow.names, field="columns")
        found = to_frame(file.read(columns=None if columns is None else list(columns), use_threads=ctx.cpus > 1))
    if columns is not None:
        return found[list(columns)]
    size = int(found.memory_usage(deep=False).sum())
    with _lock:
        _frames[path.name] = (size, found)
        while len(_frames) > KEPT or (len(_frames) > 1 and sum(one for one, _ in _frames.values()) > BYTES):
            _frames.popitem(last=False)
    return _own(found)


def _own(found: pd.DataFrame) -> pd.DataFrame:
    """Return a copy that the caller may change: a lazy one where pandas copies on write (3.0 and later)."""
    import pandas as pd

    return found.copy(deep=int(pd.__version__.partition(".")[0]) < 3)
