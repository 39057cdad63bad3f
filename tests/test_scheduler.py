"""The scheduler: order, shares, limits and reservations, with time passed in; and that nothing is lost."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings as checked
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mcp_orchestrator.core.ask import Ask, State
from mcp_orchestrator.core.heap import Heap
from mcp_orchestrator.core.scheduler import Scheduler
from mcp_orchestrator.core.tasks import Capacity, Need
from mcp_orchestrator.errors import InvalidInput, UnknownName

ROOT = Path(__file__).parent.parent
ONE = Need(cpus=1)


def drain(scheduler: Scheduler, held: list[Ask], now: float = 0.0, length: float = 1.0) -> list[str]:
    """End what is held, oldest first, until nothing waits; return the labels in the order of starting."""
    order: list[str] = []
    while held:
        now += length
        started = scheduler.release(held.pop(0), now)
        order += [ask.label for ask in started]
        held += started
    assert not scheduler.waiting
    return order


def ask(scheduler: Scheduler, label: str, now: float = 0.0, need: Need = ONE, **more: Any) -> Ask:
    return scheduler.ask(need, now, label=label, **more)


@pytest.mark.requirement("resources.fair")
def test_equal_requests_start_in_the_order_in_which_they_came() -> None:
    scheduler = Scheduler(Capacity(cpus=1))
    held = [ask(scheduler, "first")]
    for label in "abcd":
        assert ask(scheduler, label).state is State.WAITING
    assert drain(scheduler, held) == list("abcd")


def test_a_higher_priority_starts_first_until_a_lower_one_has_waited_for_the_difference() -> None:
    scheduler = Scheduler(Capacity(cpus=1), ageing=10)
    held = [ask(scheduler, "first")]
    ask(scheduler, "low", now=0, priority=0)
    ask(scheduler, "high", now=19, priority=2)  # 19 s later, worth 20 s
    ask(scheduler, "late", now=21, priority=2)  # 21 s later
    assert drain(scheduler, held, now=21) == ["high", "low", "late"]


def test_a_hundred_requests_on_two_processors_keep_the_limit_and_the_order_and_none_starves() -> None:
    scheduler, now, ageing = Scheduler(Capacity(cpus=2), ageing=5), 0.0, 5.0
    held = [ask(scheduler, "0"), ask(scheduler, "1")]
    asked = {f"{number}": (0.0, number % 7) for number in range(2, 100)}
    for label, (_, priority) in asked.items():
        ask(scheduler, label, priority=priority)
    begun: dict[str, float] = {}
    for number in range(400):  # and a stream of urgent ones, one for each that starts
        now += 1
        started = scheduler.release(held.pop(0), now)
        begun |= {one.label: now for one in started}
        held += started
        assert sum(one.cpus for one in held) <= 2
        asked[f"urgent {number}"] = (now, 6)
        ask(scheduler, f"urgent {number}", now, priority=6)
    first = [label for label in begun if not label.startswith("urgent")]
    assert len(first) == 98
    assert [asked[label][1] for label in first] == sorted((asked[label][1] for label in first), reverse=True)
    keys = [asked[label][0] - ageing * asked[label][1] for label in begun]
    assert keys == sorted(keys)


def test_two_clients_get_the_same_however_many_requests_one_of_them_has_waiting_since_when() -> None:
    scheduler = Scheduler(Capacity(cpus=1))
    held = [ask(scheduler, "a", fair="a")]
    for _ in range(50):
        ask(scheduler, "a", fair="a")
    now = 0.0
    for _ in range(10):
        now += 100
        held = scheduler.release(held[0], now)
    for _ in range(10):
        ask(scheduler, "b", now, fair="b")
    order = drain(scheduler, held, now)
    assert Counter(order[:20]) == {"a": 10, "b": 10}
    assert order[:3].count("b") >= 1


def test_who_holds_longer_is_served_less_often() -> None:
    scheduler, now = Scheduler(Capacity(cpus=1), ageing=1), 0.0
    held = [ask(scheduler, "long", fair="long")]
    for label in ("long", "short") * 100:
        ask(scheduler, label, fair=label)
    time: Counter[str] = Counter()
    for _ in range(60):
        one = held[0]
        length = 9.0 if one.label == "long" else 1.0
        time[one.label] += int(length)
        now += length
        held = scheduler.release(one, now)
    assert (
        1.6 < time["long"] / time["short"] < 2
    )  # a long one uses 10 and a short one 2: five short ones for a long one
    assert time["long"] + time["short"] == now


def test_a_client_that_was_away_saves_nothing_up() -> None:
    scheduler, now = Scheduler(Capacity(cpus=1)), 0.0
    for _ in range(100):
        now += 1
        scheduler.release(ask(scheduler, "a", now, fair="a"), now)
    held = [ask(scheduler, "a", now, fair="a")]
    for label in ("b", "a") * 10:
        ask(scheduler, label, now, fair=label)
    order = drain(scheduler, held, now)
    assert 4 <= order[:10].count("b") <= 6


def test_ever_new_clients_of_high_priority_do_not_starve_one_of_low_priority() -> None:
    scheduler, now, passed = Scheduler(Capacity(cpus=1)), 0.0, 0
    held = [ask(scheduler, "first", fair="first")]
    low = ask(scheduler, "low", fair="low")
    while low.state is State.WAITING and passed < 100:
        ask(scheduler, "urgent", now, priority=5, fair=f"client {passed}")
        now, passed = now + 1, passed + 1
        held = scheduler.release(held[0], now)
    assert low.state is State.GRANTED
    assert 5 <= passed < 30


def test_clients_that_came_and_went_are_forgotten() -> None:
    scheduler = Scheduler(Capacity(cpus=2), limits={"client:*": 1}, rates={"client:*": (1, 1.0)})
    for number in range(5000):
        scheduler.release(ask(scheduler, "", float(number), fair=f"client {number}"), number + 1.0)
    assert len(scheduler._shares.clients) < 500
    assert len(scheduler._rates._buckets) <= 1000
    assert len(scheduler.ledger.free) == 3


def test_processors_are_elastic_and_everything_else_is_not() -> None:
    scheduler = Scheduler(Capacity(cpus=4, memory_mb=1000, gpus=2), slots={"lines": 3})
    some = ask(scheduler, "", need=Need(cpus=3, memory_mb=600, gpus=1, slots={"lines": 2}))
    rest = ask(scheduler, "", need=Need(cpus=8, gpus=1))
    assert (some.cpus, some.gpus, rest.cpus, rest.gpus) == (3, (0,), 1, (1,))
    dry = [
        ask(scheduler, "", need=Need(cpus=0, memory_mb=500)),
        ask(scheduler, "", need=Need(cpus=0, gpus=1)),
        ask(scheduler, "", need=Need(cpus=0, slots={"lines": 2})),
    ]
    assert [scheduler.why(one, 0) for one in dry] == ["memory_mb", "gpus", "slot:lines"]
    assert scheduler.release(some, 1) == dry
    assert dry[1].gpus == (0,)


@pytest.mark.parametrize(
    ("need", "said"),
    [
        (Need(memory_mb=10_000), "memory_mb: 10000 asked for, and there are 1000.*setting memory_mb"),
        (Need(gpus=1), "gpus: 1 asked for, and there are 0"),
        (Need(slots={"lines": 4}), "lines: 4 asked for, and there are 3.*pools"),
        (Need(slots={"line": 1}), "no slot 'line'.*'lines'"),
        (Need(memory_mb=-1), "memory_mb: -1 was asked for"),
        (Need(cpus=-1), "cpus: -1 was asked for"),
    ],
)
def test_what_can_never_be_had_is_refused_with_both_figures(need: Need, said: str) -> None:
    scheduler = Scheduler(Capacity(cpus=4, memory_mb=1000), slots={"lines": 3})
    with pytest.raises((InvalidInput, UnknownName), match=said):
        scheduler.ask(need, 0)
    assert not scheduler.waiting
    with pytest.raises(InvalidInput, match="cpus: 1 asked for, and there are 0"):
        Scheduler(Capacity(cpus=0)).ask(ONE, 0)


def test_memory_that_is_not_counted_refuses_nobody() -> None:
    assert ask(Scheduler(Capacity(cpus=1)), "", need=Need(memory_mb=10_000)).state is State.GRANTED


def test_small_requests_pass_a_big_one_only_so_often() -> None:
    scheduler, now = Scheduler(Capacity(cpus=10, memory_mb=100), passes=5, patience=1e9), 0.0
    held = [ask(scheduler, "small", need=Need(memory_mb=30)) for _ in range(3)]
    big = ask(scheduler, "big", need=Need(memory_mb=100))
    passed = 0
    while big.state is State.WAITING and passed < 50:
        now += 1
        held += scheduler.release(held.pop(0), now)
        one = ask(scheduler, "small", now, need=Need(memory_mb=30))
        if one.state is State.GRANTED and big.state is State.WAITING:
            passed += 1
            held.append(one)
    assert big.state is State.GRANTED
    assert passed == 5


def test_after_long_waiting_one_is_enough() -> None:
    scheduler = Scheduler(Capacity(cpus=10, memory_mb=100), passes=1000, patience=60)
    held = ask(scheduler, "small", need=Need(memory_mb=30))
    big = ask(scheduler, "big", need=Need(memory_mb=100))
    assert ask(scheduler, "small", 59, need=Need(memory_mb=30)).state is State.GRANTED
    last = ask(scheduler, "small", 61, need=Need(memory_mb=30))
    assert last.state is State.GRANTED
    assert ask(scheduler, "small", 62, need=Need(memory_mb=30)).state is State.WAITING
    assert ask(scheduler, "no memory", 62).state is State.GRANTED
    assert ask(scheduler, "urgent", 62, need=Need(memory_mb=10), priority=9).state is State.GRANTED
    scheduler.release(held, 63)
    scheduler.release(big, 64)  # gives up
    assert not scheduler.waiting


def test_a_reservation_that_is_given_up_shuts_nobody_out() -> None:
    limits = {"component:x": 1}
    scheduler = Scheduler(Capacity(cpus=10, memory_mb=100), limits=limits, passes=1)
    held = ask(scheduler, "holds", need=Need(memory_mb=50))
    big = ask(scheduler, "big", need=Need(memory_mb=100), keys=["component:x"])
    ask(scheduler, "passes", need=Need(memory_mb=10))
    kept_out = ask(scheduler, "x", keys=["component:x"])
    assert scheduler.why(kept_out, 0) == "limit:component:x"
    assert scheduler.release(big, 1) == [kept_out]
    assert scheduler.release(held, 1) == []


def test_limits_hold_by_key_by_kind_and_in_all() -> None:
    scheduler = Scheduler(Capacity(cpus=100), limits={"component:slow": 1, "client:*": 2, "total": 4})
    states = [
        ask(scheduler, "", keys=["component:slow"], fair="a").state,
        ask(scheduler, "", keys=["component:slow"], fair="b").state,
        ask(scheduler, "", fair="a").state,
        ask(scheduler, "", fair="a").state,
        ask(scheduler, "", fair="b").state,
        ask(scheduler, "", fair="c").state,
        ask(scheduler, "", fair="d").state,
    ]
    granted = [state is State.GRANTED for state in states]
    assert granted == [True, False, True, False, True, True, False]
    started = 0
    for one in list(scheduler.granted):
        started += len(scheduler.release(one, 1))
    assert started == 3
    for one in list(scheduler.granted):
        scheduler.release(one, 2)
    assert [name for name in scheduler.ledger.free if name.startswith("limit:")] == []


@pytest.mark.parametrize("key", ["x", "component:", "step:x", "component: x"])
def test_a_key_that_limits_nothing_is_refused(key: str) -> None:
    with pytest.raises(InvalidInput, match=r"limits.*component:NAME"):
        Scheduler(Capacity(cpus=1), limits={key: 1})
    with pytest.raises(InvalidInput, match=r"rates.*component:NAME"):
        Scheduler(Capacity(cpus=1), rates={key: (1, 1.0)})


def test_a_rate_lets_a_burst_start_and_then_one_each_time_a_token_comes() -> None:
    scheduler, keys = Scheduler(Capacity(cpus=100), rates={"component:api": (3, 60)}), ["component:api"]
    states = [ask(scheduler, f"{number}", keys=keys).state for number in range(6)]
    assert [state is State.GRANTED for state in states] == [True] * 3 + [False] * 3
    assert ask(scheduler, "other").state is State.GRANTED
    times: list[float] = []
    while scheduler.waiting:
        due = scheduler.due()
        assert due is not None
        assert scheduler.advance(due - 0.01) == ([], [])
        started, _ = scheduler.advance(due)
        times += [due] * len(started)
    assert times == [20, 40, 60]
    assert scheduler.due() is None


def test_a_request_gives_up_at_its_deadline() -> None:
    scheduler = Scheduler(Capacity(cpus=1))
    held = ask(scheduler, "holds")
    late, patient = ask(scheduler, "late", deadline=10), ask(scheduler, "patient", deadline=30)
    assert scheduler.due() == 10
    assert scheduler.advance(9) == ([], [])
    assert scheduler.advance(10) == ([], [late])
    assert late.state is State.ENDED
    assert scheduler.release(held, 20) == [patient]
    assert scheduler.due() is None


def test_what_there_is_may_grow_and_shrink() -> None:
    scheduler = Scheduler(Capacity(cpus=1, gpus=2))
    first = ask(scheduler, "first", need=Need(cpus=1, gpus=2))
    second = ask(scheduler, "second", need=Need(cpus=1, gpus=1))
    assert scheduler.resize(Capacity(cpus=2, gpus=3), 0) == [second]
    assert second.gpus == (2,)
    assert scheduler.resize(Capacity(cpus=1, gpus=1), 0) == []
    third = ask(scheduler, "third", need=Need(cpus=1, gpus=1))
    assert scheduler.release(second, 0) == []
    assert scheduler.release(first, 0) == [third]
    assert third.gpus == (0,)


def test_a_heap_whose_items_are_moved_all_the_time_does_not_grow() -> None:
    heap: Heap[str] = Heap()
    for number in range(10_000):
        heap.put("a", -number)
        heap.put("b", number)
    assert len(heap._heap) < 100
    assert list(heap) == ["a", "b"]
    assert (heap.pop(), heap.pop(), heap.pop()) == ("a", "b", None)


class Life(RuleBasedStateMachine):
    """Requests of all kinds come, end and are given up in any order, while time goes by."""

    total = Capacity(cpus=3, memory_mb=100, gpus=2)

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.asks: list[Ask] = []
        self.scheduler = Scheduler(
            self.total,
            slots={"line": 2},
            limits={"component:x": 1, "client:*": 4},
            rates={"component:y": (2, 5.0)},
            ageing=3,
            passes=2,
            patience=10,
            look=3,
        )

    def wait(self) -> list[Ask]:
        return [one for one in self.asks if one.state is State.WAITING]

    @rule(
        cpus=st.integers(0, 5), memory=st.sampled_from([0, 0, 10, 60, 100]), gpus=st.sampled_from([0, 0, 1, 2]),
        line=st.sampled_from([0, 0, 1, 2]), keys=st.sets(st.sampled_from(["component:x", "component:y"])),
        fair=st.sampled_from("abc"), priority=st.integers(-2, 5), patience=st.none() | st.integers(0, 20),
    )  # fmt: skip
    def ask(self, **asked: Any) -> None:
        need = Need(cpus=asked["cpus"], memory_mb=asked["memory"], gpus=asked["gpus"], slots={"line": asked["line"]})
        deadline = None if asked["patience"] is None else self.now + asked["patience"]
        self.asks.append(
            self.scheduler.ask(
                need,
                self.now,
                priority=asked["priority"],
                fair=asked["fair"],
                keys=sorted(asked["keys"]),
                deadline=deadline,
            )
        )

    @precondition(lambda self: self.asks)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.asks))
        started = self.scheduler.release(one, self.now)
        assert all(one.state is State.GRANTED for one in started)
        self.asks = [one for one in self.asks if one.state is not State.ENDED]

    @rule(seconds=st.integers(0, 10))
    def pass_time(self, seconds: int) -> None:
        self.now += seconds
        _, late = self.scheduler.advance(self.now)
        assert all(one.deadline is not None and one.deadline <= self.now for one in late)
        self.asks = [one for one in self.asks if one.state is not State.ENDED]

    @invariant()
    def no_more_is_held_than_there_is_and_the_books_are_right(self) -> None:
        held = [one for one in self.asks if one.state is State.GRANTED]
        free = self.scheduler.ledger.free
        assert free["cpus"] == 3 - sum(one.cpus for one in held) >= 0
        assert free["memory_mb"] == 100 - sum(one.need.memory_mb for one in held) >= 0
        assert free["slot:line"] == 2 - sum(one.need.slots["line"] for one in held) >= 0
        ids = [number for one in held for number in one.gpus]
        assert len(ids) == len(set(ids)) == 2 - free["gpus"]
        assert set(held) == set(self.scheduler.granted)
        assert set(self.wait()) == set(self.scheduler.waiting)

    @invariant()
    def an_idle_machine_keeps_nobody_waiting_but_for_a_rate(self) -> None:
        if not self.scheduler.granted:
            assert all(self.scheduler.why(one, self.now).startswith("rate:") for one in self.wait())

    def teardown(self) -> None:
        """Whatever still waits is served in the end, and everything is given back."""
        for _ in range(10 * len(self.asks) + 10):
            self.now += 5
            self.scheduler.advance(self.now)
            for one in list(self.scheduler.granted):
                self.scheduler.release(one, self.now)
        assert not self.scheduler.waiting
        assert self.scheduler.ledger.free == {"cpus": 3, "memory_mb": 100, "gpus": 2, "slot:line": 2}
        assert not any(client.active for client in self.scheduler._shares.clients.values())


Life.TestCase.settings = checked(max_examples=60, stateful_step_count=40, deadline=None, database=None)
TestLife = Life.TestCase


@pytest.mark.checkout
def test_the_work_for_a_step_does_not_grow_with_the_number_of_steps() -> None:
    simulation = _simulation()
    small, large = simulation.simulate(100, 10), simulation.simulate(1000, 100)
    assert large.steps == 10 * small.steps == 10_000
    assert large.examined / large.steps < 1.5 * small.examined / small.steps + 5
    means = [sum(one) / len(one) for one in large.waited]
    assert means == sorted(means, reverse=True)
    assert max(map(max, large.waited)) < large.took


def _simulation() -> Any:
    spec = importlib.util.spec_from_file_location("simulation", ROOT / "benchmarks" / "simulation.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["simulation"] = module
    spec.loader.exec_module(module)
    return module
