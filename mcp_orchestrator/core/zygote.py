"""A process that imports the heavy libraries once and forks a worker in milliseconds.

It never runs what it imports: forking is safe only before a library has started threads of its own. Over its control
socket it takes one byte with a socket attached (the new worker's) and answers with the worker's process id. When its
parent dies the socket closes and every worker is ended, group and all.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import logging
import os
import select
import signal
import socket
import sys

from mcp_orchestrator.core import worker
from mcp_orchestrator.core.environment import prepare
from mcp_orchestrator.settings import Settings

__all__ = ["main"]

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
LATER = (
    "skops.io",
    "optuna",
    "scipy.stats",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "mlflow.tracking",
    "mlflow.models",
)
PR_SET_PDEATHSIG = 1
log = logging.getLogger(__name__)


def main(control_fd: int, settings: str, *, preload: bool) -> None:
    """Serve forks on ``control_fd`` until the other side closes it."""
    prepare()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = socket.socket(fileno=control_fd)
    living: set[int] = set()
    pending = [*FIRST, *LATER] if preload else []
    try:
        while True:
            ready, _, _ = select.select([control], [], [], 0 if pending else 1.0)
            living -= set(_reaped())
            if ready and len(pending) <= len(LATER):  # a worker without the first libraries would import them again
                request, sockets, _, _ = socket.recv_fds(control, 1, 1)
                if not request:
                    break
                pid = _fork(control, sockets[0], settings)
                living.add(pid)
                os.close(sockets[0])
                control.sendall(json.dumps({"pid": pid, "ready": not pending}).encode() + b"\n")
            elif pending:
                _load(pending.pop(0))
                if not pending:
                    gc.collect()
                    gc.freeze()  # children share these pages instead of copying them
                    living.add(_prepare_tracking(control, settings))
                    control.sendall(b'{"ready": true}\n')
    finally:
        for pid in living:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


def _load(name: str) -> None:
    """Import a library ahead of need; one that fails is met again, and reported, where it is needed."""
    try:
        importlib.import_module(name)
    except ImportError:
        log.exception("cannot preload %s", name)


def _fork(control: socket.socket, task_fd: int, settings: str) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.setpgid(pid, pid)
        return pid
    code = 1
    try:
        with contextlib.suppress(PermissionError):
            os.setpgid(0, 0)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)
        control.close()
        worker.serve(socket.socket(fileno=task_fd), settings)
        code = 0
    finally:
        os._exit(code)


def _prepare_tracking(control: socket.socket, settings: str) -> int:
    """Make MLflow's database, which takes seconds, in a child, before anybody needs it."""
    pid = os.fork()
    if pid:
        os.setpgid(pid, pid)
        return pid
    code = 1
    try:
        control.close()
        os.nice(5)
        store = importlib.import_module("mcp_orchestrator.tracking.store")
        store.prepare(Settings.model_validate_json(settings).home)
        code = 0
    finally:
        os._exit(code)


def _reaped() -> list[int]:
    done: list[int] = []
    with contextlib.suppress(ChildProcessError):
        while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
            done.append(pid)
    return done


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], preload=sys.argv[3] == "preload")
