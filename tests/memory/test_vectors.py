"""With an embedder, what is near in meaning is found too; vectors of two embedders are never compared."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from orchestrator_memory import vectors
from orchestrator_memory.errors import Refused
from orchestrator_memory.store import MemoryStore

MEANINGS = (
    {"dog", "hound", "puppy"},
    {"cat", "kitten"},
    {"rain", "storm", "wet"},
    {"money", "price", "cost"},
    {"car", "engine", "wheel"},
)


@dataclass
class Meanings:
    """Knows which words mean the same, and counts what it was asked."""

    name: str = "meanings-1"
    dimensions: int = len(MEANINGS)
    asked: list[int] = field(default_factory=list[int])

    def embed(self, texts: list[str]) -> list[list[float]]:
        self.asked.append(len(texts))
        words = [set(text.casefold().replace(".", "").split()) for text in texts]
        return [[float(len(one & alike)) - 0.01 for alike in MEANINGS] for one in words]


def animals(store: MemoryStore) -> None:
    for body in ("The hound barks.", "A kitten sleeps.", "The storm came.", "The price rose.", "An engine broke."):
        store.memories.remember(body, agent="ann")


def found(store: MemoryStore, embedder: Any, *queries: str, **how: Any) -> list[str]:
    return [one.memory.body for one in store.memories.recall(list(queries), embedder=embedder, **how).hits]


def test_what_shares_no_word_with_the_question_is_found_by_its_meaning(store: MemoryStore) -> None:
    animals(store)
    embedder = Meanings()
    assert store.memories.recall(["puppy"]).hits == []
    assert store.memories.embed_missing(embedder) == 5
    assert found(store, embedder, "puppy")[0] == "The hound barks."
    assert found(store, embedder, "wet", most=1) == ["The storm came."]
    assert store.memories.recall(["puppy"], embedder=embedder).hits[0].why.startswith("near in meaning")


def test_words_and_meaning_together_are_ranked_by_both_orders(store: MemoryStore) -> None:
    animals(store)
    embedder = Meanings()
    store.memories.remember("The dog barks.", agent="ann")
    store.memories.embed_missing(embedder)
    first, second = store.memories.recall(["dog"], embedder=embedder, most=2).hits
    assert (first.memory.body, second.memory.body) == ("The dog barks.", "The hound barks.")
    assert first.parts["fused"] == pytest.approx(1 / 61 + 1 / 61, rel=0.02)
    for hit in (first, second):
        assert hit.score == pytest.approx(math.prod(hit.parts.values()))
        assert not {"text", "breadth"} & hit.parts.keys()


def test_vectors_are_made_once_in_batches_and_only_of_what_is_valid(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "BATCH", 2)
    animals(store)
    old = store.memories.list()[0].uid
    store.memories.remember("An engine runs again.", agent="ann", supersedes=[old])
    embedder = Meanings()
    assert store.memories.embed_missing(embedder, most=3) == 3
    assert store.memories.embed_missing(embedder) == 2
    assert store.memories.embed_missing(embedder) == 0
    assert embedder.asked == [2, 1, 2]


def test_filters_hold_for_what_is_near_too(store: MemoryStore) -> None:
    animals(store)
    embedder = Meanings()
    store.memories.embed_missing(embedder)
    hidden = store.memories.recall(["puppy"], embedder=embedder).hits[0].memory.uid
    store.memories.remember("Nothing barks.", agent="bob", kind="fact", supersedes=[hidden])
    store.memories.embed_missing(embedder)
    assert "The hound barks." not in found(store, embedder, "puppy")
    assert found(store, embedder, "puppy", kinds=["fact"]) == ["Nothing barks."]
    assert found(store, embedder, "puppy", agent="bob") == ["Nothing barks."]


def test_vectors_that_another_process_made_are_seen(store: MemoryStore) -> None:
    animals(store)
    embedder = Meanings()
    store.memories.embed_missing(embedder, most=4)
    assert found(store, embedder, "wheel", most=1) != ["An engine broke."]
    with MemoryStore.open(store.door.path, store.project, clock=store.ground.clock) as other:
        other.memories.embed_missing(embedder)
    assert found(store, embedder, "wheel", most=1) == ["An engine broke."]


def test_another_embedder_is_refused_until_everything_is_embedded_anew(store: MemoryStore) -> None:
    animals(store)
    first, second = Meanings(), Meanings(name="meanings-2")
    with pytest.raises(Refused, match="made no vectors yet"):
        store.memories.recall(["dog"], embedder=first)
    store.memories.embed_missing(first)
    for work in (lambda: store.memories.recall(["dog"], embedder=second), lambda: store.memories.embed_missing(second)):
        with pytest.raises(Refused, match="there are vectors of 'meanings-1'"):
            work()
    assert store.memories.embed_missing(second, replace=True) == 5
    assert found(store, second, "puppy")[0] == "The hound barks."
    with pytest.raises(Refused, match="there are vectors of 'meanings-2'"):
        store.memories.recall(["dog"], embedder=first)


@pytest.mark.parametrize(
    ("made", "problem"), [([[1.0] * 4], "4 numbers"), ([[float("nan")] * 5], "finite"), ([], "0 vectors of 1 texts")]
)
def test_an_embedder_that_returns_something_else_is_refused(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch, made: list[list[float]], problem: str
) -> None:
    store.memories.remember("The hound barks.", agent="ann")
    monkeypatch.setattr(Meanings, "embed", lambda *_: made)
    with pytest.raises(Refused, match=problem):
        store.memories.embed_missing(Meanings())


@dataclass
class Scattered:
    """A direction of its own for each text."""

    name: str = "scattered"
    dimensions: int = 64

    def embed(self, texts: list[str]) -> list[list[float]]:
        drawn = [random.Random(text) for text in texts]  # noqa: S311 - made-up data
        return [[one.gauss() for _ in range(self.dimensions)] for one in drawn]


def test_the_nearest_are_those_that_an_exact_search_finds(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(300):
        store.memories.remember(f"Text {number}", agent="ann")
    embedder = Scattered()
    store.memories.embed_missing(embedder)
    monkeypatch.setattr(vectors, "LOOKED_AT", 100)
    (asked,) = embedder.embed(["question"])
    exact = {one.body: cosine(asked, embedder.embed([one.body])[0]) for one in every(store)}
    best = sorted(exact, key=lambda one: -exact[one])[:10]
    near = found(store, embedder, "question", most=10)
    assert near[0] == best[0]
    assert len(set(near) & set(best)) >= 8


def every(store: MemoryStore) -> list[Any]:
    kept: list[Any] = []
    while page := store.memories.list(most=200, before=kept[-1].uid if kept else None):
        kept += page
    return kept


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True)) / math.hypot(*one) / math.hypot(*other)
