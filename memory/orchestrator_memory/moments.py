"""Spans and moments: what comes in are seconds, what is kept are integer microseconds UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from orchestrator_memory.errors import Refused

__all__ = ["GREATEST", "micros", "spoken"]

GREATEST = 2**62
"""No number that comes in is greater: SQLite's end at 2**63."""


def micros(field: str, seconds: float, most: float, *, least: float = 0.001) -> int:
    """Return a span of seconds in microseconds.

    Raises:
        Refused: it is shorter than ``least`` seconds or longer than ``most``.

    """
    if not least <= seconds <= most:
        raise Refused(field, f"{seconds:g} seconds are outside {least:g} to {most:g}.")
    return round(seconds * 1_000_000)


def spoken(at: int) -> str:
    """Return a moment as a person reads it: RFC 3339, in UTC."""
    return datetime.fromtimestamp(at / 1_000_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
