"""Foreign code for the tests of pages: its results are too large for one answer."""

from __future__ import annotations

from typing import Any


def rows(count: int) -> dict[str, Any]:
    """Return so many rows, a long text and a verdict, and write down that it was called."""
    table = [{"row": number, "square": number * number, "name": f"row {number}"} for number in range(count)]
    return {"verdict": "fine", "rows": table, "report": "".join(f"{number};" for number in range(count)), "none": None}


def nothing() -> None:
    """Return nothing."""
