"""Conditions of a graph's steps, as JSON: compared values, and, or, not. There is nothing in them to be executed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from mcp_orchestrator.errors import InvalidInput, nearest
from mcp_orchestrator.workflows.references import Reference, resolve

__all__ = ["OPERATORS", "holds", "problems"]


def _contains(left: Any, right: Any) -> bool:  # noqa: ANN401 - any JSON value
    return left in right


def _same(left: Any, right: Any) -> bool:  # noqa: ANN401 - any JSON value
    return left == right and isinstance(left, bool) == isinstance(right, bool)  # true is not 1


OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": _same,
    "!=": lambda left, right: not _same(left, right),
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    "in": _contains,
    "not in": lambda left, right: not _contains(left, right),
}
FORMS = '{"left": ..., "op": ">=", "right": ...}, {"and": [...]}, {"or": [...]} or {"not": ...}'
DEEPEST = 20


def problems(condition: object, place: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the form of a condition, each with its place."""
    if depth > DEEPEST:
        yield place, f"is nested deeper than {DEEPEST}."
        return
    keys: set[str] = set(cast("dict[str, Any]", condition)) if isinstance(condition, dict) else set()
    body = cast("dict[str, Any]", condition)
    if keys in ({"and"}, {"or"}):
        (key,) = keys
        parts = body[key]
        if not isinstance(parts, list) or not parts:
            yield f"{place}.{key}", "takes a list of conditions, one at least."
            return
        for number, part in enumerate(cast("list[Any]", parts)):
            yield from problems(part, f"{place}.{key}[{number}]", depth + 1)
    elif keys == {"not"}:
        yield from problems(body["not"], f"{place}.not", depth + 1)
    elif keys == {"left", "op", "right"}:
        op = body["op"]
        if op not in OPERATORS:
            yield f"{place}.op", f"{op!r} is no comparison. {nearest(str(op), OPERATORS)}"
    else:
        yield place, f"is no condition. Write {FORMS}."


def holds(condition: Mapping[str, Any], look: Callable[[Reference], Any]) -> bool:
    """Say whether a condition holds.

    Raises:
        Missing: it refers to something that there is not.
        InvalidInput: its two sides cannot be compared.

    """
    if "and" in condition:
        return all(holds(part, look) for part in condition["and"])
    if "or" in condition:
        return any(holds(part, look) for part in condition["or"])
    if "not" in condition:
        return not holds(condition["not"], look)
    left, right = resolve(condition["left"], look), resolve(condition["right"], look)
    try:
        return OPERATORS[condition["op"]](left, right)
    except TypeError as error:
        then = 'Compare numbers with numbers and texts with texts; guard a null by {"and": [... "!=" null, ...]}.'
        raise InvalidInput("when", f"{left!r} {condition['op']} {right!r} cannot be compared.", then=then) from error
