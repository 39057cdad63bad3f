"""What the engine hands to an executor, and what it gets back: plain values that can travel to another machine.

A task names a component, a capability and JSON parameters; data travel as references. Never a closure: what cannot be
written down cannot be run again after a crash, nor elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

from mcp_orchestrator.errors import OrchestratorError, revive

__all__ = ["Abilities", "Capacity", "Executor", "Killed", "Need", "Outcome", "Report", "Task", "Usage", "WorkerRef"]

Report = Callable[[float | None, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a step asks for.

    Up to ``cpus`` processors (at least one is granted; 0 takes none), ``memory_mb`` of memory (0 means no limit), whole
    ``gpus``, and so many of each named slot.
    """

    cpus: int = 1
    memory_mb: int = 0
    gpus: int = 0
    slots: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What there is to grant: processors, megabytes of memory (0 means not counted) and graphics processors.

    One task gets at most the ``widest`` processors: those of the largest machine where there are several (0: all).
    """

    cpus: int
    memory_mb: int = 0
    gpus: int = 0
    widest: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One attempt of one call of one capability.

    ``attempt`` and ``fence`` tell a result that is still wanted from one of a worker that was given up: it is applied
    only while both are the journal's. ``by`` is who approved what the run does, where somebody was asked.
    """

    component: str
    capability: str
    params: dict[str, Any]
    version: str = ""
    seed: int = 0
    cpus: int = 1
    memory_mb: int = 0
    gpus: tuple[int, ...] = ()
    run: str = ""
    step: str = ""
    attempt: int = 1
    fence: int = 0
    by: str = ""

    @property
    def name(self) -> str:
        """What is called, for messages."""
        return f"{self.component}.{self.capability}"

    def plain(self) -> dict[str, Any]:
        """Return the task as JSON values, which are the task's own: not to be changed."""
        return {name: getattr(self, name) for name in FIELDS}


FIELDS = tuple(one.name for one in fields(Task))


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What an attempt used: processor seconds and the most memory in megabytes, its children included."""

    cpu_seconds: float = 0.0
    memory_mb: float = 0.0


UNUSED = Usage()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRef:
    """Where an attempt runs: enough to find it again, to end it, and to know that it is still the same one.

    ``place`` is the executor's own name for the attempt (a number, an address, an actor), ``started`` when its process
    began, in a unit of the executor's that no change of the clock moves: a reused process id is not mistaken for it.
    """

    executor: str
    place: str
    pid: int = 0
    started: float = 0.0
    host: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an attempt ended: its ``value`` as plain JSON, or the ``code`` and text of its ``error``."""

    value: Any = None
    code: str = ""
    error: str = ""
    usage: Usage = UNUSED

    def answer(self) -> Any:  # noqa: ANN401 - any JSON value
        """Return the value.

        Raises:
            OrchestratorError: the error that the attempt ended with.

        """
        if self.code:
            raise self.failure()
        return self.value

    def failure(self) -> OrchestratorError:
        """Return the error that the attempt ended with."""
        return revive(self.code, self.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """What `Executor.kill` did: whether anything was still running, how many processes, and in how many seconds."""

    running: bool
    processes: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What an executor can promise."""

    kills: bool
    limits_memory: bool
    elsewhere: bool
    survives: bool = False


class Executor(Protocol):
    """Where tasks run. The conformance suite `mcp_orchestrator.testing` is what each of them must pass.

    `submit` returns when a worker has the task, `wait` when the task has ended; the death of a worker is an `Outcome`
    with the code ``worker_lost``, never silence. `kill` asks the task to stop, gives it ``grace`` seconds, and returns
    only when its whole process group is gone.
    """

    name: str
    abilities: Abilities

    async def start(self) -> None:
        """Start whatever takes time to start; calling it again changes nothing."""
        ...

    async def capacity(self) -> Capacity:
        """Return what there is to grant, as it stands now."""
        ...

    async def submit(self, task: Task, report: Report) -> WorkerRef:
        """Hand a task to a worker; ``report`` is called, in the event loop, with the progress it tells.

        Raises:
            WorkerLost: no worker could be had.

        """
        ...

    async def wait(self, ref: WorkerRef) -> Outcome:
        """Return how a task ended."""
        ...

    async def kill(self, ref: WorkerRef, grace: float = 0.0) -> Killed:
        """End a task and all that descends from it; when this returns, its processor is free."""
        ...

    async def adopt(self, ref: WorkerRef) -> bool:
        """Take over a task that an engine before this one submitted, if it still runs.

        Otherwise make sure that nothing of it runs, and return False.
        """
        ...

    async def close(self) -> None:
        """End all workers."""
        ...
