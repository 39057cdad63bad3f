"""A project's memories and questions about them: how well recall finds the answers.

The memories and questions in ``questions.json`` were written before recall was tuned, as the notes of a project and
what a language model would send; a third of the questions are held out of tuning.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from orchestrator_memory.store import MemoryStore

DAY = 86_400_000_000
DATA: dict[str, Any] = json.loads(Path(__file__).with_name("questions.json").read_text("utf-8"))


class Dated:
    """A clock that stands where it is set."""

    def __init__(self) -> None:
        self.at = 1_800_000_000_000_000

    def __call__(self) -> int:
        return self.at


def remembered(path: Path) -> MemoryStore:
    """Return a store that has the memories, each of its age."""
    clock = Dated()
    store, now = MemoryStore.open(path, "project", clock=clock), clock.at
    for one in sorted(DATA["memories"], key=lambda one: -one["days"]):
        clock.at = now - one["days"] * DAY
        store.memories.remember(
            one["body"], agent="notes", **{k: v for k, v in one.items() if k not in {"body", "days"}}
        )
    clock.at = now
    return store


def questions(*, held_out: bool | None = None) -> Iterator[tuple[list[str], set[str]]]:
    """Yield the ways in which each question is asked, and the titles of its answers."""
    for one in DATA["questions"]:
        if held_out in {None, one["held_out"]}:
            yield one["asks"], set(one["answers"])


def recall_at(
    store: MemoryStore, most: int, *, ways: slice = slice(None), held_out: bool | None = None
) -> tuple[float, float]:
    """Return the mean share of the answers that are among the first, and the mean of one by the first one's rank."""
    shares: list[float] = []
    ranks: list[float] = []
    for asks, answers in questions(held_out=held_out):
        found = titles(store, asks[ways], most)
        shares.append(len(answers & set(found)) / len(answers))
        ranks.append(next((1 / rank for rank, title in enumerate(found, start=1) if title in answers), 0.0))
    return sum(shares) / len(shares), sum(ranks) / len(ranks)


def titles(store: MemoryStore, asks: Sequence[str], most: int) -> list[str]:
    """Return the titles of what is found, the best first."""
    return [one.memory.title for one in store.memories.recall(asks, most=most, tokens=100_000).hits]
