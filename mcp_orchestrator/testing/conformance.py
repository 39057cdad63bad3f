"""What every executor must do, as tests.

Derive from `ExecutorConformance` and give it a fixture ``bench``::

    class TestMine(ExecutorConformance):
        @pytest.fixture(scope="class")
        @classmethod
        def bench(cls, tmp_path_factory):
            with Bench(MyExecutor, tmp_path_factory.mktemp("home")) as bench:
                yield bench

What an executor does not promise by its `Abilities` is not asked of it: such a test is skipped. The processes of the
executor must be on this machine, since the suite looks whether they are gone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from unittest import SkipTest

import anyio
import anyio.lowlevel
import psutil
from anyio.from_thread import start_blocking_portal

from mcp_orchestrator.core.output import log_of
from mcp_orchestrator.core.tasks import Executor, Outcome, Task, WorkerRef
from mcp_orchestrator.errors import InvalidInput, StepFailed, UnknownName
from mcp_orchestrator.settings import Settings

__all__ = ["Bench", "ExecutorConformance"]

LONGEST = 120.0
EXERCISES = {"exercises": "mcp_orchestrator.testing.exercises"}
T = TypeVar("T")


class Bench:
    """An executor in an event loop of its own, and the tasks to try it with."""

    def __init__(self, make: Callable[[Settings], Executor], project: Path, **settings: Any) -> None:  # noqa: ANN401
        """Take the function that makes the executor from settings, and the folder to work in."""
        self.settings = Settings.load(project, components=EXERCISES, **{"workers": 2, **settings})
        self._make, self._stack, self._serial = make, ExitStack(), 0
        self.executor = make(self.settings)

    def __enter__(self) -> Self:
        """Start the executor."""
        self._portal = self._stack.enter_context(start_blocking_portal())
        self.run(self.executor.start)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        try:
            self.run(self.executor.close)
        finally:
            self._stack.close()

    def run(self, work: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:  # noqa: ANN401
        """Run a coroutine function in the executor's event loop, no longer than two minutes."""

        async def limited() -> T:
            with anyio.fail_after(LONGEST):
                return await work(*args)

        return self._portal.call(limited)

    def again(self) -> None:
        """Close the executor and start another one."""
        self.run(self.executor.close)
        self.executor = self._make(self.settings)
        self.run(self.executor.start)

    def task(self, capability: str, params: dict[str, Any] | None = None, /, **fields: Any) -> Task:  # noqa: ANN401
        """Return a task that calls a capability of the exercises, in a run of its own."""
        self._serial += 1
        about: dict[str, Any] = {"run": f"run-{self._serial}", "step": "one", **fields}
        return Task(component="exercises", capability=capability, params=params or {}, **about)

    async def done(self, task: Task) -> Outcome:
        """Have a task run to its end."""
        return await self.executor.wait(await self.executor.submit(task, _silent))

    async def hanging(self, task: Task | None = None) -> tuple[WorkerRef, list[int]]:
        """Start a task that never ends, and return its reference and its processes when they are at work."""
        begun, pids = anyio.Event(), list[int]()

        def heard(_fraction: float | None, message: str) -> None:
            pids.extend(int(one) for one in message.split())
            begun.set()

        ref = await self.executor.submit(task or self.task("hang"), heard)
        await begun.wait()
        return ref, pids

    def needs(self, ability: str) -> None:
        """Skip the test unless the executor promises something."""
        if not getattr(self.executor.abilities, ability):
            text = f"{self.executor.name} does not promise it: {ability} is False"
            skip = sys.modules.get("pytest")
            if skip is not None:  # its earlier versions take no other word for it
                skip.skip(text)
            raise SkipTest(text)


class ExecutorConformance:
    """The tests; each takes the fixture ``bench``."""

    def test_there_is_something_to_grant(self, bench: Bench) -> None:
        assert bench.run(bench.executor.capacity).cpus >= 1

    def test_starting_twice_changes_nothing(self, bench: Bench) -> None:
        before = bench.run(bench.executor.capacity)
        bench.run(bench.executor.start)
        assert bench.run(bench.executor.capacity) == before

    def test_an_answer_is_what_the_capability_returned(self, bench: Bench) -> None:
        value: dict[str, Any] = {"text": "ä\n{}", "list": [1, 2.5, None, True], "empty": {}, "deep": [[{"x": -0.1}]]}
        assert bench.run(bench.done, bench.task("echo", {"value": value})).answer() == value

    def test_a_refusal_comes_back_as_the_same_error(self, bench: Bench) -> None:
        outcome = bench.run(bench.done, bench.task("refuse", {"field": "size"}))
        assert outcome.code == InvalidInput.code
        assert isinstance(outcome.failure(), InvalidInput)
        assert str(outcome.failure()) == "size: is refused."

    def test_an_unknown_name_comes_back_as_such(self, bench: Bench) -> None:
        assert bench.run(bench.done, bench.task("no_such_capability")).code == UnknownName.code

    def test_a_crash_is_a_failed_step_with_its_cause(self, bench: Bench) -> None:
        outcome = bench.run(bench.done, bench.task("crash", {"reason": "no more ink"}))
        assert (outcome.code, "RuntimeError: no more ink" in outcome.error) == (StepFailed.code, True)

    def test_progress_is_told_before_the_end(self, bench: Bench) -> None:
        heard: list[tuple[float | None, str]] = []

        async def work() -> Any:  # noqa: ANN401 - the answer
            task = bench.task("progress", {"message": "all there"})
            ref = await bench.executor.submit(task, lambda fraction, message: heard.append((fraction, message)))
            return (await bench.executor.wait(ref)).answer()

        assert bench.run(work) == "all there"
        assert heard == [(1.0, "all there")]

    def test_a_step_gets_its_seed_its_processors_and_its_place(self, bench: Bench) -> None:
        task = bench.task("given", seed=7, cpus=1, step="the step")
        answer = bench.run(bench.done, task).answer()
        assert {**answer, "pid": 0} == {"seed": 7, "cpus": 1, "run": task.run, "step": "the step", "pid": 0}

    def test_several_tasks_at_once_each_get_their_own_answer(self, bench: Bench) -> None:
        async def work() -> dict[int, Any]:
            answers: dict[int, Any] = {}

            async def one(number: int) -> None:
                task = bench.task("echo", {"value": number}, run="same", step="same", attempt=number)
                answers[number] = (await bench.done(task)).answer()

            async with anyio.create_task_group() as group:
                for number in range(1, 9):
                    group.start_soon(one, number)
            return answers

        assert bench.run(work) == {number: number for number in range(1, 9)}

    def test_what_a_step_prints_is_in_the_log_of_its_run(self, bench: Bench) -> None:
        bench.needs("kills")
        task = bench.task("say", {"text": "hello from a step"})
        bench.run(bench.done, task).answer()
        log = log_of(bench.settings.home, task.run).read_text("utf-8")
        assert "hello from a step" in log
        assert "raw hello from a step" in log

    def test_the_death_of_a_worker_is_told(self, bench: Bench) -> None:
        bench.needs("kills")
        assert bench.run(bench.done, bench.task("die")).code == "worker_lost"
        assert bench.run(bench.done, bench.task("echo", {"value": 1})).answer() == 1

    def test_after_a_kill_nothing_of_the_task_runs(self, bench: Bench) -> None:
        bench.needs("kills")

        async def work() -> tuple[bool, list[int]]:
            ref, pids = await bench.hanging()
            assert all(_runs(pid) for pid in pids)
            killed = await bench.executor.kill(ref)
            return killed.running, [pid for pid in pids if _runs(pid)]

        assert bench.run(work) == (True, [])

    def test_who_waits_for_a_task_that_is_killed_is_told(self, bench: Bench) -> None:
        bench.needs("kills")

        async def work() -> Outcome | None:
            ref, _ = await bench.hanging()
            outcomes: list[Outcome] = []

            async def wait() -> None:
                outcomes.append(await bench.executor.wait(ref))

            async with anyio.create_task_group() as group:
                group.start_soon(wait)
                await anyio.lowlevel.checkpoint()
                await bench.executor.kill(ref)
            return outcomes[0]

        outcome = bench.run(work)
        assert outcome is not None
        assert outcome.code in {"cancelled", "worker_lost"}

    def test_a_task_that_ended_needs_no_killing(self, bench: Bench) -> None:
        async def work() -> bool:
            ref = await bench.executor.submit(bench.task("echo", {"value": 1}), _silent)
            await bench.executor.wait(ref)
            return (await bench.executor.kill(ref)).running

        assert not bench.run(work)

    def test_a_killed_task_leaves_its_place_to_the_next(self, bench: Bench) -> None:
        bench.needs("kills")

        async def work(cpus: int) -> list[Any]:
            for ref in [(await bench.hanging())[0] for _ in range(cpus)]:
                await bench.executor.kill(ref)
            return [(await bench.done(bench.task("echo", {"value": one}))).answer() for one in range(cpus)]

        cpus = bench.run(bench.executor.capacity).cpus
        assert bench.run(work, cpus) == list(range(cpus))

    def test_the_answer_of_an_attempt_that_was_given_up_goes_to_nobody(self, bench: Bench) -> None:
        bench.needs("kills")

        async def work() -> Any:  # noqa: ANN401 - the answer
            first = bench.task("hang")
            ref, _ = await bench.hanging(first)
            await bench.executor.kill(ref)
            again = bench.task("echo", {"value": "second"}, run=first.run, step=first.step, attempt=2)
            return (await bench.done(again)).answer()

        assert bench.run(work) == "second"

    def test_a_step_that_takes_more_memory_than_it_may_fails_alone(self, bench: Bench) -> None:
        bench.needs("limits_memory")

        async def work() -> tuple[Outcome, Outcome]:
            outcomes: dict[int, Outcome] = {}

            async def one(megabytes: int) -> None:
                task = bench.task("fill", {"megabytes": megabytes}, memory_mb=400)
                outcomes[megabytes] = await bench.done(task)

            async with anyio.create_task_group() as group:
                group.start_soon(one, 4000)
                group.start_soon(one, 20)
            return outcomes[4000], outcomes[20]

        large, small = bench.run(work)
        assert (large.code, "400 MB" in large.error) == (StepFailed.code, True)
        assert small.answer() == 20  # noqa: PLR2004 - what was asked for

    def test_a_task_of_a_life_before_is_not_running(self, bench: Bench) -> None:
        bench.needs("kills")

        async def begin() -> tuple[WorkerRef, list[int]]:
            return await bench.hanging()

        ref, pids = bench.run(begin)
        bench.again()
        assert not bench.run(bench.executor.adopt, ref)
        assert not [pid for pid in pids if _runs(pid)]

    def test_close_leaves_no_process(self, bench: Bench) -> None:
        bench.needs("kills")

        async def work() -> list[int]:
            pid: int = (await bench.done(bench.task("given"))).answer()["pid"]
            _, pids = await bench.hanging()
            return [pid, *pids]

        pids = bench.run(work)
        before = {one.pid for one in psutil.Process().children(recursive=True)}
        bench.run(bench.executor.close)
        left = [pid for pid in {*pids, *before} if _runs(pid)]
        bench.again()
        assert not left


def _silent(_fraction: float | None, _message: str) -> None:
    return None


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
