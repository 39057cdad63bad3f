"""The inside of a worker process: takes tasks from a socket, one at a time, and answers each.

What a component prints goes to the log of its run, never to the protocol. A message is one line of JSON. A step that
must stop is asked to by SIGINT, which it meets as `KeyboardInterrupt` where it stands, so that its ``finally`` blocks
run; what a step leaves running, the answer says, and the other side ends it together with this process.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import logging
import os
import resource
import signal
import socket
import sys
import time
import traceback
from contextlib import suppress
from types import FrameType
from typing import Any

from mcp_orchestrator import logs
from mcp_orchestrator.component import Context
from mcp_orchestrator.core.artifacts import ArtifactStore
from mcp_orchestrator.core.environment import grant, limited, prepare
from mcp_orchestrator.core.invoke import invoke
from mcp_orchestrator.core.kill import MARK, WIDTH, adopt_orphans
from mcp_orchestrator.core.output import Recorder
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.core.tasks import Outcome, Report, Task
from mcp_orchestrator.errors import OrchestratorError
from mcp_orchestrator.settings import Settings

__all__ = ["FIRST", "Worker", "load", "perform"]

FIRST = (
    "numpy",
    "pandas",
    "pyarrow.parquet",
    "sklearn.pipeline",
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.model_selection",
    "sklearn.calibration",
    "sklearn.feature_extraction.text",
    "sklearn.inspection",
    "sklearn.svm",
)
REPORT_EVERY = 0.1
log = logging.getLogger(__name__)


def load(name: str) -> None:
    """Import a library ahead of need; one that fails is met again, and reported, where it is needed."""
    try:
        importlib.import_module(name)
    except Exception:
        log.exception("cannot preload %s", name)


def perform(registry: Registry, settings: Settings, store: ArtifactStore, task: Task, report: Report) -> Outcome:
    """Run one task in this process.

    Any exception becomes an outcome here: this is where a crash turns into a failed step.
    """
    ctx = Context(
        settings=settings,
        artifacts=store,
        seed=task.seed,
        cpus=task.cpus,
        run=task.run,
        step=task.step,
        by=task.by,
        report=report,
    )
    run, step = logs.run_id.set(task.run or "-"), logs.step_name.set(task.step or "-")
    try:
        return Outcome(value=invoke(registry, ctx, task.component, task.capability, task.params))
    except OrchestratorError as error:
        return Outcome(code=error.code, error=str(error))
    except MemoryError as error:
        limit = task.memory_mb or settings.worker_memory_mb
        most = f"the {limit} MB that it may use" if limit else "the machine has"
        return Outcome(code="step_failed", error=f"The step asked for more memory than {most}: {error or 'no figure'}.")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a crash of any kind becomes a failed step, with its cause
        log.warning("%s failed:\n%s", task.name, traceback.format_exc())
        return Outcome(code="step_failed", error=f"{type(error).__name__}: {error}")
    finally:
        logs.run_id.reset(run)
        logs.step_name.reset(step)


class Worker:
    """Serves tasks on a socket."""

    def __init__(self, connection: socket.socket, settings: str) -> None:
        """Take the socket and the settings, as JSON."""
        prepare()
        adopt_orphans()
        self._connection = connection
        self._settings = Settings.model_validate_json(settings)
        self._registry = Registry(self._settings.components)
        self._store = ArtifactStore.of(self._settings)
        self._at_work = self._speaking = self._asked = False
        self._said = 0.0
        self._mark = _where_the_mark_is()
        self._recorder = Recorder(self._settings.home, self._settings.run_log_mb)
        self._recorder.install(self._settings.log_level)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, self._interrupted)

    def serve(self) -> None:
        """Answer tasks until the other side closes the connection."""
        with suppress(ConnectionError):
            for line in self._connection.makefile("rb"):
                message = json.loads(line)
                given: dict[str, Any] = message["task"]
                given["gpus"] = tuple(given["gpus"])
                task = Task(**given)
                self._sign(message["mark"])
                self._send(self._answer(task))

    def _answer(self, task: Task) -> dict[str, Any]:
        """Run a task and say how it ended, what it used, and whether it left something running."""
        signal.signal(signal.SIGINT, self._interrupted)
        grant(task.cpus, task.gpus)
        self._said, self._speaking = 0.0, False
        before, children = _processor()
        _forget_peak()
        with self._recorder.step(task.run, task.step, task.attempt, task.name):
            try:
                try:
                    self._at_work = True
                    self._heed()
                    with limited(task.memory_mb or self._settings.worker_memory_mb):
                        outcome = perform(self._registry, self._settings, self._store, task, self._report)
                finally:
                    self._at_work = False
            except KeyboardInterrupt:
                outcome = Outcome(code="cancelled", error=f"{task.name} was asked to stop, and stopped.")
        after, born = _processor()
        return {
            "value": outcome.value,
            "code": outcome.code,
            "error": outcome.error,
            "cpu": after + born - before - children,
            "memory": _memory(children=born > children),
            "left": _left_children(),
        }

    def _interrupted(self, _number: int, _frame: FrameType | None) -> None:
        if self._speaking or not self._at_work:
            self._asked = True  # the message goes out whole first; a step that has not begun does not begin
        else:
            self._at_work = False
            raise KeyboardInterrupt

    def _report(self, fraction: float | None, message: str, /) -> None:
        if time.monotonic() - self._said >= REPORT_EVERY or fraction == 1:
            self._said = time.monotonic()
            self._speaking = True
            self._send({"fraction": fraction, "message": message})
            self._speaking = False
            self._heed()

    def _heed(self) -> None:
        """Stop here if that was asked at a moment when it could not be done."""
        if self._asked:
            self._asked = self._at_work = False
            raise KeyboardInterrupt

    def _send(self, message: dict[str, Any]) -> None:
        self._connection.sendall(json.dumps(message).encode() + b"\n")

    def _sign(self, mark: str) -> None:
        """Carry the mark of a task, also where the system shows the environment that this process began with."""
        os.environ[MARK] = mark
        if self._mark is not None:
            ctypes.memmove(self._mark, mark.encode(), WIDTH)


def _where_the_mark_is() -> int | None:
    """Return the address of the mark in the environment that this process, or the one it was forked from, began with.

    `putenv` would not do: what /proc/PID/environ shows of a process that was forked is that first place.
    """
    if len(os.environ.get(MARK, "")) != WIDTH:
        return None
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_void_p
    return getenv(MARK.encode())


def _processor() -> tuple[float, float]:
    """Return the processor seconds of this process, and of its children that ended."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime, children.ru_utime + children.ru_stime


def _forget_peak() -> None:
    """Let the system measure the most memory of this process anew; see proc_pid_clear_refs(5)."""
    with suppress(OSError), open("/proc/self/clear_refs", "wb", buffering=0) as file:  # noqa: PTH123 - for every step
        file.write(b"5")


def _memory(*, children: bool) -> float:
    """Return the most memory in megabytes that this process took, with the largest child that it has had, if asked."""
    unit = 1 << (20 if sys.platform == "darwin" else 10)
    taken = _peak() or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if children:
        taken += resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return taken / unit


def _peak() -> int:
    """Return the most kilobytes that this process took, or 0 where the system has no such page.

    What getrusage(2) tells begins, after execve(2), with what the process took that started this one.
    """
    with suppress(OSError), open("/proc/self/status", "rb", buffering=0) as file:  # noqa: PTH123 - for every step
        for line in file.read(4096).splitlines():
            if line.startswith(b"VmHWM:"):
                return int(line.split()[1])
    return 0


def _left_children() -> bool:
    """Whether children still run; those that have ended are forgotten."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return True
    return False


if __name__ == "__main__":  # a worker of its own where forking is not safe
    prepare()
    for library in FIRST if sys.argv[3] != "bare" else ():
        load(library)
    Worker(socket.socket(fileno=int(sys.argv[1])), sys.argv[2]).serve()
