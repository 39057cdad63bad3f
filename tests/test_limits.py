"""No more at once than there is room for: runs wait for theirs."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from pydantic import BaseModel

from mcp_orchestrator.core.dispatch import Dispatcher
from mcp_orchestrator.core.engine import Engine, Workflow
from mcp_orchestrator.core.executors import InProcess
from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.core.resources import Resources
from mcp_orchestrator.core.rows import Status
from mcp_orchestrator.core.run import Run
from mcp_orchestrator.core.tasks import Capacity
from mcp_orchestrator.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Name(BaseModel):
    name: str


@pytest.mark.requirement("engine.concurrent")
@pytest.mark.parametrize("most", [1, 2])
async def test_no_more_runs_work_at_once_than_allowed_and_the_others_wait_in_order(tmp_path: Path, most: int) -> None:
    settings = Settings.load(tmp_path)
    begun, go = list[str](), anyio.Event()

    async def wait(_run: Run, spec: Name) -> Name:
        begun.append(spec.name)
        await go.wait()
        return spec

    executor = InProcess(settings, Registry(settings.components))
    async with Engine(
        Journal(settings.home),
        Dispatcher(executor, Resources(Capacity(cpus=2))),
        [Workflow("wait", Name, wait, ())],
        most=most,
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
