"""The store on its own: nothing here knows of the orchestrator."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from orchestrator_memory.store import MemoryStore


class Clock:
    """A clock that stands until it is set: microseconds UTC."""

    def __init__(self) -> None:
        self.at = 1_800_000_000_000_000

    def __call__(self) -> int:
        return self.at

    def pass_by(self, seconds: float) -> None:
        self.at += round(seconds * 1_000_000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Generator[MemoryStore]:
    with MemoryStore.open(tmp_path / "memory.db", "project", clock=clock) as one:
        yield one
