"""No more at once than there is room for: processors are leased in turn, runs wait for theirs."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from pydantic import BaseModel

from mcp_orchestrator.core.engine import Engine, Workflow
from mcp_orchestrator.core.executors import InProcess
from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.core.resources import Processors
from mcp_orchestrator.core.rows import Status
from mcp_orchestrator.core.run import Run
from mcp_orchestrator.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Name(BaseModel):
    name: str


async def hold(processors: Processors, wanted: int, granted: list[int], until: anyio.Event) -> None:
    """Hold a lease until told to give it back."""
    async with processors.lease(wanted) as number:
        granted.append(number)
        await until.wait()


@pytest.mark.requirement("resources.fair")
async def test_who_waits_longest_is_served_first_and_nobody_overtakes() -> None:
    processors, order = Processors(1), list[str]()

    async def ask(name: str) -> None:
        async with processors.lease():
            order.append(name)

    async with anyio.create_task_group() as group:
        async with processors.lease():
            for number, name in enumerate("abcd"):
                group.start_soon(ask, name)
                while processors.waiting <= number:
                    await anyio.lowlevel.checkpoint()
        group.start_soon(ask, "late")
    assert order == ["a", "b", "c", "d", "late"]


@pytest.mark.requirement("resources.leases")
async def test_a_lease_takes_what_is_free_at_least_one_and_never_more_than_there_is() -> None:
    processors, granted, done = Processors(4), list[int](), anyio.Event()
    async with anyio.create_task_group() as group:
        for wanted in (3, 8, 2):
            group.start_soon(hold, processors, wanted, granted, done)
            await anyio.wait_all_tasks_blocked()
        assert granted == [3, 1]
        assert (processors.used, processors.waiting) == (4, 1)
        done.set()
    assert granted == [3, 1, 2]
    assert processors.used == 0


@pytest.mark.requirement("resources.leases")
@pytest.mark.parametrize("working", [True, False], ids=["while it works", "while it waits"])
async def test_a_lease_is_given_back_when_its_holder_is_cancelled_or_fails(*, working: bool) -> None:
    processors, granted, never = Processors(1), list[int](), anyio.Event()
    async with anyio.create_task_group() as outer:
        if not working:
            outer.start_soon(hold, processors, 1, granted, never)
            await anyio.wait_all_tasks_blocked()
        async with anyio.create_task_group() as inner:
            inner.start_soon(hold, processors, 1, granted, anyio.Event())
            await anyio.wait_all_tasks_blocked()
            assert (processors.used, processors.waiting) == (1, 0 if working else 1)
            inner.cancel_scope.cancel()
        assert (processors.used, processors.waiting) == (0 if working else 1, 0)
        never.set()
    with pytest.raises(ZeroDivisionError):
        async with processors.lease():
            raise ZeroDivisionError
    assert processors.used == 0


@pytest.mark.requirement("engine.concurrent")
@pytest.mark.parametrize("most", [1, 2])
async def test_no_more_runs_work_at_once_than_allowed_and_the_others_wait_in_order(tmp_path: Path, most: int) -> None:
    settings = Settings.load(tmp_path)
    begun, go = list[str](), anyio.Event()

    async def wait(_run: Run, spec: Name) -> Name:
        begun.append(spec.name)
        await go.wait()
        return spec

    executor = InProcess(settings, Registry())
    async with Engine(
        Journal(settings.home), executor, [Workflow("wait", Name, wait, ())], most=most
    ).running() as engine:
        runs = [await engine.submit("wait", {"name": name}) for name in "abcde"]
        with anyio.fail_after(10):
            while len(begun) < most:
                await anyio.sleep(0.01)
        await anyio.wait_all_tasks_blocked()
        states = [engine.journal.run(run).status for run in runs]
        assert states == [Status.RUNNING] * most + [Status.QUEUED] * (5 - most)
        go.set()
        ended = [await engine.wait(run) for run in runs]
    assert set(begun[:most]) == set("abcde"[:most])
    assert most > 1 or begun == list("abcde")
    assert [row.result for row in ended] == [{"name": name} for name in "abcde"]
    await executor.close()
