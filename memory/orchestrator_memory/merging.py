"""What somebody changed of a JSON value, applied to what stands there now: nobody else's work is undone by it.

Whoever saves a whole document means only what differs from what they had loaded. Nothing is ever removed: what they
left out may have been added meanwhile. Lists gather items, each once, known by an id where they have one; numbers that
count grow by what was counted; of two who set the same single value, the later one is heard.
"""

from __future__ import annotations

import json
from typing import Any, cast

__all__ = ["UNKNOWN", "identity", "merged", "overlaid"]

UNKNOWN: Any = object()
"""What there is none of, or nobody knows."""
IDS = ("task_id", "pattern_name", "decision_id", "message_id", "insight_id", "agent_name", "id", "name")
COUNTS = ("frequency", "collaboration_frequency")


def merged(loaded: Any, said: Any, now: Any, *, adding: bool = False) -> Any:  # noqa: ANN401 - JSON values
    """Return ``now`` with what was changed from ``loaded`` to ``said``; each of the three may be `UNKNOWN`.

    With ``adding``, single values that stand there stay as they are.
    """
    if adding and now is not UNKNOWN and now is not None and not _alike(said, now):
        return now
    if isinstance(said, dict):
        before, there = _dict(loaded), _dict(now)
        changed = {key: one for key, one in _dict(said).items() if key not in before or before[key] != one}
        return there | {key: _value(key, before, one, there, adding=adding) for key, one in changed.items()}
    if isinstance(said, list):
        return _gathered(_list(loaded), _list(said), _list(now), adding=adding)
    return said


def overlaid(below: Any, above: Any) -> Any:  # noqa: ANN401 - JSON values
    """Return ``above`` with what only ``below`` has, at every depth of their objects."""
    if isinstance(below, dict) and isinstance(above, dict):
        lower, upper = _dict(below), _dict(above)
        return lower | {key: overlaid(lower[key], one) if key in lower else one for key, one in upper.items()}
    return above


def identity(item: Any) -> str:  # noqa: ANN401 - JSON values
    """Return what an item of a list is known by: its id, or all of it."""
    named = next((name for name in IDS if name in item), None) if isinstance(item, dict) else None
    return json.dumps([named, item[named]] if named else item, sort_keys=True, default=str)


def _value(key: str, before: dict[str, Any], said: Any, there: dict[str, Any], *, adding: bool) -> Any:  # noqa: ANN401
    loaded, now = before.get(key, UNKNOWN), there.get(key, UNKNOWN)
    if key in COUNTS and _number(said) and _number(now):
        return now + said - loaded if _number(loaded) else max(now, said)
    return merged(loaded, said, now, adding=adding)


def _gathered(loaded: list[Any], said: list[Any], now: list[Any], *, adding: bool) -> list[Any]:
    before = {identity(one): one for one in loaded}
    result, new = list(now), list[Any]()
    places = {identity(one): index for index, one in enumerate(result)}
    newest_first = bool(said) and bool(before) and identity(said[0]) not in before and identity(said[-1]) in before
    for item in said:
        name = identity(item)
        if name in before and before[name] == item:
            continue
        if name in places:
            result[places[name]] = merged(before.get(name, UNKNOWN), item, result[places[name]], adding=adding)
        elif name not in {identity(one) for one in new}:
            new.append(item)
    return [*new, *result] if newest_first else [*result, *new]


def _alike(one: Any, other: Any) -> bool:  # noqa: ANN401
    """Whether two values can be brought together: two objects, or two lists."""
    return any(isinstance(one, kind) and isinstance(other, kind) for kind in (dict, list))


def _dict(value: Any) -> dict[str, Any]:  # noqa: ANN401
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:  # noqa: ANN401
    return cast("list[Any]", value) if isinstance(value, list) else []


def _number(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, int | float) and not isinstance(value, bool)
