"""The way to the places of a Dask cluster.

Dask carries: a task is a Dask task bound to one worker, kills and greetings are messages to it, progress comes as
events. Its own retries and its `cancel` are not used: the first would run a step twice, the second stops nothing
that runs (dask/distributed issues 2617 and 4694).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from typing import Any

from mcp_orchestrator.core.environment import QUIET
from mcp_orchestrator.elsewhere import place
from mcp_orchestrator.elsewhere.line import Tell
from mcp_orchestrator.errors import MissingLibrary, NotReady, WorkerLost
from mcp_orchestrator.settings import Settings

__all__ = ["Dask"]

CONNECT = 30.0


class Dask:
    """A cluster of Dask: the one at ``executor_address``, or one with ``executor_places`` workers on this machine."""

    name = "dask"

    def __init__(self, settings: Settings, home: str, token: str) -> None:
        """Take what tells hosts (``home``) and their lives (``token``) apart."""
        self._settings, self._home, self._token = settings, home, token
        self._topic = f"mcp-orchestrator-{token}"
        self._client: Any = None
        self._cluster: asyncio.subprocess.Process | None = None
        self._going: dict[str, tuple[str, Tell, asyncio.Future[None]]] = {}
        self._gone: set[str] = set()

    async def open(self) -> None:
        """Connect to the scheduler, or start one with its workers.

        Raises:
            MissingLibrary: distributed is not installed.
            NotReady: no scheduler answers.

        """
        try:
            from distributed import Client
        except ImportError as error:
            raise MissingLibrary("executor = dask", "distributed", "dask") from error
        address = self._settings.executor_address or await self._started()
        try:
            self._client = await Client(address, asynchronous=True, timeout=CONNECT, name="mcp-orchestrator")
        except (OSError, ValueError) as error:
            await self.close()
            then = "Start one with: dask scheduler"
            raise NotReady(f"No Dask scheduler answers at executor_address {address}: {error}. {then}") from error
        self._client.subscribe_topic("all", self._changed)
        self._client.subscribe_topic(self._topic, self._told)

    async def greet(self, hello: str) -> dict[str, dict[str, Any]]:
        """Greet all workers and return their answers by address."""
        answers: dict[str, Any] = await self._client.run(_greeted, hello, on_error="return")
        self._gone -= answers.keys()
        return {address: _answer(one) for address, one in answers.items()}

    async def perform(self, address: str, key: str, task: str, tell: Tell) -> dict[str, Any]:
        """Have a worker run a task.

        Raises:
            WorkerLost: the worker left the cluster.

        """
        if address in self._gone:
            raise WorkerLost(f"The Dask worker {address} left the cluster.")
        lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._going[key] = address, tell, lost
        future = self._client.submit(
            _performed,
            *(self._home, self._token, key, task, self._topic),
            key=key,
            workers=[address],
            allow_other_workers=False,
            pure=False,
            retries=0,
        )
        result = asyncio.ensure_future(_result(future))
        try:
            await asyncio.wait([result, lost], return_when=asyncio.FIRST_COMPLETED)
            if result.done():
                return result.result()
            raise WorkerLost(f"The Dask worker {address} left the cluster while it worked on {key}.")
        finally:
            del self._going[key]
            result.cancel()
            await asyncio.wait([result])
            future.release()

    async def kill(self, address: str, key: str, grace: float) -> dict[str, Any]:
        """Have a worker end a task.

        Raises:
            WorkerLost: the worker left the cluster.

        """
        try:
            answers = await self._client.run(_killed, self._home, self._token, key, grace, workers=[address])
        except (OSError, KeyError, ValueError) as error:
            raise WorkerLost(f"The Dask worker {address} left the cluster.") from error
        return answers[address]

    async def close(self) -> None:
        """Close our places, and the cluster if it was started here."""
        if self._client is not None:
            client, self._client = self._client, None
            with suppress(OSError):
                await client.run(_left, self._home, self._token, on_error="ignore")
            await client.close()
        if self._cluster is not None:
            cluster, self._cluster = self._cluster, None
            assert cluster.stdin is not None  # noqa: S101 - it was asked for
            cluster.stdin.close()
            await cluster.wait()
            with suppress(ProcessLookupError, PermissionError):  # its helpers end by themselves, a moment later
                for _ in range(500):
                    os.killpg(cluster.pid, 0)
                    await asyncio.sleep(0.01)
                os.killpg(cluster.pid, signal.SIGKILL)

    async def _started(self) -> str:
        """Start a cluster in a process of its own, which ends when this one does, and return its address."""
        folder = self._settings.home / "logs"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        threads = max(1, self._settings.workers // self._settings.executor_places)
        with (folder / "cluster.log").open("ab") as log:
            self._cluster = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "mcp_orchestrator.elsewhere.cluster", str(self._settings.executor_places), str(threads)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**os.environ, **QUIET, "PYTHONPATH": os.pathsep.join(one for one in sys.path if one)},
                start_new_session=True,
            )
        assert self._cluster.stdout is not None  # noqa: S101 - it was asked for
        line = await self._cluster.stdout.readline()
        if not line:
            await self.close()
            raise NotReady(f"The Dask cluster could not be started; its log is {folder / 'cluster.log'}.")
        return json.loads(line)

    def _changed(self, event: tuple[float, dict[str, Any]]) -> None:
        """Take note of a worker that left."""
        said = event[1]
        if said.get("action") == "remove-worker":
            self._gone.add(said["worker"])
            for address, _, lost in self._going.values():
                if address == said["worker"] and not lost.done():
                    lost.set_result(None)

    def _told(self, event: tuple[float, list[Any]]) -> None:
        """Pass on the progress of a task that is still wanted."""
        key, fraction, message = event[1]
        if key in self._going:
            self._going[key][1](fraction, message)


def _answer(one: Any) -> dict[str, Any]:  # noqa: ANN401 - what a worker answered, or an exception of any kind
    if not isinstance(one, Exception):
        return one
    missing = isinstance(one, ImportError)
    then = "Install mcp-ml-orchestrator there, in the same version." if missing else ""
    return {"problem": f"A Dask worker answered {type(one).__name__}: {one}. {then}".strip()}


async def _result(future: Any) -> dict[str, Any]:  # noqa: ANN401 - a future of Dask
    """Return the answer of a place.

    Raises:
        WorkerLost: Dask gave the task up.

    """
    from distributed import CancelledError
    from distributed.scheduler import KilledWorker

    try:
        return await future
    except (KilledWorker, CancelledError) as error:
        raise WorkerLost(f"Dask gave the task up: {error}.") from error


# What runs in the worker's process


async def _greeted(hello: str, dask_worker: Any) -> dict[str, Any]:  # noqa: ANN401 - a worker of Dask
    limit = (dask_worker.memory_manager.memory_limit or 0) >> 20
    facts: dict[str, Any] = {"name": str(dask_worker.name), "cpus": dask_worker.state.nthreads, "memory_mb": limit}
    return await asyncio.to_thread(place.greet, hello, **facts)


def _performed(home: str, token: str, key: str, task: str, topic: str) -> dict[str, Any]:
    from distributed import get_worker

    worker = get_worker()

    def tell(fraction: float | None, message: str) -> None:
        worker.log_event(topic, [key, fraction, message])

    here = place.find(home, token)
    return here.ask(here.perform, key, json.loads(task), tell).result()


async def _killed(home: str, token: str, key: str, grace: float) -> dict[str, Any]:
    here = place.find(home, token)
    return await asyncio.wrap_future(here.ask(here.kill, key, grace))


async def _left(home: str, token: str) -> None:
    await asyncio.to_thread(place.leave, home, token)
