"""JSON merge patches (RFC 7396): objects are merged key by key, null removes a key, everything else is replaced."""

from __future__ import annotations

import json
from typing import Any, cast

__all__ = ["difference", "patched", "same"]


def patched(target: Any, patch: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return what a patch makes of a value; neither is changed."""
    if not isinstance(patch, dict):
        return patch
    result = dict(cast("dict[str, Any]", target)) if isinstance(target, dict) else {}
    for key, value in cast("dict[str, Any]", patch).items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = patched(result.get(key), value)
    return result


def difference(before: Any, after: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a patch that makes ``after`` of ``before``, as far as a patch can: it cannot say that a key is null."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return after
    old, new = cast("dict[str, Any]", before), cast("dict[str, Any]", after)
    patch: dict[str, Any] = dict.fromkeys(old.keys() - new.keys())
    for key, value in new.items():
        if key not in old:
            patch[key] = value
        elif not same(old[key], value):
            patch[key] = difference(old[key], value)
    return patch


def same(one: Any, other: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether two values are the same JSON; in Python true equals 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
