"""What a round of evaluations came to, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from .play import Result

__all__ = ["summary", "table", "write"]

HEADS = ("task", "about", "solved", "calls", "errors", "tokens", "seconds")


def table(results: Sequence[Result]) -> str:
    """Return a line for each task, and below it what was wrong."""
    rows = [
        (one.task, one.about, "yes" if one.solved else "NO", one.calls, one.tool_errors, one.tokens, one.seconds)
        for one in results
    ]
    shown = [HEADS, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[place]) for row in shown) for place in range(len(HEADS))]
    lines: list[str] = []
    for number, row in enumerate(shown):
        cells = (
            cell.ljust(width) if at < 3 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(cells).rstrip())
        if number:
            one = results[number - 1]
            lines += [f"    {problem}" for problem in one.problems]
            lines += [f"    stopped: {one.stopped}"] if one.stopped else []
    return "\n".join([*lines, "", _sentence(summary(results))])


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """Return the figures over all tasks."""
    solved = sum(one.solved for one in results)
    return {
        "tasks": len(results),
        "solved": solved,
        "share": round(solved / len(results), 3) if results else 0.0,
        "calls": sum(one.calls for one in results),
        "tool_errors": sum(one.tool_errors for one in results),
        "tokens": sum(one.tokens for one in results),
        "counted": sorted({one.counted for one in results if one.counted}),
        "seconds": round(sum(one.seconds for one in results), 1),
        "median_calls": median([one.calls for one in results]) if results else 0,
        "by_about": {
            about: [
                sum(one.solved for one in results if one.about == about),
                sum(one.about == about for one in results),
            ]
            for about in dict.fromkeys(one.about for one in results)
        },
    }


def write(path: Path, results: Sequence[Result], about: dict[str, Any]) -> None:
    """Write everything as JSON."""
    whole = {**about, "summary": summary(results), "results": [one.plain() for one in results]}
    path.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _sentence(figures: dict[str, Any]) -> str:
    counted = f" ({', '.join(figures['counted'])})" if figures["counted"] else ""
    return (
        f"{figures['solved']} of {figures['tasks']} solved; {figures['calls']} calls, {figures['tool_errors']} of them "
        f"refused; {figures['tokens']} tokens{counted}; {figures['seconds']} seconds."
    )
