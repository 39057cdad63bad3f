"""What a step starts ends with it: killed whole, held to its memory, and nothing outlives its owner."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from mcp_orchestrator.core.dispatch import Dispatcher
from mcp_orchestrator.core.executors import Workers
from mcp_orchestrator.core.kill import MARK, birth, end, identity, mark, sweep, works
from mcp_orchestrator.core.resources import Resources
from mcp_orchestrator.core.tasks import Capacity, Need, Outcome, Task, WorkerRef
from mcp_orchestrator.errors import OutOfTime, WorkerLost
from mcp_orchestrator.settings import Settings

linux = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
pytestmark = pytest.mark.anyio
BURNING = ["burn_alone", "burn_in_c", "burn", "burn_deaf", "burn_apart", "burn_nameless", "burn_in_fits"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    settings = Settings.load(tmp_path, components={"toys": "toys"}, workers=2)
    yield settings
    if settings.home.exists():
        sweep(settings.home)


@asynccontextmanager
async def at_work(settings: Settings) -> AsyncGenerator[Workers]:
    workers = Workers(settings, preload=False)
    try:
        yield workers
    finally:
        await workers.close()


def silent(_fraction: float | None, _message: str) -> None:
    """Tell nobody."""


def toy(capability: str, *, run: str = "r", memory_mb: int = 0, cpus: int = 1, **params: Any) -> Task:
    return Task(
        component="toys", capability=capability, params=params, run=run, step="s", memory_mb=memory_mb, cpus=cpus
    )


def working(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def family(folder: Path, capability: str) -> list[psutil.Process]:
    """Wait until a toy burns in all its processes, and return these."""
    least = {"burn_in_fits": 3, "burn": 2, "burn_deaf": 2, "burn_apart": 3, "burn_nameless": 2}.get(capability, 1)
    marks = folder / "burning"
    with anyio.fail_after(60):
        while True:
            if marks.exists() and marks.read_text():
                pids = [int(one) for one in marks.read_text().split()]
                found = {pids[0]: psutil.Process(pids[0])}
                found |= {one.pid: one for one in found[pids[0]].children(recursive=True)}
                found |= {pid: psutil.Process(pid) for pid in pids}
                if len(alive := [one for one in found.values() if working(one)]) >= least:
                    return alive
            await anyio.sleep(0.02)


@pytest.mark.requirement("engine.cancel")
@pytest.mark.parametrize("capability", BURNING)
async def test_whatever_a_step_does_its_whole_tree_is_gone_when_the_kill_returns(
    settings: Settings, tmp_path: Path, capability: str
) -> None:
    async with at_work(settings) as workers:
        ref = await workers.submit(toy(capability, folder=str(tmp_path), cpus=2), silent)
        processes = await family(tmp_path, capability)
        killed = await workers.kill(ref)
        assert not [one for one in processes if working(one)]
        assert killed.running
        assert killed.processes >= 1  # some end by themselves when their parent does
        assert (await perform(workers, toy("add", a=1))).value == 2
        assert not (await workers.kill(ref)).running


@pytest.mark.requirement("engine.timeout")
async def test_a_step_that_takes_too_long_is_gone_when_its_caller_learns_of_it(
    settings: Settings, tmp_path: Path
) -> None:
    async with at_work(settings) as workers:
        await perform(workers, toy("add", a=1))
        dispatcher = Dispatcher(workers, Resources(Capacity(cpus=2)))
        seen = list[psutil.Process]()
        async with anyio.create_task_group() as group:

            async def look() -> None:
                seen.extend(await family(tmp_path, "burn_deaf"))

            group.start_soon(look)
            with pytest.raises(OutOfTime, match="took longer than 3 seconds"):
                await dispatcher.perform(
                    toy("burn_deaf", folder=str(tmp_path)), silent, need=Need(), timeout=3, grace=0.1
                )
            assert seen
            assert not [one for one in seen if working(one)]


async def test_a_step_that_heeds_the_signal_ends_cleanly_within_its_grace(settings: Settings, tmp_path: Path) -> None:
    async with at_work(settings) as workers:
        ref = await workers.submit(toy("tidy", folder=str(tmp_path)), silent)
        await family(tmp_path, "tidy")
        outcomes = list[Outcome]()
        async with anyio.create_task_group() as group:

            async def wait() -> None:
                outcomes.append(await workers.wait(ref))

            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            await workers.kill(ref, grace=60)
        assert (tmp_path / "tidied").read_text() == "yes"
        assert [one.value for one in outcomes] == ["what was done so far"]
        assert workers.processes == []


async def test_a_step_that_knows_nothing_of_signals_is_interrupted_where_it_stands(
    settings: Settings, tmp_path: Path
) -> None:
    async with at_work(settings) as workers:
        ref = await workers.submit(toy("burn_alone", folder=str(tmp_path)), silent)
        [process] = await family(tmp_path, "burn_alone")
        killed = await workers.kill(ref, grace=60)
        assert not working(process)
        assert killed.seconds < 60


@linux
async def test_a_step_that_was_given_up_before_it_began_does_not_begin(settings: Settings, tmp_path: Path) -> None:
    async with at_work(settings) as workers:
        await perform(workers, toy("add", a=1))
        [worker] = workers.processes
        os.kill(worker, signal.SIGSTOP)
        ref = await workers.submit(toy("mark", folder=str(tmp_path), name="begun"), silent)
        async with anyio.create_task_group() as group:
            group.start_soon(workers.kill, ref, 60)
            await anyio.wait_all_tasks_blocked()
            os.kill(worker, signal.SIGCONT)
        assert ref.pid == worker
        assert not (tmp_path / "begun").exists()


async def test_without_grace_nothing_of_a_step_runs_after_the_word(settings: Settings, tmp_path: Path) -> None:
    async with at_work(settings) as workers:
        ref = await workers.submit(toy("tidy", folder=str(tmp_path)), silent)
        await family(tmp_path, "tidy")
        await workers.kill(ref)
        assert not (tmp_path / "tidied").exists()


async def test_who_waits_for_a_task_that_somebody_kills_learns_that_it_was_stopped(
    settings: Settings, tmp_path: Path
) -> None:
    async with at_work(settings) as workers:
        ref = await workers.submit(toy("burn_apart", folder=str(tmp_path)), silent)
        processes = await family(tmp_path, "burn_apart")
        async with anyio.create_task_group() as group:

            async def wait() -> None:
                outcome = await workers.wait(ref)
                assert outcome.code == "cancelled"
                assert not [one for one in processes if working(one)]

            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            await workers.kill(ref)


async def test_what_a_step_leaves_running_ends_before_its_answer_is_known(settings: Settings, tmp_path: Path) -> None:
    async with at_work(settings) as workers:
        outcome = await perform(workers, toy("leave", folder=str(tmp_path)))
        assert not psutil.pid_exists(outcome.value) or not working(psutil.Process(outcome.value))
        assert workers.processes == []


@linux
async def test_even_what_carries_no_mark_ends_some_time_after_its_worker_died(
    settings: Settings, tmp_path: Path
) -> None:
    async with at_work(settings) as workers:
        ref = await workers.submit(toy("burn_nameless", folder=str(tmp_path)), silent)
        processes = await family(tmp_path, "burn_nameless")
        os.kill(ref.pid, signal.SIGKILL)
        assert (await workers.wait(ref)).code == "worker_lost"
        with anyio.fail_after(60):
            while any(map(working, processes)):
                await anyio.sleep(0.01)


@linux
async def test_a_worker_that_dies_takes_with_it_what_left_its_group(settings: Settings, tmp_path: Path) -> None:
    async with at_work(settings) as workers:
        ref = await workers.submit(toy("burn_apart", folder=str(tmp_path)), silent)
        processes = await family(tmp_path, "burn_apart")
        os.kill(ref.pid, signal.SIGKILL)
        assert (await workers.wait(ref)).code == "worker_lost"
        assert not [one for one in processes if working(one)]


@linux
async def test_a_step_that_takes_more_memory_than_it_may_fails_alone_and_says_both_figures(
    settings: Settings, tmp_path: Path
) -> None:
    async with at_work(settings) as workers:
        other = await workers.submit(toy("tidy", run="other", folder=str(tmp_path)), silent)
        outcome = await perform(workers, toy("hoard", megabytes=10_000, memory_mb=1000))
        assert outcome.code == "step_failed"
        assert "1000 MB" in outcome.error
        assert "9.77 GiB" in outcome.error
        assert (await perform(workers, toy("hoard", megabytes=300, memory_mb=1000))).value == 300
        assert (await perform(workers, toy("hoard", megabytes=300))).value == 300
        await family(tmp_path, "tidy")
        assert (await workers.kill(other, grace=60)).running


@linux
async def test_a_step_whose_children_together_take_more_memory_than_it_may_is_ended(
    settings: Settings, tmp_path: Path
) -> None:
    async with at_work(settings) as workers:
        task = toy("crowd", folder=str(tmp_path), children=3, megabytes=120, memory_mb=250)
        outcome = await perform(workers, task)
        assert outcome.code == "step_failed"
        assert "more than the 250 MB that it may use" in outcome.error
        assert outcome.usage.memory_mb > 250
        pids = [int(one) for one in (tmp_path / "crowd").read_text().split()]
        assert not [pid for pid in pids if psutil.pid_exists(pid) and working(psutil.Process(pid))]
        assert (await perform(workers, toy("add", a=1, memory_mb=250))).value == 2


@linux
async def test_pages_that_processes_share_count_once(settings: Settings, tmp_path: Path) -> None:
    async with at_work(settings) as workers:
        task = toy("share_pages", folder=str(tmp_path), children=4, megabytes=100, memory_mb=250)
        outcome = await perform(workers, task)
        assert (outcome.code, outcome.value) == ("", 4)


LEADER = """
import json, sys
sys.path[:0] = json.loads(sys.argv[2])
import anyio
import test_isolation as t
from pathlib import Path
from mcp_orchestrator.settings import Settings

async def main():
    settings = Settings.load(sys.argv[1], components={"toys": "toys"}, workers=2)
    async with t.at_work(settings) as workers:
        ref = await workers.submit(t.toy("burn_apart", folder=sys.argv[1]), t.silent)
        await t.family(Path(sys.argv[1]), "burn_apart")
        print(json.dumps([ref.pid, ref.place, ref.started, workers.zygote]), flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


@linux
async def test_what_a_dead_leader_left_is_found_and_ended_and_what_a_living_one_has_is_not(
    settings: Settings, tmp_path: Path
) -> None:
    paths = json.dumps([one for one in sys.path if one])
    with subprocess.Popen([sys.executable, "-c", LEADER, str(tmp_path), paths], stdout=subprocess.PIPE) as leader:
        assert leader.stdout is not None
        pid, place, started, zygote = json.loads(leader.stdout.readline())
        processes = await family(tmp_path, "burn_apart")
        assert sweep(settings.home) == 0
        assert all(working(one) for one in processes)
        os.kill(zygote, signal.SIGSTOP)  # it cannot tidy up, as if it had been killed with its leader
        leader.kill()
        leader.wait()
    async with at_work(settings) as workers:
        ref = WorkerRef(executor="local", place=place, pid=pid, started=started)
        assert await workers.adopt(ref) is False
        assert not working(processes[0])
        assert works(zygote)
        assert (await perform(workers, toy("add", a=1))).value == 2
    assert not [one for one in processes if working(one)]
    assert not works(zygote)


@linux
async def test_workers_end_when_their_leader_is_killed(settings: Settings, tmp_path: Path) -> None:
    paths = json.dumps([one for one in sys.path if one])
    with subprocess.Popen([sys.executable, "-c", LEADER, str(tmp_path), paths], stdout=subprocess.PIPE) as leader:
        assert leader.stdout is not None
        leader.stdout.readline()
        processes = await family(tmp_path, "burn_apart")
        leader.kill()
        leader.wait()
    with anyio.fail_after(30):
        while any(map(working, processes)):
            await anyio.sleep(0.01)


async def ended(workers: Workers, task: Task, chance: random.Random) -> str:
    """Submit a task, kill it if it would burn for ever, and return how it ended."""
    try:
        ref = await workers.submit(task, silent)
    except WorkerLost as error:  # the zygote was killed while it was to bear one
        return error.code
    if task.capability == "burn_apart" and chance.random() < 0.5:
        await workers.kill(ref, grace=chance.choice([0, 0.01]))
        return "killed"
    if task.capability == "burn_apart":
        with suppress(ProcessLookupError):
            os.kill(ref.pid, signal.SIGKILL)
    return (await workers.wait(ref)).code


async def kill_at_random(workers: Workers, chance: random.Random, done: anyio.Event) -> None:
    while not done.is_set():
        await anyio.sleep(chance.random() * 0.2)
        victims = [workers.zygote] if chance.random() < 0.1 else workers.processes
        if any(victims):
            with suppress(ProcessLookupError):
                os.kill(chance.choice(victims), signal.SIGKILL)


@linux
async def test_whenever_processes_are_killed_every_task_ends_and_nothing_is_left(
    settings: Settings, tmp_path: Path
) -> None:
    chance, codes, done = random.Random(0), list[str](), anyio.Event()  # noqa: S311 - repeatable

    async def client(workers: Workers, number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        for kind in ["add", "leave", "chatter", "burn_apart"] * 5:
            given: dict[str, Any] = {"add": {"a": 1}, "chatter": {"text": "x"}}.get(kind, {"folder": str(folder)})
            codes.append(await ended(workers, toy(kind, run=str(number), **given), chance))

    async with at_work(settings) as workers, anyio.create_task_group() as group:
        await perform(workers, toy("add", a=1))
        group.start_soon(kill_at_random, workers, chance, done)
        with anyio.fail_after(120):
            async with anyio.create_task_group() as clients:
                for number in range(3):
                    clients.start_soon(client, workers, number)
        done.set()
    assert len(codes) == 60
    assert set(codes) == {"", "killed", "worker_lost"}
    with anyio.fail_after(60):
        while marked(settings.home):
            await anyio.sleep(0.01)


def marked(home: Path) -> list[int]:
    """Return the processes that work for a state home, but for zombies."""
    found = list[int]()
    for one in psutil.process_iter():
        with suppress(psutil.Error):
            if one.environ().get(MARK, "").startswith(identity(home)) and working(one):
                found.append(one.pid)
    return found


@linux
def test_a_process_that_has_got_the_id_of_a_dead_one_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as other:
        assert end(other.pid, birth(other.pid) - 1) == 0
        assert other.poll() is None
        assert end(other.pid, birth(other.pid)) == 1


@linux
def test_marks_are_of_one_length_and_tell_homes_apart(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    (tmp_path / "link").symlink_to(one)
    assert identity(one) == identity(tmp_path / "link") != identity(two)
    assert len(mark(identity(one), "1", "x" * 500)) == len(mark(identity(one), "2", "ä")) == len(mark(identity(one)))


async def perform(workers: Workers, task: Task) -> Outcome:
    with anyio.fail_after(60):
        return await workers.wait(await workers.submit(task, silent))
