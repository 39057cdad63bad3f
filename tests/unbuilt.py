"""Behaviours of the mission that are not built yet, each with what brings it. This list may only shrink."""

from __future__ import annotations

__all__ = ["NOT_BUILT"]

_BROUGHT_BY: dict[str, list[str]] = {}

NOT_BUILT = {name: f"comes with {part}" for part, names in _BROUGHT_BY.items() for name in names}
