"""What runs leave in the memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
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
from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.core.resources import Resources
from mcp_orchestrator.core.rows import RunRow
from mcp_orchestrator.core.run import Run
from mcp_orchestrator.core.tasks import Capacity
from mcp_orchestrator.core.workflow import Lesson
from mcp_orchestrator.settings import Settings
from mcp_orchestrator.workflows.chronicle import DAY, ORCHESTRATOR, READ, Chronicle
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.store import MemoryStore

pytestmark = pytest.mark.anyio
add, fail = (Capability(one, component="toys") for one in (toys.add, toys.fail))


class Spec(BaseModel):
    data: str = "numbers"
    value: int = 1


class Answer(BaseModel):
    sum: int


async def adding(run: Run, spec: Spec) -> Answer:
    return Answer(sum=await run.step("add", add, a=spec.value))


async def failing(run: Run, spec: Spec) -> Answer:
    return Answer(sum=await run.step("fail", fail, reason=f"no such {spec.data}"))


async def asking(run: Run, spec: Spec) -> Answer:
    await run.approval("go on?", "Is it well?")
    return Answer(sum=spec.value)


async def parent(run: Run, spec: Spec) -> Answer:
    below = await run.child("below", "adding", {"value": spec.value})
    return Answer(sum=below["sum"])


def learned(row: RunRow) -> Lesson:
    total = (row.result or {})["sum"]
    return Lesson(
        title=f"{row.spec['data']} add up",
        body=f"The sum of {row.spec['data']} is {total}.",
        kind="fact",
        area="arithmetic",
        tags=("sums",),
        data={"sum": total},
        evidence={"run": row.id, "metrics": {"sum": float(total)}},
        insights=(f"Adding one gives {total}.",),
    )


WORKFLOWS = [
    Workflow("adding", Spec, adding, ("add",), lesson=learned),
    Workflow("failing", Spec, failing, ("fail",)),
    Workflow("asking", Spec, asking, ()),
    Workflow("parent", Spec, parent, ()),
]


class Bench:
    """An engine, a memory, and the chronicle between them."""

    def __init__(self, home: Path) -> None:
        settings = Settings.load(home.parent, components={"toys": "toys"})
        self.journal, self.path = Journal(home), home / "memory.db"
        self.opened: MemoryStore | None = None
        self.broken = False
        self.chronicle = Chronicle(self.journal, self.open, lambda _: 0, lambda: self.engine.workflows)
        executor = InProcess(settings, Registry(settings.components))
        dispatcher = Dispatcher(executor, Resources(Capacity(cpus=2, memory_mb=1000)))
        self.engine = Engine(self.journal, dispatcher, WORKFLOWS, companions=[self.chronicle.run])

    def open(self) -> MemoryStore:
        if self.broken:
            raise sqlite3.OperationalError("disk I/O error")
        self.opened = self.opened or MemoryStore.open(self.path, "project")
        return self.opened

    @property
    def memory(self) -> MemoryStore:
        return self.open()

    @asynccontextmanager
    async def working(self, *, recover: bool = False) -> AsyncGenerator[Engine]:
        async with self.engine.running(recover=recover):
            yield self.engine

    async def run(self, workflow: str, **about: Any) -> RunRow:
        async with self.working() as engine:
            return await engine.wait(await engine.submit(workflow, about.pop("spec", {}), **about))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def bench(tmp_path: Path) -> Generator[Bench]:
    one = Bench(tmp_path / "home")
    yield one
    one.journal.close()
    if one.opened is not None:
        one.opened.close()


async def test_a_run_is_a_task_and_what_it_is_remembered_for_rests_on_it(bench: Bench) -> None:
    row = await bench.run("adding", spec={"value": 41})
    assert bench.chronicle.catch_up() == 2
    [task] = bench.memory.tasks.list()
    assert (task.run, task.type, task.outcome, task.agent) == (row.id, "adding", "success", ORCHESTRATOR)
    assert task.description == "adding: data numbers"
    assert task.insights == ["Adding one gives 42."]
    fact, insight = sorted(bench.memory.memories.list(), key=lambda one: one.kind)
    assert (fact.kind, fact.body, fact.data, fact.area) == (
        "fact",
        "The sum of numbers is 42.",
        {"sum": 42},
        "arithmetic",
    )
    assert (insight.kind, insight.body) == ("insight", "Adding one gives 42.")
    assert {(one.run, one.origin, one.trust) for one in (fact, insight)} == {(row.id, "run", 3)}
    assert fact.evidence == {"runs": [row.id], "metrics": {"sum": 42.0}}


async def test_a_run_that_fails_teaches_why(bench: Bench) -> None:
    row = await bench.run("failing", spec={"data": "table"})
    bench.chronicle.catch_up()
    [task] = bench.memory.tasks.list(run=row.id)
    assert task.outcome == "failure"
    assert "no such table" in task.note
    [lesson] = bench.memory.memories.list(kinds=["lesson"])
    assert "no such table" in lesson.body
    [hit] = bench.memory.memories.recall(["why did the run of failing not work"]).hits
    assert hit.memory.uid == lesson.uid


async def test_a_run_that_is_cancelled_is_a_task_that_was_and_teaches_nothing(bench: Bench) -> None:
    async with bench.working() as engine:
        run = await engine.submit("asking", {})
        await engine.wait(run)
        bench.chronicle.catch_up()
        assert bench.memory.tasks.list()[0].outcome == "running"
        await engine.cancel(run)
    bench.chronicle.catch_up()
    assert [one.outcome for one in bench.memory.tasks.list()] == ["cancelled"]
    assert bench.memory.memories.list() == []


async def test_what_was_read_before_is_written_once_even_when_it_is_read_again(bench: Bench) -> None:
    await bench.run("adding")
    bench.chronicle.catch_up()
    assert bench.chronicle.catch_up() == 0
    bench.memory.mark(READ, 0)
    assert bench.chronicle.catch_up() == 2
    assert len(bench.memory.tasks.list()) == 1
    assert [one.times for one in bench.memory.memories.list()] == [1, 1]


async def test_a_memory_that_cannot_be_written_costs_no_run_anything_and_is_written_later(bench: Bench) -> None:
    bench.broken = True
    row = await bench.run("adding")
    assert bench.chronicle.catch_up() == 0
    assert row.status == "succeeded"
    bench.broken = False
    await bench.chronicle.settle()
    assert [one.run for one in bench.memory.tasks.list()] == [row.id]


async def test_a_run_below_another_is_a_task_below_its_task(bench: Bench) -> None:
    row = await bench.run("parent")
    bench.chronicle.catch_up()
    [above] = bench.memory.tasks.list(run=row.id)
    [below] = [one for one in bench.memory.tasks.list() if one.type == "adding"]
    assert below.parent == above.uid


async def test_a_run_belongs_to_the_agent_that_asked_for_it_when_it_is_known(bench: Bench) -> None:
    bench.memory.agents.register("ml-engineer")
    await bench.run("adding", created_by="ml-engineer")
    await bench.run("adding", created_by="Some Client 1.0", spec={"value": 7})
    bench.chronicle.catch_up()
    assert {one.agent for one in bench.memory.tasks.list()} == {"ml-engineer", ORCHESTRATOR}


async def test_a_working_engine_keeps_its_memory_up_to_date_by_itself(bench: Bench) -> None:
    async with bench.working(recover=True) as engine:
        run = await engine.submit("adding", {})
        await engine.wait(run)
        with anyio.fail_after(60):
            while not [one for one in bench.memory.tasks.list(run=run) if one.outcome == "success"]:
                await anyio.sleep(0.01)


async def test_what_is_long_over_is_let_go_once_a_day(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    now = bench.memory.ground.clock()
    monkeypatch.setattr(bench.memory.ground, "clock", lambda: now - 400 * DAY)
    old = bench.memory.tasks.start("ml-engineer", "something of last year")
    bench.memory.tasks.finish(old.uid, "success", agent="ml-engineer")
    monkeypatch.setattr(bench.memory.ground, "clock", lambda: now)
    await bench.run("adding")
    bench.chronicle.catch_up()
    assert [one.type for one in bench.memory.tasks.list()] == ["adding"]
    monkeypatch.setattr(bench.memory.ground, "clock", lambda: now - 400 * DAY)
    again = bench.memory.tasks.start("ml-engineer", "something else of last year")
    bench.memory.tasks.finish(again.uid, "success", agent="ml-engineer")
    monkeypatch.setattr(bench.memory.ground, "clock", lambda: now + 1)
    await bench.run("adding")
    bench.chronicle.catch_up()
    assert again.uid in {one.uid for one in bench.memory.tasks.list()}


async def test_no_memory_is_opened_where_no_run_was_made(bench: Bench) -> None:
    async with bench.working(recover=True):
        await bench.chronicle.settle()
    assert bench.opened is None
    assert not bench.path.exists()
