"""What a workflow can do with its steps: side by side, by items, after a person's word, below another run."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import toys
from pydantic import BaseModel

from mcp_orchestrator.component import Capability
from mcp_orchestrator.core.dispatch import Dispatcher
from mcp_orchestrator.core.engine import Engine, Workflow
from mcp_orchestrator.core.executors import InProcess
from mcp_orchestrator.core.journal import Journal, events, runs, steps
from mcp_orchestrator.core.policy import Policy
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.core.resources import Resources
from mcp_orchestrator.core.rows import RunRow, Status
from mcp_orchestrator.core.run import Run
from mcp_orchestrator.core.tasks import Capacity
from mcp_orchestrator.errors import InvalidInput, NotReady, UnknownName
from mcp_orchestrator.settings import Settings
from orchestrator_memory.door import now
from orchestrator_memory.sqlite import sqlite3

pytestmark = pytest.mark.anyio
add, mark, meet, fail, linger = (
    Capability(one, component="toys") for one in (toys.add, toys.mark, toys.meet, toys.fail, toys.linger)
)
ONCE = Policy(attempts=1)


class Spec(BaseModel):
    folder: str = ""
    n: int = 3


class Answer(BaseModel):
    value: Any = None


Function = Callable[[Run, Spec], Awaitable[Answer]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(tmp_path, components={"toys": "toys"}, workers=4)


@asynccontextmanager
async def engine_of(settings: Settings, *functions: Function, most: int = 10) -> AsyncGenerator[Engine]:
    dispatcher = Dispatcher(InProcess(settings, Registry(settings.components)), Resources(Capacity(cpus=4)))
    workflows = [Workflow(one.__name__, Spec, one, ("first", "last")) for one in functions]
    async with Engine(Journal(settings.home), dispatcher, workflows, most=most).running() as engine:
        yield engine


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(30):
        while not condition():
            await anyio.sleep(0.005)


async def ended(engine: Engine, run: str) -> RunRow:
    with anyio.fail_after(60):
        return await engine.wait(run)


def lines(folder: Path, name: str) -> int:
    path = folder / name
    return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.mark.requirement("engine.parallel")
async def test_independent_steps_are_at_work_at_the_same_time(settings: Settings, tmp_path: Path) -> None:
    async def together(run: Run, spec: Spec) -> Answer:
        meeting = [run.step(f"meet {n}", meet, folder=spec.folder, name=str(n), others=3) for n in range(3)]
        return Answer(value=await run.gather(*meeting))

    async with engine_of(settings, together) as engine:
        row = await ended(engine, await engine.submit("together", {"folder": str(tmp_path)}))
        assert row.result == {"value": [3, 3, 3]}


async def test_a_map_answers_in_the_order_of_its_items_and_never_does_more_at_once_than_it_may(
    settings: Settings, tmp_path: Path
) -> None:
    async def mapped(run: Run, spec: Spec) -> Answer:
        items = [{"folder": spec.folder, "name": str(n), "most": 2} for n in range(spec.n)]
        return Answer(value=await run.map("linger", linger, items, at_once=2))

    async with engine_of(settings, mapped) as engine:
        row = await ended(engine, await engine.submit("mapped", {"folder": str(tmp_path), "n": 9}))
        assert row.result == {"value": [str(n) for n in range(9)]}
        assert [one.name for one in engine.journal.steps(row.id)] == [f"linger[{n}]" for n in range(9)]


async def test_the_first_failure_of_a_map_stops_what_has_not_begun(settings: Settings, tmp_path: Path) -> None:
    async def mapped(run: Run, spec: Spec) -> Answer:
        await run.map("fail", fail, [{"reason": str(n)} for n in range(50)], ONCE, at_once=1)
        return Answer()

    async with engine_of(settings, mapped) as engine:
        row = await ended(engine, await engine.submit("mapped", {}))
        assert row.status is Status.FAILED
        assert "'fail[0]' failed: RuntimeError: 0" in (row.error or "")
        assert len(engine.journal.steps(row.id)) == 1


async def test_a_run_waits_for_a_person_without_holding_anything_and_goes_on_with_the_decision(
    settings: Settings, tmp_path: Path
) -> None:
    async def asking(run: Run, spec: Spec) -> Answer:
        await run.step("first", mark, folder=spec.folder, name="first")
        decision = await run.approval("promote", "Shall it go to production?", version=3)
        await run.step("last", mark, folder=spec.folder, name="last")
        return Answer(value=[decision.approved, decision.by, decision.note])

    async with engine_of(settings, asking, most=1) as engine:
        run = await engine.submit("asking", {"folder": str(tmp_path)})
        assert (await ended(engine, run)).status is Status.WAITING
        other = await engine.submit("asking", {"folder": str(tmp_path / "missing")})
        assert (await ended(engine, other)).status is Status.FAILED  # the only place was free
        with pytest.raises(NotReady, match="waits for a person to decide: 'promote'"):
            await engine.resume(run)
        with pytest.raises(UnknownName, match="promote"):
            await engine.decide(run, "promot", approved=True, by="Ada")
    async with engine_of(settings, asking) as engine:  # days later, in another process
        assert engine.journal.run(run).status is Status.WAITING
        [asked] = engine.journal.approvals()
        assert (asked.run, asked.question, asked.details) == (run, "Shall it go to production?", {"version": 3})
        await engine.decide(run, "promote", approved=False, by="Ada", note="not on a Friday")
        assert (await ended(engine, run)).result == {"value": [False, "Ada", "not on a Friday"]}
        assert (lines(tmp_path, "first"), lines(tmp_path, "last")) == (1, 1)
        with pytest.raises(NotReady, match="already ended"):
            await engine.decide(run, "promote", approved=True, by="Bob")


async def test_what_does_not_need_the_decision_is_finished_before_a_run_waits(
    settings: Settings, tmp_path: Path
) -> None:
    async def asking(run: Run, spec: Spec) -> Answer:
        work = run.step("last", mark, folder=spec.folder, name="last")
        decision, count = await run.gather(run.approval("go", "Go on?"), work)
        return Answer(value=[decision.approved, count])

    async with engine_of(settings, asking) as engine:
        run = await engine.submit("asking", {"folder": str(tmp_path)})
        assert (await ended(engine, run)).status is Status.WAITING
        assert lines(tmp_path, "last") == 1
        await engine.decide(run, "go", approved=True, by="Ada")
        assert (await ended(engine, run)).result == {"value": [True, 1]}


async def test_an_answer_that_comes_while_a_run_is_put_to_sleep_wakes_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def asking(run: Run, spec: Spec) -> Answer:
        return Answer(value=(await run.approval("go", "Go on?")).approved)

    async with engine_of(settings, asking) as engine:
        write: Any = engine.journal.do

        async def do(operation: Callable[..., Any], run: str, *given: Any) -> Any:
            done = await write(operation, run, *given)
            if operation is runs.release and engine.journal.approvals():
                await engine.decide(run, "go", approved=True, by="Ada")
            return done

        monkeypatch.setattr(engine.journal, "do", do)
        run = await engine.submit("asking", {})
        await until(lambda: engine.journal.run(run).status.final)
        assert engine.journal.run(run).result == {"value": True}


async def test_a_run_below_another_is_a_run_of_its_own_and_takes_no_place_from_it(
    settings: Settings, tmp_path: Path
) -> None:
    async def child(run: Run, spec: Spec) -> Answer:
        return Answer(value=await run.step("first", add, a=spec.n))

    async def parent(run: Run, spec: Spec) -> Answer:
        answers = [run.child(f"child {n}", "child", {"folder": spec.folder, "n": n}) for n in range(2)]
        return Answer(value=sorted(one["value"] for one in await run.gather(*answers)))

    async with engine_of(settings, child, parent, most=1) as engine:
        run = await engine.submit("parent", {"folder": str(tmp_path)})
        assert (await ended(engine, run)).result == {"value": [1, 2]}
        assert [row.status for row in engine.journal.runs(parent=run)] == [Status.SUCCEEDED] * 2


async def test_a_run_waits_with_the_run_below_it_and_fails_with_it(settings: Settings, tmp_path: Path) -> None:
    async def child(run: Run, spec: Spec) -> Answer:
        if not (await run.approval("go", "Go on?")).approved:
            await run.step("first", fail, ONCE, reason="it was refused")
        return Answer(value="went on")

    async def parent(run: Run, spec: Spec) -> Answer:
        return Answer(value=await run.child("below", "child", {}))

    async with engine_of(settings, child, parent) as engine:
        for approved, status in ((True, Status.SUCCEEDED), (False, Status.FAILED)):
            run = await engine.submit("parent", {})
            await until(lambda run=run: engine.journal.run(run).status is Status.WAITING)
            [below] = engine.journal.runs(parent=run)
            await engine.decide(below.id, "go", approved=approved, by="Ada")
            await until(lambda run=run: engine.journal.run(run).status.final)
            row = engine.journal.run(run)
            assert row.status is status
            assert approved or "it was refused" in (row.error or "")


async def test_cancelling_a_run_cancels_those_below_it(settings: Settings, tmp_path: Path) -> None:
    async def child(run: Run, spec: Spec) -> Answer:
        await run.approval("go", "Go on?")
        return Answer()

    async def parent(run: Run, spec: Spec) -> Answer:
        return Answer(value=await run.child("below", "child", {}))

    async with engine_of(settings, child, parent) as engine:
        run = await engine.submit("parent", {})
        await until(lambda: engine.journal.run(run).status is Status.WAITING)
        assert (await engine.cancel(run)).status is Status.CANCELLED
        assert [row.status for row in engine.journal.runs(parent=run)] == [Status.CANCELLED]


async def test_trying_again_from_a_step_repeats_it_and_what_comes_after(settings: Settings, tmp_path: Path) -> None:
    async def three(run: Run, spec: Spec) -> Answer:
        names = ("first", "middle", "last")
        return Answer(value=[await run.step(one, mark, folder=spec.folder, name=one) for one in names])

    async with engine_of(settings, three) as engine:
        run = await engine.submit("three", {"folder": str(tmp_path)})
        assert (await ended(engine, run)).result == {"value": [1, 1, 1]}
        again = await engine.retry(run, step="middle")
        assert (again.forked_from, again.fork_step, again.origin) == (run, "middle", None)
        assert (await ended(engine, again.id)).result == {"value": [1, 2, 2]}
        assert engine.journal.run(run).result == {"value": [1, 1, 1]}
        with pytest.raises(UnknownName, match="middle"):
            await engine.retry(run, step="midle")
        with pytest.raises(NotReady, match="nothing left to do"):
            await engine.resume(run)


async def test_a_step_whose_inputs_changed_is_done_again(settings: Settings, tmp_path: Path) -> None:
    async def counting(run: Run, spec: Spec) -> Answer:
        one = await run.step("first", mark, folder=spec.folder, name="first")
        return Answer(value=[one, await run.step("last", add, a=spec.n)])

    async with engine_of(settings, counting) as engine:
        run = await engine.submit("counting", {"folder": str(tmp_path), "n": 1})
        assert (await ended(engine, run)).result == {"value": [1, 2]}
        again = await engine.retry(run, spec={"folder": str(tmp_path), "n": 5})
        assert (await ended(engine, again.id)).result == {"value": [1, 6]}
        with pytest.raises(InvalidInput, match="n: "):
            await engine.retry(run, spec={"n": "many"})


async def test_a_step_that_must_not_be_repeated_is_held_for_a_person(settings: Settings, tmp_path: Path) -> None:
    async def paying(run: Run, spec: Spec) -> Answer:
        return Answer(value=await run.step("pay", mark, Policy(on_crash="hold"), folder=spec.folder, name="paid"))

    for approved, status, paid in ((True, Status.SUCCEEDED, 1), (False, Status.FAILED, 1)):
        async with engine_of(settings, paying) as engine:
            row = await engine.journal.submit("paying", Spec(folder=str(tmp_path)).model_dump())
            _cut_off(engine.journal, row.id, "pay")
        async with engine_of(settings, paying) as engine:
            assert (await ended(engine, row.id)).status is Status.WAITING
            assert lines(tmp_path, "paid") == (0 if approved else 1)
            await engine.decide(row.id, "pay: again", approved=approved, by="Ada")
            assert (await ended(engine, row.id)).status is status
            assert lines(tmp_path, "paid") == paid


async def test_a_step_that_was_repeated_and_cut_off_again_is_asked_about_again(
    settings: Settings, tmp_path: Path
) -> None:
    async def paying(run: Run, spec: Spec) -> Answer:
        return Answer(value=await run.step("pay", mark, Policy(on_crash="hold"), folder=spec.folder, name="paid"))

    async with engine_of(settings, paying) as engine:
        row = await engine.journal.submit("paying", Spec(folder=str(tmp_path)).model_dump())
    for attempt, question in ((1, "pay: again"), (2, "pay: again 2"), (3, "pay: again 3")):
        journal = Journal(settings.home)
        _cut_off(journal, row.id, "pay", attempt)
        journal.close()
        async with engine_of(settings, paying) as engine:
            assert (await ended(engine, row.id)).status is Status.WAITING
            assert [one.name for one in engine.journal.approvals()] == [question]
            assert lines(tmp_path, "paid") == 0
            if attempt == 3:
                await engine.decide(row.id, question, approved=True, by="Ada")
                assert (await ended(engine, row.id)).status is Status.SUCCEEDED
            else:
                await engine.journal.do(events.decide, row.id, question, "approved", ("Ada", ""))
    assert lines(tmp_path, "paid") == 1


def _cut_off(journal: Journal, run: str, step: str, attempt: int = 1) -> None:
    """Leave a run as a process leaves it that dies in the middle of a step."""
    with journal.door.write() as db:
        db.execute("UPDATE run SET status='running', owner='1-dead', fence=fence+1 WHERE id=?", (run,))
        about: dict[str, Any] = {"component": "toys", "capability": "mark", "inputs": "-", "params": "{}"}
        steps.begin(db, run, steps.Began(name=step, number=attempt, position=0, asked=now(), **about))


async def test_nothing_of_a_run_that_has_ended_stays_at_work_or_is_still_asked(
    settings: Settings, tmp_path: Path
) -> None:
    async def asking(run: Run, spec: Spec) -> Answer:
        return Answer(value=[(await run.approval("go", "Go on?")).approved, await run.step("first", add, a=1)])

    async def other(run: Run, spec: Spec) -> Answer:
        return Answer()

    async with engine_of(settings, asking, other) as engine:
        waiting = await engine.submit("asking", {})
        assert (await ended(engine, waiting)).status is Status.WAITING
        await engine.cancel(waiting)
        assert engine.journal.approvals() == []
        assert [one.status for one in engine.journal.approvals(waiting)] == ["withdrawn"]
        assert [one.status for one in engine.journal.steps(waiting)] == ["cancelled"]
        cut = (await engine.journal.submit("other", Spec().model_dump())).id
        _cut_off(engine.journal, cut, "first")
        await engine.cancel(cut)
        assert [(one.status, one.reason) for one in engine.journal.steps(cut)] == [
            ("cancelled", "cut off when its process ended")
        ]
        assert [one.status for one in engine.journal.attempts(cut)] == ["lost"]
        gone = (await engine.journal.submit("other", Spec().model_dump())).id
        _cut_off(engine.journal, gone, "first")
    async with engine_of(settings, asking, other) as engine:
        assert (await ended(engine, gone)).status is Status.SUCCEEDED
        assert [one.status for one in engine.journal.steps(gone)] == ["failed"]


async def test_a_run_that_kills_its_process_again_and_again_is_not_tried_for_ever(
    settings: Settings, tmp_path: Path
) -> None:
    async def poison(run: Run, spec: Spec) -> Answer:
        return Answer(value=await run.step("first", mark, folder=spec.folder, name="first"))

    async with engine_of(settings, poison) as engine:
        row = await engine.journal.submit("poison", Spec(folder=str(tmp_path)).model_dump())
        _cut_off(engine.journal, row.id, "first")
        with engine.journal.door.write() as db:
            db.execute("UPDATE run SET cut=9 WHERE id=?", (row.id,))
    async with engine_of(settings, poison) as engine:
        row = await ended(engine, row.id)
        assert row.status is Status.FAILED
        assert "died 10 times" in (row.error or "")
        assert lines(tmp_path, "first") == 0
        again = await engine.resume(row.id)
        assert (await ended(engine, again.id)).result == {"value": 1}


async def test_runs_begin_by_priority_and_at_most_so_many_are_at_work(settings: Settings, tmp_path: Path) -> None:
    begun: list[int] = []
    at_work = itertools.count()
    most = 0

    async def short(run: Run, spec: Spec) -> Answer:
        nonlocal most
        begun.append(spec.n)
        running = len(engine.journal.runs(status=("running",), most=100))
        most = max(most, running)
        await run.step("first", add, a=next(at_work))
        return Answer()

    async def gate(run: Run, spec: Spec) -> Answer:
        await until((tmp_path / "open").exists)
        return Answer()

    async with engine_of(settings, short, gate, most=2) as engine:
        gates = [await engine.submit("gate", {"n": n}) for n in range(2)]
        await until(lambda: len(engine.journal.runs(status=("running",))) == 2)
        waiting = [await engine.submit("short", {"n": n}, priority=n % 3) for n in range(12)]
        assert {engine.journal.run(run).status for run in waiting} == {Status.QUEUED}
        (tmp_path / "open").touch()
        for run in (*gates, *waiting):
            assert (await ended(engine, run)).status is Status.SUCCEEDED
    assert begun == sorted(begun, key=lambda n: -(n % 3))
    assert most == 2


async def test_a_run_ends_at_its_deadline_in_the_queue_and_at_work(settings: Settings, tmp_path: Path) -> None:
    async def endless(run: Run, spec: Spec) -> Answer:
        await anyio.sleep_forever()
        return Answer()

    async with engine_of(settings, endless, most=1) as engine:
        soon = now() + 300_000
        rows = [await ended(engine, await engine.submit("endless", {}, deadline=soon)) for _ in range(2)]
        assert [row.status for row in rows] == [Status.TIMED_OUT] * 2
        assert "deadline" in (rows[0].error or "")


async def test_a_queued_run_can_be_paused_resumed_and_cancelled(settings: Settings, tmp_path: Path) -> None:
    async def gate(run: Run, spec: Spec) -> Answer:
        await until((tmp_path / "open").exists)
        return Answer(value=spec.n)

    async with engine_of(settings, gate, most=1) as engine:
        first, second, third = [await engine.submit("gate", {"n": n}) for n in range(3)]
        await until(lambda: engine.journal.run(first).status is Status.RUNNING)
        assert (await engine.pause(second)).status is Status.PAUSED
        assert (await engine.cancel(third)).status is Status.CANCELLED
        (tmp_path / "open").touch()
        assert (await ended(engine, first)).result == {"value": 0}
        assert engine.journal.run(second).status is Status.PAUSED
        await engine.resume(second)
        assert (await ended(engine, second)).result == {"value": 1}


@pytest.mark.parametrize("turn", ["far", "near"])
async def test_a_queued_run_that_is_paused_and_resumed_at_once_has_its_turn(
    turn: str, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gate(run: Run, spec: Spec) -> Answer:
        await until((tmp_path / f"open {spec.n}").exists)
        return Answer(value=await run.step("first", mark, folder=str(tmp_path), name="first"))

    async with engine_of(settings, gate, most=1) as engine:
        do: Any = engine.journal.do
        asked, go = anyio.Event(), anyio.Event()

        async def later(operation: Any, *given: Any) -> Any:
            if operation is runs.claim and not asked.is_set():
                asked.set()
                await go.wait()
            return await do(operation, *given)

        first = await engine.submit("gate", {"n": 0})
        await until(lambda: engine.journal.run(first).status is Status.RUNNING)
        second = await engine.submit("gate", {"n": 1})
        if turn == "near":  # it has its turn, and is about to say so
            monkeypatch.setattr(engine.journal, "do", later)
            (tmp_path / "open 0").touch()
            await asked.wait()
        else:
            await until(lambda: bool(engine.places.scheduler.waiting))
        assert (await engine.pause(second)).status is Status.PAUSED
        assert (await engine.resume(second)).status is Status.QUEUED
        go.set()
        for n in range(2):
            (tmp_path / f"open {n}").touch()
        assert (await ended(engine, first)).status is Status.SUCCEEDED
        row = await ended(engine, second)
        assert (row.status, row.error) == (Status.SUCCEEDED, None)
        assert lines(tmp_path, "first") == 2


async def test_events_are_read_by_number_by_as_many_as_like_and_none_is_missed(
    settings: Settings, tmp_path: Path
) -> None:
    async def two(run: Run, spec: Spec) -> Answer:
        await run.step("first", add, a=1)
        return Answer(value=await run.step("last", add, a=2))

    async with engine_of(settings, two) as engine:
        run = await engine.submit("two", {})
        kinds: list[str] = []
        with anyio.fail_after(30):
            async for event in engine.events(run):
                kinds.append(event.kind)
                if event.kind == "run_succeeded":
                    break
        assert [kind for kind in kinds if kind not in {"run_progress", "step_started"}] == [
            "run_submitted",
            "run_started",
            "step_done",
            "step_done",
            "run_succeeded",
        ]
        whole = engine.journal.events(run)
        assert [event.seq for event in whole] == sorted(event.seq for event in whole)
        rest = engine.journal.events(run, after=whole[2].seq)
        assert rest == whole[3:]


async def test_a_run_whose_end_could_not_be_written_is_taken_up_again(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mcp_orchestrator.core.journal import runs

    broken = [True]
    end = runs.end

    def full(*args: Any) -> None:
        if broken:
            broken.clear()
            raise sqlite3.OperationalError("database or disk is full")
        end(*args)

    async def one(run: Run, spec: Spec) -> Answer:
        return Answer(value=await run.step("first", mark, folder=spec.folder, name="first"))

    monkeypatch.setattr(runs, "end", full)
    async with engine_of(settings, one) as engine:
        run = await engine.submit("one", {"folder": str(tmp_path)})
        await until(lambda: engine.journal.run(run).status.final)
        assert engine.journal.run(run).result == {"value": 1}
    assert lines(tmp_path, "first") == 1


async def test_a_failed_step_of_a_run_that_was_cut_off_is_not_done_again(settings: Settings, tmp_path: Path) -> None:
    async def optional(run: Run, spec: Spec) -> Answer:
        lost = await run.attempt("first", mark, ONCE, folder=str(tmp_path / "missing"), name="x")
        await run.approval("go", "Go on?")
        return Answer(value=lost)

    async with engine_of(settings, optional) as engine:
        run = await engine.submit("optional", {})
        assert (await ended(engine, run)).status is Status.WAITING
        (tmp_path / "missing").mkdir()
        await engine.decide(run, "go", approved=True, by="Ada")
        row = await ended(engine, run)
        assert (row.status, row.result) == (Status.DEGRADED, {"value": None})
        assert lines(tmp_path / "missing", "x") == 0
