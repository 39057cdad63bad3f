"""Runs in the states in which a test needs them, written as the engine writes them."""

from __future__ import annotations

import json
from secrets import token_hex
from typing import Any

from mcp_orchestrator.core.journal import Journal, runs, steps
from mcp_orchestrator.core.rows import RunRow, Status
from orchestrator_memory.door import now

__all__ = ["claimed", "done", "ended", "submitted"]


def submitted(journal: Journal, workflow: str = "train", **spec: Any) -> str:
    """Write down a run and return its id."""
    return journal.at_once(runs.submit, token_hex(16), workflow, json.dumps(spec), dict[str, Any]()).id


def claimed(journal: Journal, run: str) -> RunRow:
    """Take a run for this process, which must be an owner."""
    row = journal.at_once(runs.claim, run, journal.owner, journal.run(run).owner)
    assert row is not None
    return row


def done(journal: Journal, row: RunRow, name: str, result: str = "1") -> None:
    """Write down a finished step."""
    about: dict[str, Any] = {"component": "toys", "capability": "add", "inputs": "-", "params": "{}"}
    began = steps.Began(name=name, number=1, position=0, asked=now(), **about)
    journal.at_once(steps.begin, row.id, began)
    journal.at_once(steps.finish, row.id, row.fence, began, steps.Ended(status="done", result=result))


def ended(journal: Journal, row: RunRow, status: Status, **given: Any) -> None:
    """End a run."""
    journal.at_once(runs.end, row.id, row.fence, status, given)
