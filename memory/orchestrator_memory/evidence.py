"""What a memory rests on and what a decision has to say, in the shapes in which they are kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import Any

from orchestrator_memory.errors import Refused

__all__ = ["DETAILS", "EVIDENCE", "details", "evidence", "merged"]

EVIDENCE = {"run": "runs", "model": "models", "dataset": "datasets"}
"""The names of one and of several: either is taken, several are kept."""
DETAILS = ("rationale", "alternatives", "review")
MOST = 100


def evidence(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return evidence as ``runs``, ``models`` and ``datasets`` (lists of texts), ``metrics`` and a ``note``.

    Raises:
        Refused: it has something else, or something of another type.

    """
    kept: dict[str, Any] = {}
    for name, value in (given or {}).items():
        several = EVIDENCE.get(name, name)
        if several in EVIDENCE.values():
            kept[several] = sorted({*kept.get(several, []), *_texts(f"evidence.{name}", value)})
        elif name == "metrics":
            kept[name] = _metrics(value)
        elif name == "note" and isinstance(value, str):
            kept[name] = value
        else:
            allowed = [*EVIDENCE, *EVIDENCE.values(), "metrics", "note"]
            raise Refused(f"evidence.{name[:80]}", "is not what evidence has.", allowed=allowed)
    return {name: value for name, value in kept.items() if value}


def details(kind: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the data of a memory; those of a decision may have a rationale, alternatives, and the day of its review.

    Raises:
        Refused: one of these three is of another type.

    """
    kept = dict(given or {})
    if kind != "decision":
        return kept
    if not isinstance(kept.get("rationale", ""), str):
        raise Refused("data.rationale", "is no text.", then="Say in a sentence why it was decided so.")
    if "alternatives" in kept:
        kept["alternatives"] = _texts("data.alternatives", kept["alternatives"])
    if kept.get("review") is not None:
        kept["review"] = _day("data.review", kept["review"])
    return kept


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return what two writings of the same thing say together: lists are united, of values the newer one holds."""
    both = {**old, **new}
    for name in old.keys() & new.keys():
        before, after = old[name], new[name]
        if isinstance(before, list) and isinstance(after, list):
            both[name] = [*before, *(one for one in after if one not in before)]  # pyright: ignore[reportUnknownVariableType]
        elif isinstance(before, dict) and isinstance(after, dict):
            both[name] = {**before, **after}
    return both


def _texts(field: str, value: Any) -> list[str]:  # noqa: ANN401 - any value
    several: Any = [value] if isinstance(value, str) else value
    if not isinstance(several, list | tuple) or not all(isinstance(one, str) for one in several):
        raise Refused(field, "is neither a text nor a list of texts.")
    if len(several) > MOST:
        raise Refused(field, f"has {len(several)} values, {MOST} are kept.")
    return [one for one in several if one.strip()]


def _metrics(value: Any) -> dict[str, float]:  # noqa: ANN401 - any value
    figures: dict[str, Any] = value if isinstance(value, dict) else {"": None}
    for name, one in figures.items():
        if not isinstance(one, int | float) or isinstance(one, bool) or not math.isfinite(one):
            raise Refused("evidence.metrics", "are no numbers by name.", then='For example {"roc_auc": 0.91}.')
        if not name.strip():
            raise Refused("evidence.metrics", "has a number without a name.")
    return figures


def _day(field: str, value: Any) -> str:  # noqa: ANN401 - any value
    try:
        return date.fromisoformat(value).isoformat()
    except (TypeError, ValueError) as error:
        raise Refused(field, f"{str(value)[:40]!r} is no date.", then="Write it as 2027-03-01.") from error
