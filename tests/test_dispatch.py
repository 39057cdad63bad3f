"""From a task to its outcome: a lease around it, and an end that leaves nothing running."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from mcp_orchestrator.core.dispatch import Dispatcher
from mcp_orchestrator.core.executors import Inline
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.core.resources import Resources
from mcp_orchestrator.core.tasks import Abilities, Capacity, Killed, Need, Outcome, Report, Task, WorkerRef
from mcp_orchestrator.errors import OutOfTime, WorkerLost
from mcp_orchestrator.settings import Settings

pytestmark = pytest.mark.anyio
REF = WorkerRef(executor="fake", place="1")
TASK = Task(component="c", capability="f", params={"x": 1}, run="r", step="s")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def silent(_fraction: float | None, _message: str) -> None:
    """Tell nobody."""


@dataclass
class Lease:
    cpus: int = 3
    gpus: tuple[int, ...] = (1,)


@dataclass
class Ledger:
    """Grants three processors and a device, and writes down what happens."""

    said: list[str]

    @asynccontextmanager
    async def lease(
        self, need: Need, *, priority: int = 0, fair: str = "", label: str = "", keys: Iterable[str] = ()
    ) -> AsyncGenerator[Lease]:
        self.said.append(" ".join(["lease", str(need.cpus), str(priority), fair, label, *keys]))
        try:
            yield Lease()
        finally:
            self.said.append("release")


@dataclass
class Recording:
    """An executor that does nothing but wait, and writes down what it is asked."""

    said: list[str]
    outcome: Outcome | None = None
    refuses: bool = False
    given: list[Task] = field(default_factory=list[Task])
    name: str = "fake"
    abilities: Abilities = field(default_factory=lambda: Abilities(kills=True, limits_memory=True, elsewhere=False))

    async def start(self) -> None:
        self.said.append("start")

    async def capacity(self) -> Capacity:
        return Capacity(cpus=3)

    async def submit(self, task: Task, report: Report) -> WorkerRef:  # noqa: ARG002
        self.said.append("submit")
        self.given.append(task)
        if self.refuses:
            raise WorkerLost("no worker")
        return REF

    async def wait(self, ref: WorkerRef) -> Outcome:  # noqa: ARG002
        self.said.append("wait")
        while self.outcome is None:
            await anyio.sleep_forever()
        return self.outcome

    async def kill(self, ref: WorkerRef, grace: float = 0.0) -> Killed:
        await anyio.lowlevel.checkpoint()  # a caller that is cancelled would go on here
        self.said.append(f"kill {ref.place} {grace:g}")
        return Killed(running=True)

    async def adopt(self, ref: WorkerRef) -> bool:  # noqa: ARG002
        return False

    async def close(self) -> None:
        self.said.append("close")


def dispatcher(outcome: Outcome | None = None, *, refuses: bool = False) -> tuple[Dispatcher, Recording, list[str]]:
    said = list[str]()
    executor = Recording(said, outcome, refuses)
    return Dispatcher(executor, Ledger(said)), executor, said


async def test_a_task_runs_under_a_lease_with_what_was_granted_and_the_lease_is_given_back() -> None:
    work, executor, said = dispatcher(Outcome(value=7))
    began = list[WorkerRef]()
    need = Need(cpus=8, memory_mb=500, gpus=1)
    outcome = await work.perform(TASK, silent, need=need, priority=2, fair="me", workflow="train", began=began.append)
    assert outcome.answer() == 7
    assert said == ["lease 8 2 me c.f component:c workflow:train", "submit", "wait", "release"]
    [given] = executor.given
    assert (given.cpus, given.memory_mb, given.gpus, given.params, given.step) == (3, 500, (1,), {"x": 1}, "s")
    assert began == [REF]


async def test_the_failure_of_a_capability_is_an_outcome_and_ends_nothing() -> None:
    work, _, said = dispatcher(Outcome(code="data_rejected", error="no rows"))
    outcome = await work.perform(TASK, silent, need=Need())
    assert (outcome.code, outcome.error) == ("data_rejected", "no rows")
    assert said[-1] == "release"
    assert not [one for one in said if one.startswith("kill")]


async def test_a_task_that_takes_too_long_is_ended_before_its_lease_is_given_back() -> None:
    work, _, said = dispatcher()
    with pytest.raises(OutOfTime, match=r"c\.f took longer than 0\.01 seconds and was ended"):
        await work.perform(TASK, silent, need=Need(), timeout=0.01, grace=2)
    assert said[-2:] == ["kill 1 2", "release"]


async def test_a_caller_that_is_cancelled_goes_on_when_the_task_is_ended() -> None:
    work, _, said = dispatcher()
    async with anyio.create_task_group() as group:

        async def perform() -> None:
            try:
                await work.perform(TASK, silent, need=Need(), grace=3)
            finally:
                said.append("gone on")

        group.start_soon(perform)
        while "wait" not in said:
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    assert said[-3:] == ["kill 1 3", "release", "gone on"]


async def test_a_lease_is_given_back_when_no_worker_can_be_had() -> None:
    work, _, said = dispatcher(refuses=True)
    with pytest.raises(WorkerLost, match="no worker"):
        await work.perform(TASK, silent, need=Need())
    assert said[-1] == "release"


async def test_what_the_caller_raises_when_it_began_ends_the_task() -> None:
    work, _, said = dispatcher()

    def refuse(_ref: WorkerRef) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work.perform(TASK, silent, need=Need(), began=refuse)
    assert said[-2:] == ["kill 1 0", "release"]


async def test_the_steps_of_one_component_are_limited_and_wait_for_each_other(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path, components={"toys": "toys"})
    resources = Resources(Capacity(cpus=4), limits={"component:toys": 1})
    held = resources.lease(Need(), keys=["component:toys"])
    work = Dispatcher(Inline(settings, Registry(settings.components)), resources)
    done = list[Outcome]()
    async with anyio.create_task_group() as group:

        async def perform() -> None:
            task = Task(component="toys", capability="add", params={"a": 1})
            done.append(await work.perform(task, silent, need=Need()))

        async with held:
            group.start_soon(perform)
            await anyio.wait_all_tasks_blocked()
            assert done == []
    assert [one.value for one in done] == [2]
