"""Leases: waited for in turn, given back on every path, taken back when they expire, and seen by whoever looks."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import sys
import types
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from hypothesis import given
from hypothesis import settings as checked
from hypothesis import strategies as st

from mcp_orchestrator.core import machine
from mcp_orchestrator.core.pools import Pool
from mcp_orchestrator.core.resources import Lease, Resources
from mcp_orchestrator.core.tasks import Capacity, Need
from mcp_orchestrator.core.thresholds import Thresholds
from mcp_orchestrator.errors import InvalidInput, NotReady, OutOfTime, UnknownName
from mcp_orchestrator.settings import Settings
from orchestrator_memory.sqlite import sqlite3

pytestmark = pytest.mark.anyio
ALL_FREE = {"cpus": 2, "memory_mb": 100, "gpus": 1, "slot:lines": 2}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def some(**more: Any) -> Resources:
    return Resources(Capacity(cpus=2, memory_mb=100, gpus=1), slots={"lines": 2}, **more)


async def hold(resources: Resources, need: Need, granted: list[Lease], until: anyio.Event, **how: Any) -> None:
    """Hold a lease until told to give it back."""
    async with resources.lease(need, **how) as lease:
        granted.append(lease)
        await until.wait()


@pytest.mark.requirement("resources.leases")
async def test_a_lease_takes_the_processors_that_are_free_at_least_one_and_never_more_than_there_are() -> None:
    resources, granted, done = Resources(Capacity(cpus=4)), list[Lease](), anyio.Event()
    async with anyio.create_task_group() as group:
        for wanted in (3, 8, 2):
            group.start_soon(hold, resources, Need(cpus=wanted), granted, done)
            await anyio.wait_all_tasks_blocked()
        assert [lease.cpus for lease in granted] == [3, 1]
        assert resources.snapshot()["queue"] == 1
        done.set()
    assert [lease.cpus for lease in granted] == [3, 1, 2]
    assert resources.scheduler.ledger.free["cpus"] == 4


@pytest.mark.requirement("resources.leases")
@pytest.mark.parametrize("how", ["end", "fail", "cancel", "cancel while it waits", "cancel when it is granted"])
async def test_whatever_becomes_of_its_holder_a_lease_is_given_back(how: str) -> None:
    resources, granted, never = some(), list[Lease](), anyio.Event()
    need = Need(cpus=2, memory_mb=100, gpus=1, slots={"lines": 2})
    if how == "end":
        async with resources.lease(need):
            assert set(resources.scheduler.ledger.free.values()) == {0}
    elif how == "fail":
        with pytest.raises(ZeroDivisionError):
            async with resources.lease(need):
                raise ZeroDivisionError
    else:
        until = anyio.Event()
        async with anyio.create_task_group() as outer, anyio.create_task_group() as inner:
            if how != "cancel":
                outer.start_soon(hold, resources, need, granted, until)
                await anyio.wait_all_tasks_blocked()
            inner.start_soon(hold, resources, need, granted, never)
            await anyio.wait_all_tasks_blocked()
            if how == "cancel when it is granted":
                until.set()
                while granted and granted[0].ask is not None and granted[0].ask in resources.scheduler.granted:
                    await anyio.lowlevel.checkpoint()
                assert len(resources.scheduler.granted) == 1
            inner.cancel_scope.cancel()
            until.set()
    assert resources.scheduler.ledger.free == ALL_FREE
    assert (resources.snapshot()["granted"], resources.snapshot()["waiting"]) == ([], [])


@pytest.mark.requirement("resources.fair")
async def test_a_hundred_leases_on_two_processors_start_by_priority_and_none_is_left_over() -> None:
    resources, order, most = Resources(Capacity(cpus=2)), list[tuple[int, int]](), 0
    chance, go = random.Random(3), anyio.Event()  # noqa: S311 - an order of priorities

    async def work(number: int, priority: int) -> None:
        nonlocal most
        async with resources.lease(Need(cpus=1), priority=priority, label=f"{number}"):
            most = max(most, 2 - resources.scheduler.ledger.free["cpus"])
            order.append((priority, number))
            await go.wait()
            await anyio.lowlevel.checkpoint()

    asked = [(number, chance.randrange(5)) for number in range(100)]
    async with anyio.create_task_group() as group:
        for number, priority in asked:
            group.start_soon(work, number, priority)
        await anyio.wait_all_tasks_blocked()
        assert len(order) == 2
        go.set()
    assert most == 2
    assert sorted(number for _, number in order) == list(range(100))
    assert order[2:] == sorted(order[2:], key=lambda one: (-one[0], one[1]))


asks = st.fixed_dictionaries(
    {
        "need": st.builds(
            Need,
            cpus=st.integers(0, 3),
            memory_mb=st.sampled_from([0, 0, 40, 100]),
            gpus=st.integers(0, 1),
            slots=st.fixed_dictionaries({"lines": st.integers(0, 2)}),
        ),
        "fair": st.sampled_from("abc"),
        "priority": st.integers(0, 3),
        "before": st.integers(0, 12),
        "during": st.integers(0, 12),
        "end": st.sampled_from(["end", "fail", "cancel"]),
    }
)


async def turns(number: int) -> None:
    for _ in range(number):
        await anyio.lowlevel.checkpoint()


async def live(resources: Resources, asked: dict[str, Any]) -> None:
    """Wait, ask, hold and end in one of three ways; the limits hold while it holds."""

    async def cancel() -> None:
        await turns(asked["during"])
        group.cancel_scope.cancel()

    await turns(asked["before"])
    async with anyio.create_task_group() as group:
        if asked["end"] == "cancel":
            group.start_soon(cancel)
        with contextlib.suppress(ZeroDivisionError):
            async with resources.lease(asked["need"], priority=asked["priority"], fair=asked["fair"]):
                assert min(resources.scheduler.ledger.free.values()) >= 0
                await turns(asked["during"])
                _ = 1 // (asked["end"] != "fail")


@checked(max_examples=60, deadline=None, database=None)
@given(st.lists(asks, max_size=25))
def test_in_any_mix_of_asking_cancelling_and_failing_the_limits_hold_and_nothing_leaks(
    every: list[dict[str, Any]],
) -> None:
    async def main() -> None:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                for asked in every:
                    group.start_soon(live, resources, asked)

    resources = some(ageing=1)
    anyio.run(main)
    assert resources.scheduler.ledger.free == ALL_FREE
    assert not resources.scheduler.waiting
    assert not resources.scheduler.granted


async def test_nothing_asked_is_granted_though_everything_is_taken() -> None:
    resources = some()
    async with resources.lease(Need(cpus=2)), resources.lease(Need(cpus=0)) as free:
        assert (free.cpus, free.gpus) == (0, ())
        assert len(resources.scheduler.granted) == 1


async def test_the_impossible_is_refused_at_once() -> None:
    with pytest.raises(InvalidInput, match="memory_mb: 500 asked for, and there are 100 in all"):
        async with some().lease(Need(memory_mb=500)):
            pass
    with pytest.raises(UnknownName, match=r"no slot 'line'.*Did you mean 'lines'"):
        async with some().lease(Need(slots={"line": 1})):
            pass


async def test_who_waits_too_long_is_told_what_was_asked_what_is_free_and_who_has_it() -> None:
    resources = some()
    async with resources.lease(Need(cpus=1, gpus=1), label="training of run 7"):
        with pytest.raises(OutOfTime) as caught:
            async with resources.lease(Need(cpus=1, gpus=1), label="tuning", timeout=0.01):
                pass
    text = str(caught.value)
    assert "tuning asked for 1 processors, 1 graphics processors and waited 0.01 seconds" in text
    assert "gpus: 0 of 1 free. Held by: training of run 7." in text
    assert resources.scheduler.ledger.free == ALL_FREE


@pytest.mark.requirement("resources.gpu")
async def test_a_graphics_processor_is_waited_for_as_long_as_is_set_and_processors_without_end() -> None:
    clock = Clock()
    resources, ended = some(clock=clock, gpu_timeout=300), list[str]()

    async def ask(name: str, need: Need) -> None:
        try:
            async with resources.lease(need, label=name):
                ended.append(f"{name} granted")
        except OutOfTime:
            ended.append(f"{name} late")

    async with anyio.create_task_group() as group, resources.lease(Need(cpus=2, gpus=1)) as lease:
        assert lease.gpus == (0,)
        group.start_soon(ask, "gpu", Need(cpus=0, gpus=1))
        group.start_soon(ask, "cpu", Need(cpus=1))
        await anyio.wait_all_tasks_blocked()
        clock.now += 299
        resources.tick()
        await anyio.wait_all_tasks_blocked()
        assert ended == []
        clock.now += 2
        resources.tick()
        await anyio.wait_all_tasks_blocked()
        assert ended == ["gpu late"]
    assert ended == ["gpu late", "cpu granted"]


async def test_a_rate_makes_wait_until_the_clock_says_so() -> None:
    clock = Clock()
    resources = Resources(Capacity(cpus=9), rates={"component:api": (2, 10)}, clock=clock)
    begun: list[float] = []

    async def call() -> None:
        async with resources.lease(Need(), keys=["component:api"]):
            begun.append(clock.now)

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        assert len(begun) == 2
        assert "rate of component:api" in resources.snapshot()["waiting"][0]["why"]
        for _ in range(2):
            clock.now += 5
            resources.tick()
            await anyio.wait_all_tasks_blocked()
    assert begun == [1000, 1000, 1005, 1010]


async def test_the_timer_of_the_loop_lets_a_rate_go_on_by_itself() -> None:
    resources = Resources(Capacity(cpus=9), rates={"total": (1, 0.02)})
    with anyio.fail_after(30):
        for _ in range(4):
            async with resources.lease(Need(cpus=0)):
                pass


@pytest.mark.requirement("resources.expired")
async def test_a_lease_whose_holder_is_gone_is_taken_back_and_an_old_number_gives_nothing_back() -> None:
    clock, events = Clock(), list[tuple[str, dict[str, Any]]]()
    resources = some(clock=clock, tell=lambda kind, data: events.append((kind, data)), fences=41)
    gone = await resources.grant("front 1", Need(cpus=2), 30)
    assert (gone.fence, gone.cpus) == (41, 2)
    clock.now += 29
    resources.renew(gone.fence, 30)
    granted, done = list[Lease](), anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(hold, resources, Need(cpus=1), granted, done)
        await anyio.wait_all_tasks_blocked()
        clock.now += 29
        resources.tick()
        await anyio.wait_all_tasks_blocked()
        assert not granted
        clock.now += 1
        resources.tick()
        await anyio.wait_all_tasks_blocked()
        assert len(granted) == 1
        assert gone.expired
        with pytest.raises(NotReady, match=r"Lease 41 has ended.*Ask for a new one"):
            resources.renew(41, 30)
        assert not resources.free(41)
        assert resources.scheduler.ledger.free["cpus"] == 1
        done.set()
    assert ("lease_expired", {"label": "front 1", "fence": 41, "fair": ""}) in events
    again = await resources.grant("front 1", Need(cpus=1), 30)
    assert again.fence == 42
    assert resources.free(42)
    assert resources.scheduler.ledger.free == ALL_FREE


@pytest.mark.requirement("resources.expired")
async def test_the_holder_of_a_lease_that_expires_is_told_by_the_timer() -> None:
    resources, lost = some(), anyio.Event()
    with anyio.fail_after(30):
        async with resources.lease(Need(cpus=1), expires=0.01, lost=lambda _lease: lost.set()) as lease:
            await lost.wait()
            assert lease.expired
            assert resources.scheduler.ledger.free["cpus"] == 2
    assert resources.scheduler.ledger.free["cpus"] == 2


@pytest.mark.requirement("resources.thresholds")
async def test_a_threshold_is_told_once_for_each_crossing() -> None:
    clock, events = Clock(), list[tuple[str, str]]()
    marks = Thresholds(high=0.9, low=0.5, quiet=60, queue=2, wait=100)
    resources = some(clock=clock, tell=lambda kind, data: events.append((kind, data["what"])), thresholds=marks)
    need = Need(cpus=0, memory_mb=60)
    async with resources.lease(need):
        assert events == []
        async with resources.lease(Need(cpus=0, memory_mb=35)):
            assert events == [("threshold_crossed", "memory_mb")]
        assert len(events) == 1  # 60 % is not low
    assert events[1:] == [("threshold_cleared", "memory_mb")]
    async with resources.lease(Need(cpus=0, memory_mb=100)):
        assert len(events) == 2  # so soon after
    clock.now += 61
    del events[:]
    async with anyio.create_task_group() as group:
        done = anyio.Event()
        async with resources.lease(Need(cpus=0, slots={"lines": 2})):
            for _ in range(3):
                group.start_soon(hold, resources, Need(cpus=0, slots={"lines": 1}), [], done)
            await anyio.wait_all_tasks_blocked()
            assert events == [("threshold_crossed", "slot:lines"), ("threshold_crossed", "queue")]
            clock.now += 101
            resources.tick()
            resources.tick()
            assert events[2:] == [("threshold_crossed", "wait")]
        await anyio.wait_all_tasks_blocked()
        assert ("threshold_cleared", "queue") in events
        done.set()
    assert ("threshold_cleared", "wait") in events
    assert [what for kind, what in events if kind == "threshold_crossed"].count("wait") == 1


@pytest.mark.requirement("resources.cache")
async def test_caches_make_room_the_least_recently_used_first_when_a_lease_or_a_newer_entry_needs_it() -> None:
    resources, dropped = some(), list[str]()

    def keep(name: str, megabytes: int) -> bool:
        return resources.account(name, megabytes, lambda: dropped.append(name))

    assert keep("a", 40)
    assert keep("b", 40)
    resources.touch("a")
    assert keep("c", 40)
    assert dropped == ["b"]
    assert resources.snapshot()["caches"] == {"a": 40, "c": 40}
    assert not keep("too big", 101)
    async with resources.lease(Need(cpus=1, memory_mb=60)):
        assert dropped == ["b", "a"]
        assert not keep("d", 80)
        assert resources.snapshot()["memory_mb"] == {"total": 100, "used": 100, "free": 0, "cached": 40}
        assert keep("c", 30)
        resources.forget("c")
    assert dropped == ["b", "a"]
    assert resources.scheduler.ledger.free == ALL_FREE


async def test_memory_of_caches_never_keeps_a_lease_waiting() -> None:
    resources, dropped, granted, done = some(), list[str](), list[Lease](), anyio.Event()
    assert resources.account("old", 50, lambda: dropped.append("old"))
    async with anyio.create_task_group() as group:
        async with resources.lease(Need(cpus=2)):
            group.start_soon(hold, resources, Need(cpus=1, memory_mb=80), granted, done)
            await anyio.wait_all_tasks_blocked()
            assert dropped == []
        await anyio.wait_all_tasks_blocked()
        assert (dropped, len(granted)) == (["old"], 1)
        done.set()


async def test_a_snapshot_says_who_has_what_and_who_waits_for_what() -> None:
    clock = Clock()
    resources, granted, done = some(clock=clock, limits={"client:*": 1}), list[Lease](), anyio.Event()
    taken: list[dict[str, Any]] = []
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: hold(resources, Need(cpus=2, gpus=1), granted, done, label="fit", fair="ann"))
        await anyio.wait_all_tasks_blocked()
        group.start_soon(lambda: hold(resources, Need(cpus=1, memory_mb=9), granted, done, label="tune", priority=3))
        group.start_soon(lambda: hold(resources, Need(cpus=1), granted, done, label="again", fair="ann"))
        await anyio.wait_all_tasks_blocked()
        clock.now += 7
        taken.append(resources.snapshot())
        done.set()
    seen = taken[0]
    assert seen["cpus"] == {"total": 2, "used": 2, "free": 0}
    assert seen["gpus"] == {"total": 1, "used": 1, "free": 0, "ids": [0]}
    assert seen["slots"] == {"lines": {"total": 2, "used": 0, "free": 2}}
    assert seen["limits"] == {"client:ann": {"total": 1, "used": 1, "free": 0}}
    assert [(one["label"], one["cpus"], one["fair"], one["seconds"]) for one in seen["granted"]] == [
        ("fit", 2, "ann", 7)
    ]
    assert [(one["label"], one["asked"], one["priority"], one["seconds"], one["why"]) for one in seen["waiting"]] == [
        ("tune", "1 processors, 9 MB of memory", 3, 7, "cpus: 0 of 2 free"),
        ("again", "1 processors", 0, 7, "limit:client:ann: 0 of 1 free"),
    ]
    assert seen["queue"] == 2


@pytest.mark.requirement("resources.pool")
async def test_connections_are_shared_checked_bounded_and_closed_when_idle(tmp_path: Path) -> None:
    resources = Resources(Capacity(cpus=0), slots={"store": 2})
    opened, closed, used = list[sqlite3.Connection](), list[sqlite3.Connection](), list[int]()

    async def connect() -> sqlite3.Connection:
        made = await to_thread.run_sync(lambda: sqlite3.connect(tmp_path / "x.db", check_same_thread=False))
        opened.append(made)
        return made

    async def answers(connection: sqlite3.Connection) -> bool:
        try:
            return connection.execute("SELECT 1").fetchone() == (1,)
        except sqlite3.ProgrammingError:  # closed
            return False

    async def close(connection: sqlite3.Connection) -> None:
        closed.append(connection)
        connection.close()

    async def work(pool: Pool[sqlite3.Connection]) -> None:
        async with pool.take() as connection:
            used.append(2 - resources.scheduler.ledger.free["slot:store"])
            await to_thread.run_sync(lambda: connection.execute("SELECT 2").fetchone())

    with anyio.fail_after(60):
        async with Pool("store", connect, resources=resources, healthy=answers, close=close, idle=0.05) as pool:
            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(work, pool)
            assert max(used) == len(opened) == 2
            while len(closed) < 2:
                await anyio.sleep(0.01)
        async with Pool("store", connect, resources=resources, healthy=answers, close=close) as pool:
            async with pool.take() as first:
                pass
            async with pool.take() as second:
                assert second is first
                second.close()
            async with pool.take() as third:
                assert third is not first
            with pytest.raises(ZeroDivisionError):
                async with pool.take():
                    raise ZeroDivisionError
    assert len(opened) == len(closed) == 4
    assert resources.scheduler.ledger.free["slot:store"] == 2


async def test_a_connection_that_cannot_be_made_gives_its_place_back() -> None:
    resources = Resources(Capacity(cpus=0), slots={"store": 1})
    attempts = itertools.count()

    async def connect() -> int:
        if next(attempts) == 0:
            raise ConnectionRefusedError
        return 7

    async with Pool("store", connect, resources=resources) as pool:
        with pytest.raises(ConnectionRefusedError):
            async with pool.take():
                pass
        async with pool.take(timeout=30) as made:
            assert made == 7
            with pytest.raises(OutOfTime, match="store: 0 of 1 free"):
                async with pool.take(timeout=0.01):
                    pass
    with pytest.raises(NotReady, match=r"store.*closed"):
        async with pool.take():
            pass


@pytest.mark.requirement("resources.gpu")
def test_graphics_processors_are_found_where_the_library_finds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setitem(sys.modules, "pynvml", None)  # not installed
    assert machine.gpus() == []

    class NVMLError(Exception):
        pass

    open_now: list[bool] = []
    library: Any = types.ModuleType("pynvml")
    library.NVMLError = NVMLError
    library.nvmlInit = lambda: open_now.append(True)
    library.nvmlShutdown = open_now.clear
    library.nvmlDeviceGetCount = lambda: 2
    library.nvmlDeviceGetHandleByIndex = lambda number: number
    library.nvmlDeviceGetName = lambda handle: [b"A", "B"][handle]
    library.nvmlDeviceGetMemoryInfo = lambda handle: types.SimpleNamespace(total=2**30, used=handle * 2**20)
    monkeypatch.setitem(sys.modules, "pynvml", library)
    assert [(one.id, one.name, one.memory_mb, one.used_mb) for one in machine.gpus()] == [
        (0, "A", 1024, 0),
        (1, "B", 1024, 1),
    ]
    assert not open_now
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert [one.id for one in machine.gpus()] == [1]

    def no_driver() -> None:
        raise NVMLError

    library.nvmlInit = no_driver
    assert machine.gpus() == []


@pytest.mark.requirement("resources.real")
def test_memory_is_measured_and_a_container_has_what_its_group_has(tmp_path: Path) -> None:
    import psutil

    there = machine.memory(tmp_path)
    assert there.total_mb == psutil.virtual_memory().total // 2**20
    assert 0 < there.free_mb <= there.total_mb
    (tmp_path / "memory.max").write_text(f"{64 * 2**20}\n")
    (tmp_path / "memory.current").write_text(f"{24 * 2**20}\n")
    assert machine.memory(tmp_path) == machine.Memory(total_mb=64, free_mb=40)
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.memory(tmp_path).total_mb == there.total_mb


@pytest.mark.requirement("resources.real")
def test_what_there_is_to_lease_is_set_or_measured(tmp_path: Path) -> None:
    found = machine.capacity(Settings.load(tmp_path, workers=3, memory_share=0.5))
    assert found.cpus == 3
    assert found.memory_mb == machine.memory().total_mb // 2
    assert machine.capacity(Settings.load(tmp_path, memory_mb=123)).memory_mb == 123
    assert some().snapshot()["machine"]["memory_mb"] == machine.memory().total_mb


def test_limits_that_make_no_sense_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "orchestrator.toml").write_text('[pools]\nlines = 0\n[limits]\n"client:*" = 2\n', "utf-8")
    with pytest.raises(InvalidInput, match="pools"):
        Settings.load(tmp_path)
    (tmp_path / "orchestrator.toml").write_text('[limits]\n"client:*" = 2\n[rates]\ntotal = [5, 60]\n', "utf-8")
    settings = Settings.load(tmp_path)
    assert (settings.limits, settings.rates) == ({"client:*": 2}, {"total": (5, 60.0)})
    assert settings.allocation_timeout == 300
    made = Resources.of(settings, Capacity(cpus=3))
    first, second, third = (made.scheduler.ask(Need(), 0.0, fair="ann") for _ in range(3))
    assert [made.scheduler.why(one, 0.0) for one in (first, second, third)][2] == "limit:client:ann"
    with pytest.raises(InvalidInput, match=r"limits\.everything"):
        some(limits={"everything": 1})


def test_a_loop_that_has_ended_leaves_no_timer_that_matters() -> None:
    resources = some()

    async def use() -> None:
        with anyio.move_on_after(0.01):
            async with resources.lease(Need(cpus=2), expires=100), resources.lease(Need(cpus=1), timeout=100):
                pass

    for _ in range(2):
        asyncio.run(use())
    assert resources.scheduler.ledger.free == ALL_FREE
