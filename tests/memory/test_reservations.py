"""Reservations exclude others while they last, and an old one does not pass for a new one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator_memory.errors import Held, NotFound, NotYours, Refused, Stale
from orchestrator_memory.store import MemoryStore

ALIAS = "model://churn@champion"


def test_what_is_reserved_nobody_else_gets_and_is_told_who_has_it_and_until_when(store: MemoryStore) -> None:
    mine = store.reservations.reserve(ALIAS, "lead", seconds=60, reason="promotion")
    for mode in ("exclusive", "shared"):
        with pytest.raises(Held, match=r"'lead' \(exclusive\) until 2027-01-15T08:01:00.000Z, because: promotion"):
            store.reservations.reserve(ALIAS, "trainer", mode=mode)
    assert store.reservations.holders(ALIAS) == [mine]
    assert store.reservations.reserve("dataset://churn", "trainer").agent == "trainer"


def test_those_who_share_do_so_together_and_nobody_has_it_alone_meanwhile(store: MemoryStore) -> None:
    first, second = (store.reservations.reserve(ALIAS, name, mode="shared") for name in ("a", "b"))
    with pytest.raises(Held, match=r"'a' .*; 'b' "):
        store.reservations.reserve(ALIAS, "c")
    assert store.reservations.release(first.fence)
    with pytest.raises(Held, match="'b'"):
        store.reservations.reserve(ALIAS, "c")
    assert store.reservations.release(second.fence)
    assert store.reservations.reserve(ALIAS, "c").mode == "exclusive"


def test_a_long_list_of_holders_is_cut(store: MemoryStore) -> None:
    for number in range(8):
        store.reservations.reserve(ALIAS, f"reader-{number}", mode="shared")
    with pytest.raises(Held, match=r"'reader-4'.*and 3 others"):
        store.reservations.reserve(ALIAS, "writer")


def test_a_reservation_ends_when_its_time_is_up(store: MemoryStore, clock: Any) -> None:
    old = store.reservations.reserve(ALIAS, "lead", seconds=60)
    clock.pass_by(59.999999)
    assert store.reservations.check(ALIAS, old.fence) == old
    clock.pass_by(0.000001)
    with pytest.raises(Stale, match="expired at 2027-01-15T08:01:00"):
        store.reservations.check(ALIAS, old.fence)
    assert store.reservations.list() == []
    assert store.reservations.reserve(ALIAS, "trainer").fence > old.fence


def test_to_renew_keeps_the_fence_and_only_what_still_holds_is_renewed(store: MemoryStore, clock: Any) -> None:
    one = store.reservations.reserve(ALIAS, "lead", seconds=60)
    clock.pass_by(50)
    assert store.reservations.renew(one.fence, 60, agent="lead").expires == clock() + 60_000_000
    clock.pass_by(50)
    assert store.reservations.check(ALIAS, one.fence).fence == one.fence
    clock.pass_by(10)
    with pytest.raises(Stale):
        store.reservations.renew(one.fence, 60)
    assert store.reservations.holders(ALIAS) == []


def test_fences_only_grow_whatever_the_resource(store: MemoryStore, clock: Any) -> None:
    fences: list[int] = []
    for number in range(6):
        one = store.reservations.reserve(ALIAS if number % 2 else "slot", f"agent-{number}", seconds=1)
        fences.append(one.fence)
        if number % 3:
            store.reservations.release(one.fence)
        clock.pass_by(1)
    assert fences == sorted(set(fences))


def test_who_has_it_already_gets_the_same_renewed(store: MemoryStore, clock: Any) -> None:
    first = store.reservations.reserve(ALIAS, "lead", seconds=60)
    clock.pass_by(30)
    again = store.reservations.reserve(ALIAS, "lead", seconds=60)
    assert (again.fence, again.created, again.expires) == (first.fence, first.created, clock() + 60_000_000)
    assert len(store.reservations.list()) == 1


def test_who_shares_gets_it_alone_only_when_the_others_are_gone_and_under_a_new_fence(store: MemoryStore) -> None:
    mine = store.reservations.reserve(ALIAS, "lead", mode="shared")
    other = store.reservations.reserve(ALIAS, "trainer", mode="shared")
    with pytest.raises(Held, match="'trainer'"):
        store.reservations.reserve(ALIAS, "lead")
    assert store.reservations.check(ALIAS, mine.fence).mode == "shared"
    store.reservations.release(other.fence)
    alone = store.reservations.reserve(ALIAS, "lead")
    assert alone.fence > other.fence
    assert store.reservations.holders(ALIAS) == [alone]
    with pytest.raises(Stale, match="released"):
        store.reservations.check(ALIAS, mine.fence)


def test_a_fence_stands_for_one_resource_of_one_project(store: MemoryStore, tmp_path: Path) -> None:
    one = store.reservations.reserve(ALIAS, "lead")
    with pytest.raises(Stale, match="Reserve 'slot' first"):
        store.reservations.check("slot", one.fence)
    with pytest.raises(Stale, match="no reservation 77"):
        store.reservations.check(ALIAS, 77)
    with MemoryStore.open(tmp_path / "memory.db", "elsewhere") as other:
        for stale in (lambda: other.reservations.check(ALIAS, one.fence), lambda: other.reservations.renew(one.fence)):
            with pytest.raises(Stale):
                stale()
        with pytest.raises(NotFound):
            other.reservations.release(one.fence)
        assert other.reservations.reserve(ALIAS, "lead").fence != one.fence


def test_to_release_twice_or_late_is_no_error_and_frees_nothing_of_another(store: MemoryStore, clock: Any) -> None:
    old = store.reservations.reserve(ALIAS, "lead", seconds=60)
    clock.pass_by(60)
    new = store.reservations.reserve(ALIAS, "trainer", seconds=60)
    assert not store.reservations.release(old.fence)
    assert store.reservations.check(ALIAS, new.fence) == new
    assert [store.reservations.release(new.fence), store.reservations.release(new.fence)] == [True, False]


def test_only_its_holder_renews_or_releases_where_it_says_who_it_is(store: MemoryStore) -> None:
    store.agents.register("trainer")
    one = store.reservations.reserve(ALIAS, "lead")
    for not_theirs in (
        lambda: store.reservations.renew(one.fence, agent="trainer"),
        lambda: store.reservations.release(one.fence, agent="trainer"),
    ):
        with pytest.raises(NotYours, match="that of 'lead'"):
            not_theirs()
    assert store.reservations.release(one.fence, agent="lead")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"resource": ""}, "resource: is empty"),
        ({"resource": "two\nlines"}, "resource"),
        ({"resource": "x" * 201}, "resource"),
        ({"agent": "../../x"}, "agent"),
        ({"mode": "mine"}, "Allowed: shared, exclusive"),
        ({"seconds": 0}, "seconds"),
        ({"seconds": float("nan")}, "seconds"),
        ({"seconds": 1e9}, "seconds"),
        ({"reason": "x" * 501}, "reason"),
    ],
)
def test_what_is_not_acceptable_is_refused(store: MemoryStore, given: dict[str, Any], says: str) -> None:
    asked: Any = {"resource": ALIAS, "agent": "lead", **given}
    with pytest.raises(Refused, match=says):
        store.reservations.reserve(**asked)
    with pytest.raises(Refused, match="fence"):
        store.reservations.check(ALIAS, 2**80)
    assert store.reservations.list() == []
