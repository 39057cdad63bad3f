"""Processes that evaluate candidates: forked, so that they hold the table already, and ended when time is up.

One process a core and one thread a process: with two OpenMP threads on two busy cores the same fit took 10 to 40 times
as long.
Where forking is not safe (another system than Linux, other threads alive, OpenMP already running several threads) the
work is done in this process, one piece after the other, and a deadline is met after the piece under way; what is
computed is the same.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, Generic, Self, TypeVar

from mcp_orchestrator.errors import WorkerLost

__all__ = ["Pool", "can_fork"]

K = TypeVar("K")
T = TypeVar("T")
R = TypeVar("R")
PR_SET_PDEATHSIG = 1


class Pool(Generic[K, T, R]):
    """A queue of tasks, and processes that take them one by one."""

    def __init__(self, work: Callable[[T], R], processes: int, *, deadline: float | None = None) -> None:
        """Do ``work`` on tasks, in up to ``processes`` processes, until the monotonic ``deadline``."""
        self._work = work
        self._deadline = deadline
        self._waiting: deque[tuple[K, T]] = deque()
        self._idle: list[_Child] = []
        self._busy: dict[Connection, tuple[_Child, K, T]] = {}
        self._processes = processes if can_fork() and (processes > 1 or deadline is not None) else 0

    def __enter__(self) -> Self:
        """Start nothing yet: processes are forked when the first task comes."""
        return self

    def __exit__(self, *_: object) -> None:
        """End every process."""
        self.stop()

    @property
    def expired(self) -> bool:
        """Whether the deadline has passed."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    def until(self, deadline: float | None) -> None:
        """Set another deadline."""
        self._deadline = deadline

    def put(self, key: K, task: T) -> None:
        """Add a task; its result comes under ``key``."""
        self._waiting.append((key, task))

    def results(self) -> Iterator[tuple[K, R | WorkerLost]]:
        """Return results as they come until nothing is left to do, or time is up; tasks may be added meanwhile.

        When time is up, running tasks are ended and waiting ones forgotten. A process that died answers `WorkerLost`.
        """
        while self._waiting or self._busy:
            if self.expired:
                self.stop()
                return
            if not self._processes:
                key, task = self._waiting.popleft()
                yield key, self._work(task)
                continue
            self._hand_out()
            left = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
            for ready in wait(list(self._busy), left):
                child, key, _ = self._busy.pop(ready)  # type: ignore[index]  # only connections are waited for
                try:
                    answer = child.connection.recv()
                except (EOFError, ConnectionResetError):
                    child.end()
                    yield (
                        key,
                        WorkerLost("The process that evaluated it was ended by the system: out of memory, perhaps."),
                    )
                else:
                    self._idle.append(child)
                    yield key, answer

    def stop(self) -> None:
        """End every process and forget every task."""
        for child in [*self._idle, *(child for child, _, _ in self._busy.values())]:
            child.end()
        self._idle.clear()
        self._busy.clear()
        self._waiting.clear()

    def _hand_out(self) -> None:
        while self._waiting and len(self._busy) < self._processes:
            child = self._idle.pop() if self._idle else _Child(self._work)
            key, task = self._waiting.popleft()
            child.connection.send(task)
            self._busy[child.connection] = (child, key, task)


class _Child:
    """A forked process that answers tasks until its pipe is closed."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        self.connection, other = Pipe()
        parent = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads of pyarrow's, which provides for forks
            self.pid = os.fork()
        if self.pid:
            other.close()
            return
        try:
            _die_with(parent)
            self.connection.close()
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            with suppress(EOFError, BrokenPipeError):
                while True:
                    other.send(work(other.recv()))
        except BaseException:  # noqa: BLE001 - a defect of ours; the copy of the parent must end here, never run on
            traceback.print_exc()
            os._exit(1)
        os._exit(0)

    def end(self) -> None:
        """Kill the process and wait for its end."""
        self.connection.close()
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def can_fork() -> bool:
    """Whether a forked copy of this process can compute."""
    if sys.platform != "linux" or threading.active_count() > 1:
        return False
    from threadpoolctl import threadpool_info

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # several OpenMP libraries: they are looked at one by one
        return all(one["num_threads"] == 1 for one in threadpool_info() if one["user_api"] == "openmp")


def _die_with(parent: int) -> None:
    """Have the system kill this process when its parent dies; a parent that is dead already is noticed here."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
