"""Logging for the entry points: stderr only, since stdout is the protocol."""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar

__all__ = ["run_id", "start", "step_name"]

run_id: ContextVar[str] = ContextVar("run_id", default="-")
step_name: ContextVar[str] = ContextVar("step_name", default="-")


class _Place(logging.Filter):
    """Adds the run and the step in whose name a record was written."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.run, record.step = run_id.get(), step_name.get()
        return True


def start(level: str = "WARNING") -> None:
    """Send the log of this process to stderr, once."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_Place())
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s [%(run)s/%(step)s] %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
