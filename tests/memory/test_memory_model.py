"""Memories against a model of them, and recall against whatever is asked."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator_memory.errors import Conflict, NotFound
from orchestrator_memory.store import MemoryStore

pytest.importorskip("hypothesis")  # the store is tested without it too

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

AGENTS = ("ada", "bob")
KINDS = ("fact", "lesson")
TEXTS = ("The zebra leaks.", "the  ZEBRA leaks.", "The zebra is clean.", "Zebra and okapi.")
TITLES = ("", "Okapi")
NASTY = [
    '"',
    '"a',
    "*",
    "NEAR(a b)",
    "a OR",
    "NOT",
    "title: x",
    "{",
    "^zebra",
    "\0",
    "\ud800",
    "x" * 9999,
    "a-b_c" * 99,
]
which = st.integers(0, 5)


@dataclass
class Kept:
    """A memory as the model has it."""

    uid: str
    same: tuple[str, str, str, str]
    tags: set[str]
    times: int = 1
    helpful: int = 0
    harmful: int = 0
    version: int = 1
    superseded_by: str | None = None
    forgotten: bool = False
    expires: int | None = None

    def gone(self) -> bool:
        return self.forgotten or self.superseded_by is not None


class Memories(RuleBasedStateMachine):
    """Does the same to a store and to a list of what it should have, the oldest first."""

    folder: Path
    count = 0

    def __init__(self) -> None:
        super().__init__()
        self.at = 1_800_000_000_000_000
        Memories.count += 1
        self.store = MemoryStore.open(self.folder / f"{Memories.count}.db", "project", clock=lambda: self.at)
        self.kept: list[Kept] = []

    def teardown(self) -> None:
        self.store.close()

    def some(self, number: int) -> Kept:
        return self.kept[number % len(self.kept)]

    def shown(self, one: Kept) -> bool:
        return not one.gone() and (one.expires is None or one.expires > self.at)

    @rule(
        agent=st.sampled_from(AGENTS),
        kind=st.sampled_from(KINDS),
        said=st.tuples(st.sampled_from(TITLES), st.sampled_from(TEXTS)),
        tag=st.sampled_from(["a", "b"]),
        seconds=st.sampled_from([None, None, 1, 5]),
    )
    def remember(self, agent: str, kind: str, said: tuple[str, str], tag: str, seconds: int | None) -> None:
        title, text = said
        expires = None if seconds is None else self.at + seconds * 1_000_000
        written = self.store.memories.remember(
            text,
            agent=agent,
            kind=kind,  # pyright: ignore[reportArgumentType]
            title=title,
            tags=[tag],
            expires=expires,
        )
        same = (agent, kind, title, " ".join(text.casefold().split()))
        known = next((one for one in self.kept if one.same == same and not one.gone()), None)
        assert written.new == (known is None)
        if known is None:
            self.kept.append(Kept(written.memory.uid, same, {tag}, expires=expires))
            return
        assert written.memory.uid == known.uid
        known.times, known.version, known.tags = known.times + 1, known.version + 1, known.tags | {tag}
        if expires is not None or (known.expires is not None and known.expires <= self.at):
            known.expires = expires

    @precondition(lambda self: self.kept)
    @rule(old=which, new=which, agent=st.sampled_from(AGENTS))
    def supersede(self, old: int, new: int, agent: str) -> None:
        one, other = self.some(old), self.some(new)
        if one is other or one.superseded_by is not None:
            with pytest.raises(Conflict):
                self.store.memories.supersede(one.uid, other.uid, agent=agent)
            return
        assert self.store.memories.supersede(one.uid, other.uid, agent=agent).superseded_by == other.uid
        one.superseded_by, one.version = other.uid, one.version + 1

    @precondition(lambda self: self.kept)
    @rule(number=which, helpful=st.booleans(), agent=st.sampled_from(AGENTS))
    def feedback(self, number: int, helpful: bool, agent: str) -> None:
        one = self.some(number)
        self.store.memories.feedback(one.uid, helpful=helpful, agent=agent)
        one.helpful, one.harmful, one.version = one.helpful + helpful, one.harmful + (not helpful), one.version + 1

    @precondition(lambda self: self.kept)
    @rule(number=which)
    def forget(self, number: int) -> None:
        one = self.some(number)
        if not one.forgotten:
            self.store.forget(uid=one.uid)
            one.forgotten = True
            one.version = self.store.memories.get(one.uid).version

    @rule(seconds=st.integers(1, 4))
    def pass_by(self, seconds: int) -> None:
        self.at += seconds * 1_000_000

    @rule()
    def ask_for_what_is_not_there(self) -> None:
        with pytest.raises(NotFound):
            self.store.memories.get("01a1fce5-d88e-7cc4-bbd4-2c6bc1fa967c")

    @invariant()
    def both_list_the_same(self) -> None:
        listed = {one.uid: one for one in self.store.memories.list(most=200)}
        wanted = [one for one in self.kept if self.shown(one)]
        assert list(listed) == [one.uid for one in reversed(wanted)]
        for one in wanted:
            found = listed[one.uid]
            assert (set(found.tags), found.times, found.version) == (one.tags, one.times, one.version)
            assert (found.helpful, found.harmful) == (one.helpful, one.harmful)

    @invariant()
    def both_recall_the_same(self) -> None:
        hits = self.store.memories.recall(["zebra"], most=200, tokens=100_000).hits
        assert {one.memory.uid for one in hits} == {one.uid for one in self.kept if self.shown(one)}
        hidden = self.store.memories.recall(["zebra"], most=200, tokens=100_000, superseded=True).hits
        fresh = [one for one in self.kept if not one.forgotten and (one.expires is None or one.expires > self.at)]
        assert {one.memory.uid for one in hidden} == {one.uid for one in fresh}


def test_whatever_is_done_to_memories_in_whatever_order_they_are_what_the_model_says(tmp_path: Path) -> None:
    Memories.folder = tmp_path
    run_state_machine_as_test(
        Memories,
        settings=settings(
            max_examples=25, stateful_step_count=15, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        ),
    )


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Generator[MemoryStore]:
    with MemoryStore.open(tmp_path_factory.mktemp("zoo") / "memory.db", "project", clock=lambda: 1) as store:
        for number in range(60):
            body = f"The zebra number {number} stands in the field. " * (1 + number % 7 * 9)
            store.memories.remember(body + f"Leakage {number % 5}.", agent="ada", title=f"Animal {number}")
        yield store


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    queries=st.lists(st.text(max_size=60) | st.sampled_from(NASTY), min_size=1, max_size=8),
    most=st.integers(1, 30),
    tokens=st.integers(1, 3000),
)
def test_any_text_is_answered_in_a_stable_order_without_repeats_and_within_the_budget(
    zoo: MemoryStore, queries: list[str], most: int, tokens: int
) -> None:
    recalled = zoo.memories.recall([*queries[:7], "leakage"], most=most, tokens=tokens)
    uids = [one.memory.uid for one in recalled.hits]
    assert len(set(uids)) == len(uids) <= most
    assert uids
    assert [one.score for one in recalled.hits] == sorted((one.score for one in recalled.hits), reverse=True)
    assert recalled.tokens <= tokens
    assert sum(len(one.text.encode()) for one in recalled.hits) <= recalled.tokens * 4
    for one in recalled.hits:
        assert one.score == pytest.approx(math.prod(one.parts.values()))
    again = zoo.memories.recall([*queries[:7], "leakage"], most=most, tokens=tokens)
    assert again == recalled
