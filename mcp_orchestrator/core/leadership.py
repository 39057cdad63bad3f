"""Who leads: exactly one process of a state home works on its runs.

The leader holds the lock on ``leader.lock``; the kernel releases it when the process dies, however it dies. Each
leadership has a number, its epoch, greater than all before it: what a leader of an earlier epoch left running is known
by it. No clock decides anything here.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from orchestrator_memory import FileLock

__all__ = ["Leader", "Leadership"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leader:
    """What a leader says about itself: its epoch, its process, and what it is (``host``, ``server``, ``command``)."""

    epoch: int
    pid: int
    kind: str = ""
    version: str = ""


class Leadership:
    """The leadership of a state home as one process sees it."""

    def __init__(self, home: Path, name: str = "leader") -> None:
        """Look at the lock ``name`` of a state home; nothing is taken yet."""
        self._lock = FileLock(home / f"{name}.lock")
        self._said: Leader | None = None

    @property
    def epoch(self) -> int:
        """The number of this process's leadership; 0 while it does not lead."""
        return self._said.epoch if self._said is not None else 0

    @property
    def leads(self) -> bool:
        """Whether this process leads."""
        return self._lock.held

    def acquire(self, kind: str = "", version: str = "", *, wait: bool = False) -> bool:
        """Become the leader; without ``wait``, return False at once when another process is.

        Raises:
            OSError: the lock cannot be made, as in a home that cannot be written to.

        """
        if not self._lock.acquire(wait=wait):
            return False
        former = _read(self._lock.read())
        self._say(Leader(epoch=(former.epoch if former else 0) + 1, pid=os.getpid(), kind=kind, version=version))
        return True

    def number(self, epoch: int) -> None:
        """Take the epoch that the journal gave; it counts from now on."""
        if self._said is not None:
            self._say(replace(self._said, epoch=epoch))

    def release(self) -> None:
        """Stop leading; the next one may."""
        self._said = None
        self._lock.release()

    def leader(self) -> Leader | None:
        """Return who leads now, or None when nobody does."""
        if self._said is not None:
            return self._said
        return _read(self._lock.read()) if self._lock.taken() else None

    def alive(self, epoch: int | None) -> bool:
        """Whether the leader of ``epoch`` still leads."""
        leader = self.leader() if epoch else None
        return leader is not None and leader.epoch == epoch

    def _say(self, leader: Leader) -> None:
        self._said = leader
        self._lock.write(json.dumps(asdict(leader)))


def _read(text: str) -> Leader | None:
    """Read what a leader wrote; None for what is none, as in a file that somebody emptied."""
    try:
        return Leader(**json.loads(text))
    except (ValueError, TypeError):
        return None
