"""Short work on the memory: the event loop does it itself where that is over before a thread would be awake.

What takes longer, what the memory must be opened for, and what somebody else's writing stands in the way of, is done in
a thread; the loop waits for nobody.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeVar

from anyio import to_thread

from mcp_orchestrator.app import Orchestrator
from orchestrator_memory.door import Busy

__all__ = ["QUICK", "quickly"]

T = TypeVar("T")
QUICK = 0.003
"""Seconds of the processor that work of a kind usually takes, up to which the loop does it; waiting does not count."""
_usual: dict[str, float] = {}


async def quickly(held: Orchestrator, work: Callable[[], T]) -> T:
    """Do work on the memory and return its answer.

    It holds the turn to write all the while when the loop does it, also when it only reads, which goes faster with what
    was written last (`Door.near`): what it takes besides, its locks, must be taken after the turn everywhere, or two
    could wait for each other.
    """
    kind: str = getattr(work, "__qualname__", "")
    usual = _usual.get(kind, math.inf)

    def timed() -> T:
        began = time.thread_time()
        try:
            return work()
        finally:
            took = time.thread_time() - began
            _usual[kind] = took if took > 4 * QUICK or kind not in _usual else 0.8 * _usual[kind] + 0.2 * took

    if held.remembers and usual <= QUICK:
        begun = False
        try:
            with held.memory.door.turn(wait=False):
                begun = True
                return timed()
        except Busy:
            if begun:  # the work met somebody else who is busy
                raise
    return await to_thread.run_sync(timed)
