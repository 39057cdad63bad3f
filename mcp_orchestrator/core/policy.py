"""How a step is to be treated: how often to try, how long to wait, how much to give it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mcp_orchestrator.core.tasks import Need

__all__ = ["Policy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a step may use, and what happens when it is lost, fails or is cut off by the end of its process.

    A deliberate refusal (bad input, an unknown name) is never tried again. The loss of a worker is; with ``retry``
    ``"failed"``, so is any other failure. ``grace`` is how many seconds a step that must stop may take to stop by
    itself. A step that was cut off by a crash, of the whole process or of its worker, runs again, or, with ``on_crash``
    ``"hold"``, waits for a person and is not tried again by itself.
    """

    attempts: int = 2
    backoff: float = 0.2
    longest: float = 60.0
    retry: Literal["lost", "failed"] = "lost"
    timeout: float | None = None
    grace: float = 0.0
    cpus: int = 1
    memory_mb: int = 0
    gpus: int = 0
    slots: Mapping[str, int] = field(default_factory=dict[str, int])
    on_crash: Literal["rerun", "hold"] = "rerun"

    @property
    def need(self) -> Need:
        """What the step asks the resources for."""
        return Need(cpus=self.cpus, memory_mb=self.memory_mb, gpus=self.gpus, slots=self.slots)

    def pause(self, attempt: int, chance: random.Random) -> float:
        """Return the seconds to wait after failed ``attempt`` (from 1): exponential, with full jitter.

        Source: M. Brooker, "Exponential backoff and jitter", AWS Architecture Blog, 2015.
        """
        return chance.uniform(0, min(self.longest, self.backoff * 2 ** (attempt - 1)))
