"""What may be said of a task and of a part of it that is given away: read before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator_memory.errors import Refused
from orchestrator_memory.intake import number, taken, values
from orchestrator_memory.names import agent_name, word

__all__ = ["ENDS", "NAME", "NOTE", "columns_of", "end", "insights_of", "one_of", "part_of", "tokens_of"]

ENDS = ("success", "partial", "failure", "cancelled")
DESCRIPTION, NOTE, NAME, INSIGHTS, TOKENS = 8_192, 500, 200, 16_384, 2**50


def columns_of(
    description: str,
    *,
    type: str = "",  # noqa: A002
    workflow: str = "",
    phase: str = "",
    run: str | None = None,
    key: str | None = None,
    data: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what is kept of a task.

    Raises:
        Refused: something is not acceptable.

    """
    return {
        "description": taken("description", description, DESCRIPTION).text,
        "type": word(type, "type") if type else "",
        "workflow": workflow and taken("workflow", workflow, NAME, empty=True).text,
        "phase": phase and taken("phase", phase, NAME, empty=True).text,
        "run": None if run is None else taken("run", run, NAME).text,
        "key": None if key is None else taken("key", key, NAME).text,
        "data": values("data", dict(data))[0] if data else "{}",
    }


def part_of(
    to: str,
    reason: str,
    *,
    type: str = "",  # noqa: A002
    outcome: str = "open",
    note: str = "",
) -> dict[str, Any]:
    """Return what is kept of a delegation, and ``to`` whom it is.

    Raises:
        Refused: something is not acceptable.

    """
    return {
        "to": agent_name(to, "to"),
        "reason": taken("reason", reason, NOTE).text,
        "type": word(type, "type") if type else "",
        "outcome": one_of(outcome, ("open", *ENDS)),
        "note": note and taken("note", note, NOTE, empty=True).text,
    }


def insights_of(insights: Iterable[str]) -> str:
    """Return insights as they are kept: a list as JSON."""
    return values("insights", [taken("insights", one, DESCRIPTION).text for one in insights], INSIGHTS)[0]


def tokens_of(tokens_in: int, tokens_out: int) -> tuple[int, int]:
    """Return numbers of tokens that are none below zero."""
    number("tokens_in", tokens_in, 0, TOKENS)
    number("tokens_out", tokens_out, 0, TOKENS)
    return tokens_in, tokens_out


def end(outcome: str) -> str:
    """Return an outcome that ends a task."""
    return one_of(outcome, ENDS)


def one_of(outcome: str, allowed: tuple[str, ...]) -> str:
    """Return an outcome that is allowed."""
    if outcome not in allowed:
        raise Refused("outcome", f"{outcome[:80]!r} is none.", allowed=allowed)
    return outcome
