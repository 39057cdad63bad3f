"""Runs: durable, killable, taken over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
import toys
from pydantic import BaseModel, Field

from mcp_orchestrator.component import Capability
from mcp_orchestrator.core.dispatch import Dispatcher
from mcp_orchestrator.core.engine import Engine, Workflow
from mcp_orchestrator.core.executors import InProcess, Workers
from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.core.policy import Policy
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.core.resources import Resources
from mcp_orchestrator.core.rows import Status
from mcp_orchestrator.core.run import Run
from mcp_orchestrator.core.tasks import Capacity
from mcp_orchestrator.errors import InvalidInput, NotReady, UnknownName
from mcp_orchestrator.settings import Settings

pytestmark = pytest.mark.anyio
TOYS = {"toys": "toys", "counter": "toys:Counter"}
add, mark, burn, die, fail, nap, chatter = (
    Capability(one, component="toys")
    for one in (toys.add, toys.mark, toys.burn, toys.die, toys.fail, toys.nap, toys.chatter)
)


class Spec(BaseModel):
    folder: str = ""
    times: int = Field(default=0, ge=0)


class Answer(BaseModel):
    value: Any = None


async def counting(run: Run, spec: Spec) -> Answer:
    first = await run.step("first", mark, folder=spec.folder, name="first")
    middle = await run.step("middle", die, Policy(attempts=2, backoff=0), folder=spec.folder, times=spec.times)
    last = await run.step("last", mark, folder=spec.folder, name="last")
    return Answer(value=[first, middle, last])


async def burning(run: Run, spec: Spec) -> Answer:
    return Answer(value=await run.step("burn", burn, folder=spec.folder))


async def leaving_out(run: Run, spec: Spec) -> Answer:
    await run.skip("unwanted", "it was not asked for")
    optional = await run.attempt("optional", fail, reason=f"no {spec.times}")
    return Answer(value=[optional, await run.step("add", add, a=1)])


async def failing(run: Run, spec: Spec) -> Answer:
    return Answer(value=await run.step("fail", fail, reason=f"reason {spec.times}"))


async def once(run: Run, spec: Spec) -> Answer:
    policy = Policy(attempts=3, backoff=0, retry="failed", on_crash="hold")
    return Answer(value=await run.step("pay", die, policy, folder=spec.folder, times=spec.times))


async def slow(run: Run, spec: Spec) -> Answer:
    return Answer(value=await run.step("nap", nap, Policy(timeout=0.2), seconds=3.0))


async def two(run: Run, spec: Spec) -> Answer:
    await run.step("one", mark, folder=spec.folder, name="one")
    while not (Path(spec.folder) / "go").exists():
        await anyio.sleep(0.01)
    return Answer(value=await run.step("two", mark, folder=spec.folder, name="two"))


WORKFLOWS = [
    Workflow("counting", Spec, counting, ("first", "middle", "last")),
    Workflow("burning", Spec, burning, ("burn",)),
    Workflow("leaving_out", Spec, leaving_out, ("unwanted", "optional", "add")),
    Workflow("failing", Spec, failing, ("fail",)),
    Workflow("slow", Spec, slow, ("nap",)),
    Workflow("once", Spec, once, ("pay",)),
    Workflow("two", Spec, two, ("one", "two")),
    Workflow("short", Spec, burning, ("burn",), timeout=0.5),
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(tmp_path, components=TOYS, workers=2)


@asynccontextmanager
async def engine_of(settings: Settings, *, recover: bool = True) -> AsyncGenerator[Engine]:
    executor = Workers(settings, preload=False)
    try:
        dispatcher = Dispatcher(executor, Resources(Capacity(cpus=2)))
        async with Engine(Journal(settings.home), dispatcher, WORKFLOWS).running(recover=recover) as engine:
            yield engine
    finally:
        await executor.close()


async def written(path: Path) -> str:
    with anyio.fail_after(30):
        while not path.exists() or not path.read_text():
            await anyio.sleep(0.01)
    return path.read_text()


@pytest.mark.requirement("engine.retry")
async def test_a_step_whose_worker_is_killed_is_tried_again_and_finished_ones_are_not(
    settings: Settings, tmp_path: Path
) -> None:
    async with engine_of(settings) as engine:
        row = await engine.wait(await engine.submit("counting", {"folder": str(tmp_path), "times": 1}))
        assert row.status is Status.SUCCEEDED
        assert row.result == {"value": [1, 2, 1]}
        assert [step.attempt for step in engine.journal.steps(row.id)] == [1, 2, 1]


@pytest.mark.requirement("engine.worker_lost", "engine.states")
async def test_a_worker_that_is_killed_each_time_ends_the_run_as_failed_and_resuming_goes_on_from_there(
    settings: Settings,
    tmp_path: Path,
) -> None:
    async with engine_of(settings) as engine:
        row = await engine.wait(await engine.submit("counting", {"folder": str(tmp_path), "times": 3}))
        assert row.status is Status.FAILED
        assert "ended before it answered" in (row.error or "")
        assert [step.status for step in engine.journal.steps(row.id)] == ["done", "failed"]
        again = await engine.resume(row.id)
        assert (again.forked_from, again.origin, again.id != row.id) == (row.id, row.id, True)
        assert (await engine.wait(again.id)).result == {"value": [1, 4, 1]}
        assert engine.journal.run(row.id).status is Status.FAILED


@pytest.mark.parametrize("approved", [True, False])
async def test_a_step_that_must_not_be_repeated_is_held_for_a_person_when_its_worker_is_lost(
    settings: Settings, tmp_path: Path, approved: bool
) -> None:
    async with engine_of(settings) as engine:
        run = await engine.submit("once", {"folder": str(tmp_path), "times": 2})
        for again in ("pay: again", "pay: again 2"):
            assert (await engine.wait(run)).status is Status.WAITING
            [asked] = [one.name for one in engine.journal.approvals(run) if one.status == "asked"]
            assert asked == again
            held = engine.journal.steps(run)[0]
            assert (held.name, held.status, "ended before it answered" in held.reason) == ("pay", "held", True)
            await engine.decide(run, asked, approved=approved, by="Ada")
            if not approved:
                break
        row = await engine.wait(run)
        if approved:
            assert (row.status, row.result) == (Status.SUCCEEDED, {"value": 3})
            assert (tmp_path / "deaths").read_text() == "x\nx\nx\n", "two deaths, and the one that answered"
        else:
            assert (row.status, "decided not to repeat pay" in (row.error or "")) == (Status.FAILED, True)
            assert (tmp_path / "deaths").read_text() == "x\n"


@pytest.mark.requirement("engine.cancel", "engine.states")
async def test_cancelling_stops_the_processes_and_their_children(settings: Settings, tmp_path: Path) -> None:
    async with engine_of(settings) as engine:
        run = await engine.submit("burning", {"folder": str(tmp_path)})
        pids = [int(pid) for pid in (await written(tmp_path / "burning")).split()]
        assert all(psutil.pid_exists(pid) for pid in pids)
        row = await engine.cancel(run)
        assert row.status is Status.CANCELLED
        assert not [pid for pid in pids if _works(pid)]
        assert [step.status for step in engine.journal.steps(run)] == ["cancelled"]
        with pytest.raises(NotReady, match="already ended"):
            await engine.cancel(run)


@pytest.mark.requirement("engine.timeout")
@pytest.mark.parametrize(
    ("workflow", "status", "says"),
    [("slow", Status.FAILED, "longer than 0.2 seconds"), ("short", Status.TIMED_OUT, "longer than its 0.5 seconds")],
)
async def test_a_step_and_a_run_end_at_their_limit(
    settings: Settings, tmp_path: Path, workflow: str, status: Status, says: str
) -> None:
    async with engine_of(settings) as engine:
        await engine.dispatcher.executor.start()
        row = await engine.wait(await engine.submit(workflow, {"folder": str(tmp_path)}))
        assert (row.status, row.error_code) == (status, "out_of_time")
        assert says in (row.error or "")


@pytest.mark.requirement("engine.optional", "engine.steps", "engine.states")
async def test_what_was_left_out_is_reported_by_name_and_reason(settings: Settings) -> None:
    async with engine_of(settings) as engine:
        row = await engine.wait(await engine.submit("leaving_out", {"times": 7}))
        assert row.status is Status.DEGRADED
        assert row.result == {"value": [None, 2]}
        assert [(one.name, one.status, one.reason) for one in engine.journal.steps(row.id)] == [
            ("unwanted", "skipped", "it was not asked for"),
            ("optional", "failed", "RuntimeError: no 7"),
            ("add", "done", ""),
        ]


@pytest.mark.requirement("engine.required")
async def test_the_failure_of_a_required_step_ends_the_run_with_its_cause(settings: Settings) -> None:
    async with engine_of(settings) as engine:
        row = await engine.wait(await engine.submit("failing", {"times": 7}))
        assert row.status is Status.FAILED
        assert "'fail' failed: RuntimeError: reason 7" in (row.error or "")


@pytest.mark.requirement("engine.pause")
async def test_a_paused_run_starts_no_further_step_until_it_is_resumed(settings: Settings, tmp_path: Path) -> None:
    async with engine_of(settings) as engine:
        run = await engine.submit("two", {"folder": str(tmp_path)})
        await written(tmp_path / "one")
        await engine.pause(run)
        (tmp_path / "go").touch()
        assert (await engine.wait(run)).status is Status.PAUSED
        assert not (tmp_path / "two").exists()
        await engine.resume(run)
        assert (await engine.wait(run)).result == {"value": 1}
        assert (tmp_path / "one").read_text() == "x\n"


@pytest.mark.parametrize(
    ("workflow", "spec", "kind", "says"),
    [
        ("countin", {}, UnknownName, "counting"),
        ("counting", {"time": 1}, InvalidInput, "'times'"),
        ("counting", {"times": -1}, InvalidInput, "times: Input should be greater than or equal to 0"),
    ],
)
async def test_a_bad_request_is_refused_and_leaves_no_run(
    settings: Settings,
    workflow: str,
    spec: dict[str, Any],
    kind: type[Exception],
    says: str,
) -> None:
    async with engine_of(settings) as engine:
        with pytest.raises(kind, match=says):
            await engine.submit(workflow, spec)
        assert engine.journal.runs() == []


async def test_what_the_block_raises_comes_out_as_it_is(settings: Settings) -> None:
    with pytest.raises(UnknownName, match="counting"):
        async with engine_of(settings) as engine:
            await engine.submit("countin", {})


async def test_the_same_key_gives_the_same_run(settings: Settings, tmp_path: Path) -> None:
    async with engine_of(settings) as engine:
        one = await engine.submit("counting", {"folder": str(tmp_path)}, key="k")
        assert await engine.submit("counting", {"folder": str(tmp_path)}, key="k") == one
        with pytest.raises(InvalidInput, match="used before"):
            await engine.submit("counting", {"folder": str(tmp_path), "times": 1}, key="k")
        await engine.wait(one)


@pytest.mark.requirement("python.context")
async def test_what_a_component_prints_goes_to_the_log_of_its_run(
    settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    async def talking(run: Run, _spec: Spec) -> Answer:
        return Answer(value=await run.step("talk", chatter, text="hello"))

    executor = Workers(settings, preload=False)
    workflow = Workflow("talking", Spec, talking, ("talk",))
    dispatcher = Dispatcher(executor, Resources(Capacity(cpus=2)))
    async with Engine(Journal(settings.home), dispatcher, [workflow]).running() as engine:
        row = await engine.wait(await engine.submit("talking", {}))
    await executor.close()
    assert row.result == {"value": "hello"}
    assert capfd.readouterr().out == ""
    log = (settings.home / "logs" / f"{row.id}.log").read_text()
    assert log.count("hello") == 2
    assert "raw" in log


async def test_the_in_process_executor_keeps_the_same_promises(settings: Settings, tmp_path: Path) -> None:
    dispatcher = Dispatcher(InProcess(settings, Registry(settings.components)), Resources(Capacity(cpus=2)))
    async with Engine(Journal(settings.home), dispatcher, WORKFLOWS).running() as engine:
        row = await engine.wait(await engine.submit("counting", {"folder": str(tmp_path)}))
        assert row.result == {"value": [1, 1, 1]}
        row = await engine.wait(await engine.submit("failing", {"times": 3}))
        assert "reason 3" in (row.error or "")
        row = await engine.wait(await engine.submit("slow", {}), 5)
        assert row.error_code == "out_of_time"


CRASHING = """
import json, sys
import anyio
sys.path[:0] = json.loads(sys.argv[2])
import test_engine as t
from mcp_orchestrator.settings import Settings
async def main():
    async with t.engine_of(Settings.load(sys.argv[1], components=t.TOYS, workers=2)) as engine:
        print(await engine.submit("two", {"folder": sys.argv[1]}), flush=True)
        await anyio.sleep_forever()
anyio.run(main)
"""


@pytest.mark.requirement("engine.durable")
async def test_a_run_whose_process_was_killed_is_not_running_and_is_continued_by_the_next_one(
    settings: Settings,
    tmp_path: Path,
) -> None:
    paths = json.dumps([one for one in sys.path if one])
    command = [sys.executable, "-c", CRASHING, str(tmp_path), paths]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        run = process.stdout.readline().strip()
        await written(tmp_path / "one")
        with anyio.fail_after(10):
            while [one.status for one in Journal(settings.home).steps(run)] != ["done"]:
                await anyio.sleep(0.01)
        async with engine_of(settings, recover=False) as other:
            assert other.seen(other.journal.run(run)).status is Status.RUNNING
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            assert other.seen(other.journal.run(run)).status is Status.QUEUED
    (tmp_path / "go").touch()
    async with engine_of(settings) as engine:
        row = await engine.wait(run, 60)
        assert row.result == {"value": 1}
        assert (row.cut, (tmp_path / "one").read_text()) == (1, "x\n")


def _works(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
