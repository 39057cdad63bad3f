"""How often somebody may ask."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Rate"]

FULL = 60.0
"""Seconds after which somebody who asked nothing may ask as much as at first, and need not be remembered."""
MOST_SUBJECTS = 10_000


class Rate:
    """How many requests a subject may make: a minute's at once, and then as they come back."""

    def __init__(self, each_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the number; 0 means any."""
        self._most, self._clock = each_minute, clock
        self._left: dict[str, tuple[float, float]] = {}

    def wait(self, subject: str) -> float:
        """Count a request of a subject, or return for how many seconds there may be none."""
        if not self._most:
            return 0.0
        now, each = self._clock(), self._most / FULL
        left, since = self._left.get(subject, (float(self._most), now))
        left = min(self._most, left + (now - since) * each)
        if left < 1:
            return (1 - left) / each
        if len(self._left) >= MOST_SUBJECTS:
            self._left = {one: told for one, told in self._left.items() if now - told[1] < FULL}
        self._left[subject] = (left - 1, now)
        return 0.0
