"""What a worker of somebody else's cluster holds for us: a pool of our own worker processes, in a thread of its own.

Dask and Ray cannot stop a computation and leave its children behind when they kill a worker; our pool can and does
not. So their workers only carry tasks to the pool and answers back, and a step is killed, limited and logged as at
home. A place belongs to the host that greeted it last. What an earlier one left running is ended, and so is
everything when the host is silent for `PATIENCE` seconds.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import anyio
import psutil
from anyio.from_thread import BlockingPortal

from mcp_orchestrator.core.artifacts import ArtifactStore
from mcp_orchestrator.core.executors import Workers
from mcp_orchestrator.core.output import log_of
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.core.tasks import Outcome, Task, WorkerRef
from mcp_orchestrator.elsewhere.line import Tell
from mcp_orchestrator.errors import NotReady, OrchestratorError, WorkerLost
from mcp_orchestrator.settings import Settings

__all__ = ["PACKAGE", "PATIENCE", "Place", "find", "greet", "leave"]

PACKAGE = "mcp-ml-orchestrator"
PATIENCE = 60.0
MOST_LOG = 1 << 18
T = TypeVar("T")

_places: dict[str, Place] = {}
_lock = threading.Lock()


def greet(hello: str, *, name: str, cpus: int, memory_mb: int = 0) -> dict[str, Any]:
    """Open the place of a host in this process, or keep it open, and return what it offers.

    ``hello`` holds, as JSON, the host's ``home`` (what tells hosts apart), its ``token`` (what tells its lives apart),
    its ``version`` and ``settings``, the digest of an artifact to ``probe``, and whether to ``preload``; from a host
    that shares this machine also the folders of its import ``path`` and the ``folder`` to work in. The answer holds
    ``cpus``, ``memory_mb``, ``host``, ``pid`` and ``folder``, or the ``problem`` that keeps the place from working.
    """
    said = json.loads(hello)
    with _lock:
        place = _places.get(said["home"])
        if place is not None and (place.token != said["token"] or place.closed):
            place.close()
            place = None
        try:
            place = place or Place(said, name=name, cpus=cpus)
        except OrchestratorError as error:
            return {"problem": str(error)}
        _places[said["home"]] = place
    place.heard = time.monotonic()
    return {
        "cpus": cpus,
        "memory_mb": memory_mb or psutil.virtual_memory().total >> 20,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "folder": str(place.settings.home),
    }


def find(home: str, token: str) -> Place:
    """Return the place of a host in this process.

    Raises:
        WorkerLost: it has none here, or another life of the host owns it.

    """
    place = _places.get(home)
    if place is None or place.token != token or place.closed:
        raise WorkerLost(f"The worker process {os.getpid()} on {socket.gethostname()} has no place for this host.")
    return place


def leave(home: str, token: str) -> None:
    """Close the place of a host, with all that runs there."""
    with _lock:
        if home in _places and _places[home].token == token:
            _places.pop(home).close()


class Place:
    """The pool of one host in this process; its coroutines run in the place's own thread, by `ask`."""

    def __init__(self, said: dict[str, Any], *, name: str, cpus: int) -> None:
        """Check that this process can work for the host, and start the pool.

        Raises:
            NotReady: the version of this package is another one.
            InvalidInput: a foreign component cannot be imported here.
            UnknownName: the host's artifacts cannot be reached from here.

        """
        if said["version"] != version(PACKAGE):
            text = f"has version {version(PACKAGE)} of {PACKAGE}, the host {said['version']}; install the same there."
            raise NotReady(f"The worker on {socket.gethostname()} {text}")
        sys.path.extend(one for one in said.get("path", ()) if one not in sys.path)
        base = Path(said.get("folder") or os.environ.get("MCP_ORCHESTRATOR_HOME") or ".mcp-orchestrator").absolute()
        own = re.sub(r"[^\w.-]+", "-", name).strip("-.") or str(os.getpid())
        home = base / "places" / f"{own}-{said['home'][:8]}"
        given = Settings.model_validate(said["settings"])
        changed = {"project": Path.cwd(), "home": home, "roots": (), "workers": cpus, "executor": "local"}
        self.settings = given.model_copy(update=changed)
        self.token, self.heard = said["token"], time.monotonic()
        self.registry = Registry(self.settings.components)
        for problem in (one.problem for one in self.registry if one.problem is not None):
            raise problem
        ArtifactStore.of(self.settings).path(said["probe"])
        self._refs: dict[str, WorkerRef] = {}
        self._working = 0
        self._given_up: deque[str] = deque(maxlen=10_000)
        self._read: dict[str, tuple[int, int]] = {}
        self._ended = threading.Event()
        self._pool = Workers(self.settings, preload=said.get("preload", True), tracking=False)
        portal: Future[BlockingPortal] = Future()
        work = partial(anyio.run, self._live, portal)
        threading.Thread(
            target=work, name="mcp-orchestrator-pool", daemon=True
        ).start()  # the process may end before it
        self._portal = portal.result()
        self._portal.call(self._pool.start)
        threading.Thread(target=self._watch, name="mcp-orchestrator-place", daemon=True).start()

    @property
    def closed(self) -> bool:
        """Whether the pool is gone."""
        return self._ended.is_set()

    def ask(self, work: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> Future[T]:  # noqa: ANN401
        """Run a coroutine of this place in its thread."""
        return self._portal.start_task_soon(work, *args)

    async def perform(self, key: str, plain: dict[str, Any], tell: Tell) -> dict[str, Any]:
        """Run a task and return its outcome as JSON values, with what was added to the log of its run."""
        given: dict[str, Any] = {**plain, "gpus": tuple(plain["gpus"])}
        task = Task(**given)
        outcome = self._refused(task)
        if outcome is None:
            try:
                outcome = await self._performed(key, task, tell)
            except OrchestratorError as error:
                outcome = Outcome(code=error.code, error=str(error))
        return {"outcome": asdict(outcome), "log": self._news(task.run)}

    async def kill(self, key: str, grace: float) -> dict[str, Any]:
        """End a task, also one that has not come yet; when this returns, nothing of it runs."""
        self._given_up.append(key)
        ref = self._refs.get(key)
        return {"running": False} if ref is None else asdict(await self._pool.kill(ref, grace))

    def close(self) -> None:
        """End all that runs here, and the thread."""
        if not self._ended.is_set():
            self._ended.set()
            self._portal.call(self._end)
            self._portal.call(self._portal.stop)

    async def _live(self, made: Future[BlockingPortal]) -> None:
        async with BlockingPortal() as portal:
            made.set_result(portal)
            await portal.sleep_until_stopped()

    async def _end(self) -> None:
        """Close the pool, and once more when what was being handed to it meanwhile has come and gone."""
        await self._pool.close()
        while self._working:  # noqa: ASYNC110 - for milliseconds, once
            await anyio.sleep(0.005)
        await self._pool.close()

    async def _performed(self, key: str, task: Task, tell: Tell) -> Outcome:
        if key in self._given_up or self.closed:
            return Outcome(code="cancelled", error=f"{task.name} was given up before it began.")
        self._working += 1
        try:
            ref = await self._pool.submit(replace(task, cpus=min(task.cpus, self.settings.workers)), tell)
            if key in self._given_up or self.closed:
                await self._pool.kill(ref, 0.0)
                return Outcome(code="cancelled", error=f"{task.name} was given up.")
            self._refs[key] = ref
            return await self._pool.wait(ref)
        finally:
            self._working -= 1
            self._refs.pop(key, None)

    def _refused(self, task: Task) -> Outcome | None:
        """Return why a task cannot be run here, if that is so."""
        try:
            found = self.registry.get(task.component).about.version
        except OrchestratorError as error:
            return Outcome(code=error.code, error=f"On {socket.gethostname()}: {error}")
        if task.version in {"", found}:
            return None
        text = f"{task.component} is version {found} on {socket.gethostname()}, and {task.version} at home."
        return Outcome(code="not_ready", error=f"{text} Install the same version there, and start its workers again.")

    def _news(self, run: str) -> str:
        """Return what was added to the log of a run since this was asked last, its end where that is long."""
        try:
            with log_of(self.settings.home, run).open("rb") as file:
                known, begun = self._read.get(run, (0, 0))
                inode, end = os.fstat(file.fileno()).st_ino, file.seek(0, os.SEEK_END)
                file.seek(max(begun if inode == known else 0, end - MOST_LOG))
                self._read[run] = inode, end
                return file.read(end - file.tell()).decode(errors="replace")
        except FileNotFoundError:
            return ""

    def _watch(self) -> None:
        while not self._ended.wait(PATIENCE / 10):
            if time.monotonic() - self.heard > PATIENCE:
                self.close()
