"""A process that imports the heavy libraries once and forks a worker in milliseconds.

It never runs what it imports: forking is safe only before a library has started threads of its own. Over its control
socket it takes one byte with a socket attached (the new worker's) and answers with the worker's process id, or with 0
and the reason where the system gives no process: that is no end of it, since the next moment may be better. When its
parent dies the socket closes and every worker is ended, with all that descends from it; when it dies itself, the
system ends its workers.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from contextlib import suppress

from mcp_orchestrator.core.environment import prepare
from mcp_orchestrator.core.kill import adopt_orphans, children, die_with, end
from mcp_orchestrator.core.registry import house
from mcp_orchestrator.core.worker import FIRST, Worker, load
from mcp_orchestrator.settings import Settings

__all__ = ["main"]

LATER = (
    "skops.io",
    "optuna",
    "scipy.stats",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "orchestrator_memory.store",
)
TRACKING = ("mlflow.tracking", "mlflow.models")


def main(control_fd: int, settings: str, *, preload: bool, tracking: bool) -> None:
    """Serve forks on ``control_fd`` until the other side closes it."""
    prepare()
    adopt_orphans()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = socket.socket(fileno=control_fd)
    living: set[int] = set()
    list(house())  # imported here, they are at hand in each worker
    later = [*LATER, *TRACKING] if tracking else [*LATER]
    pending = [*FIRST, *later] if preload else []
    said = select.poll()  # `select.select` takes no descriptor above 1,023, and who starts this may have more open
    said.register(control, select.POLLIN)
    try:
        while True:
            ready = said.poll(0 if pending else 1000)
            if gone := _reaped() & living:
                living -= gone
                _tidy(living)
            if ready and not control.recv(1, socket.MSG_PEEK):
                break  # also in the middle of loading
            if ready and len(pending) <= len(later):  # a worker without the first libraries would import them again
                pid, failed = _bear(control, settings)
                living |= {pid} - {0}
                control.sendall(json.dumps({"pid": pid, "failed": failed, "ready": not pending}).encode() + b"\n")
            elif pending:
                load(pending.pop(0))
                if not pending:
                    gc.collect()
                    gc.freeze()  # children share these pages instead of copying them
                    if tracking:
                        with suppress(OSError):  # it is then made when it is needed
                            living.add(_prepare_tracking(control, settings))
                    control.sendall(b'{"ready": true}\n')
    except ConnectionError:
        return  # the parent died while it was told something
    finally:
        living.clear()
        _tidy(living)


def _bear(control: socket.socket, settings: str) -> tuple[int, str]:
    """Fork a worker for the socket that is asked with; return its process id, or 0 and why there is none."""
    _, sockets, _, _ = socket.recv_fds(control, 1, 1)
    if not sockets:
        return 0, "its socket did not arrive"
    try:
        return _fork(control, sockets[0], settings), ""
    except OSError as error:  # no memory, or too many processes
        return 0, f"{type(error).__name__}: {error}"
    finally:
        os.close(sockets[0])


def _fork(control: socket.socket, task_fd: int, settings: str) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        _lead(pid)
        return pid
    code = 1
    try:
        _lead(0)
        die_with(parent)
        control.close()
        Worker(socket.socket(fileno=task_fd), settings).serve()
        code = 0
    except BaseException:  # noqa: BLE001 - a defect of ours; the copy of the zygote must end here, never run on
        traceback.print_exc()
    finally:
        os._exit(code)


def _prepare_tracking(control: socket.socket, settings: str) -> int:
    """Make MLflow's database, which takes seconds, in a child, before anybody needs it."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        _lead(pid)
        return pid
    code = 1
    try:
        die_with(parent)
        control.close()
        os.nice(5)
        store = importlib.import_module("mcp_orchestrator.tracking.store")
        store.prepare(Settings.model_validate_json(settings).home)
        code = 0
    finally:
        os._exit(code)


def _lead(pid: int) -> None:
    """Let a process (0: this one) lead a group of its own; both sides do it, since either may come first."""
    with suppress(ProcessLookupError, PermissionError):
        os.setpgid(pid, pid)


def _reaped() -> set[int]:
    done: set[int] = set()
    with suppress(ChildProcessError):
        while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
            done.add(pid)
    return done


def _tidy(living: set[int]) -> None:
    """End all children but the living workers: what comes to us by the death of a worker is left of its step."""
    for pid in children(os.getpid()):
        if pid not in living:
            end(pid)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], preload=sys.argv[3] != "bare", tracking=sys.argv[3] == "preload")
