"""What can go wrong with the memory: each error says what, about which thing, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

__all__ = [
    "Conflict",
    "Held",
    "MemoryFailure",
    "NotFound",
    "NotYours",
    "ReadOnly",
    "Refused",
    "Stale",
    "Taken",
    "Unavailable",
]


class MemoryFailure(Exception):
    """The base of all errors of this package; ``code`` is stable."""

    code = "memory_failure"


class Refused(MemoryFailure, ValueError):
    """An input is not acceptable; nothing was written."""

    code = "invalid_input"

    def __init__(self, field: str, problem: str, *, allowed: Iterable[object] = (), then: str = "") -> None:
        """Say which field, what is wrong with it, what would be right, and what to do."""
        self.field = field
        choices = ", ".join(str(one) for one in allowed)
        super().__init__(" ".join(filter(None, [f"{field}: {problem}", choices and f"Allowed: {choices}.", then])))


class NotFound(MemoryFailure, LookupError):
    """There is no such thing in this project."""

    code = "unknown_name"

    def __init__(self, kind: str, name: str, known: Iterable[str] = (), *, then: str = "") -> None:
        """Say what was looked for, and which names are near."""
        near = get_close_matches(name, list(known), n=3)
        hint = f"Near: {', '.join(near)}." if near else ""
        super().__init__(" ".join(filter(None, [f"There is no {kind} {name!r} in this project.", hint, then])))


class Conflict(MemoryFailure):
    """Somebody else was faster; ``current`` is what stands there now."""

    code = "conflict"

    def __init__(self, message: str, current: Any = None) -> None:  # noqa: ANN401 - any value
        """Say what was expected and what there is."""
        self.current = current
        super().__init__(message)


class Taken(MemoryFailure, PermissionError):
    """The name belongs to another session that is at work."""

    code = "not_allowed"


class NotYours(MemoryFailure, PermissionError):
    """The thing belongs to another agent."""

    code = "not_allowed"


class Held(MemoryFailure):
    """The resource is reserved by somebody else."""

    code = "held"


class Stale(MemoryFailure):
    """The claim, or the reservation, is no longer one's own: its time was up, and somebody else may have it."""

    code = "stale"


class ReadOnly(MemoryFailure):
    """The database was written by a newer version of the program and is only read."""

    code = "state_unavailable"


class Unavailable(MemoryFailure, OSError):
    """The database cannot be written, or read; what was there is as it was."""

    code = "state_unavailable"

    def __init__(self, path: object, why: str, then: str) -> None:
        """Say which file, why, and what to do."""
        super().__init__(f"{path} was not written: {why}. What was there is as it was. {then}")
