"""How a step is to be treated: how often to try, how long to wait, how much to give it."""

from __future__ import annotations

import random
from dataclasses import dataclass

__all__ = ["Policy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a step may use and what happens when its worker is lost.

    A deliberate refusal (bad input, an unknown name) is never tried again: only the loss of a worker is.
    """

    attempts: int = 2
    backoff: float = 0.2
    timeout: float | None = None
    cpus: int = 1

    def pause(self, attempt: int, chance: random.Random) -> float:
        """Return the seconds to wait after failed ``attempt`` (from 1): exponential, with full jitter."""
        return chance.uniform(0, self.backoff * 2 ** (attempt - 1))
