"""Limits by key: how many at once, and how many in so many seconds.

A key says what is limited: ``total``, or ``component:x``, ``workflow:x``, ``client:x``. With ``*`` in the place of the
name, the limit holds for each of its kind by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

from mcp_orchestrator.errors import InvalidInput

__all__ = ["KINDS", "TOTAL", "Bucket", "Rates", "Table", "check_keys"]

V = TypeVar("V")
KINDS = ("component", "workflow", "client")
TOTAL = "total"
MANY = 1000
_KEY = re.compile(rf"{TOTAL}|({'|'.join(KINDS)}):\S+")


def check_keys(keys: Iterable[str], field: str) -> None:
    """Raise `InvalidInput` for the first key that names nothing that can be limited."""
    for key in keys:
        if not _KEY.fullmatch(key):
            allowed = (TOTAL, *(f"{kind}:NAME" for kind in KINDS))
            raise InvalidInput(f"{field}.{key}", "is no key of a limit.", allowed=allowed, then="NAME may be *.")


class Table(Generic[V]):
    """What was set for which key."""

    def __init__(self, values: Mapping[str, V] | None = None, *, field: str = "limits") -> None:
        """Take the values by key; see the module for the keys."""
        check_keys(values or {}, field)
        self._values = dict(values or {})

    def __bool__(self) -> bool:
        """Whether anything is set."""
        return bool(self._values)

    def of(self, keys: Iterable[str]) -> list[tuple[str, V]]:
        """Return what holds for a thing with these keys, each with its key; ``total`` holds for everything."""
        found = [(key, value) for key in keys if (value := self._find(key)) is not None]
        if TOTAL in self._values:
            found.append((TOTAL, self._values[TOTAL]))
        return found

    def _find(self, key: str) -> V | None:
        exact = self._values.get(key)
        return exact if exact is not None else self._values.get(f"{key.partition(':')[0]}:*")


class Bucket:
    """A token bucket that holds ``most`` tokens and is filled anew in ``seconds``, a token at a time.

    Kept as the time at which it would be full (the virtual scheduling algorithm of ITU-T I.371), so that no error
    adds up. A burst takes ``most`` at once; over long times it is ``most`` in ``seconds``.
    """

    __slots__ = ("_full", "_slack", "_step")

    def __init__(self, most: int, seconds: float) -> None:
        """Start full."""
        self._step = seconds / most
        self._slack = seconds - self._step
        self._full = float("-inf")

    def due(self) -> float:
        """Return the time from which on there is a token."""
        return self._full - self._slack

    def full(self, now: float) -> bool:
        """Whether all tokens are there."""
        return self._full <= now

    def take(self, now: float) -> None:
        """Take a token at a time that is not before `due`."""
        self._full = max(self._full, now) + self._step


class Rates:
    """The buckets of the keys that have a rate: how many may start in how many seconds."""

    def __init__(self, values: Mapping[str, tuple[int, float]] | None) -> None:
        """Take the rates by key."""
        self._table = Table(values, field="rates")
        self._buckets: dict[str, Bucket] = {}

    def of(self, keys: Iterable[str]) -> tuple[str, ...]:
        """Return those of a thing's keys that have a rate."""
        return tuple(key for key, _ in self._table.of(keys)) if self._table else ()

    def due(self, key: str) -> float:
        """Return the time from which on one more may start."""
        bucket = self._buckets.get(key)
        return bucket.due() if bucket is not None else float("-inf")

    def take(self, key: str, now: float) -> None:
        """Count a start."""
        if key not in self._buckets:
            if len(self._buckets) >= MANY:  # those that are full again need not be kept
                self._buckets = {name: one for name, one in self._buckets.items() if not one.full(now)}
            self._buckets[key] = Bucket(*self._table.of([key])[0][1])
        self._buckets[key].take(now)
