"""Schedules: due at the right moments, whatever the clock does, and each of them started once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import pytest
from pydantic import BaseModel, Field

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.core import schedules as module
from mcp_orchestrator.core.cron import between, following
from mcp_orchestrator.core.dispatch import Dispatcher
from mcp_orchestrator.core.engine import Engine, Workflow
from mcp_orchestrator.core.executors import InProcess
from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.core.resources import Resources
from mcp_orchestrator.core.rows import RunRow, Status
from mcp_orchestrator.core.run import Run
from mcp_orchestrator.core.schedules import Schedule, Schedules
from mcp_orchestrator.core.tasks import Capacity
from mcp_orchestrator.errors import InvalidInput, UnknownName
from mcp_orchestrator.settings import Settings

pytestmark = pytest.mark.anyio
BERLIN = "Europe/Berlin"
HOURLY = "0 * * * *"


class Spec(BaseModel):
    model_config = {"extra": "forbid"}
    n: int = Field(default=0, ge=0)
    wait: bool = False


class Answer(BaseModel):
    n: int


def micro(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1_000_000


def local(moment: int, zone: str = BERLIN) -> str:
    return datetime.fromtimestamp(moment / 1e6, UTC).astimezone(ZoneInfo(zone)).isoformat()


class Clock:
    """A clock that a test moves."""

    def __init__(self, text: str) -> None:
        self.moment = micro(text)

    def __call__(self) -> int:
        return self.moment

    def at(self, text: str) -> None:
        self.moment = micro(text)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the clock often: the tests' own clock does not go by itself."""
    monkeypatch.setattr(module, "EVERY", 0.005)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "home", synchronous="OFF")


async def answer(run: Run, spec: Spec) -> Answer:
    if spec.wait:
        await run.approval("wait", "Go on?")
    return Answer(n=spec.n)


WORKFLOW = Workflow("answer", Spec, answer, ())


@asynccontextmanager
async def engine_of(journal: Journal, tmp_path: Path) -> AsyncGenerator[Engine]:
    settings = Settings.load(tmp_path)
    dispatcher = Dispatcher(InProcess(settings, Registry({})), Resources(Capacity(cpus=2)))
    async with Engine(journal, dispatcher, [WORKFLOW]).running() as engine:
        yield engine


@asynccontextmanager
async def scheduling(journal: Journal, tmp_path: Path, clock: Clock) -> AsyncGenerator[tuple[Engine, Schedules]]:
    """An engine that starts what is due by the clock of the test."""
    async with engine_of(journal, tmp_path) as engine, anyio.create_task_group() as group:
        schedules = Schedules(journal, clock)
        group.start_soon(schedules.run, engine)
        yield engine, schedules
        group.cancel_scope.cancel("the test is over")


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(30):
        while not condition():
            await anyio.sleep(0.005)


def keys(journal: Journal) -> list[str]:
    return sorted(row.key or "" for row in journal.runs(most=1000))


def kinds(journal: Journal) -> list[str]:
    return [one.kind for one in journal.events(most=1000) if one.kind.startswith("schedule")]


# Time ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cron", "begin", "expected"),
    [
        # 29 March 2026, 02:00 to 03:00 does not exist in Berlin; 25 October 2026, 02:00 to 03:00 comes twice
        ("30 2 * * *", "2026-03-28T12:00", ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]),
        ("30 2 * * *", "2026-10-24T12:00", ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]),
        (
            "*/30 * * * *",
            "2026-03-29T01:15",
            ["2026-03-29T01:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00"],
        ),
        (
            "0 * * * *",
            "2026-10-25T01:30",
            ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"],
        ),
        ("0 9 * * MON-FRI", "2026-11-20T10:00", ["2026-11-23T09:00:00+01:00", "2026-11-24T09:00:00+01:00"]),
        ("0 0 29 2 *", "2026-11-20T10:00", ["2028-02-29T00:00:00+01:00", "2032-02-29T00:00:00+01:00"]),
    ],
)
def test_due_times_follow_the_clocks_of_the_zone(cron: str, begin: str, expected: list[str]) -> None:
    moment, found = micro(begin, BERLIN), []
    for _ in expected:
        moment = following(cron, BERLIN, moment)
        found.append(local(moment))
    assert found == expected


def test_in_the_second_of_two_equal_hours_the_first_one_does_not_come_again() -> None:
    second = micro("2026-10-25T01:10")  # 02:10 in Berlin, for the second time
    assert local(second) == "2026-10-25T02:10:00+01:00"
    assert local(following("30 2 * * *", BERLIN, second)) == "2026-10-26T02:30:00+01:00"


def test_the_last_due_times_of_a_long_while_are_found_without_going_through_all_of_it() -> None:
    first, last = micro("2020-01-01T00:00"), micro("2026-11-21T12:00:30")
    found = between("* * * * *", "UTC", first, last, 100)
    assert len(found) == 100
    assert found[-1] == micro("2026-11-21T12:00")
    assert found == sorted({*found})
    few = between("0 0 1 1 *", "UTC", first, last, 100)
    assert [local(one, "UTC")[:4] for one in few] == [str(year) for year in range(2020, 2027)]


# Made and changed ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"cron": "every day"}, "cron"),
        ({"cron": "61 * * * *"}, "cron"),
        ({"cron": "* * * * * *"}, "cron"),
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"zone": "Europe/Berlim"}, "Did you mean 'Europe/Berlin'"),
        ({"zone": "../etc/passwd"}, "zone"),
        ({"spec": {"n": -1}}, "n"),
        ({"spec": {"m": 1}}, "m"),
        ({"overlap": "both"}, "overlap"),
        ({"catch_up": "some"}, "catch_up"),
        ({"name": "a b"}, "name"),
    ],
)
def test_what_cannot_be_scheduled_is_refused_and_leaves_no_trace(
    journal: Journal, given: dict[str, Any], field: str
) -> None:
    whole: dict[str, Any] = {"name": "a", "spec": {}, "cron": HOURLY, **given}
    with pytest.raises(InvalidInput, match=field):
        Schedules(journal).add(WORKFLOW, **whole)
    assert Schedules(journal).list() == []
    assert kinds(journal) == []


def test_a_schedule_is_made_shown_paused_resumed_and_removed(journal: Journal) -> None:
    clock = Clock("2026-11-21T12:10")
    schedules = Schedules(journal, clock)
    made = schedules.add(WORKFLOW, "night", {"n": 3}, "0 3 * * *", zone=BERLIN)
    assert local(made.next_at) == "2026-11-22T03:00:00+01:00"
    assert schedules.list() == [made] == [schedules.get("night")]
    with pytest.raises(InvalidInput, match="already"):
        schedules.add(WORKFLOW, "night", {}, HOURLY)
    assert schedules.pause("night").enabled is False
    clock.at("2026-12-01T12:00")
    assert schedules.due(clock()) == []
    assert local(schedules.resume("night").next_at) == "2026-12-02T03:00:00+01:00"
    schedules.remove("night")
    for call in (schedules.get, schedules.pause, schedules.resume, schedules.remove):
        with pytest.raises(UnknownName, match="no schedule 'night'"):
            call("night")
    assert kinds(journal) == ["schedule_added", "schedule_paused", "schedule_resumed", "schedule_removed"]


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [("skip", []), ("one", ["15:00"]), ("all", ["13:00", "14:00", "15:00"])],
)
def test_what_was_missed_is_caught_up_as_the_schedule_says(
    journal: Journal, catch_up: str, expected: list[str]
) -> None:
    clock = Clock("2026-11-21T12:10")
    schedules = Schedules(journal, clock)
    schedules.add(WORKFLOW, "a", {}, HOURLY, catch_up=catch_up)
    [due] = schedules.due(micro("2026-11-21T15:30"))
    assert [local(one, "UTC")[11:16] for one in due.times] == expected
    assert local(due.next_at, "UTC")[11:16] == "16:00"
    [on_time] = schedules.due(micro("2026-11-21T13:00:01"))
    assert len(on_time.times) == 1, "a time that has just come was not missed"
    assert schedules.due(micro("2026-11-21T12:59:59")) == []
    assert schedules.get("a").next_at == micro("2026-11-21T13:00"), "to look changes nothing"


# At work -------------------------------------------------------------------------------------------------------------


async def test_each_due_time_starts_one_run_and_what_follows_is_noted(journal: Journal, tmp_path: Path) -> None:
    clock = Clock("2026-11-21T12:10")
    async with scheduling(journal, tmp_path, clock) as (engine, schedules):
        schedules.add(WORKFLOW, "a", {"n": 3}, HOURLY)
        clock.at("2026-11-21T12:59")
        clock.at("2026-11-21T13:00:01")
        await until(lambda: schedules.get("a").last_run is not None)
        clock.at("2026-11-21T14:00:01")
        await until(lambda: len(journal.runs()) == 2)
        await until(lambda: schedules.get("a").next_at == micro("2026-11-21T15:00"))
        assert keys(journal) == ["schedule:a:2026-11-21T13:00:00Z", "schedule:a:2026-11-21T14:00:00Z"]
        for row in journal.runs():
            assert (await engine.wait(row.id)).result == {"n": 3}
            assert row.created_by == "schedule:a"


async def test_a_clock_that_goes_back_starts_nothing_again_and_one_that_goes_forward_catches_up(
    journal: Journal, tmp_path: Path
) -> None:
    clock = Clock("2026-11-21T12:10")
    async with scheduling(journal, tmp_path, clock) as (_, schedules):
        schedules.add(WORKFLOW, "a", {}, HOURLY, catch_up="all", overlap="queue")
        clock.at("2026-11-21T13:00:01")
        await until(lambda: schedules.get("a").next_at == micro("2026-11-21T14:00"))
        clock.at("2026-11-21T10:30")
        schedules.add(WORKFLOW, "b", {}, "45 * * * *")  # what is looked at again, it is looked at by now
        clock.at("2026-11-21T10:45:01")
        await until(lambda: schedules.get("b").last_run is not None)
        assert len([key for key in keys(journal) if ":a:" in key]) == 1
        schedules.remove("b")
        clock.at("2026-11-21T16:00:01")
        await until(lambda: schedules.get("a").next_at == micro("2026-11-21T17:00"))
        assert [key[-9:-4] for key in keys(journal) if ":a:" in key] == ["13:00", "14:00", "15:00", "16:00"]


class Dying:
    """Starts runs, and dies before it can say so."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.asked = engine, 0

    async def submit(self, workflow: str, spec: Mapping[str, Any], **about: Any) -> str:
        self.asked += 1
        await self.engine.submit(workflow, spec, **about)
        raise MemoryError

    async def cancel(self, run: str) -> RunRow:
        return await self.engine.cancel(run)


async def test_a_crash_between_a_start_and_its_note_and_two_leaders_at_once_start_one_run(
    journal: Journal, tmp_path: Path
) -> None:
    clock = Clock("2026-11-21T12:10")
    schedules = Schedules(journal, clock)
    schedules.add(WORKFLOW, "a", {}, HOURLY)
    clock.at("2026-11-21T13:00:01")
    async with engine_of(journal, tmp_path) as engine:
        dying = Dying(engine)
        with pytest.raises(MemoryError):
            await schedules.run(dying)
        assert dying.asked == 1
        assert schedules.get("a").next_at == micro("2026-11-21T13:00"), "the start was noted, and not lost in the crash"
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(Schedules(journal, clock).run, engine)
            await until(lambda: schedules.get("a").next_at == micro("2026-11-21T14:00"))
            group.cancel_scope.cancel("seen")
        assert keys(journal) == ["schedule:a:2026-11-21T13:00:00Z"]
        assert schedules.get("a").last_run == journal.runs()[0].id


async def second_comes(journal: Journal, tmp_path: Path, overlap: str) -> tuple[list[RunRow], Schedule]:
    """Let a second time come while the run of the first one waits, and the run end then."""
    clock = Clock("2026-11-21T12:10")
    async with scheduling(journal, tmp_path, clock) as (engine, schedules):
        schedules.add(WORKFLOW, "a", {"wait": True}, HOURLY, overlap=overlap)
        clock.at("2026-11-21T13:00:01")
        await until(lambda: schedules.get("a").last_run is not None)
        first = schedules.get("a").last_run or ""
        assert (await engine.wait(first)).status is Status.WAITING
        clock.at("2026-11-21T14:00:01")
        if overlap == "queue":
            schedules.add(WORKFLOW, "b", {}, "0 14 * * *")
            schedules.remove("b")
            assert len(journal.runs()) == 1
            await engine.decide(first, "wait", approved=True, by="ada")
        await until(lambda: schedules.get("a").next_at == micro("2026-11-21T15:00"))
        return sorted(journal.runs(), key=lambda one: one.created), schedules.get("a")


async def test_a_time_that_comes_too_early_is_skipped_and_that_is_said(journal: Journal, tmp_path: Path) -> None:
    rows, _ = await second_comes(journal, tmp_path, "skip")
    assert [row.status for row in rows] == [Status.WAITING]
    assert "schedule_skipped" in kinds(journal)


async def test_a_time_that_comes_too_early_waits_for_its_turn(journal: Journal, tmp_path: Path) -> None:
    rows, _ = await second_comes(journal, tmp_path, "queue")
    assert rows[0].status is Status.SUCCEEDED
    assert len(rows) == 2
    assert rows[1].created >= (rows[0].ended or 0)


async def test_a_time_that_comes_too_early_ends_the_run_before_it(journal: Journal, tmp_path: Path) -> None:
    rows, schedule = await second_comes(journal, tmp_path, "cancel")
    assert rows[0].status is Status.CANCELLED
    assert [row.id for row in rows][1:] == [schedule.last_run]


async def test_what_cannot_be_started_any_more_is_said_and_does_not_stop_the_others(
    journal: Journal, tmp_path: Path
) -> None:
    clock = Clock("2026-11-21T12:10")
    gone = Workflow("gone", Spec, answer, ())
    async with scheduling(journal, tmp_path, clock) as (_, schedules):
        schedules.add(gone, "a", {}, HOURLY)
        schedules.add(WORKFLOW, "b", {}, HOURLY)
        clock.at("2026-11-21T13:00:01")
        await until(lambda: schedules.get("b").last_run is not None)
        assert schedules.get("a").next_at == micro("2026-11-21T14:00")
        [told] = [one for one in journal.events(most=1000) if one.kind == "schedule_failed"]
        assert told.data["schedule"] == "a"
        assert "no workflow 'gone'" in told.data["reason"]


async def test_a_schedule_can_be_run_now(journal: Journal, tmp_path: Path) -> None:
    async with engine_of(journal, tmp_path) as engine:
        schedules = Schedules(journal)
        before = schedules.add(WORKFLOW, "a", {"n": 5}, HOURLY)
        run = await schedules.trigger(engine, "a")
        assert (await engine.wait(run)).result == {"n": 5}
        assert schedules.get("a") == before.model_copy(update={"last_run": run})


@pytest.mark.slow
@pytest.mark.requirement("retrain.schedule", "retrain.manual")
async def test_a_model_is_trained_again_at_its_time_and_by_hand(tmp_path: Path) -> None:
    spec = {"data": "builtin:iris", "target": "target", "name": "iris", "families": ["linear"], "tracking": False}
    settings = Settings.load(tmp_path, workers=2)
    orchestrator = Orchestrator(settings=settings, in_process=True)
    before = Clock("2026-11-20T12:00")
    workflow = orchestrator.engine.workflow("train")
    nightly = Schedules(orchestrator.journal, before)
    nightly.add(workflow, "nightly", {**spec, "tuning": "none"}, "0 3 * * *", zone=BERLIN)
    async with orchestrator.running():  # some nights were missed: one training makes up for them
        await until(lambda: nightly.get("nightly").last_run is not None)
        first = await orchestrator.wait(nightly.get("nightly").last_run or "", 300)
        assert first.status in {Status.SUCCEEDED, Status.DEGRADED}, first.error
        assert (orchestrator.journal.run(first.run_id).key or "").startswith("schedule:nightly:")
        by_hand = await orchestrator.wait(await nightly.trigger(orchestrator, "nightly"), 300)
        assert by_hand.status in {Status.SUCCEEDED, Status.DEGRADED}, by_hand.error
        assert sorted(one.version for one in orchestrator.models("iris")) == [1, 2]
