"""What every executor of this machine promises, and what only processes can."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.core.executors import Inline, InProcess, Workers
from mcp_orchestrator.core.kill import works
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.core.tasks import Executor, Outcome, Task, WorkerRef
from mcp_orchestrator.errors import UnknownName, WorkerLost
from mcp_orchestrator.settings import Settings

linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")
pytestmark = pytest.mark.anyio
KINDS = ["inline", "threads", "workers", "spawned"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(tmp_path, components={"toys": "toys", "counter": "toys:Counter"}, workers=2)


def toy(capability: str, *, component: str = "toys", **params: Any) -> Task:
    return Task(component=component, capability=capability, params=params, run="r", step="s")


@asynccontextmanager
async def executor(settings: Settings, kind: str) -> AsyncGenerator[Executor]:
    registry = Registry(settings.components)
    made: Executor = (
        Inline(settings, registry)
        if kind == "inline"
        else InProcess(settings, registry)
        if kind == "threads"
        else Workers(settings, preload=False)
    )
    try:
        await made.start()
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def at_work(settings: Settings, *, preload: bool = False) -> AsyncGenerator[Workers]:
    workers = Workers(settings, preload=preload)
    try:
        yield workers
    finally:
        await workers.close()


async def perform(work: Executor, task: Task, heard: list[tuple[float | None, str]] | None = None) -> Outcome:
    def report(fraction: float | None, message: str) -> None:
        if heard is not None:
            heard.append((fraction, message))

    with anyio.fail_after(60):
        return await work.wait(await work.submit(task, report))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "spawned":
        monkeypatch.setattr("mcp_orchestrator.core.pool.can_fork", lambda: False)
    return request.param


async def test_answers_are_plain_values_and_failures_have_their_code(settings: Settings, kind: str) -> None:
    async with executor(settings, kind) as work:
        assert (await perform(work, toy("add", a=2, b=3))).answer() == 5
        assert (await perform(work, toy("up", component="counter", start=2))).value == 3
        failed = await perform(work, toy("fail", reason="no luck"))
        assert (failed.code, failed.error, failed.value) == ("step_failed", "RuntimeError: no luck", None)
        refused = await perform(work, toy("add", a="x"))
        assert refused.code == "invalid_input"
        assert "a:" in refused.error
        unknown = await perform(work, toy("subtract"))
        assert unknown.code == "unknown_name"
        with pytest.raises(UnknownName, match="subtract"):
            unknown.answer()
        left = await perform(work, toy("leave_early", status=3))
        assert (left.code, left.error) == ("step_failed", "SystemExit: 3")
        assert (await work.capacity()).cpus == 2


async def test_an_outcome_is_taken_once_and_nothing_is_known_of_a_task_that_was_not_submitted(
    settings: Settings, kind: str
) -> None:
    async with executor(settings, kind) as work:
        ref = await work.submit(toy("add", a=1), lambda _fraction, _message: None)
        assert ref.executor == work.name
        assert (await work.wait(ref)).value == 2
        with pytest.raises(UnknownName):
            await work.wait(ref)
        assert not (await work.kill(ref)).running
        assert not await work.adopt(WorkerRef(executor=work.name, place="1", pid=ref.pid))


async def test_progress_is_told_in_the_event_loop_and_the_last_word_is_never_lost(
    settings: Settings, kind: str
) -> None:
    settings = settings.model_copy(update={"components": {**settings.components, "telling": "telling"}})
    heard = list[tuple[float | None, str]]()
    async with executor(settings, kind) as work:
        assert (await perform(work, toy("count", component="telling", to=3), heard)).value == 3
    assert heard[-1] == (1, "3 of 3")
    assert heard[0][0] is None


async def test_tasks_run_side_by_side_and_each_gets_its_own_answer(settings: Settings, kind: str) -> None:
    async with executor(settings, kind) as work:
        found = dict[int, int]()

        async def add(number: int) -> None:
            found[number] = (await perform(work, toy("add", a=number, b=number))).value

        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(add, number)
        assert found == {number: 2 * number for number in range(8)}


async def test_what_a_step_used_is_told(settings: Settings, kind: str) -> None:
    large = b"x" * (400 << 20)  # what this process takes is nothing to a worker that it starts
    async with executor(settings, kind) as work:
        little = (await perform(work, toy("add", a=1))).usage
        much = (await perform(work, toy("spend", seconds=0.3))).usage
        assert 0.3 <= much.cpu_seconds < 30
        assert little.cpu_seconds < much.cpu_seconds
        if kind in {"workers", "spawned"}:
            more = (await perform(work, toy("hoard", megabytes=200))).usage
            assert 200 < more.memory_mb < 2000
            after = [(await perform(work, toy("add", a=1))).usage.memory_mb for _ in range(3)]
            assert min(after) < more.memory_mb - 100
    assert len(large) == 400 << 20


@pytest.mark.parametrize("way", ["workers", "spawned"])
async def test_a_worker_that_dies_is_an_outcome_and_the_next_task_has_another(
    settings: Settings, tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_orchestrator.core.pool.can_fork", lambda: way == "workers")
    async with executor(settings, way) as work:
        lost = await perform(work, toy("die", folder=str(tmp_path), times=1))
        assert lost.code == "worker_lost"
        assert "toys.die ended before it answered" in lost.error
        assert str(settings.home / "logs" / "r.log") in lost.error
        assert (await perform(work, toy("die", folder=str(tmp_path), times=1))).value == 2


@pytest.mark.parametrize("way", ["workers", "spawned"])
async def test_an_idle_worker_is_used_again_unless_it_was_killed(
    settings: Settings, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_orchestrator.core.pool.can_fork", lambda: way == "workers")
    async with at_work(settings) as workers:
        assert (await perform(workers, toy("add", a=1))).value == 2
        [pid] = workers.processes
        assert (await perform(workers, toy("add", a=2))).value == 3
        assert workers.processes == [pid]
        os.kill(pid, signal.SIGKILL)
        with anyio.fail_after(60):
            while works(pid):
                pass  # the loop, in which the executor would hear of it, is kept busy
        assert (await perform(workers, toy("add", a=3))).value == 4
        assert pid not in workers.processes


async def test_a_task_goes_to_the_worker_that_knows_its_run(settings: Settings) -> None:
    async with at_work(settings) as workers:
        tasks = [Task(component="toys", capability="own_id", params={}, run=run, step="s") for run in "ab"]
        refs = [await workers.submit(task, lambda _fraction, _message: None) for task in tasks]
        a, b = [(await workers.wait(ref)).value for ref in refs]
        assert a != b
        assert [(await perform(workers, task)).value for task in (tasks[1], tasks[0], tasks[1])] == [b, a, b]


@linux
async def test_a_killed_zygote_takes_its_workers_with_it_and_the_next_task_has_another(
    settings: Settings, tmp_path: Path
) -> None:
    async with at_work(settings) as workers:
        ref = await workers.submit(toy("burn_alone", folder=str(tmp_path)), lambda _fraction, _message: None)
        zygote = workers.zygote
        os.kill(zygote, signal.SIGKILL)
        with anyio.fail_after(60):
            assert (await workers.wait(ref)).code == "worker_lost"
        assert (await perform(workers, toy("add", a=1))).value == 2
        assert workers.zygote not in {0, zygote}


@linux
async def test_a_zygote_that_cannot_start_is_told_of_with_its_exit_code_and_its_last_words(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (python := tmp_path / "python").write_text("#!/bin/sh\necho one >&2; echo 'OSError: no luck' >&2; exit 1\n")
    python.chmod(0o700)
    monkeypatch.setattr("mcp_orchestrator.core.processes.sys.executable", str(python))
    async with at_work(settings) as workers:
        with pytest.raises(WorkerLost, match=r"\(exit code 1: OSError: no luck\)"):
            await perform(workers, toy("add", a=1))
        monkeypatch.undo()
        assert (await perform(workers, toy("add", a=1))).value == 2


NO_PROCESS = """
import os
from pathlib import Path

fork = os.fork


def fails_for_now():
    if not (Path(__file__).parent / "better").exists():
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return fork()


os.fork = fails_for_now
"""


@linux
async def test_a_zygote_that_gets_no_process_says_so_and_goes_on(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_PROCESS)
    monkeypatch.syspath_prepend(tmp_path)
    async with at_work(settings) as workers:
        with pytest.raises(WorkerLost, match=r"No worker .*\(BlockingIOError: .* temporarily unavailable"):
            await perform(workers, toy("add", a=1))
        zygote = workers.zygote
        with monkeypatch.context() as patched:
            patched.setattr("mcp_orchestrator.core.processes.socket.send_fds", lambda to, data, _: to.send(*data))
            with pytest.raises(WorkerLost, match="its socket did not arrive"):
                await perform(workers, toy("add", a=1))
        (tmp_path / "better").touch()
        assert (await perform(workers, toy("add", a=1))).value == 2
        assert workers.zygote == zygote


@pytest.fixture
def many_files() -> Iterator[None]:
    """More open files than `select.select` can count."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip(f"a process may have {hard} files open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    with ExitStack() as opened:
        for _ in range(1100):
            opened.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@linux
@pytest.mark.usefixtures("many_files")
async def test_a_process_with_many_open_files_has_workers(settings: Settings) -> None:
    async with at_work(settings) as workers:
        assert (await perform(workers, toy("add", a=1))).value == 2


@linux
@pytest.mark.slow
async def test_once_the_libraries_are_loaded_a_worker_is_at_hand_before_the_first_task(settings: Settings) -> None:
    async with at_work(settings, preload=True) as workers:
        await workers.start()
        with anyio.fail_after(120):
            while not workers.processes:
                await anyio.sleep(0.02)
        assert (await perform(workers, toy("loaded", name="sklearn.ensemble"))).value is True
        assert len(workers.processes) == 1


@linux
@pytest.mark.slow
@pytest.mark.parametrize(("ahead", "loaded"), [("models", True), ("nothing", False)])
async def test_what_is_loaded_ahead_can_be_set(settings: Settings, ahead: str, loaded: bool) -> None:
    orchestrator = Orchestrator(settings=settings.model_copy(update={"preload": ahead}))
    workers = orchestrator.executor
    assert isinstance(workers, Workers)
    try:
        await workers.start()
        with anyio.fail_after(120):
            while loaded and not workers.processes:
                await anyio.sleep(0.02)
        assert (await perform(workers, toy("loaded", name="sklearn.ensemble"))).value is loaded
        assert (await perform(workers, toy("loaded", name="mlflow"))).value is False
    finally:
        await workers.close()


@pytest.mark.parametrize("cpus", [1, 2])
async def test_libraries_in_a_worker_see_what_was_granted(settings: Settings, cpus: int) -> None:
    async with at_work(settings) as workers:
        for gpus, devices in (((), ""), ((1, 3), "1,3"), ((), "")):
            task = Task(component="toys", capability="granted", params={}, cpus=cpus, gpus=gpus)
            found = (await perform(workers, task)).value
            assert found == {"cpus": str(min(cpus, psutil.cpu_count() or 1)), "threads": "1", "gpus": devices}


@pytest.mark.parametrize("way", ["workers", "spawned"])
async def test_what_a_step_prints_goes_to_the_log_of_its_run(
    settings: Settings, capfd: pytest.CaptureFixture[str], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_orchestrator.core.pool.can_fork", lambda: way == "workers")
    async with at_work(settings) as workers:
        assert (await perform(workers, toy("chatter", text="hello"))).value == "hello"
    assert capfd.readouterr() == ("", "")
    lines = (settings.home / "logs" / "r.log").read_text().splitlines()
    said = [json.loads(line) for line in lines if line.startswith("{")]
    assert [one["message"] for one in said].count("hello") == 2
    assert all((one["run"], one["step"]) == ("r", "s") for one in said)
    assert "raw" in lines


async def test_closing_stops_what_runs_and_leaves_no_process(settings: Settings, tmp_path: Path) -> None:
    workers = Workers(settings, preload=False)
    await perform(workers, toy("add", a=1))
    ref = await workers.submit(toy("burn_alone", folder=str(tmp_path)), lambda _fraction, _message: None)
    processes = [psutil.Process(pid) for pid in [*workers.processes, workers.zygote]]
    async with anyio.create_task_group() as group:

        async def wait() -> None:
            assert (await workers.wait(ref)).code == "cancelled"

        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        await workers.close()
    gone, alive = psutil.wait_procs(processes, timeout=60)
    assert (len(gone), alive) == (len(processes), [])


async def test_a_thread_that_is_given_up_stops_where_it_next_tells_its_progress(
    settings: Settings, tmp_path: Path
) -> None:
    settings = settings.model_copy(update={"components": {"telling": "telling"}})
    async with executor(settings, "threads") as work:
        async with anyio.create_task_group() as group:
            ref = await work.submit(
                toy("for_ever", component="telling", folder=str(tmp_path)), lambda _fraction, _message: None
            )
            group.start_soon(work.wait, ref)
            with anyio.fail_after(60):
                while not (tmp_path / "begun").exists():
                    await anyio.sleep(0.01)
            group.cancel_scope.cancel()
        with anyio.fail_after(60):
            while not (tmp_path / "stopped").exists():
                await anyio.sleep(0.01)
        assert (tmp_path / "stopped").read_text() == "Cancelled"


async def test_a_big_answer_arrives_whole(settings: Settings) -> None:
    async with at_work(settings) as workers:
        text = "ä" * 3_000_000
        assert (await perform(workers, toy("chatter", text=text))).value == text


async def test_a_submission_that_is_given_up_while_a_worker_is_born_leaves_nothing(settings: Settings) -> None:
    async with at_work(settings) as workers:
        with anyio.move_on_after(0.01):
            await workers.submit(toy("add", a=1), lambda _fraction, _message: None)
        assert (await perform(workers, toy("add", a=1))).value == 2
        processes = [psutil.Process(workers.zygote), *psutil.Process(workers.zygote).children(recursive=True)]
    assert psutil.wait_procs(processes, timeout=60)[1] == []


def test_an_executor_can_be_made_before_there_is_an_event_loop(settings: Settings) -> None:
    workers = Workers(settings, preload=False)

    async def work() -> int:
        try:
            return (await perform(workers, toy("add", a=1))).value
        finally:
            await workers.close()

    assert anyio.run(work) == 2
