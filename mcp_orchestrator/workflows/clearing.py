"""Deletions of models that a crash cut: gone on with by whoever leads next, in a worker, since MLflow is there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from anyio import to_thread

from mcp_orchestrator.core.dispatch import Dispatcher
from mcp_orchestrator.core.tasks import Need, Task
from mcp_orchestrator.errors import OrchestratorError
from mcp_orchestrator.tracking.versions import Versions
from orchestrator_memory.sqlite import sqlite3

__all__ = ["clearing"]

log = logging.getLogger(__name__)


def clearing(versions: Versions, dispatcher: Dispatcher, limit: float) -> Callable[[object], Coroutine[Any, Any, None]]:
    """Return what an engine does beside its runs: finish, within ``limit`` seconds, what was left of deletions.

    Where nothing was left, no worker is started.
    """

    async def clear(_engine: object) -> None:
        task = Task(component="production_registry", capability="clear", params={})
        try:
            if not await to_thread.run_sync(lambda: versions.deletions(unfinished=True)):
                return
            done = await dispatcher.perform(task, lambda _fraction, _message: None, need=Need(), timeout=limit)
            done.answer()
        except (OrchestratorError, sqlite3.Error):
            log.warning("deleted models could not be cleared away; it is tried again at the next start", exc_info=True)

    return clear
