"""How much of a run a model is shown: the best of each list, or all of it in pages."""

from __future__ import annotations

from typing import Any, cast

from mcp_orchestrator.server.shrinking import BUDGET, weight

__all__ = ["PAGE", "concise", "paged"]

PAGE = 50
SMALLER = (PAGE, 20, 10, 5)
TOP = 5
WHOLE = {"steps", "gates", "next", "artifacts"}
FILE = {"name", "path"}
DETAILS = {"fold_scores", "members", "bins"}
MARKS = {"fingerprint"}
"""What is for programs alone."""
UNMOVED = {"steady", "not compared"}


def concise(facts: dict[str, Any]) -> dict[str, Any]:
    """Return a run's facts with the first entries of each list of objects, files by name and place, no inner detail."""
    shown = {name: value for name, value in facts.items() if name not in MARKS}
    short = {name: value if name in WHOLE else _short(value) for name, value in shown.items()}
    files: list[dict[str, Any]] = facts.get("artifacts") or []
    short["artifacts"] = [{key: value for key, value in one.items() if key in FILE} for one in files]
    drift: dict[str, Any] = facts.get("drift") or {}
    if "columns" in drift:
        moved = [one for one in drift["columns"] if one.get("verdict") not in UNMOVED]
        short["drift"]["columns"] = moved[:TOP]
    return short


def paged(facts: dict[str, Any], begin: int) -> tuple[dict[str, Any], int | None]:
    """Return a page of every long list, and where the next page begins; lists that fit in one page are always whole.

    A page has fewer than 50 entries where they are large.
    """
    page, following = facts, None
    for most in SMALLER:
        page, following = _page(facts, begin, most)
        if weight(page) <= BUDGET:
            break
    return page, following


def _page(facts: dict[str, Any], begin: int, most: int) -> tuple[dict[str, Any], int | None]:
    longest = 0

    def cut(value: object) -> object:
        nonlocal longest
        if isinstance(value, dict):
            return {name: cut(part) for name, part in cast("dict[str, Any]", value).items()}
        if isinstance(value, list) and len(cast("list[Any]", value)) > most:
            longest = max(longest, len(cast("list[Any]", value)))
            return cast("list[Any]", value)[begin : begin + most]
        return cast("Any", value)

    page = {name: cut(value) for name, value in facts.items()}
    return page, begin + most if begin + most < longest else None


def _short(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value).items()
        return {name: _short(part) for name, part in entries if name not in DETAILS}
    if isinstance(value, list):
        parts = cast("list[Any]", value)
        return [_short(one) for one in parts[:TOP]] if any(isinstance(one, dict) for one in parts) else parts
    return value
