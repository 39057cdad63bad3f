"""What stands around a run: the engine, for the runs below it, and the reason why it has to wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from mcp_orchestrator.core.rows import RunRow, Status
from mcp_orchestrator.errors import Cancelled

__all__ = ["Family", "Suspended"]


class Suspended(Cancelled):
    """The run goes on later: ``status`` is paused, or waiting for ``name`` to be decided or to end."""

    def __init__(self, status: Status, name: str = "") -> None:
        """Take the state that the run is to have."""
        super().__init__(f"the run is {status}")
        self.status, self.name = status, name


class Family(Protocol):
    """What a run asks of its engine for the runs below it."""

    async def submit(self, workflow: str, spec: Mapping[str, Any], *, key: str, parent: str) -> str:
        """Start a run below another one."""
        ...

    async def wait(self, run: str) -> RunRow:
        """Wait until a run has ended or is suspended."""
        ...

    async def cancel(self, run: str) -> RunRow:
        """Stop a run."""
        ...
