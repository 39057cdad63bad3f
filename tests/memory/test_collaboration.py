"""Who works well with whom is counted; rates follow from the counts."""

from __future__ import annotations

import pytest

from orchestrator_memory.collaboration import wilson
from orchestrator_memory.errors import NotFound, Refused
from orchestrator_memory.store import MemoryStore


@pytest.mark.parametrize(
    ("successes", "attempts", "lower"),
    [(8, 10, 0.4902), (0, 10, 0.0), (1, 1, 0.2065), (10, 10, 0.7225), (0, 0, 0.0), (800, 1000, 0.7741)],
)
def test_the_lower_end_of_the_interval_is_that_of_wilson(successes: int, attempts: int, lower: float) -> None:
    assert wilson(successes, attempts) == pytest.approx(lower, abs=5e-5)


def test_attempts_and_successes_are_counted_for_each_pair_and_kind(store: MemoryStore) -> None:
    for success in [True] * 8 + [False] * 2:
        store.collaboration.record("lead", "trainer", success=success, type="training", seconds=3)
    store.collaboration.record("lead", "trainer", success=False, type="serving", seconds=5)
    store.collaboration.record("trainer", "lead", success=True)
    first, second = store.collaboration.of("lead")
    assert (first.agent, first.other, first.type, first.attempts, first.successes) == (
        "lead", "trainer", "training", 10, 8,
    )  # fmt: skip
    assert (first.rate, first.seconds) == (0.8, 3.0)
    assert first.sure == pytest.approx(0.4902, abs=5e-5)
    assert (second.type, second.rate, second.sure, second.seconds) == ("serving", 0.0, 0.0, 5.0)
    assert [one.other for one in store.collaboration.of("trainer")] == ["lead"]


def test_who_is_asked_is_who_is_surely_good_at_it_and_not_who_was_lucky_once(store: MemoryStore) -> None:
    for number in range(20):
        store.collaboration.record("a", "steady", success=number % 10 != 0, type="training")
    for number in range(10):
        store.collaboration.record("b", "steady", success=number != 0, type="training")
    store.collaboration.record("a", "lucky", success=True, type="training")
    for _ in range(30):
        store.collaboration.record("a", "server", success=True, type="serving")
    best = store.collaboration.whom("training")
    assert [(one.other, one.attempts, one.successes) for one in best] == [("steady", 30, 27), ("lucky", 1, 1)]
    assert [one.other for one in store.collaboration.whom()] == ["server", "steady", "lucky"]
    assert [one.other for one in store.collaboration.whom("serving", most=1)] == ["server"]
    assert store.collaboration.whom("drawing") == []


def test_the_effectiveness_of_delegation_follows_from_how_delegations_ended(store: MemoryStore) -> None:
    task = store.tasks.start("lead", "Build")
    three = [("trainer", "success"), ("trainer", "failure"), ("trainer", "cancelled")]
    parts = [*three, ("infra", "partial"), ("perf", "")]
    for number, (to, outcome) in enumerate(parts, 1):
        store.tasks.delegate(task.uid, to, f"Part {number}", agent="lead")
        if outcome:
            store.tasks.settle(task.uid, number, outcome, agent="lead")
    found = store.collaboration.effectiveness("lead")
    assert {name: (one["delegations"], one["rate"]) for name, one in found.items()} == {
        "trainer": (3, 0.5),
        "infra": (1, 0.0),
        "perf": (1, None),
    }
    assert found["trainer"]["cancelled"] == 1
    assert found["perf"]["open"] == 1
    assert store.collaboration.effectiveness("infra") == {}


def test_what_cannot_be_counted_is_refused(store: MemoryStore) -> None:
    with pytest.raises(Refused, match="itself"):
        store.collaboration.record("lead", "Lead", success=True)
    with pytest.raises(Refused, match="type"):
        store.collaboration.record("lead", "trainer", success=True, type="Feature Engineering")
    with pytest.raises(Refused, match="seconds"):
        store.collaboration.record("lead", "trainer", success=True, seconds=-1)
    with pytest.raises(NotFound):
        store.collaboration.of("lead")
    assert store.agents.list() == []
